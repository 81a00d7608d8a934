"""Examples as a prompt style writes them: the parts that are tokenised together, and what a style leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sftframe.errors import DataError, PluginError, SftframeError
from sftframe.plugins import PromptStyle
from sftframe.plugins.guard import CallError, describe
from sftframe.records import Example, Role, Segment


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The prompt or the answer of one exchange."""

    segments: tuple[Segment, ...]
    turn: int
    is_answer: bool

    @property
    def is_open(self) -> bool:
        """An answer without a closing tag; the tokenizer's end token closes it."""
        return self.is_answer and self.segments[-1].role is not Role.END

    def followed_by(self, segment: Segment) -> Part:
        """The same with one more segment."""
        return replace(self, segments=(*self.segments, segment))


@dataclass(frozen=True, slots=True)
class Piece:
    """Parts whose text is tokenised together."""

    parts: tuple[Part, ...]
    is_ended: bool
    """The tokenizer's end token follows."""

    @property
    def segments(self) -> list[Segment]:
        return [segment for part in self.parts for segment in part.segments]

    @property
    def prompts(self) -> list[list[Segment]]:
        """What comes before each answer of the piece."""
        return [
            [segment for part in self.parts[:number] for segment in part.segments]
            for number, part in enumerate(self.parts)
            if part.is_answer
        ]


@dataclass(frozen=True, slots=True)
class Rendered:
    """An example as a style writes it."""

    parts: tuple[Part, ...]
    """Prompt and answer of every exchange."""

    def pieces(self, boundary: str) -> list[Piece]:
        """What is tokenised together; an earlier answer without a closing tag ends a piece."""
        return _pieces(self.parts, boundary)

    def prompt_pieces(self, boundary: str) -> list[Piece]:
        """The same without the last answer."""
        return _pieces(self.parts[:-1], boundary)


def _pieces(parts: Sequence[Part], boundary: str) -> list[Piece]:
    pieces: list[Piece] = []
    begun: list[Part] = []
    for number, part in enumerate(parts, start=1):
        begun.append(part)
        is_ended = part.is_open and number < len(parts)
        if is_ended or boundary == "split" or number == len(parts):
            pieces.append(Piece(tuple(begun), is_ended))
            begun = []
    return pieces


def render(style: PromptStyle, example: Example) -> Rendered:
    """Turn a style's exceptions into errors that name style and example."""
    try:
        if example.turns and not style.can_converse:
            single = replace(example, turns=())
            alone = _missing(style, single, style.render_turns(single))
            has_tool = any(exchange.speaker == "tool" for exchange in example.exchanges)
            tool = [_TOOL] if has_tool and _TOOL not in alone else []
            raise _unwritten(style, example, [_EARLIER, *alone, *tool])
        turns = style.render_turns(example)
        _check_written(style, example, turns)
    except CallError as error:
        raise PluginError(f"example {example.index}: {error}") from error
    except SftframeError:
        raise
    except Exception as error:
        what = describe(error, type(style).__module__.partition(".")[0])
        raise PluginError(f"prompt style {style.name!r} failed on example {example.index}: {what}") from error
    if not turns[-1][1]:
        raise PluginError(
            f"prompt style {style.name!r} gave example {example.index} no RESPONSE segment; expected exactly one"
        )
    return Rendered(
        tuple(
            Part(segments=segments, turn=turn, is_answer=is_answer)
            for turn, pair in enumerate(turns)
            for is_answer, segments in zip((False, True), pair, strict=True)
        )
    )


def _check_written(style: PromptStyle, example: Example, turns: Sequence[tuple[Sequence[Segment], ...]]) -> None:
    """Check that a rendering has what single questions do not have; styles may know nothing of it.

    Raises:
        DataError: it lacks the system message, the tools, what a tool gave back, or an exchange.
    """
    if not (example.turns or example.system or example.tools or example.speaker != "user"):
        return
    pieces = [piece for pair in turns for part in pair for piece in part]
    num_answers = sum(piece.role == Role.RESPONSE for piece in pieces)
    if num_answers != len(example.turns) + 1:
        raise PluginError(
            f"prompt style {style.name!r} gave example {example.index} {num_answers} RESPONSE segments; expected one "
            f"for each of its {len(example.turns) + 1} exchanges"
        )
    missing = _missing(style, example, turns)
    if missing:
        raise _unwritten(style, example, missing)


def _missing(style: PromptStyle, example: Example, turns: Sequence[tuple[Sequence[Segment], ...]]) -> list[str]:
    """What single questions do not have and a rendering lacks."""
    found = []
    said = "".join(piece.text for pair in turns for part in pair for piece in part if piece.role == Role.SYSTEM)
    if example.system.strip() not in said:
        found.append(_SYSTEM)
    if example.tools and style.prompt_text(example) == style.prompt_text(replace(example, tools="")):
        found.append(_TOOLS)
    for exchange, (prompt, _) in zip(example.exchanges, turns, strict=True):
        given = "".join(piece.text for piece in prompt if piece.role == Role.TOOL)
        if exchange.speaker == "tool" and exchange.instruction.strip() not in given:
            return [*found, _TOOL]
    return found


def writes(style: PromptStyle, example: Example) -> bool:
    """Whether a style writes all that an example has."""
    try:
        render(style, example)
    except SftframeError:
        return False
    return True


class UnwrittenError(Exception):
    """The cause of a `DataError`: an example has what a prompt style does not write."""

    def __init__(self, example: Example, way_out: str) -> None:
        super().__init__()
        self.example = example
        self.way_out = way_out


_EARLIER, _SYSTEM, _TOOLS, _TOOL = "earlier exchanges", "a system message", "tools", "what a tool gave back"
_WAYS_OUT = {
    _EARLIER: ("use single exchanges", "data.turns=last (or first, each)"),
    _SYSTEM: ("leave it out", "data.fields.system=false"),
    _TOOLS: ("leave them out", "data.fields.tools=false"),
    _TOOL: ("use single questions", "data.turns=first (or each)"),
}
"""What a style may not write, and how to use the data without it."""


def _unwritten(style: PromptStyle, example: Example, missing: Sequence[str]) -> DataError:
    *others, last = missing
    listed = f"{', '.join(others)} and {last}" if others else last
    error = DataError(f"example {example.index} has {listed}, which prompt style {style.name!r} does not write")
    ways = [_WAYS_OUT[what] for what in missing if not (what is _EARLIER and _TOOL in missing)]
    words = ways[0][0] if len(ways) == 1 else "use the data without all that"
    error.__cause__ = UnwrittenError(example, f"or {words} with {' '.join(f'--set {way}' for _, way in ways)}")
    return error
