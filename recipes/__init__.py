"""Scripts that make what sftframe bundles, the `starter` data and the `gpt2-nano` model; not part of the package."""
