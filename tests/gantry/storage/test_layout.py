"""object_path and resolve: only checked names become paths."""

from __future__ import annotations

import hashlib
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.storage import object_path, quarantine_path
from gantry.storage.errors import PathRefused
from gantry.storage.layout import resolve

_numbers = st.lists(st.integers(0, 10**9).map(str), min_size=1, max_size=6).map(".".join)


@given(_numbers, _numbers, _numbers, st.none() | st.binary(min_size=32, max_size=32))
def test_paths_of_dotted_numbers(study: str, series: str, instance: str, digest: bytes | None) -> None:
    path = object_path(study, series, instance, digest)
    shard = hashlib.sha256(study.encode()).hexdigest()[:2]
    version = f"~{digest.hex()[:16]}" if digest else ""
    assert path == f"objects/{shard}/{study}/{series}/{instance}{version}.dcm"
    assert resolve(Path("/h"), path) == f"/h/{path}"


@given(st.text(max_size=70))
def test_anything_else_is_refused(text: str) -> None:
    parts = text.split(".")
    if len(text) <= 64 and all(part and part.isascii() and part.isdigit() for part in parts):
        return
    for names in ((text, "1", "1"), ("1", text, "1"), ("1", "1", text)):
        with pytest.raises(PathRefused):
            object_path(*names)


@pytest.mark.parametrize("text", ["", ".", "..", "1..2", ".1", "1.", "1/2", "1\n", "\u0661", "1" * 65, "1.2\0", "-1", "1.2 "])
def test_near_misses_are_refused(text: str) -> None:
    with pytest.raises(PathRefused) as caught:
        object_path("1", text, "1")
    assert not text.strip(". ") or text not in str(caught.value), "names do not go into messages"


def test_quarantine() -> None:
    identifier = UUID("6f1c8a0e-0000-4000-8000-000000000001")
    assert resolve(Path("/h"), quarantine_path(identifier)) == f"/h/quarantine/{identifier}.dcm"
