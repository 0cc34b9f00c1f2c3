"""pynetdicom: its applications over plain TCP, its library over TLS (its applications have none)."""

from __future__ import annotations

import ssl
import subprocess
import sys
from pathlib import Path

from tests.peers.matrix.asking import check_echo, check_find, check_get, check_move, check_store, received
from tests.peers.matrix.cells import PLAIN, TLS, cell
from tests.peers.matrix.world import (
    CALLER,
    STUDY,
    STUDY_PATIENT,
    Peer,
    World,
    background,
    digests,
    file_uid,
    wait_for,
)

NAME = "pynetdicom"


def _app(world: World, name: str, *arguments: object) -> str:
    return world.run(sys.executable, "-m", "pynetdicom", name, *arguments)


def _where(world: World) -> tuple[object, ...]:
    return ("127.0.0.1", world.port(False), "-aet", CALLER, "-aec", "GANTRY")


def _context(world: World, *, server: bool) -> ssl.SSLContext:
    own = world.certificates.peer
    context = ssl.create_default_context(
        ssl.Purpose.CLIENT_AUTH if server else ssl.Purpose.SERVER_AUTH, cafile=str(world.certificates.authority)
    )
    context.load_cert_chain(own.certificate, own.key)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


@cell(NAME, "echoscu", "C-ECHO", "answers", channels=(PLAIN,))
def echo(world: World, tls: bool) -> None:
    _app(world, "echoscu", *_where(world))


@cell(NAME, "storescu", "C-STORE", "answers", channels=(PLAIN,))
def store(world: World, tls: bool) -> None:
    files = world.series()
    _app(world, "storescu", *_where(world)[:2], files[0].parent, *_where(world)[2:])
    world.indexed(files)


@cell(NAME, "AE", "C-ECHO, C-STORE", "answers", channels=(TLS,))
def library(world: World, tls: bool) -> None:
    """One association with both, by the library."""
    from pydicom import dcmread
    from pynetdicom import AE

    files = world.series()
    entity = AE(CALLER)
    entity.add_requested_context("1.2.840.10008.1.1")
    entity.add_requested_context("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1")
    association = entity.associate(
        "127.0.0.1", world.tls_port, ae_title="GANTRY", tls_args=(_context(world, server=False), "localhost")
    )
    assert association.is_established
    try:
        assert association.send_c_echo().Status == 0
        assert [association.send_c_store(dcmread(path)).Status for path in files] == [0, 0]
    finally:
        association.release()
    world.indexed(files)


@cell(NAME, "findscu", "C-FIND study root", "answers", channels=(PLAIN,))
def find(world: World, tls: bool) -> None:
    output = _app(world, "findscu", *_where(world), "-S", "-k", "QueryRetrieveLevel=STUDY", "-k", f"PatientID={STUDY_PATIENT}",
                  "-k", "StudyInstanceUID=")  # fmt: skip
    assert STUDY in output


def _keys(study: str = STUDY) -> tuple[str, ...]:
    return ("-S", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}")


@cell(NAME, "getscu", "C-GET study root", "answers", channels=(PLAIN,))
def get(world: World, tls: bool) -> None:
    """Its contexts begin with Implicit VR, and it encodes what it gets anew."""
    folder = world.room()
    _app(world, "getscu", *_where(world), *_keys(), "-od", folder)
    assert sorted(file_uid(path) for path in folder.iterdir()) == sorted(file_uid(path) for path in world.held)


@cell(NAME, "movescu, storescp", "C-MOVE study root", "answers", channels=(PLAIN,))
def move(world: World, tls: bool) -> None:
    peer = storescp(world, tls)
    destination = world.node(peer)
    _app(world, "movescu", *_where(world), *_keys(), "-aem", destination)
    held = digests(world.held)
    wait_for(lambda: held <= digests(received(peer.folder)), "the study is at storescp, data sets identical")


def storescp(world: World, tls: bool) -> Peer:
    """The application storescp."""

    def start(folder: Path, port: int) -> Peer:
        process = background(sys.executable, "-m", "pynetdicom", "storescp", port, "-aet", "PYSTORE", "-od", folder)
        return Peer("PYSTORE", port, folder, process)

    return world.peer("PYSTORE", start)


def echoscp(world: World, tls: bool) -> Peer:
    """The application echoscp."""

    def start(folder: Path, port: int) -> Peer:
        return Peer("PYECHO", port, folder, background(sys.executable, "-m", "pynetdicom", "echoscp", port, "-aet", "PYECHO"))

    return world.peer("PYECHO", start)


def qrscp(world: World, tls: bool) -> Peer:
    """The application qrscp, which knows Gantry as a destination."""

    def start(folder: Path, port: int) -> Peer:
        config = folder / "qrscp.cfg"
        config.write_text(
            f"[DEFAULT]\nae_title: PYQR\nport: {port}\nmax_pdu: 131072\nacse_timeout: 20\ndimse_timeout: 20\nnetwork_timeout: 20\n"
            f"bind_address: 127.0.0.1\ninstance_location: {folder / 'instances'}\ndatabase_location: {folder / 'index.sqlite'}\n"
            f"[GANTRY]\naddress: 127.0.0.1\nport: {world.gantry.dicom_port}\n"
        )
        process = background(sys.executable, "-m", "pynetdicom", "qrscp", "-c", config, cwd=folder, log=folder / "log")
        return Peer("PYQR", port, folder / "instances", process)

    return world.peer("PYQR", start)


@cell(NAME, "echoscp", "C-ECHO", "asks", channels=(PLAIN,))
def ask_echo(world: World, tls: bool) -> None:
    check_echo(world, echoscp(world, tls))


@cell(NAME, "storescp", "C-STORE", "asks", channels=(PLAIN,))
def ask_store(world: World, tls: bool) -> None:
    check_store(world, storescp(world, tls))


@cell(NAME, "qrscp", "C-STORE", "asks", channels=(PLAIN,))
def ask_archive(world: World, tls: bool) -> None:
    check_echo(world, qrscp(world, tls))
    check_store(world, qrscp(world, tls))


@cell(NAME, "AE.start_server", "C-ECHO", "asks", channels=(TLS,))
def ask_library(world: World, tls: bool) -> None:
    """Its library as a TLS server."""
    from pynetdicom import AE

    entity = AE("PYTLS")
    entity.add_supported_context("1.2.840.10008.1.1")
    server = entity.start_server(("127.0.0.1", 0), block=False, ssl_context=_context(world, server=True))
    assert server is not None
    try:
        nobody = subprocess.Popen([sys.executable, "-c", ""])
        nobody.wait()
        check_echo(world, Peer("PYTLS", server.server_address[1], world.folder, nobody, tls=True))
    finally:
        server.shutdown()


@cell(NAME, "qrscp", "C-FIND", "asks", channels=(PLAIN,))
def ask_find(world: World, tls: bool) -> None:
    check_find(world, qrscp(world, tls))


@cell(NAME, "qrscp", "C-GET", "asks", channels=(PLAIN,))
def ask_get(world: World, tls: bool) -> None:
    check_get(world, qrscp(world, tls), keeps_bytes=False)


@cell(NAME, "qrscp", "C-MOVE into Gantry", "asks", channels=(PLAIN,))
def ask_move(world: World, tls: bool) -> None:
    check_move(world, qrscp(world, tls))
