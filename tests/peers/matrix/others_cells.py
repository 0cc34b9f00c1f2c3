"""CTN's dicom_echo, and the tools of dicom-rs (without TLS, which costs their build a minute)."""

from __future__ import annotations

from pathlib import Path

from tests.peers.matrix.asking import check_echo, received
from tests.peers.matrix.cells import PLAIN, cell
from tests.peers.matrix.world import CALLER, STUDY, STUDY_PATIENT, Peer, World, background, digests, program, wait_for


@cell("CTN", "dicom_echo", "C-ECHO", "answers", channels=(PLAIN,))
def ctn_echo(world: World, tls: bool) -> None:
    output = world.run(program("dicom_echo"), "-a", CALLER, "-c", "GANTRY", "-r", 3, "127.0.0.1", world.port(tls))
    assert "rror" not in output, output


def _who(world: World) -> tuple[object, ...]:
    return ("--calling-ae-title", CALLER, "--called-ae-title", "GANTRY", f"127.0.0.1:{world.port(False)}")


@cell("dicom-rs", "dicom-echoscu", "C-ECHO", "answers", channels=(PLAIN,))
def rust_echo(world: World, tls: bool) -> None:
    world.run(program("dicom-echoscu"), *_who(world))


@cell("dicom-rs", "dicom-storescu", "C-STORE", "answers", channels=(PLAIN,))
def rust_store(world: World, tls: bool) -> None:
    files = world.series()
    world.run(program("dicom-storescu"), "--fail-first", *_who(world), *files)
    world.indexed(files)


@cell("dicom-rs", "dicom-findscu", "C-FIND study root", "answers", channels=(PLAIN,))
def rust_find(world: World, tls: bool) -> None:
    keys = ["QueryRetrieveLevel=STUDY", "-q", f"PatientID={STUDY_PATIENT}", "-q", "StudyInstanceUID"]
    assert STUDY in world.run(program("dicom-findscu"), "-S", *_who(world), "-q", *keys)


def _storescp(world: World) -> Peer:
    def start(folder: Path, port: int) -> Peer:
        process = background(program("dicom-storescp"), "-p", port, "-o", folder, "--calling-ae-title", "RUST")
        return Peer("RUST", port, folder, process)

    return world.peer("RUST", start)


@cell("dicom-rs", "dicom-storescp", "C-ECHO", "asks", channels=(PLAIN,))
def ask_rust_echo(world: World, tls: bool) -> None:
    check_echo(world, _storescp(world))


@cell("dicom-rs", "dicom-storescp", "C-STORE", "asks", channels=(PLAIN,))
def ask_rust_store(world: World, tls: bool) -> None:
    peer, files = _storescp(world), world.series()
    world.send(peer, files)
    wanted = digests(files)
    wait_for(lambda: wanted <= digests(received(peer.folder)), "dicom-storescp has the files, data sets identical")
