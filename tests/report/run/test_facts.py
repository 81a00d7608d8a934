"""The set-up of runs in a few lines, and as a paragraph."""

from typing import Any

from sftframe.report.summary import RunFacts, run_methods, setup_facts


def facts(**changes: Any) -> RunFacts:
    settings = {
        "model.name": "gpt2-large",
        "model.dropout": 0.1,
        "prompt.name": "phi3",
        "collate.name": "prompt-weight",
        "collate.weight": 0.25,
        "judge.name": "ollama",
        "judge.model": "llama3",
        "judge.cache": True,
        "seed": 7,
        "train.epochs": 3.0,
        "train.batch_size": 4,
        "train.accumulate": 2,
        "train.lr": 0.0002,
        "train.schedule": "cosine",
        "train.warmup_steps": 10,
        "train.weight_decay": 0.05,
        "train.betas": [0.9, 0.95],
        "train.lora.rank": 8,
        "generate.max_new_tokens": 1200,
        "generate.temperature": 0.7,
        "generate.top_k": 40,
        **changes,
    }
    manifest = {
        "versions": {"sftframe": "9.8.7", "torch": "2.9.1"},
        "data": {"source": "/home/me/qa.json", "sha256": "ab" * 32, "train": 1935, "test": 110, "validation": 55},
        "lengths": {"max_length": 1024},
        "device": "cuda",
        "dtype": "bfloat16",
        "machine": {"cpu": "a slow one", "python": "3.12.1", "threads": 2, "devices": ["cpu", "cuda:0 NVIDIA H200"]},
    }
    summary = {"train": {"steps": 726, "seconds": 3700.0, "tokens_seen": 1234567}}
    return RunFacts(settings=settings, manifest=manifest, summary=summary)


def test_a_run_says_with_what_it_was_made_and_what_it_cost() -> None:
    assert dict(setup_facts([facts()])) == {
        "Model": "gpt2-large (dropout 0.1)",
        "Adapters": "LoRA of rank 8",
        "Prompt style": "phi3",
        "Collate strategy": "prompt-weight (weight 0.25)",
        "Data": f"/home/me/qa.json, SHA-256 {'ab' * 32}",
        "Split": "1,935 train, 110 test, 55 validation, in file order",
        "Training": "3 epochs (726 steps) in batches of 4 x 2, at most 1,024 tokens an example",
        "Optimizer": "AdamW, learning rate 0.0002, cosine schedule, 10 warm-up steps, weight decay 0.05, "
        "betas 0.9 and 0.95",
        "Answers": "sampling at temperature 0.7, top_k 40, at most 1,200 new tokens",
        "Judge": "ollama (model llama3)",
        "Seed": "7",
        "Machine": "cuda:0 NVIDIA H200, bfloat16",
        "Software": "sftframe 9.8.7, PyTorch 2.9.1 and Python 3.12.1",
        "Cost": "Training took 1 h 1 min and saw 1,234,567 tokens",
    }


def test_what_runs_do_not_share_is_listed_and_their_cost_is_added_up() -> None:
    told = dict(setup_facts([facts(), facts(**{"seed": 8, "train.lr": 0.5})]))
    assert told["Seeds"] == "7; 8"
    assert told["Model"] == "gpt2-large (dropout 0.1)"
    assert "learning rate 0.0002," in told["Optimizer"]
    assert "learning rate 0.5," in told["Optimizer"]
    assert told["Cost"] == "Training took 2 h 3 min for all 2 runs (1 h 1 min a run) and saw 2,469,134 tokens"


def test_a_paragraph_has_the_exact_figures() -> None:
    paragraph = run_methods(facts())
    for part in ("sftframe 9.8.7", "1,935 examples of qa.json (SHA-256 abababababababab)", "learning rate 0.0002"):
        assert part in paragraph
    assert paragraph.count("\n") == 0


def test_files_that_lack_everything_or_hold_nonsense_cost_lines_and_no_report() -> None:
    assert setup_facts([RunFacts(settings={}, manifest={}, summary={})]) == (("Software", "sftframe"),)
    odd = RunFacts(
        settings={"train.lr": "fast", "train.epochs": "many"},
        manifest={"data": {"train": "few"}},
        summary={"train": {"tokens_seen": "lots"}},
    )
    assert dict(setup_facts([odd]))["Training"] == "many epochs"
