"""How answers are written in batches, for any network that keeps what it has read; the model backends use it."""
