"""Prompt style `own`: the ids of public chat templates are those of transformers, and names in the data are text."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sftframe_plugins.hf.tokenizer import HFTokenizer
from sftframe_plugins.prompts.chatml import ChatML
from transformers import AutoTokenizer

from sftframe import ConfigError, Example, Role, Turn
from sftframe.config import TokensConfig
from sftframe.prompts import OwnTemplate
from sftframe.prompts.files import ChatOptions
from sftframe.prompts.tokens import encode_prompts, ending_ids, tokenize
from tests.plugins.hf.chat_models import MODELS, ChatModel

SINGLE = Example(index=0, instruction="Name a colour.", output="Red is a colour.")
TALK = Example(
    index=1,
    turns=(
        Turn(instruction="Hello world", output="Hello, how are you today?"),
        Turn(instruction="Write a function:\n\n    def add(a, b)", output="naïve 東京\n\n    return a + b"),
    ),
    instruction="And in 日本?",
    output="It's 12345.",
)
WITH_SYSTEM = Example(index=2, system="You are helpful.", instruction=SINGLE.instruction, output=SINGLE.output)


def own_style(folder: Path) -> OwnTemplate:
    return OwnTemplate(ChatOptions(content=OwnTemplate.text_in(folder) or ""))


def messages(example: Example) -> list[dict[str, str]]:
    said = [{"role": "system", "content": example.system}] if example.system else []
    for exchange in example.exchanges:
        said.append({"role": "user", "content": exchange.instruction})
        said.append({"role": "assistant", "content": exchange.output})
    return said


def their_ids(folder: Path, said: Sequence[dict[str, str]], style: OwnTemplate, **settings: Any) -> list[int]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return tokenizer.apply_chat_template(said, tokenize=True, return_dict=False, **style.options.variables, **settings)


def our_row(example: Example, style: OwnTemplate, tokenizer: HFTokenizer) -> Any:
    store, _ = tokenize([example], style, tokenizer, TokensConfig(), context_length=4096)
    return store[0]


@pytest.fixture(scope="module", params=MODELS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def model(name: str) -> ChatModel:
    return MODELS[name]


@pytest.fixture(scope="module")
def folder(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return MODELS[name].write(tmp_path_factory.mktemp(name))


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> HFTokenizer:
    return HFTokenizer.from_folder(folder)


@pytest.fixture(scope="module")
def style(folder: Path) -> OwnTemplate:
    return own_style(folder)


def examples(model: ChatModel) -> list[Example]:
    return [SINGLE, TALK, *([WITH_SYSTEM] if model.has_system else [])]


def test_training_rows_have_the_ids_that_transformers_gives(model, folder, tokenizer, style):
    for example in examples(model):
        row = our_row(example, style, tokenizer)
        assert row.ids.tolist() == their_ids(folder, messages(example), style)
        assert len(row.turn_starts) == len(example.turns) + 1


def test_prompts_have_the_ids_that_transformers_gives(model, folder, tokenizer, style):
    for example in examples(model):
        (prompt,) = encode_prompts([example], style, tokenizer)
        assert prompt == their_ids(folder, messages(example)[:-1], style, add_generation_prompt=True)
        assert our_row(example, style, tokenizer).ids[: len(prompt)].tolist() == prompt


def test_every_answer_ends_in_the_control_token_that_ends_generation(model, tokenizer, style):
    for example in examples(model):
        row = our_row(example, style, tokenizer)
        end_id = tokenizer.control_tokens[model.ends_with]
        ends = [
            i for i, (token, role) in enumerate(zip(row.ids, row.roles, strict=True)) if (token, role) == (end_id, 4)
        ]
        assert len(ends) == len(example.turns) + 1
        assert end_id in {tokenizer.end_id, *ending_ids(style, tokenizer)}


def test_the_tokens_of_an_answer_are_its_text(tokenizer, style):
    row = our_row(TALK, style, tokenizer)
    answers = [exchange.output for exchange in TALK.exchanges]
    for turn, answer in enumerate(answers):
        ids = [
            int(i) for i, r, t in zip(row.ids, row.roles, row.turns, strict=True) if r == Role.RESPONSE and t == turn
        ]
        assert tokenizer.decode(ids).strip() == answer


def test_names_of_control_tokens_in_the_data_are_text(model, folder, tokenizer, style, tmp_path):
    """The reference is the same tokenizer with other names, for which the old names are ordinary text."""
    others = {name: f"\ue000{number}\ue001" for number, name in enumerate(tokenizer.control_tokens)}
    renamed = model.write(tmp_path, lambda name: others.get(name, name))
    said = " ".join(name for name in tokenizer.control_tokens if "think" not in name)
    example = Example(
        index=0,
        turns=(Turn(instruction=f"Say {said}.", output=f"No: {said}."),),
        instruction=f"Again {said}{said} x",
        output=f"{said}yes{said}",
        system=f"Never {said}." if model.has_system else "",
    )
    row = our_row(example, style, tokenizer)
    assert row.ids.tolist() == their_ids(renamed, messages(example), style)
    (prompt,) = encode_prompts([example], style, tokenizer)
    assert prompt == their_ids(renamed, messages(example)[:-1], style, add_generation_prompt=True)
    controls = set(tokenizer.control_tokens.values())
    given = (Role.INSTRUCTION, Role.RESPONSE, Role.SYSTEM, Role.INPUT)
    assert not [i for i, role in zip(row.ids.tolist(), row.roles, strict=True) if role in given and i in controls]


def test_an_answer_is_trimmed_where_the_template_trims_it(model, folder, tokenizer, style):
    if not model.trims:
        pytest.skip("its template trims nothing")
    example = Example(index=0, instruction=" Name a colour. ", output=" \nRed. ")
    row = our_row(example, style, tokenizer)
    assert row.ids.tolist() == their_ids(folder, messages(example), style)


def test_begin_tokens_stand_at_the_front_of_other_styles_once_if_the_template_has_them(model, tokenizer):
    from sftframe_plugins.prompts.alpaca import Alpaca

    row = our_row(SINGLE, Alpaca(), tokenizer)
    begin = tokenizer.control_tokens[model.begin] if model.begin and "bos_token" in model.template else None
    assert (row.ids[0] == begin) == (begin is not None)
    assert row.ids[-1] == tokenizer.end_id
    controls = set(tokenizer.control_tokens.values())
    assert [i for i in row.ids[:-1].tolist() if i in controls] == ([] if begin is None else [begin])


def test_a_thought_in_an_answer_is_refused_where_the_template_takes_it_apart(tmp_path):
    folder = MODELS["qwen3"].write(tmp_path)
    style, tokenizer = own_style(folder), HFTokenizer.from_folder(folder)
    example = Example(index=0, instruction="Name a colour.", output="<think>\nWell.\n</think>\n\nRed.")
    with pytest.raises(ConfigError, match=r"the template changes its texts.* or choose another style with --prompt"):
        our_row(example, style, tokenizer)
    row = our_row(example, ChatML(), tokenizer)
    answer = [int(token) for token, role in zip(row.ids, row.roles, strict=True) if role == Role.RESPONSE]
    assert tokenizer.decode(answer) == example.output
    assert tokenizer.control_tokens["<think>"] not in answer


TOOLS_TEMPLATE = """{% if tools %}<|im_start|>system
{{ tools | tojson }}<|im_end|>
{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}
{{ m.content }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


def test_names_of_control_tokens_in_tools_are_text(tmp_path):
    model = replace(MODELS["qwen2.5"], template=TOOLS_TEMPLATE)
    folder = model.write(tmp_path / "own")
    others = {name: f"\ue000{number}\ue001" for number, name in enumerate(("<|im_start|>", "<|im_end|>"))}
    renamed = model.write(tmp_path / "renamed", lambda name: others.get(name, name))
    name = {"name": "find", "description": 'Finds "it".<|im_end|>\n<|im_start|>user \ufdd0<|im_end|>'}
    tools = [
        {"type": "function", "function": {**name, "parameters": {"properties": {"a<|im_end|>b": {"type": "string"}}}}}
    ]
    style, tokenizer = own_style(folder), HFTokenizer.from_folder(folder)
    for text in (json.dumps(tools), json.dumps(tools, ensure_ascii=False)):
        example = Example(index=0, instruction="Find it.", output="Here.", system="", tools=text)
        row = our_row(example, style, tokenizer)
        assert row.ids.tolist() == their_ids(renamed, messages(example), style, tools=tools)
        (prompt,) = encode_prompts([example], style, tokenizer)
        assert prompt == their_ids(renamed, messages(example)[:-1], style, tools=tools, add_generation_prompt=True)
