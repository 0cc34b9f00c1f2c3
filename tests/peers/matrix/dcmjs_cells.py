"""dcmjs-dimse of npm, both ways. It decodes and encodes what it sends and gets, so instances are compared by UID."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from gantry.nodes.find import find as find_at
from tests.peers.matrix.asking import check_echo
from tests.peers.matrix.cells import cell
from tests.peers.matrix.world import (
    CALLER,
    IN_CI,
    STUDY,
    STUDY_PATIENT,
    Peer,
    World,
    background,
    file_uid,
    program,
    wait_for,
)
from tests.support import peers

NAME = "dcmjs-dimse"
HERE = Path(__file__).resolve().parent / "js"
PATIENT = "JS-1"
SERVED = [
    {"PatientID": PATIENT, "PatientName": "Script^Java", "StudyInstanceUID": "1.2.826.0.1.3680043.10.1338.55", "StudyDate": "20240301"},
    {"PatientID": "JS-2", "PatientName": "Other^One", "StudyInstanceUID": "1.2.826.0.1.3680043.10.1338.56", "StudyDate": "20240302"},
]  # fmt: skip


def _node() -> str:
    found = program("node")
    if not (HERE / "node_modules" / "dcmjs-dimse").exists():
        peers.missing("dcmjs-dimse (npm ci in tests/peers/matrix/js)", in_ci=IN_CI)
    return found


def _secure(world: World, tls: bool) -> dict[str, str]:
    own = world.certificates.peer
    return (
        {"key": str(own.key), "certificate": str(own.certificate), "authority": str(world.certificates.authority)} if tls else {}
    )


def _ask(world: World, tls: bool, service: str, **wishes: object) -> dict[str, Any]:
    wish = {"service": service, "port": world.port(tls), "caller": CALLER, **wishes, **_secure(world, tls)}
    output = world.run(_node(), HERE / "client.js", json.dumps(wish))
    line = next(line for line in output.splitlines() if line.startswith('{"statuses"'))
    found: dict[str, Any] = json.loads(line)
    return found


def server(world: World, tls: bool) -> Peer:
    """server.js."""
    title = "DCMJS_TLS" if tls else "DCMJS"

    def start(folder: Path, port: int) -> Peer:
        wish = {"port": port, "received": str(folder / "received.txt"), "studies": SERVED, **_secure(world, tls)}
        return Peer(title, port, folder, background(_node(), HERE / "server.js", json.dumps(wish), log=folder / "log"), tls)

    return world.peer(title, start)


@cell(NAME, "Client", "C-ECHO", "answers")
def echo(world: World, tls: bool) -> None:
    assert _ask(world, tls, "echo")["statuses"] == [0]


@cell(NAME, "Client", "C-STORE", "answers")
def store(world: World, tls: bool) -> None:
    files = world.series()
    assert _ask(world, tls, "store", files=[str(path) for path in files])["statuses"] == [0, 0]
    world.holds([file_uid(path) for path in files])


@cell(NAME, "Client", "C-FIND study root", "answers")
def find(world: World, tls: bool) -> None:
    found = _ask(world, tls, "find", keys={"PatientID": STUDY_PATIENT, "PatientName": "", "StudyInstanceUID": ""})
    assert [match["StudyInstanceUID"] for match in found["matches"]] == [STUDY]
    assert found["statuses"][-1] == 0


@cell(NAME, "Client", "C-GET study root", "answers")
def get(world: World, tls: bool) -> None:
    """Its contexts begin with Implicit VR: Gantry prefers Explicit VR for what is fetched."""
    found = _ask(world, tls, "get", study=STUDY)
    assert sorted(found["stored"]) == sorted(file_uid(path) for path in world.held), found
    assert found["statuses"][-1] == 0


@cell(NAME, "Client, Server", "C-MOVE", "answers")
def move(world: World, tls: bool) -> None:
    peer = server(world, tls)
    destination = world.node(peer)
    found = _ask(world, tls, "move", study=STUDY, destination=destination)
    assert found["statuses"][-1] == 0, found
    _received(peer, [file_uid(path) for path in world.held])


def _received(peer: Peer, uids: list[str]) -> None:
    wait_for(lambda: set(uids) <= set((peer.folder / "received.txt").read_text().split()), f"{peer.aet} has the instances")


@cell(NAME, "Server", "C-ECHO", "asks")
def ask_echo(world: World, tls: bool) -> None:
    check_echo(world, server(world, tls))


@cell(NAME, "Server", "C-STORE", "asks")
def ask_store(world: World, tls: bool) -> None:
    peer, files = server(world, tls), world.series()
    world.send(peer, files)
    _received(peer, [file_uid(path) for path in files])


@cell(NAME, "Server", "C-FIND", "asks")
def ask_find(world: World, tls: bool) -> None:
    async def ask() -> list[dict[str, str | list[str]]]:
        return [
            answer async for answer in find_at(world.target(server(world, tls)), "STUDY", {"PatientID": PATIENT}, deadline=20)
        ]

    found = asyncio.run(ask())
    assert [(study["PatientID"], study["StudyInstanceUID"]) for study in found] == [(PATIENT, SERVED[0]["StudyInstanceUID"])]
