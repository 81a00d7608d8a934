"""Scripts that make what sftframe bundles: the `starter` data and the `gpt2-nano` model. Not part of the installed package."""
