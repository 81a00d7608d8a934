import pytest
import torch

from sftframe import Role, TokenizedExample, load_registry
from sftframe.testing.collate import check_collate_strategy
from sftframe.training import collate, counted_weights

P = 50256
"""GPT-2's end id, used for padding too."""
X = -100

NAMES = ["pad-only", "mask-pad", "mask-instruction", "prompt-weight"]

TOY = [[0, 1, 2, 3, 4], [5, 6], [7, 8, 9]]
"""The chapter's toy batch; its rows have no end token yet."""

ROLES = [
    [Role.TEMPLATE, Role.INSTRUCTION, Role.RESPONSE, Role.RESPONSE, Role.RESPONSE, Role.END],
    [Role.INSTRUCTION, Role.RESPONSE, Role.END],
    [Role.TEMPLATE, Role.INPUT, Role.RESPONSE, Role.END],
]


def made(name, **options):
    return load_registry().collate_strategy(name, options, pad_id=P)


def toy(roles=ROLES):
    return [
        TokenizedExample(ids=[*ids, P], roles=row, index=index)
        for index, (ids, row) in enumerate(zip(TOY, roles, strict=True))
    ]


@pytest.mark.parametrize("name", NAMES)
def test_the_contract_is_kept(name):
    check_collate_strategy(made(name))


@pytest.mark.parametrize("name", NAMES)
def test_inputs_of_the_toy_batch_are_padded_to_the_longest_row(name):
    assert made(name)(toy()).inputs.tolist() == [[0, 1, 2, 3, 4], [5, 6, P, P, P], [7, 8, 9, P, P]]


def test_pad_only_counts_padding_too():
    batch = made("pad-only")(toy())
    assert batch.targets.tolist() == [[1, 2, 3, 4, P], [6, P, P, P, P], [8, 9, P, P, P]]
    assert batch.weights is None


def test_mask_pad_counts_all_text_and_one_end_per_row():
    batch = made("mask-pad")(toy())
    assert batch.targets.tolist() == [[1, 2, 3, 4, P], [6, P, X, X, X], [8, 9, P, X, X]]
    assert batch.weights is None


def test_mask_instruction_counts_the_response_and_its_end():
    batch = made("mask-instruction")(toy())
    assert batch.targets.tolist() == [[X, 2, 3, 4, P], [6, P, X, X, X], [X, 9, P, X, X]]
    assert batch.weights is None


def test_prompt_weight_weighs_the_prompt_by_a_tenth_unless_told_otherwise():
    batch = made("prompt-weight")(toy())
    assert batch.targets.tolist() == [[1, 2, 3, 4, P], [6, P, X, X, X], [8, 9, P, X, X]]
    tenth = torch.tensor(0.1).item()
    assert batch.weights is not None
    assert batch.weights.tolist() == [[tenth, 1, 1, 1, 1], [1, 1, 0, 0, 0], [tenth, 1, 1, 0, 0]]


@pytest.mark.parametrize(("weight", "equal"), [(0, "mask-instruction"), (1, "mask-pad")])
def test_the_ends_of_the_scale_are_the_two_plain_strategies_bit_for_bit(weight, equal):
    found, wanted = made("prompt-weight", weight=weight)(toy()), made(equal)(toy())
    assert found.inputs.equal(wanted.inputs)
    assert found.targets.equal(wanted.targets)
    assert found.weights is None
    assert wanted.weights is None


def test_a_closing_tag_of_the_style_counts_with_the_answer():
    roles = [[Role.TEMPLATE, Role.RESPONSE, Role.END, Role.END, Role.END, Role.END], *ROLES[1:]]
    assert made("mask-instruction")(toy(roles)).targets[0].tolist() == [1, 2, 3, 4, P]


def test_a_cut_answer_gets_no_end():
    cut = TokenizedExample(ids=[5, 6, 7], roles=[Role.TEMPLATE, Role.RESPONSE, Role.RESPONSE], index=0, num_truncated=4)
    assert made("mask-pad")([cut, toy()[0]]).targets[0].tolist() == [6, 7, X, X, X]


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("pad-only", [1, 1, 1, 1, 1, 1, 1, 1, 1]),
        ("mask-pad", [1, 1, 1, 1, 1, 1, 1, 1, 1]),
        ("mask-instruction", [0, 0, 1, 1, 0, 0, 0, 1, 1]),
        ("prompt-weight", [0.25, 0.25, 1, 1, 0.25, 0.25, 0.25, 1, 1]),
    ],
)
def test_a_system_message_counts_as_the_instruction_and_what_a_tool_gave_back_as_the_input(name, weights):
    """By hand, from the second token on: the first one is never a target."""
    first = [Role.TEMPLATE, Role.SYSTEM, Role.INSTRUCTION, Role.RESPONSE, Role.END]
    later = [Role.TEMPLATE, Role.TOOL, Role.TEMPLATE, Role.RESPONSE, Role.END]
    talk = TokenizedExample(
        ids=[*range(9), P], roles=[*first, *later], index=0, turn_starts=(0, 5), turn_weights=(1.0, 1.0)
    )
    batch = collate(made(name, **({"weight": 0.25} if name == "prompt-weight" else {})), [talk])
    assert counted_weights(batch)[0].tolist() == weights


def test_rows_are_named_by_their_place_in_the_file():
    assert made("mask-pad")(toy()[::-1]).indices == (2, 1, 0)


@pytest.mark.parametrize("weight", [-0.1, 1.5])
def test_a_weight_outside_0_to_1_is_refused(weight):
    from sftframe import ConfigError

    with pytest.raises(ConfigError, match=r"collate\.weight: expected (0 or more|1 or less)"):
        made("prompt-weight", weight=weight)
