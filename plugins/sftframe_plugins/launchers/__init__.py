"""The launchers that come with sftframe: `ray` runs cells on a Ray cluster, `slurm` as jobs of Slurm."""

from __future__ import annotations

from collections.abc import Iterable

from sftframe import Launcher, hookimpl
from sftframe_plugins.launchers.ray_tasks import RayLauncher
from sftframe_plugins.launchers.slurm_jobs import SlurmLauncher


@hookimpl
def sftframe_launchers() -> Iterable[type[Launcher]]:
    """All launchers of this plugin."""
    return (RayLauncher, SlurmLauncher)
