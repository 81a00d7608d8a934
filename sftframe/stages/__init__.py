"""The steps of a run, one module each. A stage uses records and interfaces, and never another stage."""
