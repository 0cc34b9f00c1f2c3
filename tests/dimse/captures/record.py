"""Records conversations of other implementations with each other: python -m tests.dimse.captures.record

Needs DCMTK, pynetdicom and Orthanc. Everything goes over 127.0.0.1 through the recording proxy; the instances
are generated, so the files hold nobody's data and no machine's name. One JSON file for each conversation.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from dimse.commands import decode_command
from dimse.errors import RemoteProtocolError
from tests.support.part10_files import CT_IMAGE_STORAGE, EXPLICIT_LITTLE_ENDIAN, write_series
from tests.support.peers import find_dcmtk
from tests.support.proxy import ACCEPTOR, REQUESTOR, Proxy

HERE = Path(__file__).parent
NAMES = {1: "A-ASSOCIATE-RQ", 2: "A-ASSOCIATE-AC", 3: "A-ASSOCIATE-RJ", 5: "A-RELEASE-RQ", 6: "A-RELEASE-RP", 7: "A-ABORT"}
STUDY = "1.2.826.0.1.3680043.10.1338.1"
KEYS = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={STUDY}"]
APPS = [sys.executable, "-m", "pynetdicom"]


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def tool(name: str) -> str:
    found = find_dcmtk(name)
    assert found, f"{name} of DCMTK is needed"
    return found


def run(*command: object) -> None:
    """What it says and how it ends does not matter here: the wire does."""
    subprocess.run([str(part) for part in command], capture_output=True, timeout=60, check=False)


@contextmanager
def server(*command: object, port: int, cwd: Path) -> Iterator[int]:
    process = subprocess.Popen([str(part) for part in command], cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def pdus_of(said: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """Whole PDUs in the order in which they ended."""
    left = {REQUESTOR: b"", ACCEPTOR: b""}
    found: list[tuple[str, bytes]] = []
    for who, data in said:
        left[who] += data
        while len(left[who]) >= 6 and len(left[who]) >= (end := 6 + int.from_bytes(left[who][2:6], "big")):
            found.append((who, left[who][:end]))
            left[who] = left[who][end:]
    assert not any(left.values()), "the conversation ended inside a PDU"
    return found


def caption_of(pdu: bytes) -> str:
    if pdu[0] != 4:
        return NAMES.get(pdu[0], f"PDU type {pdu[0]:02X}")
    parts, position = [], 6
    while position < len(pdu):
        length, flags = int.from_bytes(pdu[position : position + 4], "big"), pdu[position + 5]
        if not flags & 1:
            parts.append("data set, last fragment" if flags & 2 else "data set, fragment")
        elif flags & 2:
            try:
                parts.append(decode_command(pdu[position + 6 : position + 4 + length]).name)
            except RemoteProtocolError:
                parts.append("command, last fragment")
        else:
            parts.append("command, fragment")
        position += 4 + length
    return "P-DATA-TF: " + " + ".join(parts)


def keep(name: str, caption: str, who: tuple[str, str], said: list[tuple[str, bytes]]) -> None:
    """Write one conversation; `who` are requestor and acceptor."""
    found = pdus_of(said)
    assert found, f"{name}: nothing was said"
    document = {
        "caption": caption,
        "requestor": who[0],
        "acceptor": who[1],
        "pdus": [{"from": side, "caption": caption_of(pdu), "hex": pdu.hex()} for side, pdu in found],
    }
    machine = socket.gethostname().encode()
    assert not any(machine in pdu for _, pdu in found), f"{name}: holds the name of this machine"
    (HERE / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
    print(f"{name}: {len(found)} PDUs, {sum(len(pdu) for _, pdu in found)} bytes")


@contextmanager
def taped(name: str, caption: str, who: tuple[str, str], port: int, then: str = "") -> Iterator[int]:
    """A port that passes on to `port`; the first conversation over it is kept, the second as `then`."""
    with Proxy(port, record=True) as proxy:
        yield proxy.port
        time.sleep(0.3)
    keep(name, caption, who, proxy.passages[0].said)
    if then:
        keep(then, caption, who, proxy.passages[1].said)


def dcmtk_version() -> str:
    text = subprocess.run([tool("echoscu"), "--version"], capture_output=True, text=True, check=True).stdout
    return "DCMTK " + text.split("echoscu v")[1].split()[0]


def record_dcmtk(folder: Path, files: list[Path]) -> None:
    us = dcmtk_version()
    port = free_port()
    with server(tool("storescp"), "-od", folder, port, port=port, cwd=folder):
        with taped("dcmtk-echo", "verification, twice", (f"{us} echoscu", f"{us} storescp"), port) as near:
            run(tool("echoscu"), "--repeat", 2, "127.0.0.1", near)
        with taped("dcmtk-store", "two small CT", (f"{us} storescu", f"{us} storescp"), port) as near:
            run(tool("storescu"), "-R", "-xe", "127.0.0.1", near, *files)
        with taped("dcmtk-contexts", "128 contexts of storage classes", (f"{us} storescu", f"{us} storescp"), port) as near:
            run(tool("storescu"), "127.0.0.1", near, files[0])
        with taped("dcmtk-abort", "abort instead of release", (f"{us} echoscu", f"{us} storescp"), port) as near:
            run(tool("echoscu"), "--abort", "127.0.0.1", near)
    with (
        server(tool("storescp"), "--refuse", port, port=port, cwd=folder),
        taped("dcmtk-reject", "rejected association", (f"{us} echoscu", f"{us} storescp --refuse"), port) as near,
    ):
        run(tool("echoscu"), "127.0.0.1", near)


def record_dcmqrscp(folder: Path, files: list[Path]) -> None:
    us = dcmtk_version()
    port, sink = free_port(), free_port()
    archive, arrived = folder / "archive", folder / "arrived"
    archive.mkdir()
    arrived.mkdir()
    with ExitStack() as stack:
        who = (f"{us} dcmqrscp", f"{us} storescp")
        near_sink = stack.enter_context(taped("dcmtk-move-store", "sub-operations of a C-MOVE", who, sink))
        config = folder / "dcmqrscp.cfg"
        config.write_text(
            f"NetworkTCPPort = {port}\nMaxPDUSize = 16384\nMaxAssociations = 16\nHostTable BEGIN\n"
            f"sink = (SINK, 127.0.0.1, {near_sink})\nHostTable END\nVendorTable BEGIN\nVendorTable END\n"
            f"AETable BEGIN\nARCHIVE {archive} RW (100, 100mb) ANY\nAETable END\n"
        )
        stack.enter_context(server(tool("storescp"), "-od", arrived, sink, port=sink, cwd=folder))
        stack.enter_context(server(tool("dcmqrscp"), "-c", config, port=port, cwd=folder))
        run(tool("storescu"), "-aec", "ARCHIVE", "127.0.0.1", port, *files)
        to = ("-aec", "ARCHIVE", "127.0.0.1")
        with taped("dcmtk-find", "C-FIND, study level", (f"{us} findscu", f"{us} dcmqrscp"), port) as near:
            run(tool("findscu"), "-S", *to, near, *KEYS, "-k", "PatientName", "-k", "ModalitiesInStudy")
        with taped("dcmtk-find-cancel", "C-FIND, cancelled", (f"{us} findscu", f"{us} dcmqrscp"), port) as near:
            run(
                tool("findscu"), "-S", "--cancel", 1, *to, near, "-k", "QueryRetrieveLevel=IMAGE",
                "-k", f"StudyInstanceUID={STUDY}", "-k", f"SeriesInstanceUID={STUDY}.1", "-k", "SOPInstanceUID",
            )  # fmt: skip
        with taped("dcmtk-move", "C-MOVE to a third", (f"{us} movescu", f"{us} dcmqrscp"), port) as near:
            run(tool("movescu"), "-S", "-aem", "SINK", *to, near, *KEYS)
        with taped("dcmtk-get", "C-GET with role selection", (f"{us} getscu", f"{us} dcmqrscp"), port) as near:
            run(tool("getscu"), "-S", "-od", arrived, *to, near, *KEYS)


def record_pynetdicom(folder: Path, files: list[Path]) -> None:
    import pydicom
    import pynetdicom

    us = f"pynetdicom {pynetdicom.__version__}"
    port = free_port()
    with server(*APPS, "storescp", port, "-od", folder, port=port, cwd=folder):
        with taped("pynetdicom-echo", "verification", (f"{us} echoscu", f"{us} storescp"), port) as near:
            run(*APPS, "echoscu", "127.0.0.1", near)
        with taped("pynetdicom-store", "a small CT", (f"{us} storescu", f"{us} storescp"), port) as near:
            run(*APPS, "storescu", "127.0.0.1", near, files[0], "-cx")
    handlers: Any = [
        (pynetdicom.evt.EVT_C_FIND, lambda event: iter([(0xFF00, event.identifier), (0x0000, None)])),
        (pynetdicom.evt.EVT_C_GET, lambda event: iter([1, (0xFF00, pydicom.dcmread(files[0]))])),
    ]
    entity = pynetdicom.AE("QRSCP")
    for uid in ("1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.5.1.4.1.2.2.3"):
        entity.add_supported_context(uid)
    entity.add_supported_context(CT_IMAGE_STORAGE, EXPLICIT_LITTLE_ENDIAN, scu_role=True, scp_role=True)
    archive = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    assert archive is not None
    assert archive.socket is not None
    qr = archive.socket.getsockname()[1]
    with taped("pynetdicom-find", "C-FIND, study level", (f"{us} findscu", f"{us} server"), qr) as near:
        run(*APPS, "findscu", "-S", "127.0.0.1", near, *KEYS, "-k", "PatientName=")
    with taped("pynetdicom-get", "C-GET with role selection", (f"{us} getscu", f"{us} server"), qr) as near:
        run(*APPS, "getscu", "-S", "127.0.0.1", near, *KEYS, "-od", folder)
    record_pynetdicom_negotiation(us, qr)
    archive.shutdown()


def record_pynetdicom_negotiation(us: str, port: int) -> None:
    """All user information items that pynetdicom knows, and its abort."""
    import pynetdicom
    from pynetdicom import pdu_primitives as items

    identity, window = items.UserIdentityNegotiation(), items.AsynchronousOperationsWindowNegotiation()
    identity.user_identity_type, identity.primary_field, identity.secondary_field = 2, b"someone", b"secret"
    window.maximum_number_operations_invoked, window.maximum_number_operations_performed = 4, 2
    extended = items.SOPClassExtendedNegotiation()
    extended.sop_class_uid, extended.service_class_application_information = "1.2.840.10008.5.1.4.1.2.2.1", b"\1\1\1"
    common = items.SOPClassCommonExtendedNegotiation()
    common.sop_class_uid, common.service_class_uid = CT_IMAGE_STORAGE, "1.2.840.10008.4.2"
    common.related_general_sop_class_identification = ["1.2.840.10008.5.1.4.1.1.88.22"]
    entity = pynetdicom.AE("PYNETDICOM")
    entity.add_requested_context("1.2.840.10008.5.1.4.1.2.2.1")
    entity.add_requested_context("1.2.840.10008.5.1.4.1.1.4")
    who = (f"{us} client", f"{us} server")
    with taped("pynetdicom-negotiation", "identity, window, extended and common extended", who, port) as near:
        association = entity.associate("127.0.0.1", near, ext_neg=[identity, window, extended, common])
        association.abort()


def post(port: int, path: str, document: Any, method: str = "POST") -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", json.dumps(document).encode(), {"Content-Type": "application/json"}, method=method
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        text = response.read()
    return json.loads(text) if text else None


def record_orthanc(folder: Path, files: list[Path]) -> None:
    version = subprocess.run(["Orthanc", "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    us, them = f"Orthanc {version}", dcmtk_version()
    port, http = free_port(), free_port()
    config = folder / "orthanc.json"
    config.write_text(json.dumps({
        "Name": "recorded", "StorageDirectory": str(folder / "orthanc"), "IndexDirectory": str(folder / "orthanc"),
        "HttpPort": http, "DicomPort": port, "DicomAet": "ORTHANC", "RemoteAccessAllowed": False, "Plugins": [],
        "AuthenticationEnabled": False, "DicomAlwaysAllowMove": True, "DicomAlwaysAllowGet": True,
        "DicomAlwaysAllowFind": True, "DicomCheckCalledAet": False, "DicomThreadsCount": 2,
    }))  # fmt: skip
    with ExitStack() as stack:
        orthanc = f"{us} (DICOM server)"
        sink = free_port()
        stack.enter_context(server(tool("storescp"), "-od", folder, sink, port=sink, cwd=folder))
        stack.enter_context(server("Orthanc", config, port=port, cwd=folder))
        to = ("-aec", "ORTHANC", "127.0.0.1")
        with taped("orthanc-accepts-store", "two small CT", (f"{them} storescu", orthanc), port) as near:
            run(tool("storescu"), "-xe", *to, near, *files)
        with taped("orthanc-accepts-find", "C-FIND, study level", (f"{them} findscu", orthanc), port) as near:
            run(tool("findscu"), "-S", *to, near, *KEYS, "-k", "PatientName")
        with taped("orthanc-accepts-get", "C-GET with role selection", (f"{them} getscu", orthanc), port) as near:
            run(tool("getscu"), "-S", "-od", folder, *to, near, *KEYS)
        (study,) = post(http, "/tools/find", {"Level": "Study", "Query": {"StudyInstanceUID": STUDY}})
        with taped("orthanc-stores", "sends a study", (us, f"{them} storescp"), sink) as near:
            post(http, "/modalities/sink", {"AET": "SINK", "Host": "127.0.0.1", "Port": near}, "PUT")
            post(http, "/modalities/sink/store", study)
        with taped("orthanc-finds", "C-FIND of one Orthanc to itself", (us, orthanc), port) as near:
            post(http, "/modalities/own", {"AET": "ORTHANC", "Host": "127.0.0.1", "Port": near}, "PUT")
            post(http, "/modalities/own/query", {"Level": "Study", "Query": {"StudyInstanceUID": STUDY}})
        with taped("orthanc-commits", "storage commitment", (us, orthanc), port, "orthanc-reports") as near:
            post(http, "/modalities/own", {"AET": "ORTHANC", "Host": "127.0.0.1", "Port": near}, "PUT")
            post(http, "/modalities/own/storage-commitment", {"Resources": [study], "Timeout": 5})
            time.sleep(2)


def main() -> None:
    """Record all."""
    argparse.ArgumentParser(prog="python -m tests.dimse.captures.record", description=__doc__).parse_args()
    for record in (record_dcmtk, record_dcmqrscp, record_pynetdicom, record_orthanc):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            files = write_series(folder / "sent", 2, side=8)
            record(folder, files)


if __name__ == "__main__":
    main()
