"""HTTP clients with limits, downloads that are checked, and a guard for work that must not use a network."""
