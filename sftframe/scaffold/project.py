"""Renders a plugin's files from the templates and writes them as one folder."""

from __future__ import annotations

import getpass
import json
import keyword
import re
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from importlib import resources
from pathlib import Path

from sftframe.errors import ConfigError, suggestion
from sftframe.files import check_target, disk, whole_dir, write_whole
from sftframe.prompts import OWN, prompt_file
from sftframe.registry import NAME_PATTERN, Seam
from sftframe.version import __version__

LICENSES = {"apache-2.0": "Apache-2.0", "mit": "MIT", "bsd-3-clause": "BSD-3-Clause"}
"""Values of `--license`, and the SPDX expression of each."""

_DISTRIBUTION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
"""A distribution's name (PEP 508)."""
_MOST_CHARACTERS = 60
_IMPORTED = (
    *("Bytes", "CausalLM", "CollateStrategy", "Example", "Judge", "JudgeItem", "Launcher"),
    *("ModelBackend", "Network", "PromptStyle", "Role", "Segment", "TokenizedExample", "Tokenizer", "Verdict"),
)
"""Names that the templates import or define themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginProject:
    """A plugin to write."""

    seam: Seam
    name: str
    """The component's name, which users type, for example after `--prompt`."""
    distribution: str
    """The name for pip."""
    author: str
    license: str
    """A key of `LICENSES`."""

    @classmethod
    def named(
        cls, seam: Seam, name: str, *, distribution: str | None = None, author: str | None = None, license: str
    ) -> PluginProject:
        """A project with valid names.

        Args:
            distribution: by default `sftframe-NAME`.
            author: default: the user's name from git, or else from the system.

        Raises:
            ConfigError: a name, the author or the licence is not valid.
        """
        _check_name(name)
        if license not in LICENSES:
            raise ConfigError(f"no licence {license!r}{suggestion(license, LICENSES)}")
        project = cls(
            seam=seam,
            name=name,
            distribution=distribution or "sftframe-" + re.sub(r"[-_.]+", "-", name).strip("-"),
            author=default_author() if author is None else author.strip(),
            license=license,
        )
        project._check()
        return project

    @property
    def module(self) -> str:
        """Its package, as Python imports it."""
        return re.sub(r"[-_.]+", "_", self.distribution).lower()

    @property
    def short_name(self) -> str:
        """The component's name as part of a Python name.

        >>> PluginProject.named(Seam.JUDGE, "two-words.v2", author="A", license="mit").short_name
        'two_words_v2'
        """
        return re.sub(r"[-_.]+", "_", self.name).strip("_")

    @property
    def class_name(self) -> str:
        """The component's class; it is never a name of Python or sftframe.

        >>> for name in ("my-style", "prompt-style", "none", "7b"):
        ...     PluginProject.named(Seam.PROMPT, name, author="A", license="mit").class_name
        'MyStyle'
        'MyPromptStyle'
        'MyNone'
        'My7b'
        """
        words = "".join(word[:1].upper() + word[1:] for word in self.short_name.split("_"))
        is_taken = words in _IMPORTED or keyword.iskeyword(words) or not words.isidentifier()
        return f"My{words}" if is_taken else words

    def _check(self) -> None:
        name = self.distribution
        if not _DISTRIBUTION.fullmatch(name) or len(name) > _MOST_CHARACTERS or not self.module.isidentifier():
            raise ConfigError(
                f"--package {name!r} cannot be a package's name: expected a letter, then letters, digits, '-', '_' or "
                f"'.', at most {_MOST_CHARACTERS} characters"
            )
        if self.module in ("sftframe", "sftframe_plugins") or keyword.iskeyword(self.module):
            raise ConfigError(f"--package {name!r} is taken: its module would be {self.module!r}; choose another")
        if not self.author or not self.author.isprintable():
            raise ConfigError(f"--author {self.author!r}: expected a name on one line")


def default_author() -> str:
    """The user's name from git, or else from the system."""
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(["git", "config", "user.name"], capture_output=True, text=True, timeout=5, check=False)
        if done.returncode == 0 and done.stdout.strip():
            return done.stdout.strip()
    with suppress(OSError, KeyError, ImportError):
        return getpass.getuser()
    return "The authors"


def _check_name(name: str) -> None:
    if not NAME_PATTERN.fullmatch(name) or len(name) > _MOST_CHARACTERS or prompt_file(name) or name == OWN:
        wanted = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:_MOST_CHARACTERS]
        hint = f"; for example {wanted!r}" if wanted else ""
        raise ConfigError(
            f"{name!r} cannot be a component's name: expected lower case letters, digits, '-', '_' and '.', a "
            f"letter or digit first, no file's ending, at most {_MOST_CHARACTERS} characters{hint}"
        )


def write_project(project: PluginProject, place: Path) -> tuple[Path, ...]:
    """Write the distribution to a new folder.

    Returns:
        The files, relative to the folder.

    Raises:
        ConfigError: the folder is not empty, or is a file.
        DiskError: it cannot be written.
    """
    _check_place(place)
    texts = {Path(path): _rendered(template, project) for path, template in _files(project).items()}
    with whole_dir(place.absolute()) as making:
        for path, text in texts.items():
            disk().make_dir((making / path).parent)
            write_whole(making / path, text)
    return tuple(sorted(texts))


def _check_place(place: Path) -> None:
    try:
        check_target(place, "a plugin", lambda _: "is not empty", option="--dir")
    except OSError as error:
        raise ConfigError(f"cannot look into {place}: {error.strerror or error}; choose another --dir") from error
    if not place.absolute().parent.is_dir():
        raise ConfigError(f"there is no folder {place.absolute().parent} for {place.name}: make it, or choose --dir")


def _files(project: PluginProject) -> dict[str, str]:
    """For each path, the template of its file."""
    package, kind = f"src/{project.module}", project.seam.value
    files = {
        "pyproject.toml": "pyproject.toml.j2",
        "README.md": "README.md.j2",
        "LICENSE": f"licenses/{project.license}.txt.j2",
        ".gitignore": "gitignore.j2",
        ".github/workflows/test.yml": "test.yml.j2",
        f"{package}/__init__.py": f"{kind}/plugin.py.j2",
        f"tests/test_{project.short_name}.py": f"{kind}/test.py.j2",
    }
    if kind == "model":
        files[f"{package}/network.py"] = "model/network.py.j2"
    return files


def _rendered(template: str, project: PluginProject) -> str:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=True, autoescape=False
    )  # the files are Python and TOML, not HTML
    # strings in TOML and YAML are written as in JSON
    environment.filters["quoted"] = lambda text: json.dumps(text, ensure_ascii=False)
    source = resources.files(__package__).joinpath("templates", *template.split("/")).read_text(encoding="utf-8")
    return environment.from_string(source).render(
        project=project,
        kind=project.seam.value,
        noun=project.seam.noun,
        hook=project.seam.hook,
        license=LICENSES[project.license],
        year=date.today().year,
        version=".".join(__version__.split(".")[:2]),
    )
