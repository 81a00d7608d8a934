"""The sources of GPT-2's weights: one module per kind of file or service; all give the same tensors."""
