"""Gantry asks DCMTK's servers."""

from __future__ import annotations

from pathlib import Path

from dimse import ContextProposal, blocking
from dimse.identifier import Identifier
from dimse.uids import EXPLICIT_VR_LITTLE_ENDIAN
from tests.peers.matrix.asking import check_echo, check_find, check_get, check_move, check_store
from tests.peers.matrix.cells import BOTH, PLAIN, cell
from tests.peers.matrix.world import Peer, World, background, dcmtk

NAME = "DCMTK"
WORKLIST_FIND = "1.2.840.10008.5.1.4.31"
_DCMRECV = """\
[[TransferSyntaxes]]
[Any]
TransferSyntax1 = LittleEndianExplicit
TransferSyntax2 = LittleEndianImplicit
[[PresentationContexts]]
[Storage]
PresentationContext1 = VerificationSOPClass\\Any
PresentationContext2 = CTImageStorage\\Any
[[Profiles]]
[Default]
PresentationContexts = Storage
"""


def _tls(world: World, tls: bool) -> list[object]:
    own = world.certificates.peer
    return ["+tls", own.key, own.certificate, "+cf", world.certificates.authority, "-rc"] if tls else []


def storescp(world: World, tls: bool) -> Peer:
    """storescp, bit-preserving."""
    title = "STORESCP_TLS" if tls else "STORESCP"

    def start(folder: Path, port: int) -> Peer:
        process = background(dcmtk("storescp"), *_tls(world, tls), "+B", "+xa", "-aet", title, "-od", folder, port)
        return Peer(title, port, folder, process, tls)

    return world.peer(title, start)


def dcmrecv(world: World, tls: bool) -> Peer:
    """dcmrecv, bit-preserving. Without a configuration it takes nothing but C-ECHO."""
    title = "DCMRECV_TLS" if tls else "DCMRECV"

    def start(folder: Path, port: int) -> Peer:
        config = folder / "dcmrecv.cfg"
        config.write_text(_DCMRECV)
        process = background(
            dcmtk("dcmrecv"), *_tls(world, tls), "-xf", config, "Default", "+B", "-aet", title, "-od", folder, port
        )
        return Peer(title, port, folder, process, tls)

    return world.peer(title, start)


def dcmqrscp(world: World, tls: bool) -> Peer:
    """DCMTK's small archive; it has no TLS."""
    title = "DCMQRSCP"

    def start(folder: Path, port: int) -> Peer:
        store = folder / "store"
        store.mkdir()
        config = folder / "dcmqrscp.cfg"
        config.write_text(
            f"NetworkTCPPort = {port}\nMaxPDUSize = 131072\nMaxAssociations = 16\n"
            f"HostTable BEGIN\ngantry = (GANTRY, 127.0.0.1, {world.gantry.dicom_port})\nHostTable END\n"
            "VendorTable BEGIN\nVendorTable END\n"
            f"AETable BEGIN\n{title} {store} RW (200, 1024mb) ANY\nAETable END\n"
        )
        process = background(dcmtk("dcmqrscp"), "-c", config, port)
        return Peer(title, port, store, process)

    return world.peer(title, start)


SERVERS = {"storescp": storescp, "dcmrecv": dcmrecv, "dcmqrscp": dcmqrscp}


def _register(tool: str) -> None:
    server = SERVERS[tool]
    channels = (PLAIN,) if tool == "dcmqrscp" else BOTH

    @cell(NAME, tool, "C-ECHO", "asks", channels=channels)
    def echo(world: World, tls: bool) -> None:
        check_echo(world, server(world, tls))

    @cell(NAME, tool, "C-STORE", "asks", channels=channels)
    def store(world: World, tls: bool) -> None:
        check_store(world, server(world, tls))


for _tool in SERVERS:
    _register(_tool)


@cell(NAME, "dcmqrscp", "C-FIND", "asks", channels=(PLAIN,))
def find(world: World, tls: bool) -> None:
    check_find(world, dcmqrscp(world, tls))


@cell(NAME, "dcmqrscp", "C-GET", "asks", channels=(PLAIN,))
def get(world: World, tls: bool) -> None:
    check_get(world, dcmqrscp(world, tls))


@cell(NAME, "dcmqrscp", "C-MOVE into Gantry", "asks", channels=(PLAIN,))
def move(world: World, tls: bool) -> None:
    check_move(world, dcmqrscp(world, tls))


_WORKLIST = """\
(0008,0005) CS [ISO_IR 100]
(0008,0050) SH [ACC-7]
(0010,0010) PN [Muster^Eva]
(0010,0020) LO [WL-1]
(0010,0030) DA [19800101]
(0010,0040) CS [F]
(0020,000d) UI [1.2.826.0.1.3680043.10.1338.88]
(0032,1060) LO [CT of the chest]
(0040,0100) SQ
(fffe,e000) -
(0008,0060) CS [CT]
(0040,0001) AE [CT1]
(0040,0002) DA [20240229]
(0040,0003) TM [101500]
(0040,0006) PN [Doe^John]
(0040,0007) LO [CT chest]
(0040,0009) SH [STEP-1]
(fffe,e00d) -
(fffe,e0dd) -
(0040,1001) SH [RP-1]
"""


def wlmscpfs(world: World) -> Peer:
    """DCMTK's worklist of files, with one entry."""

    def start(folder: Path, port: int) -> Peer:
        place = folder / "WORKLIST"
        place.mkdir()
        (place / "lockfile").touch()
        (folder / "one.dump").write_text(_WORKLIST)
        world.run(dcmtk("dump2dcm"), "+te", folder / "one.dump", place / "one.wl")
        return Peer("WORKLIST", port, folder, background(dcmtk("wlmscpfs"), "-dfp", folder, "-csk", port, log=folder / "log"))

    return world.peer("WORKLIST", start)


@cell(NAME, "wlmscpfs", "C-ECHO", "asks", channels=(PLAIN,))
def worklist_echo(world: World, tls: bool) -> None:
    check_echo(world, wlmscpfs(world))


@cell(NAME, "wlmscpfs", "C-FIND modality worklist", "asks", channels=(PLAIN,))
def worklist(world: World, tls: bool) -> None:
    """By the wire engine: what is scheduled for CT1."""
    peer = wlmscpfs(world)
    step = Identifier.of(ScheduledStationAETitle="CT1", ScheduledProcedureStepStartDate="", Modality="CT")
    asked = Identifier.of(PatientName="", PatientID="", ScheduledProcedureStepSequence=[step])
    contexts = [ContextProposal(WORKLIST_FIND, (EXPLICIT_VR_LITTLE_ENDIAN,))]
    with blocking.connect("127.0.0.1", peer.port, called_aet=peer.aet, calling_aet="GANTRY", contexts=contexts) as association:
        answers = list(association.find(asked.encode(EXPLICIT_VR_LITTLE_ENDIAN), sop_class_uid=WORKLIST_FIND))
    found = [Identifier.parse(answer.identifier, EXPLICIT_VR_LITTLE_ENDIAN) for answer in answers]
    assert [(entry["PatientID"], entry["PatientName"]) for entry in found] == [("WL-1", "Muster^Eva")]
    steps = found[0]["ScheduledProcedureStepSequence"]
    assert isinstance(steps[0], Identifier)
    assert steps[0]["ScheduledProcedureStepStartDate"] == "20240229"
