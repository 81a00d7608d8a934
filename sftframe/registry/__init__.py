"""The registry: which plugins are installed, which of them work, and their components by name.

One loop reads the entry points of the group `sftframe`. A broken plugin becomes a row with its error, never a crash.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Sequence
from typing import Any

from sftframe.errors import SftframeError
from sftframe.registry.admission import admit
from sftframe.registry.discovery import Candidate, discover, switched_off
from sftframe.registry.lookup import FIRST_PARTY, Plugin, PluginInfo, Registry, listed
from sftframe.registry.seams import Seam
from sftframe.registry.wall import plugin_wall

__all__ = ["PluginInfo", "Registry", "Seam", "load_registry"]


def load_registry(*, disabled: Sequence[str] = ()) -> Registry:
    """Find, import and check all installed plugins.

    Args:
        disabled: plugins that are not imported: ids (`distribution:entry-point`), distributions or entry points. The
            environment variable `SFTFRAME_DISABLE` names more of them, separated by commas.

    Raises:
        ConfigError: a name in `disabled` is not an installed plugin.
    """
    candidates = discover()
    off = switched_off(candidates, disabled)
    return Registry(_disabled(c) if c.id in off else _imported(c) for c in candidates)


def _imported(candidate: Candidate) -> Plugin:
    started = time.perf_counter()
    try:
        # what a plugin prints while it is imported must not get into a command's result
        with contextlib.redirect_stdout(sys.stderr), plugin_wall(candidate.package):
            offers = admit(candidate.entry_point.load(), candidate.package)
    except SftframeError as error:
        return Plugin(_info(candidate, status="broken", error=str(error), import_s=time.perf_counter() - started))
    return Plugin(_info(candidate, components=listed(offers), import_s=time.perf_counter() - started), offers)


def _disabled(candidate: Candidate) -> Plugin:
    return Plugin(_info(candidate, status="disabled"))


def _info(candidate: Candidate, **rest: Any) -> PluginInfo:
    return PluginInfo(
        id=candidate.id,
        distribution=candidate.distribution,
        version=candidate.version,
        module=candidate.entry_point.module,
        is_first_party=candidate.distribution == FIRST_PARTY,
        **rest,
    )
