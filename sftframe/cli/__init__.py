"""The command line: one module per group of commands, `render` for all that a person sees."""
