"""Scripts that make the generated parts of `docs/`: reference pages, pictures, the tutorial's output."""
