"""The ZIP of a study: its length is told before, a real unzip takes it, and what breaks off is no whole file."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest
from pydicom.data import get_testdata_file
from tests.gantry.accounts.people import bearer
from tests.gantry.dicomweb.placed import place_bytes

from gantry import config
from gantry.dicomweb import zip_form
from gantry.dicomweb.zip_form import Entry, Written

GIB = 1 << 30
CT = Path(str(get_testdata_file("CT_small.dcm", download=False)))


def write(path: Path, files: list[tuple[bytes, bytes, int]]) -> list[Entry]:
    """A ZIP on disk of (name, content, zeros after it): the zeros are holes of the file and cost nothing."""
    entries, written = [], []
    with path.open("wb") as target:
        for name, content, zeros in files:
            entry = Entry(name, len(content) + zeros)
            crc = zlib.crc32(content) if not zeros else 0
            entries.append(entry)
            written.append(Written(entry, crc, target.tell()))
            target.write(zip_form.header(entry) + content)
            target.seek(zeros, os.SEEK_CUR)
            target.write(zip_form.descriptor(entry, crc))
        begin = target.tell()
        directory = b"".join(map(zip_form.directory_entry, written))
        target.write(directory + zip_form.end(len(written), begin, len(directory)))
    return entries


@pytest.mark.parametrize("files", [
    [], [(b"001-CT/00001.dcm", b"", 0)],
    [(b"a.dcm", b"x" * 70_000, 0), (b"b.dcm", b"", 0)],
    [(b"large.dcm", b"", 5 * GIB), (b"after.dcm", b"found", 0)],
    [(b"edge.dcm", b"", 4 * GIB - 1), (b"after.dcm", b"found", 0)],
    [(b"two.dcm", b"", 2 * GIB), (b"more.dcm", b"", 2 * GIB), (b"after.dcm", b"found", 0)],
], ids=["none", "empty", "small", "5 GiB", "4 GiB less one", "together 4 GiB"])  # fmt: skip
def test_the_length_is_known_before(tmp_path: Path, files: list[tuple[bytes, bytes, int]]) -> None:
    entries = write(tmp_path / "x.zip", files)
    assert (tmp_path / "x.zip").stat().st_size == zip_form.length(entries)
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        assert [(info.filename.encode(), info.file_size) for info in archive.infolist()] == [
            (one.name, one.size) for one in entries
        ]
        for (name, content, zeros), info in zip(files, archive.infolist(), strict=True):
            if not zeros:
                assert archive.read(info) == content, name


def test_more_files_than_old_programs_count(tmp_path: Path) -> None:
    entries = write(tmp_path / "x.zip", [(b"%05d.dcm" % number, b"", 0) for number in range(65_536)])
    assert (tmp_path / "x.zip").stat().st_size == zip_form.length(entries)
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        assert len(archive.infolist()) == 65_536
        assert archive.read("65535.dcm") == b""


@pytest.mark.django_db
class TestDownload:
    @pytest.fixture
    def study(self) -> tuple[str, list[Any]]:
        """UID and versions of a study of three files."""
        content = CT.read_bytes()
        return "2.25.17", [place_bytes(content, study="2.25.17", series="2.25.17.1", instance=f"2.25.17.1.{n}") for n in range(3)]

    def test_unzip_takes_it(self, tmp_path: Path, study: tuple[str, list[Any]]) -> None:
        answer = bearer().get(f"/api/v1/studies/{study[0]}/archive")
        content, error = asyncio.run(taken(answer))
        assert error is None
        assert len(content) == int(answer["Content-Length"])
        (tmp_path / "x.zip").write_bytes(content)
        if shutil.which("unzip") is None:
            pytest.skip("unzip is not installed (apt-get install unzip)")
        ran = subprocess.run(["unzip", "-o", "-q", "x.zip"], cwd=tmp_path, capture_output=True, check=False)
        assert (ran.returncode, ran.stderr) == (0, b"")
        assert {path.read_bytes() for path in tmp_path.rglob("*.dcm")} == {CT.read_bytes()}
        assert len(list(tmp_path.rglob("*.dcm"))) == 3

    @pytest.mark.parametrize("how", ["gone", "shorter"])
    def test_a_study_that_vanishes_half_way_breaks_off(self, study: tuple[str, list[Any]], how: str) -> None:
        answer = bearer().get(f"/api/v1/studies/{study[0]}/archive")
        path = Path(config.current().home) / study[1][1].file_path
        if how == "gone":
            path.unlink()
        else:
            path.write_bytes(path.read_bytes()[:-10])
        content, error = asyncio.run(taken(answer))
        assert isinstance(error, OSError)
        assert study[1][0].file_bytes < len(content) < int(answer["Content-Length"])


async def taken(answer: Any) -> tuple[bytes, Exception | None]:
    """What comes, and how it ends."""
    content = b""
    try:
        async for chunk in answer.streaming_content:
            content += chunk
    except OSError as error:
        return content, error
    return content, None
