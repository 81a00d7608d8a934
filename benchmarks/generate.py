"""New tokens per second over the test prompts: sftframe beside `transformers.generate` and the chapter's loop.

    python -m benchmarks.generate --data instruction-data.json --tokenizer gpt2/

`--size smollm` is a Llama of SmolLM-135M's shape with GPT-2's vocabulary, through the backend `hf`.

The same prompts, sizes and greedy decoding in float32; every contender in a process of its own, in turn. Weights are
random unless `--weights` names a run's `model/`, so nothing stops an answer but its limit. The chapter's loop answers
only the first prompts, one at a time as it does. Peers that are not installed are left out. Tokens are not looked up
in the text (`generate.lookup`) unless `--lookup` says so: random weights repeat themselves, and would gain too much.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.harness import Measured, compete, table, worker

CONTENDERS = (
    "sftframe",
    "sftframe-32",
    "sftframe-1",
    "transformers-32",
    "transformers-all",
    "transformers-1",
    "chapter",
)
NEEDED = {"chapter": "llms_from_scratch", "transformers": "transformers"}
SIZES = {"124M": (768, 12, 12), "355M": (1024, 24, 16)}
BACKENDS = {"124M": "gpt2-small", "355M": "gpt2-medium"}
END_ID = 50256
SMOLLM = {
    "vocab_size": END_ID + 1,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
    "bos_token_id": END_ID,
    "eos_token_id": END_ID,
}
"""SmolLM-135M's shape; its own vocabulary has 49,152 tokens."""

Worked = tuple[int, float, float]
"""New tokens, seconds, seconds of CPU time."""


def main() -> None:
    options = _options()
    if options.worker:
        _work(options)
        return
    shared = [
        *("--data", str(options.data), "--tokenizer", str(options.tokenizer), "--size", options.size),
        *("--new-tokens", str(options.new_tokens), "--few", str(options.few)),
        *("--lookup", options.lookup),
        *(["--weights", str(options.weights)] if options.weights else []),
    ]
    chosen = [name for name in options.contenders.split(",") if _is_installed(name)]
    with tempfile.TemporaryDirectory() as folder:
        if options.size == "smollm":
            _write_smollm(Path(folder), options.tokenizer)
            shared += ["--folder", folder]
        commands = {name: worker("benchmarks.generate", name, *shared) for name in chosen}
        results = compete(commands, rounds=options.rounds, retries=options.retries)
    if options.json:
        print(json.dumps([one.document() for one in results.values()], indent=2))
    else:
        title = f"{options.weights or options.size}, {options.new_tokens} new tokens, {options.data.name}"
        print(title, table(results, chosen[0], "seconds per 1,000 new tokens"), _rates(results), sep="\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worker", metavar="NAME", help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, required=True, help="instruction data, JSON; its test part is asked")
    parser.add_argument("--tokenizer", type=Path, required=True, help="folder with vocab.bpe and encoder.json")
    parser.add_argument("--size", default="124M", choices=[*sorted(SIZES), "smollm"])
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--weights", type=Path, help="a run's model/ instead of random weights of that size")
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--few", type=int, default=8, help="prompts of those that answer one at a time")
    parser.add_argument("--lookup", default="off", choices=["auto", "on", "off"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--retries", type=int, default=3, help="how often a round with foreign load is run again")
    parser.add_argument("--contenders", default=",".join(CONTENDERS))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--profile", type=Path, help="write a trace of sftframe's passes here (chrome://tracing)")
    options = parser.parse_args()
    if options.profile:
        options.worker = "sftframe"
    return options


def _write_smollm(folder: Path, tokenizer: Path) -> None:
    """A folder with the configuration and GPT-2's tokenizer, in transformers' form."""
    from transformers import GPT2TokenizerFast, LlamaConfig

    config = LlamaConfig(**SMOLLM)
    config.architectures = ["LlamaForCausalLM"]
    config.save_pretrained(folder)
    loaded = GPT2TokenizerFast(vocab=str(tokenizer / "encoder.json"), merges=str(tokenizer / "vocab.bpe"))
    loaded.save_pretrained(folder)


def _is_installed(name: str) -> bool:
    needed = NEEDED.get(name.partition("-")[0])
    return needed is None or importlib.util.find_spec(needed) is not None


def _rates(results: dict[str, Measured]) -> str:
    return "\n".join(f"{name:28}{1000 / one.median:10.1f} tokens/s" for name, one in results.items())


def _work(options: argparse.Namespace) -> None:
    from sftframe.device import peak_memory_bytes, set_up_threads
    from sftframe.device.cpu import keep_freed_memory

    set_up_threads(None)
    kind, _, size = options.worker.partition("-")
    if kind == "sftframe":
        keep_freed_memory()  # as every run does
    contender: Callable[[argparse.Namespace, int | None], Worked] = {
        "sftframe": _sftframe,
        "transformers": _transformers,
        "chapter": _chapter,
    }[kind]
    num_tokens, seconds, cpu_seconds = contender(options, None if size in ("", "all") else int(size))
    result = {
        "seconds": [1000 * seconds / num_tokens],
        "cpu_seconds": 1000 * cpu_seconds / num_tokens,
        "num_tokens": num_tokens,
        "peak_memory_bytes": peak_memory_bytes("cpu"),
    }
    print(json.dumps(result), flush=True)


def _timed(work: Callable[[], int]) -> Worked:
    start, cpu = time.perf_counter(), time.process_time()
    num_tokens = work()
    return num_tokens, time.perf_counter() - start, time.process_time() - cpu


def _prompts(options: argparse.Namespace, batch_size: int | None) -> tuple[Any, list[list[int]]]:
    """The backend, and the test prompts as ids; the first few where they are answered one at a time."""
    from sftframe.data import load_examples, split
    from sftframe.pipeline import Components, resolve
    from sftframe.prompts.tokens import encode_prompts
    from sftframe.registry import load_registry

    registry = load_registry()
    model: dict[str, Any] = {
        "name": BACKENDS.get(options.size, ""),
        "weights": "random",
        "tokenizer": str(options.tokenizer),
    }
    if options.weights:
        model = {"name": "gpt2", "weights": str(options.weights)}
    if options.folder:
        model = {"name": "hf", "repo": str(options.folder), "weights": "random"}
    config = resolve({"model": model, "data": {"source": str(options.data)}}, registry)
    components = Components.choose(config, registry)
    test = split(load_examples(config.data), config.data).test
    prompts = encode_prompts(test[: options.few] if batch_size == 1 else test, components.style, components.tokenizer)
    return components.backend, prompts


def _sftframe(options: argparse.Namespace, batch_size: int | None) -> Worked:
    from torch.profiler import profile

    from sftframe import GenerationSettings

    backend, prompts = _prompts(options, batch_size)
    model = backend.load(device="cpu", dtype="float32", seed=1)
    settings = GenerationSettings(max_new_tokens=options.new_tokens, batch_size=batch_size, lookup=options.lookup)
    list(model.generate(prompts[:1], replace(settings, max_new_tokens=1)))  # how it is computed is found out once
    with profile() if options.profile else nullcontext() as trace:
        worked = _timed(lambda: sum(len(answer.ids) for answer in model.generate(prompts, settings)))
    if options.profile:
        trace.export_chrome_trace(str(options.profile))
        print(trace.key_averages().table(sort_by="self_cpu_time_total", row_limit=25), file=sys.stderr)
    return worked


def _transformers(options: argparse.Namespace, batch_size: int | None) -> Worked:
    """Batches in order of length, padded on the left, which is how it is fastest."""
    import torch

    _, prompts = _prompts(options, batch_size)
    model = _their_model(options)
    pad_id = model.config.eos_token_id
    rows = sorted(prompts, key=len)

    def work() -> int:
        num_tokens, size = 0, batch_size or len(rows)
        for batch in (rows[start : start + size] for start in range(0, len(rows), size)):
            longest = max(map(len, batch))
            ids = torch.tensor([[pad_id] * (longest - len(row)) + row for row in batch])
            mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in batch])
            how = {"max_new_tokens": options.new_tokens, "do_sample": False, "pad_token_id": pad_id}
            new = model.eval().generate(ids, attention_mask=mask, **how)[:, longest:]
            num_tokens += int((new != pad_id).sum()) if options.weights else new.numel()
        return num_tokens

    model.eval().generate(torch.tensor(prompts[:1]), max_new_tokens=1, do_sample=False, pad_token_id=pad_id)
    return _timed(work)


def _their_model(options: argparse.Namespace) -> Any:
    from transformers import AutoConfig, AutoModelForCausalLM, GPT2Config

    if options.weights:
        return AutoModelForCausalLM.from_pretrained(options.weights)
    if options.folder:
        config = AutoConfig.from_pretrained(options.folder)
    else:
        width, layers, heads = SIZES[options.size]
        config = GPT2Config(n_embd=width, n_layer=layers, n_head=heads)
    model = AutoModelForCausalLM.from_config(config)
    model.generation_config.eos_token_id = None
    return model


def _chapter(options: argparse.Namespace, _batch_size: int | None) -> Worked:
    """The book's model in the chapter's loop: one prompt at a time, everything computed again for every token."""
    import torch
    from llms_from_scratch.ch04 import GPTModel
    from llms_from_scratch.ch05 import generate

    if options.weights or options.folder:
        raise SystemExit("the chapter's contender is a GPT-2 of random weights: name the others with --contenders")
    _, prompts = _prompts(options, 1)
    width, layers, heads = SIZES[options.size]
    sizes = {"vocab_size": END_ID + 1, "context_length": 1024, "emb_dim": width, "n_heads": heads, "n_layers": layers}
    model = GPTModel({**sizes, "drop_rate": 0.0, "qkv_bias": True}).eval()

    def work() -> int:
        num_tokens = 0
        for prompt in prompts:
            whole = generate(model, torch.tensor([prompt]), options.new_tokens, 1024, eos_id=END_ID)
            num_tokens += whole.shape[1] - len(prompt)
        return num_tokens

    return _timed(work)


if __name__ == "__main__":
    main()
