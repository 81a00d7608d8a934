"""A plugin for tests of stdout: it prints in every way there is, when it is imported, used and ended."""

from __future__ import annotations

import atexit
import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator

from sftframe import Example, PromptStyle, Role, Segment, hookimpl


def talk() -> None:
    print("CHATTY print")  # noqa: T201
    sys.stdout.write("CHATTY write\n")
    os.write(1, b"CHATTY os\n")
    subprocess.run([sys.executable, "-S", "-c", "print('CHATTY child')"], check=True)
    ctypes.CDLL(None).printf(b"CHATTY C\n")  # stays in C's own buffer until the process ends


talk()
atexit.register(talk)


class ChattyStyle(PromptStyle):
    name = "chatty"
    summary = "prints whenever it is asked"
    has_talked = False

    def segments(self, example: Example) -> Iterator[Segment]:
        if not ChattyStyle.has_talked:
            ChattyStyle.has_talked = True
            talk()
        yield Segment(Role.INSTRUCTION, example.instruction)
        yield Segment(Role.TEMPLATE, "\n" + example.input + "\n")
        yield Segment(Role.RESPONSE, example.output)


@hookimpl
def sftframe_prompt_styles() -> list[type[PromptStyle]]:
    return [ChattyStyle]
