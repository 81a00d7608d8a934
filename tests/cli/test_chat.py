"""`sftframe chat` through pipes, and in a terminal as somebody types into it.

The model is a parrot (`installed/sftframe_parrot.py`): its answer is what stood in the prompt. Terminals are real ones
(`pty`), read until what is waited for has come.
"""

from __future__ import annotations

import io
import json
import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from sftframe import ConfigError, Example, Response, load_registry
from sftframe.cli.chat_turns import Chat, answer_lines
from sftframe.pipeline import FinishedRun, Session, TunedModel
from sftframe.progress import Observer

pytestmark = pytest.mark.usefixtures("plain_drawings")

INSTALLED = Path(__file__).parent / "installed"


@pytest.fixture
def run_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data_file: Path) -> Path:
    """A run of the parrot's with the prompt style `alpaca`, as if it were trained: the parrot knows all it will."""
    monkeypatch.syspath_prepend(INSTALLED)
    pieces = {"prompt": "alpaca", "model": "parrot", "judge": "reference"}
    layer = {**pieces, "data": {"source": str(data_file)}, "seed": 40, "threads": 1, "out": tmp_path / "mine"}
    folder = Session.start(layer, load_registry(), Observer()).folder
    folder.model_dir.mkdir()
    return folder.path


@pytest.fixture
def piped(cli, run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Callable:
    """`piped(text, *arguments)`: what the command says to text on stdin."""

    def ask(text: str | bytes, *arguments: str):
        data = text if isinstance(text, bytes) else text.encode()
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
        return cli("chat", run_dir, *arguments)

    return ask


def test_each_line_of_a_pipe_is_an_instruction_and_stdout_has_the_answers_alone(piped) -> None:
    outcome = piped("Hello, you.\n\n   \nName a naïve 東京 colour.")
    assert (outcome.code, outcome.out) == (0, "Hello, you.\nName a naïve 東京 colour.\n")
    assert "\x1b" not in outcome.out + outcome.err


def test_an_input_is_for_the_next_instruction_only(piped) -> None:
    outcome = piped("/input pear, fig\nSort them.\nAgain.\n")
    assert outcome.out == "Sort them.||### Input:|pear, fig\nAgain.\n"


def test_an_input_can_be_taken_back(piped) -> None:
    assert piped("/input a\n/input\nOne.\n/input b\n/reset\nTwo.\n").out == "One.\nTwo.\n"


def test_flags_say_how_answers_are_sampled_and_each_has_the_next_seed(piped) -> None:
    asked = "How were you asked?\n"
    outcome = piped(
        asked + asked + "/reset\n" + asked,
        *("--temperature", "0.5", "--top-k", "7", "--top-p", "0.9", "--max-new-tokens", "30", "--seed", "3"),
    )
    assert outcome.out == "0.5 7 0.9 30 3\n0.5 7 0.9 30 4\n0.5 7 0.9 30 3\n"


def test_without_flags_answers_are_written_as_the_run_wrote_them(piped) -> None:
    """Greedy, at most 256 tokens, the run's seed."""
    assert piped("How were you asked?\n").out == "0.0 None None 256 40\n"


def test_a_slash_is_doubled_to_begin_an_instruction(piped) -> None:
    assert piped("//etc is what?\n").out == "/etc is what?\n"


def test_exit_in_a_pipe_is_an_instruction_like_any_other(piped) -> None:
    assert piped("exit\nquit\n").out == "exit\nquit\n"


def test_quitting_leaves_the_rest_unread(piped) -> None:
    outcome = piped("One.\n/quit\nTwo.\n")
    assert (outcome.code, outcome.out) == (0, "One.\n")


def test_help_is_talk(piped) -> None:
    outcome = piped("/help\n")
    assert outcome.out == ""
    for command in ("/input TEXT", "/reset", "/help", "/quit", '"""', "Ctrl-C"):
        assert command in outcome.err


def test_a_cut_answer_is_told(piped) -> None:
    outcome = piped("Never stop.\n")
    assert outcome.last_line == "(cut after 3 tokens; --max-new-tokens sets the longest answer)"


def test_an_unknown_command_ends_a_pipe_with_the_nearest_one(piped) -> None:
    outcome = piped("One.\n/inptu a\nTwo.\n")
    assert (outcome.code, outcome.out) == (2, "One.\n")
    assert "no command '/inptu'; did you mean '/input'? Available: /help, /input, /quit, /reset" in outcome.last_line


def test_a_line_that_is_not_utf8_is_named(piped) -> None:
    outcome = piped(b"One.\n\xff\xfe\n")
    assert (outcome.code, outcome.out) == (4, "One.\n")
    assert "line 2 of the input is not UTF-8: invalid start byte at byte 0" in outcome.last_line


def test_an_instruction_that_fills_the_context_is_refused(piped) -> None:
    outcome = piped("x" * 600)
    assert outcome.code == 5
    assert "tokens, but the model's context is 512: shorten it" in outcome.last_line


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--temperature", "-1"), 2, "generate.temperature: expected 0 or more"),
        (("--top-p", "2"), 2, "generate.top_p: expected 1 or less"),
        (("--set", "prompt.name=phi3"), 2, "prompt.name is 'alpaca' in the run"),
    ],
)
def test_a_bad_setting_is_named(piped, arguments: tuple[str, ...], code: int, words: str) -> None:
    outcome = piped("", *arguments)
    assert (outcome.code, words in outcome.last_line) == (code, True)


def test_a_folder_that_is_no_run_is_named(cli) -> None:
    outcome = cli("chat", "nowhere")
    assert (outcome.code, "no run at nowhere" in outcome.last_line) == (2, True)


class Terminal:
    """A chat in a terminal of its own, and what was seen in it."""

    def __init__(self, arguments: list[str], environment: dict[str, str]) -> None:
        import pty

        self._own, theirs = pty.openpty()
        self._child = subprocess.Popen(
            [sys.executable, "-m", "sftframe", "chat", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment,
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
        os.close(theirs)
        self._unread = ""

    def type(self, keys: str) -> None:
        """Press keys; `\\r` is Enter, `\\x03` Ctrl-C, `\\x04` Ctrl-D."""
        os.write(self._own, keys.encode())

    def read_until(self, words: str) -> str:
        """All that is shown from here on until these words have come."""
        while words not in self._unread:
            assert self._read(timeout_s=60), f"{words!r} did not come; there is {self._unread!r}"
        shown, _, self._unread = self._unread.partition(words)
        return shown

    def interrupt(self, words: str) -> str:
        """Press Ctrl-C at a prompt and return what is shown until these words come.

        It is pressed again after a while of silence: Python misses one that comes just before it waits for a line.
        """
        self.type("\x03")
        while words not in self._unread:
            if not self._read(timeout_s=2):
                assert self._child.poll() is None, f"the chat ended before {words!r}; there is {self._unread!r}"
                self.type("\x03")
        return self.read_until(words)

    def ask(self, line: str, answer: str) -> None:
        """Type a line and see that this answer comes, and a prompt."""
        self.type(f"{line}\r")
        self.read_until(f"{line}\r\n{answer}\r\n> ")

    def _read(self, timeout_s: float) -> bool:
        """Take what has come since; False when nothing comes."""
        if not select.select([self._own], [], [], timeout_s)[0]:
            return False
        try:
            self._unread += os.read(self._own, 65536).decode(errors="replace")
        except OSError:  # on Linux: there is nobody any more
            return False
        return True

    def wait(self) -> int:
        """The exit code."""
        return self._child.wait(timeout=60)

    def close(self) -> None:
        self._child.kill()
        self._child.wait()
        os.close(self._own)


def _take_terminal() -> None:
    """In the child: Ctrl-C in this terminal is for it."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.fixture
def open_terminal(run_dir: Path, tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    pytest.importorskip("pty", reason="there are no terminals of this kind here")
    environment = {
        **os.environ,
        "PYTHONPATH": str(INSTALLED),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "TERM": "dumb",
        "NO_COLOR": "1",
    }
    opened: list[Terminal] = []

    def start(*arguments: str) -> Terminal:
        opened.append(Terminal([str(run_dir), *arguments], environment))
        return opened[-1]

    yield start
    for terminal in opened:
        terminal.close()


def test_a_chat_from_the_first_question_to_ctrl_d(open_terminal: Callable[..., Terminal]) -> None:
    terminal = open_terminal("--no-history")
    assert "The model sees one question at a time" in terminal.read_until("\n> ")
    terminal.ask("Hello, you.", "Hello, you.")

    terminal.type("Sing for ever.\r")
    terminal.read_until("la la la")
    terminal.type("\x03")
    terminal.read_until("\n> ")
    terminal.ask("Still there?", "Still there?")

    terminal.interrupt("to quit press Ctrl-D, or type /quit\r\n> ")
    terminal.type("half a li")
    terminal.read_until("half a li")
    assert "to quit" not in terminal.interrupt("\n> ")

    terminal.type("/inptu\r")
    terminal.read_until("error: no command '/inptu'; did you mean '/input'?")
    terminal.type('/input """pear\r')
    terminal.read_until("\n. ")
    terminal.type('fig"""\r')
    terminal.ask("Sort them.", "Sort them.||### Input:|pear|fig")
    terminal.type("\x04")
    assert terminal.wait() == 0


def test_typed_lines_come_back_in_the_next_chat_unless_they_are_not_kept(
    open_terminal: Callable[..., Terminal], tmp_path: Path
) -> None:
    pytest.importorskip("readline", reason="this Python has no readline")
    first = open_terminal("--no-history")
    first.read_until("\n> ")
    first.ask("Not this.", "Not this.")
    first.type("/quit\r")
    assert first.wait() == 0
    assert not (tmp_path / "state").exists()

    second = open_terminal()
    second.read_until("\n> ")
    second.ask("But this.", "But this.")
    second.type(" Exit\r")
    assert second.wait() == 0
    kept = tmp_path / "state/sftframe/chat-history"
    assert "But this." in kept.read_text()
    assert kept.stat().st_mode & 0o077 == 0

    third = open_terminal()
    third.read_until("\n> ")
    third.type("\x10\x10\r")  # twice Ctrl-P, the line before; the last one was Exit
    third.read_until("But this.\r\nBut this.\r\n> ")


@pytest.fixture
def style_name() -> str:
    """Of the run on conversations."""
    return "phi3"


@pytest.fixture
def talk_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, style_name: str) -> Path:
    """A run of the parrot's on conversations."""
    monkeypatch.syspath_prepend(INSTALLED)
    said = [{"role": "user", "content": "One?"}, {"role": "assistant", "content": "One."}]
    rows = [{"messages": [*said, *said[:1], {"role": "assistant", "content": str(n)}]} for n in range(20)]
    path = tmp_path / "talks.json"
    path.write_text(json.dumps(rows))
    pieces = {"prompt": style_name, "model": "parrot", "judge": "reference"}
    layer = {**pieces, "data": {"source": str(path)}, "threads": 1, "out": tmp_path / "talk"}
    folder = Session.start(layer, load_registry(), Observer()).folder
    folder.model_dir.mkdir()
    return folder.path


class Listening(TunedModel):
    """Remembers what it was asked."""

    asked: ClassVar[list[Example]] = []

    def answer(self, example: Example, on_text: Callable[[str], None], *, seed: int | None = None) -> Response:
        self.asked.append(example)
        return super().answer(example, on_text, seed=seed)


@pytest.fixture
def prompts(talk_dir: Path, capsys: pytest.CaptureFixture[str]) -> Callable:
    """`prompts(text, max_new_tokens)`: prompt and example of every question of a chat, and what was said on stderr."""

    def ask(text: str, max_new_tokens: int = 256):
        layer = {"generate": {"max_new_tokens": max_new_tokens}}
        run = FinishedRun.open(talk_dir, load_registry(), layer)
        tuned = run.load(Observer())
        listening = Listening(config=tuned.config, style=tuned.style, model=tuned.model)
        listening.asked.clear()
        chat = Chat(listening, seed=0, keeps_turns=run.knows_conversations)
        answer_lines(chat, text.encode().splitlines())
        asked = [(tuned.style.prompt_text(example), example) for example in listening.asked]
        return asked, capsys.readouterr().err

    return ask


def test_a_model_of_conversations_sees_what_was_said_before(prompts) -> None:
    asked, _ = prompts("/system Be brief.\nFirst?\n/input b\nSecond?\n/reset\nThird?\n/system\nFourth?\n")
    answer = asked[1][1].turns[0].output
    assert asked[0][0] == "<|system|>\nBe brief.<|end|>\n<|user|>\nFirst?<|end|>\n<|assistant|>\n"
    assert asked[1][0] == f"{asked[0][0]}{answer}<|end|>\n<|user|>\nSecond?\nb<|end|>\n<|assistant|>\n"
    assert asked[2][0] == "<|system|>\nBe brief.<|end|>\n<|user|>\nThird?<|end|>\n<|assistant|>\n"
    assert asked[3][0].startswith("<|user|>\nThird?<|end|>\n<|assistant|>\n")


def test_what_does_not_fit_the_context_is_forgotten_oldest_first(prompts) -> None:
    asked, said = prompts("".join(f"Question {n} {'x' * 60}?\n" for n in range(6)), 100)
    kept = [[turn.instruction.split()[1] for turn in example.turns] for _, example in asked]
    assert kept[1] == ["0"]
    assert len(kept[5]) < 5
    assert kept[5] == [str(n) for n in range(5 - len(kept[5]), 5)]
    assert "forgotten: they do not fit the model's context" in said


@pytest.mark.parametrize("style_name", ["chatml"])
def test_a_tool_gives_back_what_an_answer_called_for(prompts) -> None:
    asked, _ = prompts('/tools [{"name":"w"}]\nWeather?\n/tool 20\nThanks.\n/tools\n/reset\nHi.\n', 20)
    first, result, thanks, again = asked
    start = '<|im_start|>system\nTools that can be called:\n[{"name": "w"}]<|im_end|>\n'
    start += "<|im_start|>user\nWeather?<|im_end|>\n"
    assert first[0] == start + "<|im_start|>assistant\n"
    answer = result[1].turns[0].output
    assert result[0] == (f"{first[0]}{answer}<|im_end|>\n<|im_start|>tool\n20<|im_end|>\n<|im_start|>assistant\n")
    assert [(turn.speaker, turn.is_call) for turn in thanks[1].turns] == [("user", True), ("tool", False)]
    assert again[0] == "<|im_start|>user\nHi.<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("/tools [1", "/tools: not valid JSON: "),
        ('/tools [{"name": "w"}]', "prompt style 'phi3' writes no tools, so this model has never seen any"),
        ("/tool 20", "/tool: nothing was called yet in this chat; ask a question first"),
        ("/tool", "/tool: expected what the tool gave back after it"),
        (
            "Weather?\n/tool 20",
            "prompt style 'phi3' does not write what tools give back, so this model has never seen it",
        ),
    ],
)
def test_what_the_model_never_saw_of_tools_is_refused(prompts, typed: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        prompts(typed + "\n")
    assert words in str(caught.value)


def test_a_style_without_system_messages_says_so(piped) -> None:
    outcome = piped("/system Be brief.\n")
    assert outcome.code == 2
    assert "prompt style 'alpaca' writes no system message" in outcome.err
