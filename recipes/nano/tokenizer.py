"""Trains the bundled byte-level BPE with `tokenizers` and writes it in tiktoken's form.

tiktoken merges by rank alone, `tokenizers` by its list of merges; both agree because the ids of merged tokens are
given in the order of the merges. The end token has the last id and is no part of the file.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import tiktoken
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from recipes.nano.text import make_pass, titles
from recipes.starter.make_starter import make_parts

VOCAB_SIZE = 3072
NANO_DIR = Path(__file__).parents[2] / "plugins" / "sftframe_plugins" / "gpt2" / "nano"
VOCAB_PATH = NANO_DIR / "vocab.tiktoken"
END = "<|endoftext|>"

PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""GPT-2's pattern for the pieces that merges never cross (Radford et al. 2019), as tiktoken writes it."""


def train_tokenizer(vocab_size: int = VOCAB_SIZE) -> Tokenizer:
    """A BPE of `vocab_size` - 1 tokens, trained on the pretraining text, the data's instructions and the word lists."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size - 1, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(training_text(), trainer)
    return tokenizer


def training_text() -> Iterator[str]:
    """What the merges are counted on: three passes, the words as they begin a line and as they follow a blank.

    The sentence that opens every prompt is there too, so that it costs few tokens; the model itself never saw it.
    """
    for number in range(3):
        yield from make_pass(number)
    for word in titles():
        yield from (word, f" {word}") * 40
    for row in make_parts().rows:
        yield from (row.instruction, row.input, row.output)
    opening = (
        "Below is an instruction that describes a task. Write a response that appropriately completes the request."
    )
    yield from (opening, "\n\n### Instruction:\n", "\n\n### Input:\n", "\n\n### Response:\n") * 200


def write_vocab(tokenizer: Tokenizer, path: Path = VOCAB_PATH) -> None:
    """Writes the tokens as tiktoken reads them: base64 of the bytes, a blank, the rank."""
    to_byte = byte_of_character()
    path.parent.mkdir(parents=True, exist_ok=True)
    ranks = sorted((rank, token) for token, rank in tokenizer.get_vocab().items())
    lines = (f"{base64.b64encode(bytes(to_byte[c] for c in token)).decode()} {rank}\n" for rank, token in ranks)
    path.write_text("".join(lines), encoding="ascii", newline="\n")


def byte_of_character() -> dict[str, int]:
    """The byte that each character of the byte-level alphabet stands for (GPT-2's `bytes_to_unicode`, reversed)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    mapping = {chr(byte): byte for byte in printable}
    return mapping | {chr(256 + number): byte for number, byte in enumerate(others)}


def load_encoding(path: Path = VOCAB_PATH) -> tiktoken.Encoding:
    """The shipped file as a tiktoken encoding, the end token behind the last rank.

    The file is read here because tiktoken's own reader keeps a copy by path and would not see a new version.
    """
    pairs = (line.split() for line in path.read_text(encoding="ascii").splitlines())
    ranks = {base64.b64decode(token): int(rank) for token, rank in pairs}
    return tiktoken.Encoding("gpt2-nano", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={END: len(ranks)})
