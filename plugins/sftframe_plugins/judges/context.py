"""Checks whether a prompt fits the context: before asking, and by the number of tokens that a server reports."""

from __future__ import annotations

from collections.abc import Sequence

from sftframe_plugins.judges.calls import CallError
from sftframe_plugins.judges.template import Message

_LONGEST_TOKEN_BYTES = 128
"""No vocabulary in use has longer tokens (Llama 3's longest is a run of 128 spaces)."""

_TEMPLATE_TOKENS = 128
"""The most tokens that a chat template adds to two messages."""

_HALF_MARGIN = 8
"""A cut prompt has half the context, give or take this number of tokens: it also keeps the first few of the prompt."""


def check_before(messages: Sequence[Message], num_ctx: int) -> None:
    """Refuse to send more words than the context has tokens.

    Raises:
        CallError: it cannot fit.
    """
    if least_tokens(messages) >= num_ctx:
        raise _does_not_fit(num_ctx, "it has too many words")


def check_after(messages: Sequence[Message], num_read: int | None, num_ctx: int) -> None:
    """Check a reply: Ollama silently cuts a prompt that does not fit; only the number of tokens shows it.

    It keeps half the context and a few tokens more, in older versions the whole context
    (https://github.com/ollama/ollama/issues/17427).

    Args:
        num_read: the tokens that the server says it read; None if it does not say.

    Raises:
        CallError: the server cannot have read the whole prompt.
    """
    if num_read is None:
        return
    if num_read >= num_ctx:
        raise _does_not_fit(num_ctx, f"the server read {num_read} tokens")
    if is_sure_to_fit(messages, num_ctx):
        return
    if abs(num_read - num_ctx // 2) <= _HALF_MARGIN:
        raise _does_not_fit(num_ctx, f"the server read {num_read} tokens, the length of a prompt that it has cut")
    if 0 < num_read < least_tokens(messages):
        raise _does_not_fit(num_ctx, f"the server read {num_read} tokens, less than the prompt has words")


def is_sure_to_fit(messages: Sequence[Message], num_ctx: int) -> bool:
    """Whether the messages fit with any tokenizer: they have no more bytes than the context has tokens."""
    num_bytes = sum(len(message["content"].encode()) for message in messages)
    return num_bytes + _TEMPLATE_TOKENS <= num_ctx


def least_tokens(messages: Sequence[Message]) -> int:
    """The least number of tokens for the messages: no token spans two words, and none is very long."""
    texts = [message["content"] for message in messages]
    return sum(max(len(text.split()), len(text.encode()) // _LONGEST_TOKEN_BYTES) for text in texts)


def _does_not_fit(num_ctx: int, what: str) -> CallError:
    reason = f"the prompt does not fit num_ctx={num_ctx}: {what}; set a larger judge.num_ctx"
    return CallError(reason, is_final=True)
