"""`sftframe chat`: asks a run's model questions, in a terminal or through a pipe."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from sftframe.cli.options import Run, option
from sftframe.cli.settings import Settings, takes_only
from sftframe.cli.streams import output

_DECODING = "Answers"


@takes_only("--device", "--threads")
def chat(
    path: Run,
    settings: Settings,
    max_new_tokens: Annotated[
        int | None,
        option("--max-new-tokens", metavar="N", help="Longest answer.", panel=_DECODING),
    ] = None,
    temperature: Annotated[
        float | None,
        option("--temperature", metavar="X", help="0 is greedy; higher values vary more.", panel=_DECODING),
    ] = None,
    top_k: Annotated[
        int | None,
        option("--top-k", metavar="K", help="Sample from the K most likely tokens.", panel=_DECODING),
    ] = None,
    top_p: Annotated[
        float | None,
        option(
            "--top-p", metavar="P", help="Sample from the most likely tokens that together reach P.", panel=_DECODING
        ),
    ] = None,
    seed: Annotated[
        int | None,
        option("--seed", metavar="N", min=0, help="Seed of sampling. Default: the run's.", panel=_DECODING),
    ] = None,
    history: Annotated[bool, typer.Option("--history/--no-history", help="Keep typed lines for the next chat.")] = True,
) -> None:
    """Ask a run's model. If it was trained on conversations, it sees what was said before; /help lists the commands.

    Example: sftframe chat runs/mine --temperature 0.7
    """
    from sftframe.cli.chat_turns import Chat, answer_lines, talk
    from sftframe.cli.console import err, prose
    from sftframe.cli.render import TerminalObserver
    from sftframe.config import merge
    from sftframe.pipeline import FinishedRun

    flags = {"max_new_tokens": max_new_tokens, "temperature": temperature, "top_k": top_k, "top_p": top_p}
    decoding = {key: value for key, value in flags.items() if value is not None}
    run = FinishedRun.open(path, settings.registry(), merge(settings.layer(asks_judge=False), {"generate": decoding}))
    with TerminalObserver() as observer:
        tuned = run.load(observer)
    keeps_turns = run.knows_conversations
    conversation = Chat(tuned, seed=run.config.seed if seed is None else seed, keeps_turns=keeps_turns)
    if not (sys.stdin.isatty() and output().results.isatty()):
        answer_lines(conversation, sys.stdin.buffer)
        return
    from sftframe.cli.chat_turns import history_path, line_editing

    prose(err(), f"{run.config.model.name} · prompt {run.config.prompt.name} · {path}")
    sees = "sees what was said before; /reset forgets it" if keeps_turns else "sees one question at a time"
    prose(err(), f"The model {sees}{'.' if keeps_turns else '; it does not see earlier ones.'}")
    prose(err(), "/help lists the commands, Ctrl-D quits.")
    with line_editing(history_path() if history else None):
        talk(conversation)
