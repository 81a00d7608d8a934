"""`python -m recipes.nano tokenizer|pretrain|evaluate`: makes and measures the bundled model."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from recipes.nano.evaluate import evaluate
from recipes.nano.finetune import FinetuneOptions
from recipes.nano.pretrain import PretrainOptions, pretrain
from recipes.nano.tokenizer import train_tokenizer, write_vocab
from recipes.nano.weights import WEIGHTS_PATH, load_weights, write_config


def main() -> None:
    """Reads the command line and does one thing."""
    arguments = make_parser().parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.action == "tokenizer":
        write_vocab(train_tokenizer())
        write_config()
    elif arguments.action == "pretrain":
        pretrain(PretrainOptions(minutes=arguments.minutes, out_path=arguments.weights))
    else:
        options = FinetuneOptions(num_epochs=arguments.epochs, batch_size=arguments.batch_size, lr=arguments.lr)
        evaluate(load_weights(arguments.weights), arguments.part, options)


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    defaults = FinetuneOptions()
    parser = argparse.ArgumentParser(prog="python -m recipes.nano", description=__doc__)
    parser.add_argument("action", choices=("tokenizer", "pretrain", "evaluate"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--weights", type=Path, default=WEIGHTS_PATH, help="file to write or to measure")
    parser.add_argument("--minutes", type=float, default=50.0, help="how long to pretrain")
    parser.add_argument("--part", choices=("test", "validation"), default="validation")
    parser.add_argument("--epochs", type=int, default=defaults.num_epochs)
    parser.add_argument("--batch-size", type=int, default=defaults.batch_size)
    parser.add_argument("--lr", type=float, default=defaults.lr)
    return parser


if __name__ == "__main__":
    main()
