"""The import graph keeps its layers: read from the source with `ast`, so that imports inside functions count too."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import sftframe

ROOT = Path(__file__).parents[1]
CORE = ROOT / "sftframe"
PLUGINS = ROOT / "plugins" / "sftframe_plugins"

LAYERS = (
    "errors version formatting confidence records escaping progress interrupts files network device plugins config",
    "data prompts registry trust training compaction inference distributed",
    "runs judging",
    "analysis report",
    "pipeline ablation audit",
    "cli doctor scaffold testing pytest_plugin __main__",
)
"""Rooms and single modules directly under `sftframe`. Each may import from its own line and from those above it; no
circle is allowed, neither of rooms nor of modules.
"""

OPENED = {
    "network": "its modules are imported one by one: only `network.transport` needs httpx, which takes 0.1 s",
    "plugins.decoding": "it imports torch, and the face of `plugins` must not",
    "plugins.guard": "for the registry and the few callers that run a plugin's code",
    "distributed": "its modules are imported one by one: its face is light, and every command asks it",
    "prompts.tokens": "it imports numpy, and the face of `prompts` is imported on the way to `--help`",
    "files.locks": "used by rooms that keep folders",
    "pipeline.manifest": "its functions are used by the module's name",
    "training.checkpoints": "its functions are used by the module's name",
    "training.shards": "its functions are used by the module's name",
    "cli": "has no face: `cli.app` is the command",
    "testing": "its suites are imported one by one, see its face",
}
"""Modules that other rooms import past a room's face, and why."""

RANK = {module: rank for rank, line in enumerate(LAYERS) for module in line.split()}


def module_name(path: Path, root: Path) -> str:
    """`data.formats` for .../data/formats.py, `registry` for .../registry/__init__.py."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path) -> Iterator[tuple[str, str]]:
    """Module and name of every import in a file, wherever it stands; the name is empty for `import module`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} has a relative import; write the module's full name"
            yield from ((node.module or "", alias.name) for alias in node.names)


def core_imports(path: Path) -> Iterator[str]:
    """Core modules that a file imports, without the `sftframe.` in front."""
    for module, name in imported(path):
        if module == "sftframe":
            assert name == "__version__" or name in RANK, f"{path} imports {name} from sftframe, not from its module"
            if name in RANK:
                yield name
        elif module.startswith("sftframe."):
            yield module.removeprefix("sftframe.")


def is_allowed(importer: str, target: str) -> bool:
    importer_top, target_top = importer.partition(".")[0], target.partition(".")[0]
    if importer_top == target_top:
        return True
    return RANK[target_top] <= RANK[importer_top]


CORE_FILES = {module_name(path, CORE): path for path in sorted(CORE.rglob("*.py"))}
PLUGIN_FILES = {module_name(path, PLUGINS.parent): path for path in sorted(PLUGINS.rglob("*.py"))}


def test_every_core_module_has_a_layer():
    assert {name.partition(".")[0] for name in CORE_FILES if name} - set(RANK) == set()


def test_the_page_about_the_house_names_every_room_and_no_other_file_of_it():
    page = (ROOT / "docs/explanation/architecture.md").read_text(encoding="utf-8")
    small = {"version", "pytest_plugin", "__main__"}
    assert {name for name in RANK if f"`{name}`" not in page} == small
    named = [name for name in re.findall(r"`(\w+/\w+\.py)`", page) if room(name.replace("/", ".")) in RANK]
    assert len(named) > 5
    assert [name for name in named if not (CORE / name).is_file()] == []


@pytest.mark.parametrize("name", [name for name in CORE_FILES if name])
def test_core_modules_import_only_from_layers_below(name):
    assert [target for target in core_imports(CORE_FILES[name]) if not is_allowed(name, target)] == []


@pytest.mark.parametrize(
    ("importer", "target"),
    [
        ("errors", "runs"),
        ("plugins.guard", "pipeline.setup"),
        ("runs.folder", "analysis"),
        ("analysis.runs", "pipeline"),
        ("training.trainer", "runs"),
    ],
)
def test_the_layer_rule_fires(importer, target):
    assert not is_allowed(importer, target)


def circles(arrows: Mapping[str, set[str]]) -> list[tuple[str, ...]]:
    """Every set of names that import each other, directly or not."""

    def reached(start: str) -> frozenset[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            news = arrows.get(waiting.pop(), set()) - seen
            seen |= news
            waiting += news
        return frozenset(seen)

    reach = {name: reached(name) for name in arrows}
    return sorted(
        {tuple(sorted(n for n in reach[name] if name in reach.get(n, ()))) for name in arrows if name in reach[name]}
    )


def room(module: str) -> str:
    return module.partition(".")[0]


def test_rooms_and_modules_import_each_other_in_no_circle():
    modules = {name: set(core_imports(path)) & set(CORE_FILES) - {name} for name, path in CORE_FILES.items() if name}
    faces = {name for name in modules if CORE_FILES[name].name == "__init__.py"}
    rooms: dict[str, set[str]] = {}
    for name, targets in modules.items():
        rooms.setdefault(room(name), set()).update(room(target) for target in targets if room(target) != room(name))
    assert circles(rooms) == []
    assert circles({name: targets - faces for name, targets in modules.items() if name not in faces}) == []


def test_a_circle_is_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [("b", "c")]
    assert circles({"a": {"b"}, "b": set()}) == []


def test_other_rooms_are_entered_by_their_faces():
    past = {
        f"{name} imports {target}"
        for name, path in CORE_FILES.items()
        for target in core_imports(path)
        if "." in target and room(target) != room(name) and target not in OPENED and room(target) not in OPENED
    }
    assert past == set()


def test_core_imports_nothing_from_plugins():
    assert [
        name
        for name, path in CORE_FILES.items()
        for module, _ in imported(path)
        if module.partition(".")[0] == "sftframe_plugins"
    ] == []


def test_plugins_import_only_public_names_of_sftframe():
    private = [
        f"{name} imports {module}.{imported_name}"
        for name, path in PLUGIN_FILES.items()
        for module, imported_name in imported(path)
        if module.partition(".")[0] == "sftframe" and (module != "sftframe" or imported_name not in sftframe.__all__)
    ]
    assert private == []


def test_rich_is_the_command_lines_alone():
    files = CORE_FILES | PLUGIN_FILES
    users = {name for name, path in files.items() for module, _ in imported(path) if module.partition(".")[0] == "rich"}
    assert {name for name in users if not name.startswith("cli.")} == set()


def test_every_public_name_can_be_imported():
    for name in sftframe.__all__:
        assert getattr(sftframe, name) is not None
