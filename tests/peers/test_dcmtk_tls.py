"""DCMTK over TLS, both ways: mutual and anonymous, a wrong authority, plain against TLS. Never a fall-back to plain."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dimse import ContextProposal, aio, blocking
from dimse.errors import AssociationFailure, ConnectionLost, TlsError
from dimse.tls import Profile, TlsContext, TlsFiles, client_context, fingerprint, server_context
from dimse.uids import EXPLICIT_VR_LITTLE_ENDIAN, VERIFICATION
from tests.support.certificates import Authority, Pair, der_of
from tests.support.tls_servers import tls_server

pytestmark = pytest.mark.peer("echoscu", "storescu", "storescp")
Find = Callable[[str], str]
DRIVERS = ("threads", "asyncio")
driver = pytest.mark.parametrize("driver", DRIVERS)
CT = "1.2.840.10008.5.1.4.1.1.2"


class World:
    """An authority that both sides trust, and a stranger."""

    def __init__(self, folder: Path) -> None:
        self.ours, self.strange = Authority(folder / "ours"), Authority(folder / "strange", "Some other authority")
        self.trust = self.ours.certificate
        self.gantry, self.dcmtk = self.ours.issue("gantry"), self.ours.issue("dcmtk", rsa_bits=2048)
        self.stranger = self.strange.issue("stranger")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("certificates"))


def run(*command: object, ok: bool = True) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode == 0) is ok, done.stdout + done.stderr
    return done.stdout + done.stderr


def secure(pair: Pair, trust: str, *options: str) -> list[str]:
    """DCMTK's options for mutual TLS."""
    return ["+tls", pair.key, pair.certificate, "+cf", trust, *options]


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


# --- DCMTK calls ---


@driver
@pytest.mark.parametrize("profile", ["+py", "+px"])
def test_echoscu_mutual(world: World, dcmtk: Find, driver: str, profile: str) -> None:
    with tls_server(driver, server_context(world.gantry.files(world.trust))) as (port, witness):
        run(dcmtk("echoscu"), *secure(world.dcmtk, world.trust, profile), "--repeat", 2, "127.0.0.1", port)
        assert witness.certificates == [der_of(world.dcmtk)] * 2
        wait_for(lambda: witness.ended == ["released"])


@driver
@pytest.mark.parametrize("rule", ["optional", "none"])
def test_echoscu_anonymous(world: World, dcmtk: Find, driver: str, rule: str) -> None:
    context = server_context(world.gantry.files(world.trust), client_certificates=rule)  # type: ignore[arg-type]
    with tls_server(driver, context) as (port, witness):
        run(dcmtk("echoscu"), "+tla", "+cf", world.trust, "127.0.0.1", port)
        assert witness.certificates == [None]


@driver
@pytest.mark.parametrize("profile", [Profile.BCP195, Profile.BCP195_MODIFIED])
def test_storescu(world: World, dcmtk: Find, driver: str, profile: Profile, make_ct: Callable[..., list[Path]]) -> None:
    files = make_ct(5)
    with tls_server(driver, server_context(world.gantry.files(world.trust), profile)) as (port, witness):
        run(dcmtk("storescu"), *secure(world.dcmtk, world.trust), "127.0.0.1", port, *files)
        assert sorted(witness.stored.values()) == sorted(data_set(path) for path in files)


@driver
@pytest.mark.parametrize("case", ["wrong authority", "no certificate", "plain", "server not trusted"])
def test_callers_that_are_turned_away(world: World, dcmtk: Find, driver: str, case: str) -> None:
    options = {
        "wrong authority": secure(world.stranger, world.trust),
        "no certificate": ["+tla", "+cf", world.trust],
        "plain": [],
        "server not trusted": secure(world.dcmtk, world.strange.certificate),
    }[case]
    with tls_server(driver, server_context(world.gantry.files(world.trust))) as (port, witness):
        run(dcmtk("echoscu"), *options, "127.0.0.1", port, ok=False)
        assert witness.asked == 0, "nobody may speak DICOM before the handshake"
        # and the next one is served
        run(dcmtk("echoscu"), *secure(world.dcmtk, world.trust), "127.0.0.1", port)
        assert witness.asked == 1


@driver
def test_a_tls_caller_at_a_plain_port(world: World, dcmtk: Find, driver: str) -> None:
    with tls_server(driver, None) as (port, witness):
        run(dcmtk("echoscu"), *secure(world.dcmtk, world.trust), "127.0.0.1", port, ok=False)
        run(dcmtk("echoscu"), "127.0.0.1", port)
        assert witness.asked == 1


# --- DCMTK is called ---


@contextmanager
def storescp(dcmtk: Find, folder: Path, *options: str) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    folder.mkdir()
    process = subprocess.Popen([dcmtk("storescp"), *options, "+B", "-od", str(folder), str(port)], stderr=subprocess.DEVNULL)
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


def call(driver: str, port: int, tls: TlsContext | None, files: list[Path]) -> list[int]:
    """Echo and store with one of our clients; the statuses."""
    contexts = [ContextProposal(VERIFICATION), ContextProposal(CT, (EXPLICIT_VR_LITTLE_ENDIAN,))]

    async def go() -> list[int]:
        async with await aio.connect(
            "127.0.0.1", port, called_aet="STORESCP", calling_aet="GANTRY", contexts=contexts, response_timeout=60, tls=tls
        ) as association:
            return [await association.echo(), *[(await association.store(**item(path))).status for path in files]]

    if driver == "asyncio":
        return asyncio.run(go())
    with blocking.connect(
        "127.0.0.1", port, called_aet="STORESCP", calling_aet="GANTRY", contexts=contexts, response_timeout=60, tls=tls
    ) as association:
        return [association.echo(), *(association.store(**item(path)).status for path in files)]


def item(path: Path) -> dict[str, str | bytes]:
    import pydicom

    meta = pydicom.filereader.read_file_meta_info(path)
    return {
        "sop_class_uid": str(meta.MediaStorageSOPClassUID),
        "sop_instance_uid": str(meta.MediaStorageSOPInstanceUID),
        "transfer_syntax_uid": str(meta.TransferSyntaxUID),
        "data": data_set(path),
    }


def data_set(path: Path) -> bytes:
    """The bytes after group 0002."""
    raw = path.read_bytes()
    return raw[144 + int.from_bytes(raw[140:144], "little") :]


@driver
@pytest.mark.parametrize("case", ["mutual", "pinned", "anonymous", "tls12"])
def test_storescp(world: World, dcmtk: Find, driver: str, case: str, tmp_path: Path, make_ct: Callable[..., list[Path]]) -> None:
    files = make_ct(3)
    pin = fingerprint(der_of(world.dcmtk))
    context = {
        "mutual": lambda: client_context(world.gantry.files(world.trust)),
        "pinned": lambda: client_context(world.gantry.files(), expect_fingerprint=pin),
        "anonymous": lambda: client_context(TlsFiles(authorities=world.trust)),
        "tls12": lambda: client_context(world.gantry.files(world.trust), Profile.BCP195_MODIFIED),
    }[case]()
    if case == "tls12":
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    options = ["-ic"] if case == "anonymous" else []
    with storescp(dcmtk, tmp_path / "out", *secure(world.dcmtk, world.trust, *options)) as port:
        assert call(driver, port, context, files) == [0] * 4
    assert sorted(map(data_set, (tmp_path / "out").iterdir())) == sorted(map(data_set, files))


@driver
@pytest.mark.parametrize(
    ("case", "kinds"),
    [
        ("wrong authority", {"peer-unknown-authority", "peer-self-signed"}),
        ("other fingerprint", {"other-certificate"}),
        ("strange client", {"own-unknown-authority", "own-refused", "refused", "closed"}),
        ("anonymous client", {"own-missing", "own-refused", "refused", "closed"}),
    ],
)
def test_storescp_that_does_not_fit(world: World, dcmtk: Find, driver: str, case: str, kinds: set[str], tmp_path: Path) -> None:
    context = {
        "wrong authority": lambda: client_context(world.gantry.files(world.strange.certificate)),
        "other fingerprint": lambda: client_context(world.gantry.files(), expect_fingerprint="ab" * 32),
        "strange client": lambda: client_context(world.stranger.files(world.trust)),
        "anonymous client": lambda: client_context(TlsFiles(authorities=world.trust)),
    }[case]()
    with storescp(dcmtk, tmp_path / "out", *secure(world.dcmtk, world.trust)) as port:
        with pytest.raises(AssociationFailure) as caught:
            call(driver, port, context, [])
        # storescp resets the connection behind its alert: asyncio, which writes first, may not get to read it
        reset = driver == "asyncio" and "client" in case and isinstance(caught.value, ConnectionLost)
        assert reset or (isinstance(caught.value, TlsError) and caught.value.kind in kinds)
        assert call(driver, port, client_context(world.gantry.files(world.trust)), []) == [0]


@driver
def test_a_plain_storescp_called_with_tls(world: World, dcmtk: Find, driver: str, tmp_path: Path) -> None:
    with storescp(dcmtk, tmp_path / "out") as port:
        with pytest.raises(TlsError) as caught:
            call(driver, port, client_context(world.gantry.files(world.trust)), [])
        assert caught.value.kind in {"peer-plain", "peer-not-tls", "closed"}
        assert call(driver, port, None, []) == [0]


@driver
def test_a_tls_storescp_called_in_plain(world: World, dcmtk: Find, driver: str, tmp_path: Path) -> None:
    with storescp(dcmtk, tmp_path / "out", *secure(world.dcmtk, world.trust)) as port, pytest.raises(AssociationFailure):
        call(driver, port, None, [])
