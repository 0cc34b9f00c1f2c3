"""One target in the hands of atheris: python -m fuzz.one TARGET [libFuzzer options] [corpus]. `fuzz.run` starts it."""

from __future__ import annotations

import sys

import atheris  # type: ignore[import-untyped]

from fuzz import targets


def main() -> None:
    """Instrument what is imported from here on, then fuzz."""
    name = sys.argv[1]
    with atheris.instrument_imports(include=["dimse", "gantry.dataset"]):
        target = targets.load(name)
    atheris.Setup([sys.argv[0], *sys.argv[2:]], target.one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
