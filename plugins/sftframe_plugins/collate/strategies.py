"""The four collate strategies: which targets count, from everything to the response alone.

Each one gives the weights of the roles; the base class pads, shifts and masks by length. None of them sets
`knows_all_roles`: system messages and tools count as the instruction does, and what a tool gave back as the input does.
"""

from __future__ import annotations

from dataclasses import dataclass

from sftframe import CollateStrategy, Role, option

ANSWER = (Role.RESPONSE, Role.END)
"""The roles that the model writes itself at inference."""


class PadOnly(CollateStrategy):
    """Padding counts like any other target: the chapter's second draft, kept to show what masking is for."""

    name = "pad-only"
    summary = "padding counts too: every target of a batch, to show what masking is for"

    @property
    def padding_weight(self) -> float:
        return 1.0


class MaskPad(CollateStrategy):
    """The whole text counts, the prompt as much as the response; the chapter's choice."""

    name = "mask-pad"
    summary = "prompt and response count, padding does not"


class MaskInstruction(CollateStrategy):
    """Only what the model writes at inference counts."""

    name = "mask-instruction"
    summary = "only the response and its end count"

    def role_weight(self, role: Role) -> float:
        return 1.0 if role in ANSWER else 0.0


@dataclass(frozen=True, kw_only=True)
class PromptWeightOptions:
    """What can be set for `prompt-weight`."""

    weight: float = option(
        0.1, "weight of a prompt target; a response target weighs 1", ge=0, le=1, examples=[0.01, 0.5]
    )


class PromptWeight(CollateStrategy):
    """Prompt targets count a little (Huerta-Enochian & Ko 2024, arXiv 2401.13586: 0.01 to 0.5 for short answers).

    Weight 0 is `mask-instruction` and 1 is `mask-pad`, bit for bit.
    """

    name = "prompt-weight"
    summary = "the response counts in full, the prompt with a weight between 0 and 1"
    Options = PromptWeightOptions

    def role_weight(self, role: Role) -> float:
        return 1.0 if role in ANSWER else float(self.options.weight)
