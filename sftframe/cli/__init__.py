"""The command line: one module per group of commands; `render` prints progress and results."""
