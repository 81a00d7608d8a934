"""Names of prompt styles that are files: `./x.toml`, `./x.jinja`, `hf:PATH`, and their names in a run.

A run calls a style `KIND:STEM`, for instance `toml:my_style`. It never uses the path, since the file may change later.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

Kind = Literal["toml", "jinja", "hf"]

_SUFFIXES: dict[str, Kind] = {".toml": "toml", ".jinja": "jinja", ".jinja2": "jinja", ".j2": "jinja"}
_ORDINARY = ("tokenizer_config", "chat_template")
"""The same file names in every Hugging Face repository; there the folder's name is used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileName:
    """A file that is meant to be a prompt style."""

    kind: Kind
    path: Path

    @property
    def name(self) -> str:
        """The style's name in a run, its reports and its folder's configuration.

        >>> FileName(kind="toml", path=Path("styles/my style.toml")).name
        'toml:my-style'
        >>> FileName(kind="hf", path=Path("/models/qwen/tokenizer_config.json")).name
        'hf:qwen'
        """
        stem = self.path.stem if self.path.suffix in (*_SUFFIXES, ".json") else self.path.name
        stem = self.path.absolute().parent.name if stem in _ORDINARY else stem
        return f"{self.kind}:{re.sub(r'[^A-Za-z0-9._-]+', '-', stem).strip('-') or 'style'}"


def prompt_file(name: str) -> FileName | None:
    """The file that a name means, if it means one. The file need not exist.

    >>> prompt_file("alpaca"), prompt_file("./x.toml").kind, prompt_file("hf:./model").kind
    (None, 'toml', 'hf')
    """
    kind, colon, rest = name.partition(":")
    if colon and rest and kind in ("toml", "jinja", "hf"):
        return FileName(kind=cast(Kind, kind), path=Path(rest))
    path = Path(name)
    return FileName(kind=_SUFFIXES[path.suffix], path=path) if path.suffix in _SUFFIXES else None


def looks_like_a_file(name: str) -> bool:
    """Whether a name that is not a prompt file's was probably meant as one.

    >>> looks_like_a_file("./style.txt"), looks_like_a_file("tokenizer_config.json"), looks_like_a_file("alpaca")
    (True, True, False)
    """
    return "/" in name or "\\" in name or Path(name).suffix in (".json", ".txt", ".yaml", ".yml", ".j", ".tml")
