"""What Gantry does as user, once for all peers: ask, send, find, fetch, have committed."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gantry.nodes import echo as ask
from gantry.nodes.fetch import fetch
from gantry.nodes.find import find
from gantry.nodes.into import IntoFolder
from tests.peers.matrix.world import Peer, World, digests, file_uid, wait_for
from tests.support.part10_files import ROOT

#: The study that Gantry puts into every archive it asks then.
STORED = 3


def received(folder: Path) -> list[Path]:
    """The files a server has written to the end (they are renamed, or closed when their length is right)."""
    files = (
        path for path in folder.rglob("*") if path.is_file() and path.suffix not in {".tmp", ".part", ".cfg", ".dat", ".txt"}
    )
    return [path for path in files if path.stat().st_size > 200]


def check_echo(world: World, peer: Peer) -> None:
    """C-ECHO by Gantry."""
    result = ask(world.target(peer))
    assert result.ok, result


def check_store(world: World, peer: Peer) -> None:
    """Gantry sends two files; the peer has them, data sets identical."""
    files = world.series()
    world.send(peer, files)
    wanted = digests(files)
    wait_for(lambda: wanted <= digests(received(peer.folder)), f"{peer.aet} has the files, data sets identical")


def filled(world: World, peer: Peer) -> tuple[str, str, list[Path]]:
    """A study in the peer, put there by Gantry once: Patient ID, Study Instance UID, files."""
    if peer.aet not in world.filled:
        files = world.series(STORED)
        world.send(peer, files)
        world.filled[peer.aet] = files
    files = world.filled[peer.aet]
    study = study_of(files[0])
    return f"MATRIX-900-{study.rsplit('.', 1)[1]}", study, files


def study_of(path: Path) -> str:
    """The Study Instance UID of a file of World.series."""
    data = path.read_bytes()
    at = data.index(b"\x20\x00\x0d\x00UI")
    uid = data[at + 8 : at + 8 + int.from_bytes(data[at + 6 : at + 8], "little")].rstrip(b"\0").decode()
    assert uid.startswith(ROOT)
    return uid


def check_find(world: World, peer: Peer) -> None:
    """Gantry finds the study, its series and instances."""
    patient, study, files = filled(world, peer)

    async def all_of(level: str, keys: dict[str, str]) -> list[dict[str, str | list[str]]]:
        return [answer async for answer in find(world.target(peer), level, keys, deadline=20)]

    studies = asyncio.run(all_of("STUDY", {"PatientID": patient}))
    # pynetdicom's qrscp says a study once for each of its instances.
    assert {str(answer["StudyInstanceUID"]) for answer in studies} == {study}
    images = asyncio.run(all_of("IMAGE", {"StudyInstanceUID": study, "SeriesInstanceUID": f"{study}.1"}))
    assert len(images) == len(files)


def check_get(world: World, peer: Peer, *, keeps_bytes: bool = True) -> None:
    """Gantry fetches the study by C-GET into a folder. Some peers encode what they send anew."""
    _, study, files = filled(world, peer)
    folder = world.room()
    result = asyncio.run(fetch(world.target(peer), [study], IntoFolder(folder), how="get"))
    assert result.ok, result
    assert (result.received, result.announced) == (len(files), len(files))
    assert {file_uid(path) for path in received(folder)} == {file_uid(path) for path in files}
    if keeps_bytes:
        assert digests(received(folder)) == digests(files)


def check_move(world: World, peer: Peer) -> None:
    """Gantry has the peer send the study by C-MOVE into its own receiver."""
    _, study, files = filled(world, peer)
    world.gantry.cli("fetch", world.node(peer), study, "--to", "home", "--how", "move")
    world.indexed(files)
