"""Checks that the user accepts what folders and files from elsewhere would do on this machine.

Runs, ablations and configuration files name judges, servers, variables with keys, files and addresses. Each of these
is a `Claim`. The user accepts a claim by setting the same value with a flag or `--set`, by answering yes in a terminal,
or with `sftframe trust`. Accepted claims are kept as hashes in the user's cache.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sftframe.errors import ConfigError, SftframeError, brief
from sftframe.files import CONFIG, MANIFEST, sha256_of
from sftframe.network.downloads import cache_dir
from sftframe.network.offline import is_offline
from sftframe.plugins import Judge

if TYPE_CHECKING:
    from sftframe.config import Layer
    from sftframe.registry import Registry


Mark = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One action on this machine that a file asks for."""

    words: str
    """The action, as text after "would": `read /home/me/notes.json (data.source)`."""
    mark: Mark
    """The text to remember when it is accepted."""
    key: str = "judge"
    """The setting, or the section of settings, that asks for it."""
    is_given: bool = False
    """Whether the user has just set it."""


Ask = Callable[[Path, Sequence[Claim]], bool]
"""Shows claims of a file to the user; whether he accepts all of them."""

_ask: ContextVar[Ask] = ContextVar("ask")


@contextmanager
def asking_with(ask: Ask) -> Iterator[None]:
    """In this block, ask the user about claims that are not accepted yet; outside of it the answer is no."""
    token = _ask.set(ask)
    try:
        yield
    finally:
        _ask.reset(token)


def require(source: Path, claims: Sequence[Claim]) -> None:
    """Check that the user accepts what a folder or file asks for, before any of it is done.

    Raises:
        ConfigError: the user has not; the message says what it is and which command accepts it.
    """
    remember(claim for claim in claims if claim.is_given)
    unknown = unaccepted(claims)
    if not unknown:
        return
    ask = _ask.get(None)
    if ask is not None and ask(source, unknown):
        remember(unknown)
        return
    raise ConfigError(
        f"{source} would {'; '.join(claim.words for claim in unknown)}: nobody has accepted this on this machine; to "
        f"accept it: {trust_command(source)} (or give the same settings by flags and --set, or other "
        "ones)"
    )


def trust_command(source: Path) -> str:
    """The command that accepts what a folder or file asks for."""
    return f"sftframe trust {shlex.quote(str(source))}"


def unaccepted(claims: Iterable[Claim]) -> list[Claim]:
    """The claims that the user has not set and not accepted before."""
    return [claim for claim in claims if not (claim.is_given or _path(claim.mark).exists())]


def remember(claims: Iterable[Claim]) -> None:
    """Accept claims and remember it. If that cannot be written, the user is asked again the next time."""
    for claim in claims:
        with suppress(OSError):
            path = _path(claim.mark)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


def claims_of(
    document: Mapping[str, Any],
    registry: Registry,
    *,
    given: Mapping[str, Any] | None = None,
    inside: Iterable[Path] = (),
    asks_judge: bool = True,
    reads_files: bool = True,
) -> list[Claim]:
    """All claims of a configuration or an ablation's plan.

    Args:
        document: the file's settings, with its table `[ablate]` if it has one.
        given: settings of the user, which win over the file's.
        inside: folders with files that it may name without a question.
        asks_judge: whether the judge will be asked.
        reads_files: whether files without a known hash will be read; a run's manifest has the hashes of its files.

    Raises:
        ConfigError: the judge is not there, or does not take its options.
    """
    from sftframe.config import flattened, merge
    from sftframe.plugins import SEAMS

    own = merge(given or {})
    merged = merge({key: value for key, value in document.items() if key != "ablate"}, own)
    chosen = {key for key, _ in flattened(own)}
    settings = [(key, value) for key, value in flattened(merged) if key not in chosen]
    settings += [(key, value) for key, value in _axes(document.get("ablate")) if key not in chosen]
    settings += list(_arguments(settings, registry))
    everything = [*settings, *flattened(merged)]
    names = {
        seam: {text for key, text in everything if key == f"{seam}.name" and isinstance(text, str)} for seam in SEAMS
    }
    defaults = {seam: _defaults(seam, names[seam], registry) for seam in SEAMS}
    kept = _kept_prompts(document)
    claims: list[Claim] = []
    for key, text in [(key, text) for key, value in settings for text in _texts_in(value)]:
        section, _, option = key.partition(".")
        if section == "judge" or (section in SEAMS and text in defaults[section].get(option, ())):
            continue
        claims += _place_claims(key, text, kept, tuple(inside), reads_files=reads_files)
    if asks_judge:
        claims += _claims_of_judge_in(merged, own, registry, tuple(inside))
    return list({claim.mark: claim for claim in claims}.values())


def require_run(run: Path, registry: Registry, given: Mapping[str, Any]) -> None:
    """Check that the user accepts what a run asks for, apart from its judge, before any component is made.

    Files with a hash in the run's manifest need no consent: the run's author had the same files.

    Raises:
        ConfigError: as `require`.
    """
    from sftframe.config import read_toml

    require(run, pickle_claims(run))
    if is_offline():
        return
    try:
        pairing = json.loads((run / MANIFEST).read_bytes())["pairing"]
        is_vouched_for = isinstance(pairing["initial_weights"], str)
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        is_vouched_for = False
    document = read_toml(run / CONFIG)
    document.pop("out", None)
    claims = claims_of(document, registry, given=given, inside=[run], asks_judge=False, reads_files=not is_vouched_for)
    require(run, claims)


def pickle_claims(run: Path) -> list[Claim]:
    """The files of a run's model that can run code when they are loaded, with any file name."""
    return [
        Claim(words=f"load the pickle {path}, which can run any code", mark=("pickle", sha256_of(path)), key="model")
        for path in sorted((run / "model").rglob("*"))
        if path.is_file() and is_pickle(path)
    ]


def is_pickle(path: Path) -> bool:
    """Whether a file is a pickle by its first bytes or by the ending of its name."""
    with path.open("rb") as file:
        head = file.read(4)
    # a pickle of protocol 2 to 5, or torch's zip archive around one
    is_marked = head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")
    return is_marked or head == b"PK\x03\x04" or path.suffix.lower() in _PICKLES


_PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle", ".joblib")


def judge_claims(judge: Judge, given: Iterable[str], *, inside: Iterable[Path] = ()) -> list[Claim]:
    """The claims of a judge.

    If a judge says which servers it contacts, the claims are these addresses. If it does not say, the claim is all its
    text options. A judge that contacts no server has no claims.

    Args:
        given: options that the user has set; `name` is the judge.
    """
    given, settings, contacts = set(given), _nondefault_texts(judge), judge.contacts
    by_hand = settings.keys() <= given and bool(given & {"name", *settings})
    is_given = by_hand or _older_path(judge, settings).exists()
    if contacts is None:
        shown = ", ".join(f"{name} = {brief(value)}" for name, value in settings.items()) or "with its defaults"
        mark = ("judge", judge.name, json.dumps(settings, sort_keys=True))
        words = f"give questions and answers to the judge {judge.name} ({shown})"
        return [Claim(words=words, mark=mark, is_given=is_given)]
    claims = []
    for contact in contacts:
        address = origin(contact.url)
        words = f"send questions and answers to {address} (judge {judge.name})"
        claims.append(Claim(words=words, mark=("contact", address), is_given=is_given))
        if contact.key_variable:
            words = f"send the value of the variable {contact.key_variable} to {address} as its key"
            claims.append(Claim(words=words, mark=("key", contact.key_variable, address), is_given=is_given))
    texts = [(name, text) for name, value in settings.items() for text in _texts_in(value)]
    for name, text in texts:
        if _is_there(text) and not _is_inside(text, tuple(inside)):
            claims.append(replace(_claim("read", str(_resolved(text)), f"judge.{name}"), is_given=name in given))
    return claims


_PLAIN = re.compile(r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?")


def origin(url: str) -> str:
    """Scheme, host and port of an address; an ambiguous address does not change.

    >>> origin("https://API.example.com/v1"), origin("http://127.0.0.1:8000/v1")
    ('https://api.example.com:443', 'http://127.0.0.1:8000')
    >>> origin("http://good.example@evil.example/")
    'http://good.example@evil.example/'
    """
    if not _PLAIN.fullmatch(url):
        return url
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    try:
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    except ValueError:  # above 65535
        return url
    return f"{parts.scheme}://{host}:{port}"


def folders_around(file: Path) -> tuple[Path, ...]:
    """Folders with files that a configuration may name without a question: its own and the current one.

    The home folder and those above it are left out, because they contain everything of the user.
    """
    folders = {Path.cwd().resolve(), file.resolve().parent}
    with suppress(RuntimeError):
        home = Path.home().resolve()
        folders -= {home, *home.parents}
    return tuple(folders - {Path(folder.anchor) for folder in folders})


def _claims_of_judge_in(
    merged: Layer, given: Mapping[str, Any], registry: Registry, inside: tuple[Path, ...]
) -> list[Claim]:
    from sftframe.config import validate

    if "judge" not in merged:
        return []
    choice = validate({"judge": merged["judge"]}).judge
    return judge_claims(registry.judge(choice.name, choice.options), given.get("judge", ()), inside=inside)


def _axes(table: object) -> Iterator[tuple[str, Any]]:
    """The full keys and values that an ablation's table varies."""
    from sftframe.config import flattened
    from sftframe.plugins import SEAMS

    if not isinstance(table, Mapping):
        return
    for seam in SEAMS:
        if seam in table:
            yield f"{seam}.name", table[seam]
    settings = table.get("set")
    for key, value in flattened(settings) if isinstance(settings, Mapping) else ():
        yield f"{key}.name" if key in SEAMS else key, value


def _arguments(settings: Iterable[tuple[str, Any]], registry: Registry) -> Iterator[tuple[str, str]]:
    """The full keys and values that texts after components' names set."""
    from sftframe.plugins import SEAMS
    from sftframe.registry import Seam

    for seam in SEAMS:
        for name in [text for key, value in settings if key == f"{seam}.name" for text in _texts_in(value)]:
            with suppress(SftframeError):  # a missing component is not made, and gives an error later
                found = registry.argument_in(Seam(seam), name)
                if found is not None:
                    yield f"{seam}.{found[1]}", found[2]


def _kept_prompts(document: Mapping[str, Any]) -> frozenset[str]:
    """Names of prompt styles with their text in the document, so that no file is read."""
    kept = set()
    prompt, table = document.get("prompt"), document.get("ablate")
    if isinstance(prompt, Mapping) and prompt.get("content"):
        kept.add(str(prompt.get("name")))
    texts = table.get("prompt_texts") if isinstance(table, Mapping) else None
    return frozenset(kept | {name for name, text in texts.items() if text} if isinstance(texts, Mapping) else kept)


def _defaults(seam: str, names: Iterable[str], registry: Registry) -> Mapping[str, list[str]]:
    """For each option, all default texts of the components that may be meant."""
    from sftframe.config import RunConfig, option_fields
    from sftframe.registry import Seam

    found: dict[str, list[str]] = {}
    for name in names or {RunConfig.model_fields[seam].default.name}:
        with suppress(SftframeError):  # a missing component is not made, and gives an error later
            for option, schema in option_fields(registry.find(Seam(seam), name).Options).items():
                found.setdefault(option, []).extend(_texts_in(schema.get("default")))
    return found


def _texts_in(value: object) -> Iterator[str]:
    if isinstance(value, str | Path):
        yield str(value)
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _texts_in(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts_in(part)


def _place_claims(
    key: str, text: str, kept: frozenset[str], inside: tuple[Path, ...], *, reads_files: bool
) -> list[Claim]:
    """The claims of a text under a key that is not the judge's."""
    section, _, option = key.partition(".")
    if key == "out":
        return [] if not reads_files or _is_inside(text, inside) else [_claim("write to", text, key)]
    if section == "data" and option not in ("source", "test", "validation"):
        return []
    if section not in ("data", "prompt", "collate", "model"):
        return []
    if key == "prompt.name":
        from sftframe.prompts import prompt_file

        file = prompt_file(text)
        return _file_claims(key, str(file.path), inside) if reads_files and file and text not in kept else []
    if _URL.fullmatch(text):
        return [_claim("read from", text, key)]
    if section == "data" and text.startswith("hf:"):
        return [_claim("download", text, key)]
    if section == "data":
        return _source_claims(key, text, inside) if reads_files else []
    files = _file_claims(key, text, inside) if reads_files else []
    if not files and section == "model" and option != "name" and _HUB_NAME.fullmatch(text) and not _is_there(text):
        return [_claim("download", text, key)]
    return files


_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S*|(//|\\\\).*")
"""Starts of addresses, and of Windows paths to other machines."""
_HUB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9][A-Za-z0-9_.-]*(@[\w./-]+)?")


def _file_claims(key: str, text: str, inside: tuple[Path, ...]) -> list[Claim]:
    if _URL.fullmatch(text):
        return [_claim("read from", text, key)]
    return [_claim("read", str(_resolved(text)), key)] if _is_there(text) and not _is_inside(text, inside) else []


def _source_claims(key: str, text: str, inside: tuple[Path, ...]) -> list[Claim]:
    """The claims of a file, folder or pattern with data; a link inside of a folder may lead out of it."""
    from sftframe.data import source_places

    places = [str(_resolved(str(place))) for place in source_places(text)]
    return [_claim("read", place, key) for place in dict.fromkeys(places) if not _is_inside(place, inside)]


def _claim(verb: str, place: str, key: str) -> Claim:
    return Claim(words=f"{verb} {place} ({key})", mark=(verb, place), key=key)


def _is_there(text: str) -> bool:
    """Whether a text is a path; a single word is a name."""
    path = Path(text)
    try:
        return (len(path.parts) > 1 or path.suffix != "") and path.expanduser().exists()
    except (OSError, ValueError, RuntimeError):  # too long, or with a character that no path has: not a path
        return False


def _is_inside(text: str, folders: tuple[Path, ...]) -> bool:
    place = _resolved(text)
    return any(folder.resolve() in (place, *place.parents) for folder in folders)


def _resolved(text: str) -> Path:
    try:
        return Path(text).expanduser().resolve()
    except (OSError, ValueError, RuntimeError):
        return Path(text)


def _nondefault_texts(judge: Judge) -> dict[str, Any]:
    """The options with texts, or lists of texts, that are not the default."""
    from pydantic import TypeAdapter

    from sftframe.config import option_fields

    defaults = {name: schema.get("default") for name, schema in option_fields(judge.Options).items()}
    options = TypeAdapter(judge.Options).dump_python(judge.options, mode="json", exclude_none=True)
    texts = {name: value for name, value in options.items() if isinstance(value, str | list | Mapping)}
    return {
        # a run keeps absolute paths
        name: str(Path(value).absolute()) if isinstance(value, str) and _is_there(value) else value
        for name, value in texts.items()
        if value != defaults.get(name)
    }


def _path(mark: Mark) -> Path:
    return cache_dir() / "consent" / hashlib.sha256(json.dumps(mark).encode()).hexdigest()


def _older_path(judge: Judge, settings: Mapping[str, Any]) -> Path:
    """The file of an acceptance by sftframe 0.1."""
    digest = hashlib.sha256(json.dumps([judge.name, settings], sort_keys=True).encode())
    return cache_dir() / "judges" / digest.hexdigest()
