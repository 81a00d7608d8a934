"""Writes Ollama's `Modelfile` for an exported model: its prompt in Go's template language, its stop strings, its
context.

The prompt contains the last question alone, as in training. Ollama also fills the template for every earlier turn, with
that turn's answer in `.Response`; the template writes nothing for those. It drops system messages too, since the model
was trained without them. Decoding is greedy without a penalty for repetition, as in sftframe.

References: https://docs.ollama.com/modelfile, https://docs.ollama.com/template, https://pkg.go.dev/text/template
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sftframe.errors import PluginError
from sftframe.export.template import Piece, PromptTemplate, Slot

WEIGHTS_FILE = "model.gguf"


def modelfile(template: PromptTemplate, *, context_length: int, max_new_tokens: int) -> str:
    """The file's text; the weights must be next to it.

    Raises:
        PluginError: a stop string has a character that a `Modelfile` cannot contain.
    """
    return "\n".join(_lines(template, context_length, max_new_tokens)) + "\n"


def _lines(template: PromptTemplate, context_length: int, max_new_tokens: int) -> Iterator[str]:
    yield f"# Written by sftframe from the prompt style {template.style}. Every question stands alone, as in training:"
    yield "# earlier turns and system messages are not given to the model."
    yield from _input_note(template)
    yield f"FROM ./{WEIGHTS_FILE}"
    yield f'TEMPLATE """{_go_template(template.without_input)}"""'
    for stop in template.stop_strings:
        yield f"PARAMETER stop {_quoted(stop)}"
    yield "PARAMETER temperature 0"
    yield "PARAMETER repeat_penalty 1"
    yield f"PARAMETER num_ctx {context_length}"
    yield f"PARAMETER num_predict {max_new_tokens}"


def _input_note(template: PromptTemplate) -> Iterator[str]:
    """How to give an input: as a part of the question if the prompt is the same, else only by a raw prompt."""
    place = template.without_input.index(Slot.INSTRUCTION)
    before, after = template.without_input[:place], template.without_input[place + 1 :]
    shown = template.with_input[len(before) : len(template.with_input) - len(after)]
    if before + shown + after == template.with_input:
        yield "# An input is written into the question:"
    else:
        shown = template.with_input
        yield '# With an input the whole prompt is another one, to be sent with "raw": true through the API:'
    text = "".join(f"<{piece.value}>" if isinstance(piece, Slot) else piece for piece in shown)
    for line in text.splitlines():
        yield f"#   {line}".rstrip()


def _go_template(pieces: tuple[Piece, ...]) -> str:
    question = "".join("{{ .Prompt }}" if isinstance(piece, Slot) else _go_text(piece) for piece in pieces)
    return f"{{{{ if not .Response }}}}{question}{{{{ end }}}}"


_SPECIAL = re.compile(r'"{3,}|\{+')
"""Text that may end the `Modelfile`'s string or begin an action of the template."""


def _go_text(text: str) -> str:
    """Text for a Go template; what cannot be written plainly there or in a `Modelfile` becomes a string literal."""
    without_special = _SPECIAL.sub(lambda found: _go_literal(found[0]), text)
    return "".join(c if _is_kept(c) else _go_literal(c) for c in without_special)


def _go_literal(text: str) -> str:
    """An action that writes the text: quotation marks, braces, or what cannot be printed."""
    written = "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in text).replace('"', '\\"')
    return f'{{{{ "{written}" }}}}'


def _quoted(text: str) -> str:
    """A parameter's value; there are no escapes for it."""
    if '"""' in text or not all(map(_is_kept, text)):
        raise PluginError(
            f"the stop string {text!r} has characters that Ollama's Modelfile cannot contain; export to hf"
        )
    return f'"""{text}"""' if '"' in text or "\n" in text else f'"{text}"'


def _is_kept(character: str) -> bool:
    """Ollama drops characters that cannot be printed, except white space inside quotation marks."""
    return character.isprintable() or character in "\n\t"
