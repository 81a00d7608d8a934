"""`docs/plugins/README.md`: its hooks are the real ones, its code runs and keeps the contracts that it explains."""

import inspect
import re
from pathlib import Path
from types import ModuleType

import pytest

from sftframe import Registry
from sftframe.plugins import hooks as hookspecs
from sftframe.registry import Seam
from sftframe.testing.collate import check_collate_strategy
from sftframe.testing.judge import check_judge
from sftframe.testing.launcher import check_launcher
from sftframe.testing.model import check_model_backend
from sftframe.testing.prompt import check_prompt_style

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "plugins" / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)


def module_of(block: str) -> ModuleType:
    """A code block as a module of its own."""
    module = ModuleType("author_page")
    exec(compile(block, "docs/plugins/README.md", "exec"), module.__dict__)
    return module


@pytest.fixture(scope="module")
def plugins() -> dict[str, ModuleType]:
    """The blocks that implement a hook, by that hook's name."""
    modules = [module_of(block) for block in BLOCKS]
    return {seam.hook: module for seam in Seam for module in modules if hasattr(module, seam.hook)}


def test_every_hook_is_a_heading_with_its_exact_signature():
    wanted = [f"{seam.hook}{inspect.signature(getattr(hookspecs, seam.hook))}".replace("'", "") for seam in Seam]
    assert re.findall(r"^### `(.*)`$", PAGE, flags=re.MULTILINE) == wanted


def test_every_code_block_runs():
    for block in BLOCKS:
        module = module_of(block)
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if name.startswith("test_"):
                function()


@pytest.mark.parametrize("seam", list(Seam))
@pytest.mark.usefixtures("one_thread")
def test_every_hook_has_a_complete_plugin_that_keeps_its_contract(plugins, seam):
    registry = Registry().with_plugin(plugins[seam.hook])
    [name] = registry.names(seam)
    match seam:
        case Seam.PROMPT:
            check_prompt_style(registry.prompt_style(name))
        case Seam.COLLATE:
            check_collate_strategy(registry.collate_strategy(name, {"end": 2.0}, pad_id=50256))
        case Seam.MODEL:
            check_model_backend(registry.model_backend(name))
        case Seam.JUDGE:
            check_judge(registry.judge(name), is_deterministic=True)
        case Seam.LAUNCHER:
            check_launcher(registry.launcher(name))


def test_the_style_of_the_page_is_the_one_of_the_example():
    example = ROOT / "docs" / "examples" / "sftframe-vicuna" / "src" / "sftframe_vicuna" / "__init__.py"
    assert example.read_text(encoding="utf-8").endswith(BLOCKS[0])


def test_every_check_that_the_page_names_exists_and_none_is_left_out():
    from sftframe import testing

    named = set(re.findall(r"^\| `(check_\w+)\(", PAGE, flags=re.MULTILINE))
    assert named == {name for name in testing.__all__ if name.startswith("check_")}
