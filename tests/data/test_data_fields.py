import pytest

from sftframe.data.columns import FieldNames, quoted
from sftframe.errors import ConfigError


def test_unmapped_fields_are_called_what_they_are() -> None:
    assert FieldNames.of({}).wanted == {"instruction": "instruction", "input": "input", "output": "output"}


def test_an_input_is_required_only_when_it_is_mapped() -> None:
    assert list(FieldNames.of({}).required) == ["instruction", "output"]
    assert FieldNames.of({"input": "context"}).required["input"] == "context"


def test_a_file_whose_input_is_the_instruction_has_no_other_input() -> None:
    names = FieldNames.of({"instruction": "input"})
    assert names.wanted == {"instruction": "input", "output": "output"}


@pytest.mark.parametrize(
    ("mapped", "message"),
    [
        ({"instruction": "output"}, "instruction and output are both read from 'output'"),
        ({"instruction": "text", "input": "text"}, "instruction and input are both read from 'text'"),
        ({"input": "a", "output": "a"}, "input and output are both read from 'a'"),
    ],
)
def test_two_fields_cannot_be_read_from_one_name(mapped: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^data.fields: {message}; set data.fields."):
        FieldNames.of(mapped)  # type: ignore[arg-type]


def test_only_what_need_not_be_there_can_be_left_out() -> None:
    assert FieldNames.of({"input": False}).required == {"instruction": "instruction", "output": "output"}
    with pytest.raises(
        ConfigError, match=r"^data\.fields\.output: only input, system, history and tools can be left out"
    ):
        FieldNames.of({"output": False})


def test_names_show_their_spaces_and_whole_sentences_are_shortened() -> None:
    told = quoted([" a", "Rewrite the sentence below\nso that it is in the passive voice."])
    assert told == r"' a', 'Rewrite the sentence below\nso that it...'"
