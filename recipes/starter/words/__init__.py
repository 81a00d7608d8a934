"""Word lists: plain tables of common words and well-known facts, one module a kind. No sentence is copied."""
