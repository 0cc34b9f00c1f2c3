"""A full volume: a named error, nothing half-written, and on it goes when space is back."""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gantry.storage import IncomingObject, SpoolReader, SpoolWriter
from gantry.storage import volume as volume_module
from gantry.storage.errors import StorageFull

from .conftest import OpenWriter
from .spool_maker import DIGEST_AT, PREFIX, advance, as_stored, data, events, objects, store, whole


def _fill(writer: SpoolWriter, size: int, seed: int, kept: list[bytes]) -> None:
    """Store until an error comes (the volume holds less than is tried)."""
    for index in range(2000):
        kept.append(store(writer, data(size, seed + index)))  # noqa: PERF401  what was kept before the error counts


def _send(incoming: IncomingObject, piece: memoryview) -> None:
    for _ in range(40):
        incoming.write(piece)


@pytest.mark.parametrize("size", [30_000, 300_000, 2_500_000])
def test_full_and_free_again(open_writer: OpenWriter, small_volume: Path, size: int) -> None:
    home = small_volume / "home"
    writer = open_writer(at=home)
    kept: list[bytes] = []
    for round_ in range(2):
        with pytest.raises(StorageFull):
            _fill(writer, size, 5000 * round_, kept)
    assert kept
    assert list((home / "spool").rglob("*.part")) == []
    positions: dict[str, int] = {}
    with SpoolReader(home) as reader:
        found = []
        while batch := reader.pending(positions, 10):
            advance(positions, batch)
            for obj in objects(batch):
                assert obj.digest() == obj.sha256
                found.append(obj.sha256)
            reader.release(objects(batch), positions)
        assert sorted(found) == sorted(kept)
        # No restart: the same writer goes on.
        assert store(writer, data(size, 9999)) == hashlib.sha256(data(size, 9999)).digest()
        assert len(objects(events(reader, positions))) == 1


def test_a_volume_without_direct_io_works(open_writer: OpenWriter, small_volume: Path) -> None:
    home = small_volume / "home"
    content = data(2_500_000)
    store(open_writer(at=home), content)
    with SpoolReader(home) as reader:
        assert [whole(obj) for obj in objects(events(reader))] == [as_stored(content)]


def test_the_reserve_is_kept(open_writer: OpenWriter, small_volume: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volume_module, "_CACHED_SECONDS", 0.0)
    home = small_volume / "home"
    reserve = 4 << 20
    writer = open_writer(at=home, reserve=reserve)
    with pytest.raises(StorageFull, match="reserve"):
        _fill(writer, 700_000, 0, [])
    assert volume_module.free_bytes(str(home)) > reserve - (2 << 20)
    with pytest.raises(StorageFull):
        writer.begin(PREFIX, DIGEST_AT)
    for path in (home / "spool/r0/incoming").iterdir():
        path.unlink()
    store(writer, data(700_000))


def test_a_large_object_stops_at_the_reserve(
    open_writer: OpenWriter, small_volume: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(volume_module, "_CACHED_SECONDS", 0.0)
    home = small_volume / "home"
    incoming = open_writer(at=home, reserve=5 << 20).begin(PREFIX, DIGEST_AT)
    piece = memoryview(data(500_000))
    with pytest.raises(StorageFull):
        _send(incoming, piece)
    with pytest.raises(StorageFull):
        incoming.write(piece)
    with pytest.raises(StorageFull):
        incoming.commit()
    incoming.abort()
    assert os.listdir(home / "spool/r0/incoming") == []


def test_open_on_a_full_volume(open_writer: OpenWriter, small_volume: Path) -> None:
    (small_volume / "ballast").write_bytes(bytes(12 << 20)[: volume_module.free_bytes(str(small_volume)) - 65_536])
    with pytest.raises(StorageFull):
        open_writer(at=small_volume / "home")
    (small_volume / "ballast").unlink()
    store(open_writer(at=small_volume / "home"), b"space is back")


def test_placing_on_a_full_volume_leaves_no_torn_file(open_writer: OpenWriter, small_volume: Path) -> None:
    home = small_volume / "home"
    store(open_writer(at=home), data(150_000))
    with SpoolReader(home) as reader:
        (obj,) = objects(events(reader))
        ballast = small_volume / "ballast"
        ballast.write_bytes(bytes(volume_module.free_bytes(str(small_volume)) - 65_536))
        with pytest.raises(StorageFull):
            reader.place(obj, "objects/00/1/2/3.dcm")
        assert not (home / "objects/00/1/2/3.dcm").exists()
        ballast.unlink()
        reader.place(obj, "objects/00/1/2/3.dcm")
        reader.sync()
    assert (home / "objects/00/1/2/3.dcm").read_bytes() == as_stored(data(150_000))


_LIMITED = """
import sys
sys.path[:0] = {paths!r}
import resource, signal
from pathlib import Path
from storage.spool_maker import data, store
from gantry.storage import SpoolWriter
from gantry.storage.errors import StorageFull
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
writer = SpoolWriter(Path({home!r}), "r0", durability="disk", reserve_bytes=0)
writer.open()
resource.setrlimit(resource.RLIMIT_FSIZE, (3 << 20, resource.RLIM_INFINITY))
try:
    store(writer, data(8_000_000))
except StorageFull:
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    store(writer, data(8_000_001))
    print("ok")
"""


def test_a_limit_on_file_sizes_is_a_full_volume(home: Path) -> None:
    here = Path(__file__).parent
    code = _LIMITED.format(paths=[str(here.parents[2] / "src"), str(here.parent)], home=str(home))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "ok\n", done.stderr
    with SpoolReader(home) as reader:
        assert [obj.size - len(PREFIX) for obj in objects(events(reader))] == [8_000_001]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    assert signal.getsignal(signal.SIGXFSZ) is not None
