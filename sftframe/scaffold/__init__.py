"""Writes a new plugin as a complete package, or nothing at all. The texts are Jinja templates in `templates/`.

The caller checks which names are installed already.
"""

from sftframe.scaffold.project import PluginProject, write_project

__all__ = ["PluginProject", "write_project"]
