"""Sizes as people write and read them."""

from __future__ import annotations

import re

import typer

from gantry.main import cli_output

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)B?", re.IGNORECASE | re.ASCII)
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def parse_size(text: str | None) -> int | None:
    """Bytes of 500GB, 1.5T, 0. Raises BadParameter."""
    if text is None:
        return None
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise typer.BadParameter(f"{text[:40]!r} is no size: write 500GB, 1.5TB or a number of bytes")
    return int(float(match[1]) * _UNITS[match[2].upper()])


def gigabytes(count: int | None) -> str:
    """A size, or nothing where there is none."""
    return "" if count is None else cli_output.size(count)
