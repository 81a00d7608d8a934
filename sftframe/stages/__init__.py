"""The steps of a run, one module each. A stage knows records and interfaces, and never another stage."""
