"""Stanford Alpaca's layout (Taori et al. 2023): a preamble, then sections under `###` headings.

There are no stop strings on purpose. A model that was tuned with this style ends with the end token. A stop at `###`
would cut good answers that contain such a heading, and would hide that a model never learned to stop.
"""

from __future__ import annotations

from collections.abc import Iterator

from sftframe import Example, PromptStyle, Role, Segment

TASK = "Below is an instruction that describes a task"
REQUEST = "Write a response that appropriately completes the request."


class Alpaca(PromptStyle):
    """The same preamble with and without input, as in chapter 7 of "Build a Large Language Model (From Scratch)"."""

    name = "alpaca"
    summary = "Alpaca's sections under ### headings, one preamble for all examples"

    def preamble(self, example: Example) -> str:
        """The sentences before the first heading."""
        return f"{TASK}. {REQUEST}"

    def segments(self, example: Example) -> Iterator[Segment]:
        yield Segment(Role.TEMPLATE, f"{self.preamble(example)}\n\n### Instruction:\n")
        yield Segment(Role.INSTRUCTION, example.instruction)
        if example.input:
            yield Segment(Role.TEMPLATE, "\n\n### Input:\n")
            yield Segment(Role.INPUT, example.input)
        yield Segment(Role.TEMPLATE, "\n\n### Response:\n")
        yield Segment(Role.RESPONSE, example.output)


class AlpacaStanford(Alpaca):
    """Two preambles, as in Stanford's own training script, depending on whether there is an input.

    The script has no line break after `### Response:`; here there is one, as in `alpaca`. Without it an answer that
    begins with a quotation mark would share its first token with the heading's colon.
    """

    name = "alpaca-stanford"
    summary = "Alpaca's sections with Stanford's two preambles, with and without input"

    def preamble(self, example: Example) -> str:
        context = ", paired with an input that provides further context" if example.input else ""
        return f"{TASK}{context}. {REQUEST}"
