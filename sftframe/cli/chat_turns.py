"""The turns of a chat: reads entries from a terminal or a pipe, runs their commands and answers their instructions.

A model that was tuned on conversations sees the earlier ones of this chat, any other one instruction at a time. In a
terminal a mistake gives a message and the chat continues; in a pipe it ends the command.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from sftframe.cli.console import err, prose
from sftframe.cli.render import fail
from sftframe.cli.streams import output
from sftframe.errors import ConfigError, DataError, OutputError, SftframeError, suggestion
from sftframe.escaping import escape_controls
from sftframe.pipeline import TunedModel
from sftframe.records import Example, Speaker, Turn

MAX_LINES = 1000
"""Typed lines that are kept; the oldest are dropped."""


def history_path() -> Path:
    """The file of typed lines between chats, in the user's state folder."""
    import platformdirs

    return platformdirs.user_state_path("sftframe", appauthor=False) / "chat-history"


@contextmanager
def line_editing(history: Path | None) -> Iterator[None]:
    """Let `input` edit its line and show earlier ones again.

    Args:
        history: the file of earlier chats' lines, which gets this chat's lines too; None = keep nothing.
    """
    try:
        import readline
    except ImportError:  # as on Windows
        yield
        return
    if os.environ.get("TERM", "dumb") != "dumb":
        readline.parse_and_bind("set enable-bracketed-paste on")  # lines that are pasted together are one entry
    if history is not None:
        with suppress(OSError):
            readline.read_history_file(history)
    readline.set_history_length(MAX_LINES)
    try:
        yield
    finally:
        # a history that cannot be written must not end the chat
        if history is not None:
            with suppress(OSError):
                history.parent.mkdir(parents=True, exist_ok=True)
                readline.write_history_file(history)
                history.chmod(0o600)


def cleared_line() -> str:
    """The text of the line that Ctrl-C has just cleared."""
    try:
        import readline
    except ImportError:
        return ""
    return readline.get_line_buffer()


BLOCK = '"""'
"""Starts and ends an entry of several lines."""

HELP = (
    ("/input TEXT", "set the input of the next instruction; without TEXT, remove it"),
    ("/system TEXT", "the system message of what follows; without TEXT, remove it"),
    ("/tools JSON", "the tools that the model may call; without JSON, none"),
    ("/tool TEXT", "what a tool gave back for the last answer, which called it; it is answered"),
    ("/reset", "remove the input, forget what was said, and start again with the first seed"),
    ("/help", "this list"),
    ("/quit", "end the chat, as exit, quit and Ctrl-D do"),
    (BLOCK, f"starts an instruction (or, after a command with TEXT, that text) of several lines; {BLOCK} ends it"),
    ("//…", "an instruction that starts with one /"),
    ("Ctrl-C", "stops an answer, or clears the line"),
)

_COMMANDS = ("/input", "/system", "/tools", "/tool", "/reset", "/help", "/quit")
_WITH_TEXT = ("/input", "/system", "/tools", "/tool")

LEAVING = ("exit", "quit", "exit()", "quit()")
"""Words that end a chat in a terminal. In a pipe they are instructions."""

HOW_TO_QUIT = "to quit press Ctrl-D, or type /quit"


class Chat:
    """Handles entries: runs commands, and prints the model's answers to instructions on stdout.

    Args:
        seed: of the first answer's sampling; each next answer uses the next number.
        keeps_turns: the model sees what was said before.
    """

    def __init__(self, tuned: TunedModel, *, seed: int, keeps_turns: bool = False) -> None:
        self._tuned = tuned
        self._keeps_turns = keeps_turns
        self._system = self._tools = ""
        self._turns: tuple[Turn, ...] = ()
        self._seed = seed
        self._num_asked = 0
        self._input = ""

    def handle(self, entry: str) -> bool:
        """Do what an entry says; False when it ends the chat.

        Raises:
            ConfigError: there is no such command.
            ModelError: the instruction is too long for the model.
        """
        entry = entry.strip()
        if entry.startswith("/") and not entry.startswith("//"):
            return self._obey(*entry.partition(" ")[::2])
        if entry:
            self._ask(entry[1:] if entry.startswith("//") else entry)
        return True

    def _obey(self, command: str, text: str) -> bool:
        match command:
            case "/input":
                self._input = text.strip()
            case "/system":
                self._set_system(text.strip())
            case "/tools":
                self._set_tools(text.strip())
            case "/tool":
                self._ask_with_result(text.strip())
            case "/reset":
                self._input, self._num_asked, self._turns = "", 0, ()
            case "/help":
                _help()
            case "/quit":
                return False
            case _:
                near = suggestion(command, _COMMANDS)
                raise ConfigError(f"no command {command!r}{near}; write // to start an instruction with a slash")
        return True

    def _ask(self, instruction: str, *, speaker: Speaker = "user") -> None:
        asked = Example(
            index=self._num_asked,
            instruction=instruction,
            input=self._input,
            output="",
            system=self._system,
            turns=self._turns,
            speaker=speaker,
            tools=self._tools,
        )
        example = self._tuned.within_context(asked) if asked.turns else asked
        self._input = ""
        self._num_asked += 1
        if num_forgotten := len(asked.turns) - len(example.turns):
            self._turns = example.turns
            what = "question and its answer are" if num_forgotten == 1 else f"{num_forgotten} questions and answers are"
            _note(f"(the oldest {what} forgotten: they do not fit the model's context)")
        response = self._tuned.answer(example, _write, seed=self._seed + example.index)
        _write("\n")
        if response.stop_reason == "length":
            _note(f"(cut after {len(response.ids)} tokens; --max-new-tokens sets the longest answer)")
        if self._keeps_turns:
            said = Turn(instruction=instruction, input=example.input, output=response.text, speaker=speaker)
            self._turns = (*self._turns, said)

    def _set_system(self, text: str) -> None:
        example = Example(index=0, instruction="x", output="", system=text)
        if not self._tuned.writes(example):
            raise ConfigError(
                f"prompt style {self._tuned.style.name!r} writes no system message, so this model has never seen one"
            )
        self._system = text

    def _set_tools(self, text: str) -> None:
        try:
            listed = text and json.loads(text)
        except ValueError as error:
            raise ConfigError(f"/tools: not valid JSON: {error}; expected a list of tools as in the data") from error
        if not self._tuned.writes(Example(index=0, instruction="x", output="", tools=text)):
            raise ConfigError(
                f"prompt style {self._tuned.style.name!r} writes no tools, so this model has never seen any"
            )
        self._tools = json.dumps(listed, ensure_ascii=False) if listed else ""

    def _ask_with_result(self, text: str) -> None:
        if not text:
            raise ConfigError("/tool: expected what the tool gave back after it")
        if not self._turns:
            raise ConfigError("/tool: nothing was called yet in this chat; ask a question first")
        *others, last = self._turns
        turns = (*others, replace(last, is_call=True))
        result = Example(index=0, instruction=text, output="", turns=turns, speaker="tool")
        if not self._tuned.writes(result):
            raise ConfigError(
                f"prompt style {self._tuned.style.name!r} does not write what tools give back, so this model has never "
                "seen it"
            )
        self._turns = turns
        self._input = ""
        self._ask(text, speaker="tool")


def talk(chat: Chat) -> None:
    """Take entries from the terminal until the chat is ended."""
    is_going_on = True
    while is_going_on:
        try:
            is_going_on = _turn(chat)
        except KeyboardInterrupt:
            _write("\n")


def _turn(chat: Chat) -> bool:
    """Handle one entry from the terminal; False when it ends the chat. Ctrl-C stops an answer."""
    try:
        entry = read_entry(input)
    except EOFError:
        _write("\n")
        return False
    except KeyboardInterrupt:
        _write("\n")
        if not cleared_line():
            _note(HOW_TO_QUIT)
        return True
    if entry.strip().lower() in LEAVING:
        return False
    try:
        return chat.handle(entry)
    except OutputError:
        raise
    except SftframeError as error:
        fail(str(error))
        return True


def read_entry(read: Callable[[str], str]) -> str:
    """Read one entry. It may have several lines between triple quotation marks.

    >>> lines = iter(['/input \"""first', 'second\"""'])
    >>> read_entry(lambda prompt: next(lines))
    '/input first\\nsecond'

    Args:
        read: returns the next line; its argument is the prompt to show.
    """
    first = read("> ")
    command, opening, text = first.partition(BLOCK)
    if not opening or command.strip() not in ("", *_WITH_TEXT):
        return first
    while BLOCK not in text:
        text += "\n" + read(". ")
    return command + text.partition(BLOCK)[0].strip("\n")


def answer_lines(chat: Chat, lines: Iterable[bytes]) -> None:
    """Take one entry per line until they end or one of them ends the chat.

    Raises:
        DataError: a line is not UTF-8.
        SftframeError: as `Chat.handle`.
    """
    for number, line in enumerate(lines, start=1):
        try:
            entry = line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"line {number} of the input is not UTF-8: {error.reason} at byte {error.start}") from error
        if not chat.handle(entry):
            return


def _help() -> None:
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    for entry in HELP:
        table.add_row(*entry)
    err().print(table)


def _write(text: str) -> None:
    results = output().results
    results.write(escape_controls(text))
    results.flush()


def _note(text: str) -> None:
    prose(err(), text)
