"""Components that are as they should be pass every check: sftframe's own, and styles from files."""

import pytest

from sftframe import Registry, load_registry
from sftframe.testing import inspect
from sftframe.testing.contract import ContractError
from sftframe.testing.judge import check_judge
from sftframe.testing.module import check_plugin_module

STYLES = [
    ("alpaca", {}),
    ("alpaca-stanford", {}),
    ("phi3", {}),
    ("phi3", {"end_tag": False}),
]
STRATEGIES = [
    ("pad-only", {}),
    ("mask-pad", {}),
    ("mask-instruction", {}),
    ("prompt-weight", {"weight": 0.3}),
    ("prompt-weight", {"weight": 0.0}),
]
FILES = {
    "list.toml": 'segments = [{ template = "Q: " }, "instruction", "input", { template = "\\nA: " }, "response"]',
    "tag.toml": 'segments = ["instruction", "input", { template = "<a>\\n" }, "response", { end = "</a>" }]',
    "plain.jinja": "{{ instruction }}{% if input %} ({{ input }}){% endif %}\n\nA:\n{{ response }}",
}


def broken_promises(component):
    return [finding.error for finding in inspect(component) if not finding.is_kept]


@pytest.mark.parametrize(("name", "options"), STYLES)
def test_a_built_in_style_keeps_every_promise(name, options):
    assert broken_promises(load_registry().prompt_style(name, options)) == []


@pytest.mark.parametrize("name", FILES)
def test_a_style_from_a_file_keeps_every_promise(name, tmp_path):
    (tmp_path / name).write_text(FILES[name])
    assert broken_promises(Registry().prompt_style(str(tmp_path / name))) == []


@pytest.mark.parametrize("pad_id", [0, 50256])
@pytest.mark.parametrize(("name", "options"), STRATEGIES)
def test_a_built_in_strategy_keeps_every_promise(name, options, pad_id):
    assert broken_promises(load_registry().collate_strategy(name, options, pad_id=pad_id)) == []


def test_the_built_in_judge_that_needs_no_server_keeps_every_promise():
    judge = load_registry().judge("reference")
    check_judge(judge, is_deterministic=True)
    assert broken_promises(judge) == []


def test_importing_the_built_in_plugins_imports_nothing_heavy():
    for info in load_registry().plugins:
        if info.is_first_party:
            check_plugin_module(info.module)


def test_a_plugin_that_imports_torch_is_told_to_import_it_later(tmp_path, monkeypatch):
    package = tmp_path / "sftframe_heavy"
    package.mkdir()
    (package / "__init__.py").write_text("import torch\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ContractError, match=r"importing sftframe_heavy imports numpy, torch; import them where they"):
        check_plugin_module("sftframe_heavy")


def test_a_plugin_that_takes_long_to_import_is_told_so(tmp_path, monkeypatch):
    # ten times what sftframe itself takes, however busy the machine is
    (tmp_path / "sftframe_slow.py").write_text(
        "import time\nimport __main__\ntime.sleep(1.2 + 10 * (__main__.between - __main__.started))\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ContractError, match=r"importing sftframe_slow takes \d+\.\d s, and every command waits for it"):
        check_plugin_module("sftframe_slow")
