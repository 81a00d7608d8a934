"""Ollama's Modelfile, written out by hand from its reference."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sftframe import Example, PluginError, PromptStyle, Role, Segment
from sftframe.prompts.export import derive_template, modelfile

HEAD = """\
# Written by sftframe from the prompt style {style}. Every question stands alone, as in training:
# earlier turns and system messages are not given to the model.
"""


def written(style: PromptStyle, end_token: str = "") -> str:
    return modelfile(derive_template(style), context_length=1024, max_new_tokens=256, end_token=end_token)


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


def test_a_style_that_converses_writes_every_message_and_a_stop_string_is_a_parameter(phi3: PromptStyle) -> None:
    assert written(phi3) == (
        """\
# Written by sftframe from the prompt style phi3. Messages are written as in training.
# An input is written into the question:
#   <instruction>
#   <input>
FROM ./model.gguf
TEMPLATE \"""{{- $begun := false }}{{ $before := "" -}}
{{- range $i, $message := .Messages -}}
{{- $rest := slice $.Messages $i }}{{ $last := eq (len $rest) 1 -}}
{{- if and $begun (eq .Role "user") -}}
{{- "" }}
<|user|>
{{ .Content }}<|end|>
<|assistant|>
{{ "" -}}
{{- else if eq .Role "user" -}}
{{- if $.System -}}
{{- "" }}<|system|>
{{ $.System }}<|end|>
<|user|>
{{ .Content }}<|end|>
<|assistant|>
{{ "" -}}
{{- else -}}
{{- "" }}<|user|>
{{ .Content }}<|end|>
<|assistant|>
{{ "" -}}
{{- end -}}
{{- $begun = true -}}
{{- else if and $begun (eq .Role "assistant") -}}
{{- "" }}{{ .Content }}{{ if not $last }}<|end|>{{ end }}{{ "" -}}
{{- end -}}
{{- $before = .Role -}}
{{- end -}}\"""
PARAMETER stop "<|end|>"
PARAMETER temperature 0
PARAMETER repeat_penalty 1
PARAMETER num_ctx 1024
PARAMETER num_predict 256
"""
    )


def test_an_answer_without_a_closing_tag_is_closed_by_the_end_token(joined: PromptStyle) -> None:
    lead = r'{{ if not (and (ge (len .Content) 1) (eq (slice .Content 0 1) " ")) }} {{ end }}'
    assert f'{{{{- "" }}}}{lead}{{{{ .Content }}}}{{{{ if not $last }}}}<|stop|>{{{{ end }}}}' in written(
        joined, "<|stop|>"
    )


def test_without_a_name_of_the_end_token_only_single_questions_are_written(joined: PromptStyle) -> None:
    assert written(joined).startswith(HEAD.format(style="joined"))
    assert 'TEMPLATE """{{ if not .Response }}Q: {{ .Prompt }}\nA:{{ end }}"""' in written(joined)


def test_results_of_tools_are_written_and_tools_are_not(chatml: PromptStyle) -> None:
    text = written(chatml)
    assert (
        "# Tools are not given to the model by Ollama: it writes their JSON in another form than training had.\n"
        in text
    )
    assert ".Tools" not in text
    result = text.partition('{{- else if and (eq .Role "tool") (or $begun $last) -}}\n')[2]
    assert result.partition("{{- else if")[0] == (
        """\
{{- if and $begun (eq $before "tool") }}
{{ else -}}
{{- "" }}
<|im_start|>tool
{{ "" -}}
{{- end }}{{ .Content -}}
{{- $more := false }}{{ if not $last }}{{ $more = eq (index $rest 1).Role "tool" }}{{ end -}}
{{- if not $more -}}
{{- "" }}<|im_end|>
<|im_start|>assistant
{{ "" -}}
{{- end -}}
"""
    )


@pytest.mark.skipif(shutil.which("go") is None, reason="needs Go, to render the templates as Ollama does")
def test_gos_own_interpreter_writes_what_the_style_writes(
    conversing: PromptStyle, talk: Example, tool_talk: Example
) -> None:
    """Every question of the conversations; an input cannot be told apart in Ollama and is left out."""
    plain = replace(talk, turns=tuple(replace(turn, input="", output=turn.output.strip()) for turn in talk.turns))
    talks = [plain] if conversing.name == "joined" else [plain, replace(plain, system="Be brief.\n- é {{ x }}")]
    talks += [replace(tool_talk, input="")] if conversing.name in ("chatml", "llama3") else []
    asked = [part for one in talks for part in questions(one)]
    found = rendered_by_go(written(conversing, "<|stop|>"), [openai_messages(part) for part in asked])
    assert found == [text_with_ends(conversing, part) for part in asked]


@pytest.mark.skipif(shutil.which("go") is None, reason="needs Go, to render the templates as Ollama does")
def test_what_ollama_cuts_off_leaves_a_conversation_that_begins_with_a_question(chatml: PromptStyle) -> None:
    """Ollama drops the oldest messages of a conversation that is too long, whoever speaks."""
    user, answer, result = ({"Role": role, "Content": role[0]} for role in ("user", "assistant", "tool"))
    begun = "<|im_start|>user\nu<|im_end|>\n<|im_start|>assistant\n"
    alone = "\n<|im_start|>tool\nt<|im_end|>\n<|im_start|>assistant\n"
    found = rendered_by_go(written(chatml), [[answer, user], [result, answer, user], [answer, result], [user, answer]])
    assert found == [begun, begun, alone, begun + "a"]


@pytest.mark.skipif(shutil.which("go") is None, reason="needs Go, to render the templates as Ollama does")
def test_an_answer_that_is_given_back_as_the_model_wrote_it_gets_no_second_space(joined: PromptStyle) -> None:
    said = [
        [{"Role": r, "Content": c} for r, c in (("user", "x"), ("assistant", a), ("user", "y"))] for a in (" b", "b")
    ]
    text = "Q: x\nA: b<|stop|>\nQ: y\nA:"
    assert rendered_by_go(written(joined, "<|stop|>"), said) == [text, text]


def questions(example: Example) -> Iterator[Example]:
    """The conversation up to each of its answers."""
    for number, one in enumerate(example.exchanges):
        yield replace(one, turns=example.turns[:number], system=example.system)


def openai_messages(example: Example) -> list[dict[str, str]]:
    """All messages before the last answer; results of several tools one by one."""
    said = [{"Role": "system", "Content": example.system}] if example.system else []
    for exchange in example.exchanges:
        is_tool = exchange.speaker == "tool"
        texts = exchange.instruction.split("\n") if is_tool else [exchange.instruction]
        said += [{"Role": "tool" if is_tool else "user", "Content": text} for text in texts]
        said.append({"Role": "assistant", "Content": exchange.output})
    return said[:-1]


def text_with_ends(style: PromptStyle, example: Example) -> str:
    """The prompt, with the end token's name after earlier answers that have no closing tag."""
    *earlier, (last, _) = style.render_turns(example)
    end = "" if style.stop_strings else "<|stop|>"
    texts = ["".join(piece.text for part in turn for piece in part) + end for turn in earlier]
    return "".join([*texts, *(piece.text for piece in last)])


def rendered_by_go(text: str, asked: list[list[dict[str, str]]]) -> list[str]:
    template = text.partition('TEMPLATE """')[2].partition('"""\n')[0]
    lines = "".join(json.dumps({"Template": template, "Messages": said}) + "\n" for said in asked)
    program = Path(__file__).parent / "ollama" / "render.go"
    done = subprocess.run(["go", "run", program], input=lines, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


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
