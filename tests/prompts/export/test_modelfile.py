"""Ollama's Modelfile, written out by hand from its reference."""

from collections.abc import Iterator

import pytest

from sftframe import Example, PluginError, PromptStyle, Role, Segment
from sftframe.prompts.export import derive_template, modelfile

HEAD = """\
# Written by sftframe from the prompt style {style}. Every question stands alone, as in training:
# earlier turns and system messages are not given to the model.
"""


def written(style: PromptStyle) -> str:
    return modelfile(derive_template(style), context_length=1024, max_new_tokens=256)


def test_alpacas_modelfile(alpaca: PromptStyle) -> None:
    assert written(alpaca) == HEAD.format(style="alpaca") + (
        """\
# An input is written into the question:
#   <instruction>
#
#   ### Input:
#   <input>
FROM ./model.gguf
TEMPLATE \"""{{ if not .Response }}Below is an instruction that describes a task. Write a response that appropriately \
completes the request.

### Instruction:
{{ .Prompt }}

### Response:
{{ end }}\"""
PARAMETER temperature 0
PARAMETER repeat_penalty 1
PARAMETER num_ctx 1024
PARAMETER num_predict 256
"""
    )


def test_a_stop_string_is_a_parameter(phi3: PromptStyle) -> None:
    assert written(phi3) == HEAD.format(style="phi3") + (
        """\
# An input is written into the question:
#   <instruction>
#   <input>
FROM ./model.gguf
TEMPLATE \"""{{ if not .Response }}<|user|>
{{ .Prompt }}<|end|>
<|assistant|>
{{ end }}\"""
PARAMETER stop "<|end|>"
PARAMETER temperature 0
PARAMETER repeat_penalty 1
PARAMETER num_ctx 1024
PARAMETER num_predict 256
"""
    )


def test_where_an_input_changes_other_words_the_whole_prompt_is_shown(stanford: PromptStyle) -> None:
    lines = written(stanford).splitlines()
    assert lines[2:5] == [
        '# With an input the whole prompt is another one, to be sent with "raw": true through the API:',
        "#   Below is an instruction that describes a task, paired with an input that provides further context. "
        "Write a response that appropriately completes the request.",
        "#",
    ]
    assert lines[5:15] == [
        "#   ### Instruction:",
        "#   <instruction>",
        "#",
        "#   ### Input:",
        "#   <input>",
        "#",
        "#   ### Response:",
        "FROM ./model.gguf",
        'TEMPLATE """{{ if not .Response }}Below is an instruction that describes a task. '
        "Write a response that appropriately completes the request.",
        "",
    ]


def test_what_would_be_read_as_something_else_is_a_string_in_an_action(awkward: PromptStyle) -> None:
    """Three quotation marks end a Modelfile's text, braces begin an action, unprintable characters are dropped."""
    _, template = written(awkward).split("TEMPLATE ")
    question, parameters = template.split("{{ end }}")
    assert question == (
        r'"""{{ if not .Response }}'
        r'{{ "\"\"\"" }}{{ "{{" }} x }} {{ "{" }}% y %} \n \"{{ "\U00003000" }}{{ "\U0000200b" }}{{ "{" }}'
        r"{{ .Prompt }}}"
        '{{ "\\U0000000d" }}\n\t-}} é""'
    )
    assert parameters.startswith('"""\nPARAMETER stop """"bye"\n"""\nPARAMETER stop " a "\nPARAMETER stop "<|b|>"\n')


class Stopping(PromptStyle):
    name = "stopping"
    summary = "for this test"

    def __init__(self, stop: str) -> None:
        super().__init__()
        self.stop = stop

    def segments(self, example: Example) -> Iterator[Segment]:
        yield Segment(Role.INSTRUCTION, example.instruction)
        yield Segment(Role.INPUT, example.input)
        yield Segment(Role.RESPONSE, example.output)

    @property
    def stop_strings(self) -> tuple[str, ...]:
        return (self.stop,)


@pytest.mark.parametrize("stop", ['a"""b', "\u200b", "end\r"])
def test_a_stop_string_that_a_modelfile_cannot_hold_is_refused(stop: str) -> None:
    with pytest.raises(PluginError, match=r"the stop string .* has characters that Ollama's Modelfile cannot contain"):
        written(Stopping(stop))
