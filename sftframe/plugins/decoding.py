"""Rules of decoding that every model shares: which token comes next, and when an answer is over.

A model computes logits; `Sampler` picks tokens from them, an `Answer` collects the tokens and says when to stop.
`CausalLM.generate` is the slow definition that fast models must equal.

Shapes: B rows, T positions, V vocabulary.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sftframe.errors import ModelError
from sftframe.records import Completion, GenerationSettings, StopReason

if TYPE_CHECKING:
    from sftframe.plugins.interfaces import Tokenizer


class Sampler:
    """Picks the next token of each row. Each prompt has its own random generator, so batching changes nothing."""

    def __init__(self, settings: GenerationSettings) -> None:
        self._settings = settings
        self._generators: dict[int, torch.Generator] = {}

    def pick(self, logits: Tensor, positions: Sequence[int]) -> Tensor:
        """The next token ids, int64 (B,).

        Args:
            logits: (B, V) of the last position of each row.
            positions: which prompt each row belongs to.
        """
        if self._settings.temperature == 0:
            return logits.max(dim=-1).indices  # argmax takes five times as long on a CPU
        shares = self._probabilities(logits.float()).cpu()  # (B, V)
        picked = [
            torch.multinomial(row, 1, generator=self._generator(position))
            for row, position in zip(shares, positions, strict=True)
        ]
        return torch.cat(picked).to(logits.device)

    def _probabilities(self, logits: Tensor) -> Tensor:
        # the largest becomes 0 first: a very low temperature must give greedy decoding, not infinities
        logits = (logits - logits.amax(dim=-1, keepdim=True)) / self._settings.temperature
        if self._settings.top_k is not None and self._settings.top_k < logits.shape[-1]:
            least = logits.topk(self._settings.top_k, dim=-1).values[..., -1:]  # (B, 1)
            logits = logits.masked_fill(logits < least, float("-inf"))
        shares = logits.softmax(dim=-1)
        if self._settings.top_p is None:
            return shares
        ordered, order = shares.sort(dim=-1, descending=True)
        # a token stays when those before it do not reach top_p yet; the most likely one always stays
        ordered[ordered.cumsum(dim=-1) - ordered >= self._settings.top_p] = 0.0
        return torch.zeros_like(shares).scatter(-1, order, ordered)

    def _generator(self, position: int) -> torch.Generator:
        if position not in self._generators:
            number = self._settings.numbers[position] if self._settings.numbers else position
            self._generators[position] = torch.Generator().manual_seed(self._settings.seed + number)
        return self._generators[position]


class Answer:
    """An answer as it grows, token by token."""

    def __init__(self, position: int, tokenizer: Tokenizer, settings: GenerationSettings) -> None:
        self.position = position
        self.ids: list[int] = []
        self.stop_reason: StopReason | None = None
        self._tokenizer = tokenizer
        self._max_new_tokens = settings.max_new_tokens
        self._end_ids = {tokenizer.end_id, *settings.end_ids}
        self._stops = tuple(stop.encode() for stop in settings.stop_strings if stop)
        self._bytes = b""
        self._num_settled = 0

    def add(self, token_id: int) -> bool:
        """Add one token; True when it ends the answer."""
        if token_id in self._end_ids:
            self.stop_reason = "end"
            return True
        self.ids.append(token_id)
        self._bytes += self._tokenizer.token_bytes(token_id)
        found = [at for at in (self._bytes.find(stop) for stop in self._stops) if at >= 0]
        if found:
            self._bytes = self._bytes[: min(found)]
            self.stop_reason = "stop-string"
        elif len(self.ids) >= self._max_new_tokens:
            self.stop_reason = "length"
        return self.stop_reason is not None

    def new_text(self) -> str:
        """The new text since the last call that no later token can change.

        It leaves out the bytes of an incomplete character and text that may become a stop string. After the answer is
        over, the rest comes: all pieces joined are `Completion.text`.
        """
        text = self._text() if self.stop_reason else self._settled_text()
        news = text[self._num_settled :]
        self._num_settled = len(text)
        return news

    def settle(self) -> str:
        """Deprecated name of `new_text`."""
        return self.new_text()

    def completion(self) -> Completion:
        """The finished answer."""
        assert self.stop_reason is not None, "the answer is still growing"
        return Completion(
            position=self.position,
            ids=tuple(self.ids),
            text=self._text(),
            stop_reason=self.stop_reason,
        )

    def _text(self) -> str:
        return self._bytes.decode("utf-8", errors="replace")

    def _settled_text(self) -> str:
        num_bytes = len(self._bytes) - max((_overlap(self._bytes, stop) for stop in self._stops), default=0)
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        return decoder.decode(self._bytes[:num_bytes])  # without `final` the decoder keeps back a cut character


def _overlap(text: bytes, stop: bytes) -> int:
    """How many bytes at the end of the text may be the beginning of the stop string."""
    longest = min(len(text), len(stop) - 1)
    return next((size for size in range(longest, 0, -1) if text.endswith(stop[:size])), 0)


def check_fits(
    prompts: Sequence[Sequence[int]],
    settings: GenerationSettings,
    context_length: int,
    *,
    labels: Sequence[str] = (),
) -> None:
    """Check that every prompt leaves room for its answer.

    Args:
        labels: the name of each prompt in messages; by default `prompt` and its position.

    Raises:
        ModelError: a prompt is empty, or prompt and `max_new_tokens` exceed the context and the context may not slide.
    """
    for position, prompt in enumerate(prompts):
        label = labels[position] if labels else f"prompt {position}"
        if not prompt:
            raise ModelError(f"{label} is empty: a model needs at least one token to continue from")
        needed = len(prompt) + settings.max_new_tokens
        if needed > context_length and settings.on_overflow == "error":
            raise ModelError(
                f"{label} has {len(prompt)} tokens and {settings.max_new_tokens} new ones were asked for, "
                f"but the model's context is {context_length}: lower generate.max_new_tokens, "
                "or set generate.on_overflow=slide to forget the oldest tokens"
            )
