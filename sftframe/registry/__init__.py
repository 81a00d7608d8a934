"""The registry: which plugins are installed, which of them work, and their components by name.

One loop reads the entry points of the group `sftframe`. A broken plugin becomes a row with its error, never a crash.
"""

from sftframe.plugins import Seam
from sftframe.registry.components import PluginInfo, Registry, load_registry
from sftframe.registry.discovery import NAME_PATTERN, discover

__all__ = ["NAME_PATTERN", "PluginInfo", "Registry", "Seam", "discover", "load_registry"]
