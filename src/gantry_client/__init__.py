"""Python client of a Gantry server; knows only HTTP."""
