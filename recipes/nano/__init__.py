"""The bundled `gpt2-nano`: its pretraining text, its tokenizer, its pretraining and a yardstick for fine-tuning it."""
