"""Writes a new plugin as a complete package, or nothing at all. The texts are Jinja templates in `templates/`.

The caller checks which names are installed already.
"""

from __future__ import annotations

from sftframe.scaffold.project import LICENSES, PluginProject, default_author
from sftframe.scaffold.writing import write_project

__all__ = ["LICENSES", "PluginProject", "default_author", "write_project"]
