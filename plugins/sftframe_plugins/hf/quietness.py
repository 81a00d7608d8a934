"""Silences transformers' own messages; sftframe reports the result in one line."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from transformers.utils import logging as theirs


@contextmanager
def quiet() -> Iterator[None]:
    """In this block transformers writes no messages and no progress bars, unless TRANSFORMERS_VERBOSITY is set."""
    if os.environ.get("TRANSFORMERS_VERBOSITY"):  # the user wants to read them
        yield
        return
    verbosity, has_bar = theirs.get_verbosity(), theirs.is_progress_bar_enabled()
    theirs.set_verbosity(logging.CRITICAL)
    theirs.disable_progress_bar()
    try:
        yield
    finally:
        theirs.set_verbosity(verbosity)
        if has_bar:
            theirs.enable_progress_bar()
