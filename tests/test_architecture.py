"""The import graph keeps its layers: read from the source with `ast`, so that imports inside functions count too."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import sftframe

ROOT = Path(__file__).parents[1]
CORE = ROOT / "sftframe"
PLUGINS = ROOT / "plugins" / "sftframe_plugins"

LAYERS = (
    "errors",
    "records",
    "progress interrupts files transfer visible statistics network",
    "locks downloads offline",
    "places",
    "interfaces",
    "decoding compaction",
    "hookspecs",
    "config device prompt_files",
    "registry runs verdict_cache stored",
    "stages checkpoints export adapters doctor consent",
    "judging stored_runs",
    "judging",
    "pipeline",
    "comparison",
    "ablation",
    "testing scaffold",
    "cli pytest_plugin",
    "__main__",
)
"""Modules and packages directly under `sftframe`; each may import what stands in a line above its own."""

EXCEPTIONS = {("interfaces.model", "decoding")}
"""A model's plain `generate` is written in terms of decoding, which it imports when it is called."""

RANK = {module: rank for rank, line in enumerate(LAYERS) for module in line.split()}


def module_name(path: Path, root: Path) -> str:
    """`registry.lookup` for .../registry/lookup.py, `registry` for .../registry/__init__.py."""
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
    if importer_top == target_top or (importer, target) in EXCEPTIONS:
        return True
    return RANK[target_top] < RANK[importer_top]


CORE_FILES = {module_name(path, CORE): path for path in sorted(CORE.rglob("*.py"))}
PLUGIN_FILES = {module_name(path, PLUGINS.parent): path for path in sorted(PLUGINS.rglob("*.py"))}


def test_every_core_module_has_a_layer():
    assert {name.partition(".")[0] for name in CORE_FILES if name} - set(RANK) == set()


@pytest.mark.parametrize("name", [name for name in CORE_FILES if name])
def test_core_modules_import_only_from_layers_below(name):
    assert [target for target in core_imports(CORE_FILES[name]) if not is_allowed(name, target)] == []


@pytest.mark.parametrize(
    ("importer", "target"),
    [
        ("errors", "records"),
        ("registry.wall", "pipeline.setup"),
        ("interfaces.collate", "decoding"),
        ("runs", "registry"),
    ],
)
def test_the_layer_rule_fires(importer, target):
    assert not is_allowed(importer, target)


def test_stages_do_not_import_each_other():
    def stage(module: str) -> str:
        return ".".join(module.split(".")[:2])

    crossings = [
        (name, target)
        for name, path in CORE_FILES.items()
        for target in core_imports(path)
        if name.startswith("stages.") and target.startswith("stages.") and stage(name) != stage(target)
    ]
    assert crossings == []


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
