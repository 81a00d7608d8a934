"""Which answers of a conversation count, and how much; every target counted by hand.

The row is `s q r r e q r e`: system message, question, two tokens of answer and its end; question, answer, end.
"""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from sftframe_plugins.collate.strategies import MaskInstruction, MaskPad, PadOnly, PromptWeight

from sftframe import IGNORED, CollateStrategy, Role, TokenizedExample
from sftframe.errors import DataError, PluginError
from sftframe.training import (
    TargetCounts,
    check_promise,
    collate,
    counted_weights,
    evaluation_batches,
)

Q, R, E, S, T = Role.INSTRUCTION, Role.RESPONSE, Role.END, Role.SYSTEM, Role.TOOL

ROW = TokenizedExample(
    ids=[10, 11, 12, 13, 14, 15, 16, 17],
    roles=[S, Q, R, R, E, Q, R, E],
    index=4,
    turn_starts=(0, 5),
    turn_weights=(1.0, 1.0),
)
LAST = replace(ROW, turn_weights=(0.0, 1.0))


def weights(strategy: CollateStrategy, row: TokenizedExample) -> list[float]:
    """Of the seven targets."""
    return counted_weights(collate(strategy, [row]))[0].tolist()


@pytest.mark.parametrize(
    ("strategy", "row", "expected"),
    [
        (MaskInstruction(), ROW, [0, 1, 1, 1, 0, 1, 1]),
        (MaskInstruction(), LAST, [0, 0, 0, 0, 0, 1, 1]),
        (MaskPad(), ROW, [1, 1, 1, 1, 1, 1, 1]),
        (MaskPad(), LAST, [1, 0, 0, 0, 1, 1, 1]),
        (PromptWeight(PromptWeight.Options(weight=0.5)), LAST, [0.5, 0, 0, 0, 0.5, 1, 1]),
        (MaskInstruction(), replace(ROW, turn_weights=(0.25, 2.0)), [0, 0.25, 0.25, 0.25, 0, 2, 2]),
        (
            PromptWeight(PromptWeight.Options(weight=0.5)),
            replace(ROW, turn_weights=(1.0, 3.0)),
            [0.5, 1, 1, 1, 0.5, 3, 3],
        ),
    ],
)
def test_the_weight_of_an_exchange_multiplies_its_answer_and_nothing_else(
    strategy: CollateStrategy, row: TokenizedExample, expected: list[float]
) -> None:
    assert weights(strategy, row) == expected


def test_an_answer_of_weight_0_is_no_target_at_all() -> None:
    batch = collate(MaskInstruction(), [LAST])
    assert batch.targets[0].tolist() == [IGNORED] * 5 + [16, 17]
    assert batch.weights is None


def test_padding_that_counts_keeps_its_weight() -> None:
    short = TokenizedExample(ids=[1, 2, 3], roles=[Q, R, E], index=5)
    batch = collate(PadOnly(), [LAST, short])
    assert counted_weights(batch).tolist() == [[1, 0, 0, 0, 1, 1, 1], [1.0] * 7]


def test_a_strategy_that_knows_five_roles_sees_system_as_instruction_and_tool_as_input() -> None:
    class Old(CollateStrategy):
        """Reads its weights from a table, as a plugin of an older version may."""

        name = "old"
        summary = "for tests"

        def role_weight(self, role: Role) -> float:
            return {Role.TEMPLATE: 0, Role.INSTRUCTION: 0.5, Role.INPUT: 0.25, Role.RESPONSE: 1, Role.END: 1}[role]

    class Own(Old):
        """Looks at the roles itself."""

        def target_weights(self, example: TokenizedExample) -> Sequence[float]:
            assert max(example.roles) <= Role.END
            return [0.5 if role < Role.RESPONSE else 1.0 for role in example.roles]

    row = replace(ROW, roles=[Q, S, R, R, E, T, R, E])
    assert weights(Old(), row) == [0.5, 1, 1, 1, 0.25, 1, 1]
    assert weights(Own(), row) == [0.5, 1, 1, 1, 0.5, 1, 1]
    assert row.roles[1] is S


def test_a_strategy_that_knows_all_roles_weighs_them_itself() -> None:
    class Knowing(CollateStrategy):
        name = "knowing"
        summary = "for tests"
        knows_all_roles = True

        def role_weight(self, role: Role) -> float:
            return {S: 0.125, T: 0.25}.get(role, 1.0)

    assert weights(Knowing(), replace(ROW, roles=[Q, S, R, R, E, T, R, E])) == [0.125, 1, 1, 1, 0.25, 1, 1]


@pytest.mark.parametrize("row", [ROW, LAST, replace(ROW, turn_weights=(0.5, 0.0))])
@pytest.mark.parametrize("strategy", [MaskInstruction(), MaskPad(), PadOnly(), PromptWeight()])
def test_the_promise_is_kept_with_any_weights(strategy: CollateStrategy, row: TokenizedExample) -> None:
    counts = TargetCounts()
    counts.add(collate(strategy, [row]), [row])
    check_promise(strategy, counts)
    again = TargetCounts.from_state(counts.state)
    assert again.left_out.tolist() == counts.left_out.tolist()
    check_promise(strategy, again)


def test_counts_show_what_the_weights_left_out() -> None:
    counts = TargetCounts()
    counts.add(collate(MaskInstruction(), [LAST]), [LAST])
    assert counts.shares == {"instruction": 0.0, "response": 1 / 3, "end": 0.5}


def test_an_answer_that_counts_against_its_weight_breaks_the_promise() -> None:
    counts = TargetCounts()
    counts.add(collate(MaskInstruction(), [ROW]), [LAST])
    with pytest.raises(PluginError, match=r"promises to count 100% of response targets, without answers of weight 0"):
        check_promise(MaskInstruction(), counts)


def test_an_answer_without_its_end_is_found() -> None:
    class WithoutInnerEnds(CollateStrategy):
        """Counts the last end alone, as a search for the last end token does."""

        name = "last-end"
        summary = "for tests"

        def target_weights(self, example: TokenizedExample) -> Sequence[float]:
            last = len(example.ids) - 1
            return [float(role == R or (role == E and i == last)) for i, role in enumerate(example.roles)]

    with pytest.raises(PluginError, match="counts the answer of exchange 0 of example 4, but not its end"):
        collate(WithoutInnerEnds(), [ROW])
    assert weights(WithoutInnerEnds(), LAST) == [0, 0, 0, 0, 0, 1, 1]


def test_a_row_in_which_all_answers_have_weight_0_says_so() -> None:
    says = (
        r"on nothing \(8 tokens, 0 cut off; its answers count with the weights 0, 0 – collate.turns=last takes all but"
    )
    with pytest.raises(DataError, match=says):
        collate(MaskInstruction(), [replace(ROW, turn_weights=(0.0, 0.0))])


def test_of_a_conversation_the_last_answer_alone_is_measured() -> None:
    (batch,) = evaluation_batches([ROW], MaskInstruction(), 8)
    assert batch.roles[0].tolist() == [Q, Role.INPUT, Role.INPUT, Role.INPUT, Q, R, E]
    assert counted_weights(batch.own)[0].tolist() == [0, 1, 1, 1, 0, 1, 1]
