"""`installed` holds plugins that are broken on purpose: they are installed by tests, never collected."""

collect_ignore = ["installed"]
