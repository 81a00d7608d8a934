"""A new plugin as a distribution of its own: written whole, or not at all.

The texts are Jinja templates beside this file; what is installed and taken is for the caller to know.
"""

from __future__ import annotations

from sftframe.scaffold.project import LICENSES, PluginProject, default_author
from sftframe.scaffold.writing import write_project

__all__ = ["LICENSES", "PluginProject", "default_author", "write_project"]
