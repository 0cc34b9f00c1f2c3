"""Programs of other implementations, both ways; what arrives is compared byte for byte."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dimse import ContextProposal, StoreResult, aio, blocking
from dimse.uids import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    JPEG_BASELINE,
    VERIFICATION,
)
from tests.dimse.drivers import DRIVERS, serving
from tests.support.peers import find_dcmtk

MR = "1.2.840.10008.5.1.4.1.1.4"
SYNTAXES = [IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN]
driver = pytest.mark.parametrize("driver", DRIVERS)


def program(name: str) -> str:
    found = find_dcmtk(name)
    if found is None:
        pytest.skip(f"{name} of DCMTK is not installed here")
    return found


def make_file(path: Path, uid: str, syntax: str, pixels: int = 0) -> bytes:
    """A Part 10 file; returns the bytes of its data set."""
    pydicom = pytest.importorskip("pydicom")
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = syntax, MR, uid
    ds = pydicom.Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID, ds.StudyInstanceUID, ds.SeriesInstanceUID = MR, uid, "1.2.3", "1.2.3.4"
    ds.PatientName, ds.PatientID, ds.Modality = "Tester^Wire", "W1", "MR"
    ds.Rows, ds.Columns, ds.BitsAllocated, ds.BitsStored, ds.HighBit = max(pixels, 2000) // 1000, 1000, 8, 8, 7
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
    data = bytes(i * 7 % 251 for i in range(ds.Rows * ds.Columns))
    ds.PixelData = pydicom.encaps.encapsulate([data]) if syntax == JPEG_BASELINE else data
    ds["PixelData"].VR = "OB"
    ds.file_meta = meta
    ds.save_as(path, enforce_file_format=True)
    return dataset_of(path)


def dataset_of(path: Path) -> bytes:
    """The bytes after group 0002."""
    raw = path.read_bytes()
    length = int.from_bytes(raw[140:144], "little")
    return raw[144 + length :]


def run(*command: object) -> None:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.peer("echoscu")
@driver
def test_echoscu(driver: str) -> None:
    echoscu = program("echoscu")
    with serving(driver) as running:
        run(echoscu, "-aec", "GANTRY", "--repeat", 3, "127.0.0.1", running.port)
        running.wait_until(lambda: running.keeper.ended == ["released"])
        run(echoscu, "--propose-ts", 3, "--propose-pc", 100, "127.0.0.1", running.port)
        run(echoscu, "--abort", "127.0.0.1", running.port)
        running.wait_until(lambda: running.keeper.ended == ["released", "released", "aborted"])


@pytest.mark.peer("storescu")
@driver
@pytest.mark.parametrize("option", [(), ("-pdu", "131072"), ("--max-send-pdu", "4096")])
def test_storescu(driver: str, option: tuple[str, ...], tmp_path: Path) -> None:
    storescu = program("storescu")
    sent = {f"1.2.9.{n}": make_file(tmp_path / f"{n}.dcm", f"1.2.9.{n}", EXPLICIT_VR_LITTLE_ENDIAN, n) for n in (2, 900_000)}
    with serving(driver) as running:
        run(storescu, "-R", "-xe", *option, "127.0.0.1", running.port, *sorted(tmp_path.glob("*.dcm")))
        running.wait_until(lambda: running.keeper.ended == ["released"])
        assert running.keeper.stored == sent


@pytest.mark.peer("storescu")
@driver
@pytest.mark.parametrize(
    ("option", "syntax"),
    [
        ("-xi", IMPLICIT_VR_LITTLE_ENDIAN),
        ("-xe", EXPLICIT_VR_LITTLE_ENDIAN),
        ("-xb", EXPLICIT_VR_BIG_ENDIAN),
        ("-xd", DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN),
        ("-xy", JPEG_BASELINE),
    ],
)
def test_storescu_in_a_syntax(driver: str, option: str, syntax: str, tmp_path: Path) -> None:
    data = make_file(tmp_path / "a.dcm", "1.2.8.1", syntax, 3000)
    with serving(driver) as running:
        run(program("storescu"), option, "127.0.0.1", running.port, tmp_path / "a.dcm")
        running.wait_until(lambda: len(running.keeper.ended) == 1)
        assert running.keeper.contexts["1.2.8.1"].transfer_syntax == syntax
        if syntax != DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:  # DCMTK inflates and deflates again
            assert running.keeper.stored["1.2.8.1"] == data


@pytest.mark.peer("dcmsend")
@driver
def test_dcmsend(driver: str, tmp_path: Path) -> None:
    wanted = {}
    for n, syntax in enumerate((EXPLICIT_VR_LITTLE_ENDIAN, JPEG_BASELINE)):
        wanted[f"1.2.8.{n}"] = make_file(tmp_path / f"{n}.dcm", f"1.2.8.{n}", syntax, 200_000)
    with serving(driver) as running:
        files = sorted(tmp_path.glob("*.dcm"))
        run(program("dcmsend"), "--decompress-never", "127.0.0.1", running.port, *files)
        running.wait_until(lambda: len(running.keeper.ended) == 1)
        assert running.keeper.stored == wanted


@contextmanager
def storescp(folder: Path, *options: str) -> Iterator[int]:
    name = program("storescp")
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = int(sock.getsockname()[1])
    process = subprocess.Popen([name, *options, "-od", str(folder), str(port)])
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait()


def send(driver: str, port: int, items: list[tuple[str, str, bytes]]) -> list[StoreResult]:
    """Echo and send (syntax, uid, data) with one of our clients."""
    contexts = [ContextProposal(VERIFICATION), *(ContextProposal(MR, (syntax,)) for syntax in {item[0] for item in items})]
    options = {"called_aet": "STORESCP", "calling_aet": "TESTER", "contexts": contexts, "response_timeout": 20.0}
    if driver == "threads":
        with blocking.connect("127.0.0.1", port, **options) as association:  # type: ignore[arg-type]
            assert association.echo() == 0
            return [
                association.store(sop_class_uid=MR, sop_instance_uid=uid, transfer_syntax_uid=syntax, data=data)
                for syntax, uid, data in items
            ]

    async def go() -> list[StoreResult]:
        async with await aio.connect("127.0.0.1", port, **options) as association:  # type: ignore[arg-type]
            assert await association.echo() == 0
            return [
                await association.store(sop_class_uid=MR, sop_instance_uid=uid, transfer_syntax_uid=syntax, data=data)
                for syntax, uid, data in items
            ]

    return asyncio.run(go())


@pytest.mark.peer("storescp")
@pytest.mark.parametrize("driver", ["threads", "asyncio"])
@pytest.mark.parametrize("pdu", ["4096", "131072"])
def test_storescp(driver: str, pdu: str, tmp_path: Path) -> None:
    items = []
    for n, syntax in enumerate([*SYNTAXES[:3], JPEG_BASELINE]):
        items.append((syntax, f"1.2.7.{n}", make_file(tmp_path / f"{n}.dcm", f"1.2.7.{n}", syntax, 200_000)))
    out = tmp_path / "out"
    out.mkdir()
    with storescp(out, "+B", "+xa", "-pdu", pdu) as port:
        assert {result.status for result in send(driver, port, items)} == {0}
    assert sorted(dataset_of(path) for path in out.iterdir()) == sorted(data for _, _, data in items)


@pytest.mark.peer("storescp")
def test_storescp_that_aborts_after_the_request(tmp_path: Path) -> None:
    from dimse.errors import AssociationFailure

    data = make_file(tmp_path / "a.dcm", "1.2.7.1", EXPLICIT_VR_LITTLE_ENDIAN, 3_000_000)
    with storescp(tmp_path, "--abort-during") as port, pytest.raises(AssociationFailure, match="abort"):
        send("threads", port, [(EXPLICIT_VR_LITTLE_ENDIAN, "1.2.7.1", data)])


@pytest.mark.peer("storescp")
def test_storescp_that_refuses(tmp_path: Path) -> None:
    from dimse.errors import AssociationRejected

    with storescp(tmp_path, "--refuse") as port, pytest.raises(AssociationRejected):
        send("threads", port, [(EXPLICIT_VR_LITTLE_ENDIAN, "1.2.7.1", b"data")])


@driver
def test_pynetdicom_sends(driver: str, tmp_path: Path) -> None:
    pynet = pytest.importorskip("pynetdicom")
    data = make_file(tmp_path / "a.dcm", "1.2.6.1", EXPLICIT_VR_LITTLE_ENDIAN, 300_000)
    with serving(driver) as running:
        ae = pynet.AE("PYNETDICOM")
        ae.add_requested_context(MR, EXPLICIT_VR_LITTLE_ENDIAN)
        ae.add_requested_context(VERIFICATION)
        association = ae.associate("127.0.0.1", running.port)
        assert association.is_established
        assert association.send_c_echo().Status == 0
        assert association.send_c_store(tmp_path / "a.dcm").Status == 0
        association.release()
        running.wait_until(lambda: running.keeper.ended == ["released"])
        assert running.keeper.stored == {"1.2.6.1": data}


@pytest.mark.parametrize("driver", ["threads", "asyncio"])
def test_pynetdicom_receives(driver: str, tmp_path: Path) -> None:
    pynet = pytest.importorskip("pynetdicom")
    data = make_file(tmp_path / "a.dcm", "1.2.5.1", EXPLICIT_VR_LITTLE_ENDIAN, 300_000)
    received: list[bytes] = []

    def keep(event: object) -> int:
        received.append(event.request.DataSet.getvalue())  # type: ignore[attr-defined]
        return 0x0000

    ae = pynet.AE("STORESCP")
    ae.add_supported_context(MR, EXPLICIT_VR_LITTLE_ENDIAN)
    ae.add_supported_context(VERIFICATION)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(pynet.evt.EVT_C_STORE, keep)])
    try:
        results = send(driver, server.socket.getsockname()[1], [(EXPLICIT_VR_LITTLE_ENDIAN, "1.2.5.1", data)])
    finally:
        server.shutdown()
    assert results == [StoreResult(0)]
    assert received == [data]
