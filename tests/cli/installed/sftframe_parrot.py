"""A plugin for tests of the command line: a model that answers at once, with what it was asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from sftframe import CausalLM, Completion, GenerationSettings, ModelBackend, Tokenizer, hookimpl


class Bytes(Tokenizer):
    """Ids 0-255 are bytes, 256 is the end token."""

    vocab_size = 257
    end_id = 256
    fingerprint = "bytes"

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return [list(text.encode()) for text in texts]

    def token_bytes(self, token_id: int) -> bytes:
        return bytes([token_id]) if token_id < 256 else b""

    def save(self, folder: Path) -> None:
        raise AssertionError("never saved")


class Parrot(CausalLM):
    """Says what stands between Alpaca's headings, line breaks as bars; three instructions mean something to it."""

    def stream(self, prompt: Sequence[int], settings: GenerationSettings, on_text: Callable[[str], None]) -> Completion:
        asked = self.tokenizer.decode(prompt).partition("### Instruction:\n")[2].removesuffix("\n\n### Response:\n")
        while asked == "Sing for ever.":
            on_text("la ")
        if asked == "How were you asked?":
            asked = (
                f"{settings.temperature} {settings.top_k} {settings.top_p} {settings.max_new_tokens} {settings.seed}"
            )
        for word in asked.replace("\n", "|").split(" "):
            on_text(f"{word} ")
        reason = "length" if asked == "Never stop." else "end"
        return Completion(position=0, ids=(1, 2, 3), text=asked.replace("\n", "|") + " ", stop_reason=reason)

    def generate(self, prompts: Sequence[Sequence[int]], settings: GenerationSettings) -> Iterator[Completion]:
        raise AssertionError("a chat streams")

    def save(self, folder: Path) -> None:
        raise AssertionError("never saved")


class ParrotBackend(ModelBackend):
    name = "parrot"
    summary = "says what it was asked"

    def tokenizer(self, saved: Path | None = None) -> Tokenizer:
        return Bytes()

    def context_length(self, saved: Path | None = None) -> int:
        return 512

    def load(self, *, device: str, dtype: str, seed: int, saved: Path | None = None) -> CausalLM:
        from torch import nn

        return Parrot(nn.Linear(1, 1), Bytes(), 512)


@hookimpl
def sftframe_model_backends() -> list[type[ModelBackend]]:
    return [ParrotBackend]
