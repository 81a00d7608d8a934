"""Tiny tokenizers of the kinds that public models have, written as those models' folders have them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

TEXTS = (
    "The quick brown fox jumps over the lazy dog. Hello world, how are you today?",
    "Name a colour.\n\nRed is a colour. You are a helpful assistant. user system model",
    "Write a function:\n\n    def add(a, b):\n        return a + b\n",
    "naïve café, 東京 is in 日本. 12345 67 'it's' don't",
)
"""What the tiny vocabularies are trained on."""

GPT2_SPLIT = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
QWEN_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3_SPLIT = QWEN_SPLIT.replace(r"\p{N}|", r"\p{N}{1,3}|", 1)


def byte_level(split: str = GPT2_SPLIT, *, is_composed: bool = False, begin: str = "") -> Tokenizer:
    """As GPT-2, Qwen, Llama 3 and SmolLM: the 256 bytes and merges.

    Args:
        split: the pattern of words.
        is_composed: letters and their accents are joined first (NFC), as in Qwen.
        begin: a token that its post-processor puts first.
    """
    made = Tokenizer(models.BPE())
    if is_composed:
        made.normalizer = normalizers.NFC()
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(split), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    made.post_processor = processors.ByteLevel(trim_offsets=True)
    trainer = trainers.BpeTrainer(
        vocab_size=420, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    made.train_from_iterator(TEXTS, trainer)
    if begin:
        made.add_special_tokens([AddedToken(begin, special=True)])
        made.post_processor = processors.TemplateProcessing(
            single=f"{begin} $A", special_tokens=[(begin, made.token_to_id(begin))]
        )
    return made


def with_byte_fallback(
    specials: Sequence[str] = ("<unk>", "<s>", "</s>"), *, normalizer: Any = None, pre_tokenizer: Any = None
) -> Tokenizer:
    """As Llama 2, Mistral, Phi-3 and Gemma, which come from SentencePiece: letters, merges, and bytes for the rest.

    Args:
        specials: the first tokens of the vocabulary.
        normalizer: by default none.
        pre_tokenizer: by default a blank before the first word alone, as Llama and Mistral have it now.
    """
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    trained.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=300, show_progress=False))
    learned = json.loads(trained.to_str())["model"]
    vocabulary = [*specials, *(f"<0x{byte:02X}>" for byte in range(256)), *learned["vocab"]]
    merges = [tuple(merge) for merge in learned["merges"]]
    made = Tokenizer(
        models.BPE(
            {token: number for number, token in enumerate(dict.fromkeys(vocabulary))},
            merges,
            unk_token="<unk>",
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    if normalizer is not None:
        made.normalizer = normalizer
    made.pre_tokenizer = pre_tokenizer or pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    made.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    made.add_special_tokens([special(name) for name in specials])
    return made


def legacy_normalizer() -> Any:
    """As older files of Llama 2 have it: a blank before every piece of text."""
    return normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])


def unigram() -> Tokenizer:
    """As XGLM: pieces with scores; `<s>` and `</s>` are among them."""
    trained = Tokenizer(models.Unigram())
    trained.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    trainer = trainers.UnigramTrainer(
        vocab_size=200, special_tokens=["<s>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False
    )
    trained.train_from_iterator(TEXTS, trainer)
    trained.decoder = decoders.Metaspace(prepend_scheme="always")
    return trained


def special(name: str, *, rstrip: bool = False) -> AddedToken:
    """A special token."""
    return AddedToken(name, special=True, rstrip=rstrip, normalized=False)


def write(
    folder: Path,
    made: Tokenizer,
    *,
    specials: Sequence[str | AddedToken] = (),
    marks: Sequence[str] = (),
    template: str | None = None,
    rename: Callable[[str], str] | None = None,
    **settings: Any,
) -> Path:
    """Write the files of a tokenizer.

    Args:
        specials: further special tokens.
        marks: further tokens that are not called special.
        template: its chat template.
        rename: gives every special token and mark another name.
        settings: of `tokenizer_config.json`, for instance `eos_token`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made.add_special_tokens([special(each) if isinstance(each, str) else each for each in specials])
    made.add_tokens([AddedToken(mark, special=False, normalized=False) for mark in marks])
    config = {"tokenizer_class": "PreTrainedTokenizerFast", **settings}
    if template is not None:
        config["chat_template"] = template
    state, config = json.loads(made.to_str()), dict(config)
    if rename is not None:
        names = [token["content"] for token in state["added_tokens"]]
        state, config = _renamed(state, names, rename), _renamed(config, names, rename)
    (folder / "tokenizer.json").write_text(json.dumps(state), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def _renamed(value: Any, names: Sequence[str], rename: Callable[[str], str]) -> Any:
    """A JSON value with other names in all its texts."""
    if isinstance(value, dict):
        return {_renamed(key, names, rename): _renamed(each, names, rename) for key, each in value.items()}
    if isinstance(value, list):
        return [_renamed(each, names, rename) for each in value]
    if not isinstance(value, str):
        return value
    for name in names:
        value = value.replace(name, rename(name))
    return value
