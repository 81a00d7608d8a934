"""The files in `docs/reference/prompt-files.md` are what the page says they are."""

import re
from pathlib import Path

import pytest

from sftframe import Example, Registry, Turn
from sftframe.testing.prompt import check_prompt_style

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "prompt-files.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r'^```\w+ title="(.*?)"\n(.*?)^```$', PAGE, flags=re.DOTALL | re.MULTILINE))
STYLES = {
    "./letter.toml": {},
    "./letter.jinja": {"variables": {"mood": "please:"}},
    "hf:./tokenizer_config.json": {"system": "Be brief."},
}
TALKS = ("./talk.toml", "./talk.jinja")


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(text, encoding="utf-8")


@pytest.mark.parametrize("name", [*STYLES, *TALKS])
def test_a_style_of_the_page_keeps_its_contract(name):
    check_prompt_style(Registry().prompt_style(name, STYLES.get(name, {})))


def test_the_styles_of_conversations_write_what_their_files_show():
    example = Example(
        index=0,
        system="Be brief.",
        turns=(Turn(instruction="Sort.", input="b a", output="sort()"),),
        speaker="tool",
        instruction="a b",
        output="a, b",
    )
    talk = (
        "Rules: Be brief.\n\nUser: Sort.\nText: b a\nAssistant: sort()</answer>\n\nTool: a b\nAssistant: a, b</answer>"
    )
    of_list, of_loop = (
        "".join(piece.text for part in Registry().prompt_style(name, {}).render(example) for piece in part)
        for name in TALKS
    )
    assert (of_list, of_loop) == ("A conversation.\n\n" + talk, talk)


def test_the_styles_write_what_their_files_show():
    example = Example(index=0, instruction="Sort.", input="b a", output="a b")
    letter = "Dear model,\nSort.\nEnclosed: b a\nYour reply: a b</reply>"
    written = {
        name: "".join(piece.text for piece in Registry().prompt_style(name, options).segments(example))
        for name, options in STYLES.items()
    }
    assert written["./letter.toml"] == letter
    assert written["./letter.jinja"] == letter.replace("model,", "model, please:")
    assert written["hf:./tokenizer_config.json"] == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nSort.\n\nb a<|im_end|>\n"
        "<|im_start|>assistant\na b<|im_end|>\n"
    )


def test_every_option_of_the_page_exists():
    options = set(re.findall(r"^\| `prompt\.(\w+)` \|", PAGE, flags=re.MULTILINE))
    assert options == set(vars(Registry().prompt_style("hf:./tokenizer_config.json").options)) - {"content"}
