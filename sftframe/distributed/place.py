"""Which of several processes this one is. Nothing heavy is imported: every command asks."""

from __future__ import annotations

import importlib.metadata
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from sftframe.errors import ConfigError

TIMEOUT_VARIABLE = "SFTFRAME_RANK_TIMEOUT_S"
"""Environment variable: see `Place.timeout_s`."""

LAUNCHED_VARIABLE = "SFTFRAME_LAUNCHED"
"""Environment variable that `--nproc` sets for its processes: it tells the user which of them was killed."""

EXIT_TOLD = 7
"""Exit code of a rank whose failure rank 0 has told; as `TrainingError`'s."""


OLDEST_TORCH = (2, 13)
"""The version with which training on several processes was tested first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The place of this process among those that train together; torchrun's environment says it.

    >>> Place.read({"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}).local_rank
    1
    >>> Place.read({}).world_size
    1
    """

    rank: int = 0
    """Among all processes; rank 0 leads."""
    world_size: int = 1
    """Number of all processes."""
    local_rank: int = 0
    """Among the processes of this machine."""
    local_world_size: int = 1
    """Number of processes of this machine."""
    timeout_s: float = 600.0
    """A rank that gives no sign of life for so long ends the job."""
    is_launched: bool = False
    """Whether `--nproc` started the processes, and not torchrun."""

    @property
    def is_alone(self) -> bool:
        """Whether there is no other process."""
        return self.world_size == 1

    @property
    def leads(self) -> bool:
        """Whether this process does the run; the others compute what it asks for."""
        return self.rank == 0

    @property
    def name(self) -> str:
        """For messages: `rank 3 on HOST`."""
        return named(self.rank, socket.gethostname())

    @classmethod
    def read(cls, variables: Mapping[str, str] = os.environ) -> Place:
        """The place that the environment variables of torchrun give; a single process without them.

        Raises:
            ConfigError: a variable is no number, or the rank is not below the world size.
        """
        if "RANK" not in variables or "WORLD_SIZE" not in variables:
            return cls()
        rank, world_size = _number(variables, "RANK"), _number(variables, "WORLD_SIZE")
        if not rank < world_size:
            raise ConfigError(f"environment: RANK is {rank}, expected a number below WORLD_SIZE={world_size}")
        return cls(
            rank=rank,
            world_size=world_size,
            local_rank=_number(variables, "LOCAL_RANK", rank),
            local_world_size=_number(variables, "LOCAL_WORLD_SIZE", world_size),
            timeout_s=_number(variables, TIMEOUT_VARIABLE, 600),
            is_launched=LAUNCHED_VARIABLE in variables,
        )


def check_torch() -> None:
    """Check that torch has what training on several processes uses.

    Raises:
        ConfigError: it is older.
    """
    found = importlib.metadata.version("torch")
    if tuple(int(part) for part in re.findall(r"\d+", found)[:2]) < OLDEST_TORCH:
        oldest = ".".join(map(str, OLDEST_TORCH))
        raise ConfigError(f"several processes need torch {oldest} or newer, found {found}: pip install -U torch")


def named(rank: int, host: str) -> str:
    """A rank in words.

    >>> named(3, "node-b")
    'rank 3 on node-b'
    """
    return f"rank {rank} on {host}"


def _number(variables: Mapping[str, str], name: str, default: int = 0) -> int:
    text = variables.get(name, str(default))
    if not text.isdecimal():
        raise ConfigError(f"environment: {name} is {text!r}, expected a whole number")
    return int(text)
