"""The kept fuzz corpus and fixed random changes of it: only the errors that belong to the reader, and bounded memory.

This needs no atheris; `make fuzz` goes further (docs/howto/fuzz.md).
"""

from __future__ import annotations

import random
import resource
import time
from collections.abc import Iterator

import pytest
from fuzz.corpus import read_corpus
from fuzz.targets import NAMES, load

SECONDS = 0.3
targets = pytest.mark.parametrize("name", NAMES)
#: Readers of the server: where only the engine is installed they cannot be tested.
OF_THE_SERVER = {"dataset_scan", "part10"}


def changed(inputs: list[bytes], source: random.Random) -> Iterator[bytes]:
    """Endlessly: an input with a few bytes changed, doubled, lost, or with the tail of another."""
    extremes = (b"\0", b"\xff", b"\x7f\xff", b"\xff\xff", b"\xff\xff\xff\xff", b"\x80\0\0\0", b"\xfe\xff\0\xe0")
    while True:
        data = bytearray(source.choice(inputs))
        for _ in range(source.randint(1, 4)):
            at = source.randrange(len(data) + 1)
            match source.randrange(6):
                case 0:
                    data[at : at + 1] = bytes((source.randrange(256),))
                case 1:
                    piece = source.choice(extremes)
                    data[at : at + len(piece)] = piece
                case 2:
                    del data[at : at + source.randint(1, 16)]
                case 3:
                    data[at:at] = data[at : at + source.randint(1, 64)]
                case 4:
                    data[at:] = source.choice(inputs)[at:]
                case _:
                    if at < len(data):
                        data[at] ^= 1 << source.randrange(8)
        yield bytes(data[:8192])


@pytest.fixture(autouse=True)
def _installed(name: str) -> None:
    if name in OF_THE_SERVER:
        pytest.importorskip("gantry.dataset")


@targets
def test_kept_inputs(name: str) -> None:
    target = load(name)
    for data in read_corpus(name):
        target.one(data)


@targets
def test_changed_inputs(name: str) -> None:
    target, inputs = load(name), read_corpus(name)
    assert inputs
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    deadline, runs = time.monotonic() + SECONDS, 0
    for data in changed(inputs, random.Random(name)):
        try:
            target.one(data)
        except Exception as error:
            raise AssertionError(f"{name} after {runs} runs, on {data.hex()}") from error
        runs += 1
        if runs % 64 == 0 and time.monotonic() > deadline:
            break
    assert runs >= 100
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 64 * 1024, f"{grown} KiB more memory"
