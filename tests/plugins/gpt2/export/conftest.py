"""Settings of an export, a small model with a template, and prompts of every kind."""

import random
from collections.abc import Callable

import pytest

from sftframe import ExportSettings

MakeSettings = Callable[..., ExportSettings]


@pytest.fixture
def make_settings() -> MakeSettings:
    """`make_settings(target, dtype="float32")`."""

    def make(target: str, dtype: str = "float32") -> ExportSettings:
        return ExportSettings(
            target=target,
            dtype=dtype,
            chat_template="Q: {{ messages[0]['content'] }}\nA:",
            max_new_tokens=12,
            name="toy",
        )

    return make


@pytest.fixture(scope="session")
def random_texts() -> list[str]:
    """Letters, signs, white space and symbols of many scripts, mixed at random; the seed is fixed."""
    draw = random.Random(6)
    blocks = ((0x20, 0x7F), (0x20, 0x7F), (0xA0, 0x250), (0x370, 0x600), (0x2000, 0x2070), (0x3000, 0x3100))
    blocks += ((0x4E00, 0x4F00), (0x1F600, 0x1F680), (0x09, 0x0E))
    return ["".join(chr(draw.randrange(*draw.choice(blocks))) for _ in range(40)) for _ in range(100)]
