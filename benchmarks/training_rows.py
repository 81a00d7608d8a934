"""The rows that every contender of `benchmarks.train_step` trains on, and the batches they make in their order."""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The sizes of a network; the vocabulary is GPT-2's for all."""

    width: int
    num_layers: int
    num_heads: int
    num_groups: int | None = None
    """Heads of keys and values; None = as many as of queries."""
    feed_forward: int | None = None
    """Of a Llama, whose feed-forward has three maps; None = GPT-2, with two maps of four times the width."""

    @property
    def is_llama(self) -> bool:
        return self.feed_forward is not None

    @property
    def before_attention(self) -> int:
        """Weights of the maps to queries, keys and values."""
        num_groups = self.num_groups or self.num_heads
        return self.width**2 + 2 * self.width * num_groups * (self.width // self.num_heads)

    @property
    def after_attention(self) -> int:
        """Weights of the projection and the feed-forward."""
        return self.width**2 + self.width * (3 * self.feed_forward if self.feed_forward else 8 * self.width)

    @property
    def num_weights(self) -> int:
        """Weights of all maps and of the tied embedding; biases, norms and positions are less than a hundredth."""
        return self.num_layers * (self.before_attention + self.after_attention) + VOCABULARY * self.width


VOCABULARY = 50257
POSITIONS = 1024

SIZES = {
    "124M": Shape(width=768, num_layers=12, num_heads=12),
    "355M": Shape(width=1024, num_layers=24, num_heads=16),
    "774M": Shape(width=1280, num_layers=36, num_heads=20),
    "1558M": Shape(width=1600, num_layers=48, num_heads=25),
    "smollm": Shape(width=576, num_layers=30, num_heads=9, num_groups=3, feed_forward=1536),
}
"""GPT-2's sizes, and a Llama with those of SmolLM-135M."""

BACKENDS = {"124M": "gpt2-small", "355M": "gpt2-medium", "774M": "gpt2-large", "1558M": "gpt2-xl"}

NUM_ROWS = 400
SYSTEM_TOKENS = 250
"""Tokens of the made-up system prompt that all rows of `long-common` begin with."""
LENGTHS = range(300, 601)
"""Tokens of a made-up row, the system prompt included."""
ANSWER_SHARE = 0.3
"""Share of a made-up row, behind what is common, that is its answer."""


def prepared(options: argparse.Namespace) -> tuple[Any, Any, Sequence[Any]]:
    """Configuration, components and training rows, through sftframe itself."""
    from sftframe.pipeline import Components, prepare_data, resolve
    from sftframe.progress import Observer
    from sftframe.registry import load_registry

    registry = load_registry()
    layer = {
        "model": _model(options),
        "prompt": "alpaca",
        "collate": options.collate,
        "train": {
            "batch_size": options.batch_size,
            "shuffle": False,
            "epochs": 100,
            "compact": options.worker != "sftframe-plain",
        },
        **({"data": {"source": str(options.data)}} if options.rows == "data" else {}),
    }
    config = resolve(layer, registry)
    components = Components.choose(config, registry)
    if options.rows != "data":
        return config, components, made_rows(options.rows, components.tokenizer.end_id)
    return config, components, prepare_data(config, components, Observer()).train


def _model(options: argparse.Namespace) -> dict[str, str]:
    if not SIZES[options.size].is_llama:
        return {"name": BACKENDS[options.size], "weights": "random", "tokenizer": str(options.tokenizer)}
    return {"name": "hf", "weights": "random", "repo": str(hugging_face_folder(options))}


def hugging_face_folder(options: argparse.Namespace) -> Path:
    """A new folder with the model's configuration and GPT-2's tokenizer in transformers' form, without weights."""
    from sftframe_plugins.gpt2.tokenizer import BytePairTokenizer
    from transformers import AutoTokenizer

    from sftframe import load_registry

    folder = Path(mkdtemp())
    backend = load_registry().model_backend("gpt2-small", {"tokenizer": str(options.tokenizer)})
    own = backend.tokenizer()
    assert isinstance(own, BytePairTokenizer)
    own.save(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, model_type="gpt2")
    tokenizer.pad_token = tokenizer.eos_token = "<|endoftext|>"
    tokenizer.save_pretrained(folder)
    configuration(SIZES[options.size]).save_pretrained(folder)
    return folder


def configuration(shape: Shape) -> Any:
    """The network in transformers' form."""
    from transformers import GPT2Config, LlamaConfig

    if not shape.is_llama:
        return GPT2Config(
            n_embd=shape.width,
            n_layer=shape.num_layers,
            n_head=shape.num_heads,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            use_cache=False,
        )
    return LlamaConfig(
        architectures=["LlamaForCausalLM"],
        vocab_size=VOCABULARY,
        hidden_size=shape.width,
        intermediate_size=shape.feed_forward,
        num_hidden_layers=shape.num_layers,
        num_attention_heads=shape.num_heads,
        num_key_value_heads=shape.num_groups,
        max_position_embeddings=POSITIONS,
        bos_token_id=None,
        eos_token_id=VOCABULARY - 1,
        tie_word_embeddings=True,
        use_cache=False,
    )


def made_rows(kind: str, end_id: int) -> list[Any]:
    """Rows of random tokens and lengths: `long-common` have a system prompt in common, `long-ragged` nothing."""
    from sftframe import Role, TokenizedExample

    numbers = random.Random(1)
    system = [numbers.randrange(end_id) for _ in range(SYSTEM_TOKENS if kind == "long-common" else 0)]
    rows = []
    for index in range(NUM_ROWS):
        own = [numbers.randrange(end_id) for _ in range(numbers.choice(LENGTHS) - len(system) - 1)]
        num_answered = int(ANSWER_SHARE * len(own))
        roles = [Role.TEMPLATE] * len(system) + [Role.INSTRUCTION] * (len(own) - num_answered)
        roles += [Role.RESPONSE] * num_answered + [Role.END]
        rows.append(TokenizedExample(ids=[*system, *own, end_id], roles=roles, index=index))
    return rows


def batches(options: argparse.Namespace) -> Iterator[Any]:
    """The batches of every contender: file order, as the collate strategy makes them."""
    from sftframe.training import StepLoader

    config, components, rows = prepared(options)
    for data in StepLoader(rows, components.strategy, config.train, seed=1).steps():
        yield data.micro_batches[0]
