"""How the generated parts of `docs/` are made: reference pages, pictures, the tutorial's output."""
