"""Where GPT-2's weights come from: one module per kind of file or service, all giving the same tensors."""
