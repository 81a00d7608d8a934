"""The command `sftframe`: its commands, and the code that turns errors into one line and an exit code.

Nothing heavy is imported before a command runs.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import Annotated, Any, NoReturn

import typer

from sftframe.cli import ablate, chat, compare, data, doctor, export, init, judge, plugins, preview, run, runs, trust
from sftframe.cli.commands import Commands
from sftframe.cli.ranks import among_ranks
from sftframe.cli.streams import safe_streams, write
from sftframe.device import limit_spinning
from sftframe.errors import ReaderGone, SftframeError
from sftframe.trust import asking_with
from sftframe.version import __version__

app = Commands(
    name="sftframe",
    help="Fine-tune GPT-2-class models on instructions, with plugins for every part.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.command("init")(init.init)
app.command("run")(run.run)
app.command("train")(run.train)
app.command("generate")(run.generate)
app.command("judge")(judge.judge)
app.command("compare")(compare.compare)
app.command("report")(run.report)
app.command("ablate")(ablate.ablate)
app.command("data")(data.data)
app.command("preview")(preview.preview)
app.command("chat")(chat.chat)
app.command("export")(export.export)
app.command("doctor")(doctor.doctor)
app.command("trust")(trust.trust)
app.add_typer(runs.app, name="runs")
app.add_typer(plugins.app, name="plugins")


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        write(f"sftframe {__version__}\n")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Fine-tune GPT-2-class models on instructions, with plugins for every part."""


def main() -> None:
    """The console script: run a command and end with its exit code."""
    limit_spinning()
    with safe_streams():
        _run()


def _run() -> None:
    try:
        with asking_with(trust.ask), among_ranks():
            sys.exit(_exit_code())
    except ReaderGone as error:
        sys.exit(error.exit_code)
    except SftframeError as error:
        _leave(str(error), error.exit_code, error)
    except (KeyboardInterrupt, typer.Abort):
        _leave("stopped", 130)
    except Exception as error:
        _leave(f"internal error: {type(error).__name__}: {error} (run again with --debug and report it)", 1, error)


def _exit_code() -> int:
    try:
        return (
            _all_commands()(prog_name="sftframe", standalone_mode=False) or 0
        )  # typer returns the code of an early exit
    except _UsageError as error:
        _refuse(error)
    finally:
        sys.stdout.flush()


@cache
def _all_commands() -> Any:
    """The commands as one, made once: it takes 15 ms, and tests call `main` thousands of times in one process."""
    return typer.main.get_command(app)


_UsageError: type[Exception] = typer.BadParameter.__bases__[0]
"""typer's base of all usage errors, which has no public name."""


def _refuse(error: Any) -> NoReturn:
    """Say what is wrong with the command line; without a command, show the help."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        sys.exit(error.exit_code)
    from sftframe.cli.usage import usage_message

    _leave(usage_message(error), error.exit_code, error)


def _leave(message: str, exit_code: int, error: Exception | None = None) -> NoReturn:
    if error is not None and "--debug" in sys.argv:
        raise error
    from sftframe.cli.render import fail

    fail(message)
    sys.exit(exit_code)
