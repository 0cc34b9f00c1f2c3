"""TLS: files, handshakes that fail with a clear word, and a TLS socket that behaves as a plain one."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import IO

import pytest

from dimse import ContextProposal, aio, blocking
from dimse.blocking.sockets import (
    TlsSocket,
    close_politely,
    listen,
    secure_client,
    secure_server,
    send_all,
    send_batch,
    set_timeouts,
)
from dimse.certificates import read_certificate
from dimse.commands import encode_command
from dimse.errors import AssociationFailure, AssociationRejected, ConnectionLost, TimedOut, TlsError
from dimse.explain import explain
from dimse.messages import pack_command
from dimse.pdu import RELEASE_REPLY_BYTES, RELEASE_REQUEST_BYTES
from dimse.requesting import encode_echo
from dimse.tls import (
    Profile,
    TlsFiles,
    check_certificate,
    client_context,
    explain_tls,
    fingerprint,
    is_plain,
    server_context,
    server_name,
)
from dimse.uids import VERIFICATION
from tests.dimse.drivers import QUICK, REQUEST, Keeper
from tests.support.certificates import Authority, Pair, der_of
from tests.support.tls_servers import tls_server


class World:
    """An authority that both sides trust, a stranger, and what they signed."""

    def __init__(self, folder: Path) -> None:
        self.ours = Authority(folder / "ours")
        self.strange = Authority(folder / "strange", "Some other authority")
        self.trust = self.ours.certificate
        self.server = self.ours.issue("server")
        self.client = self.ours.issue("client")
        self.stranger = self.strange.issue("stranger")
        self.expired = self.ours.issue("expired", ends=timedelta(days=-1))
        self.early = self.ours.issue("early", begins=timedelta(days=1))
        self.elsewhere = self.ours.issue("elsewhere", names="DNS:pacs.example")
        self.weak = self.ours.issue("weak", rsa_bits=1024)
        self.locked = self.ours.issue("locked", password="sesame")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("certificates"))


# --- files ---


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        ("no-certificate", lambda w, t: TlsFiles(authorities=w.trust)),
        ("file-missing", lambda w, t: TlsFiles("/nowhere.pem", "", w.trust)),
        ("file-missing", lambda w, t: TlsFiles(w.server.certificate, "/nowhere.key", w.trust)),
        ("file-missing", lambda w, t: w.server.files("/nowhere.pem")),
        ("file-missing", lambda w, t: w.server.files(str(t))),
        ("file-unreadable", lambda w, t: TlsFiles(str(t), "", w.trust)),
        ("not-pem", lambda w, t: TlsFiles(str(w.ours.config), "", w.trust)),
        ("no-key", lambda w, t: TlsFiles(w.server.certificate, "", w.trust)),
        ("key-mismatch", lambda w, t: TlsFiles(w.server.certificate, w.client.key, w.trust)),
        ("password-missing", lambda w, t: w.locked.files(w.trust)),
        ("wrong-password", lambda w, t: w.locked.files(w.trust, password="open")),
        ("own-expired", lambda w, t: w.expired.files(w.trust)),
        ("own-not-yet-valid", lambda w, t: w.early.files(w.trust)),
        ("own-weak", lambda w, t: w.weak.files(w.trust)),
        ("no-authority", lambda w, t: w.server.files()),
        ("bad-authority", lambda w, t: w.server.files(w.server.key)),
        ("file-missing", lambda w, t: dataclasses.replace(w.server.files(w.trust), revocations="/nowhere.crl")),
        ("file-missing", lambda w, t: dataclasses.replace(w.server.files(w.trust), revocations=str(t))),
        ("bad-revocations", lambda w, t: dataclasses.replace(w.server.files(w.trust), revocations=w.trust)),
    ],
)
def test_files_that_do_not_do(world: World, tmp_path: Path, kind: str, make: Callable[[World, Path], TlsFiles]) -> None:
    with pytest.raises(TlsError) as caught:
        server_context(make(world, tmp_path))
    assert caught.value.kind == kind
    assert caught.value.cause
    assert caught.value.remedy
    assert caught.value.permanent


def test_files_that_do(world: World, tmp_path: Path) -> None:
    server_context(world.locked.files(world.trust, password="sesame"))
    assert "sesame" not in repr(world.locked.files(world.trust, password="sesame"))
    bundle = tmp_path / "both.pem"
    bundle.write_text("Zürich\n" + Path(world.server.certificate).read_text() + Path(world.server.key).read_text())
    (tmp_path / "trust").mkdir()
    (tmp_path / "trust" / "a.pem").write_text("für Menschen\n" + Path(world.trust).read_text())
    context = server_context(TlsFiles(str(bundle), "", str(tmp_path / "trust")))
    assert [dict(pair[0] for pair in ca["subject"])["commonName"] for ca in context.get_ca_certs()] == ["Test authority"]


def test_a_client_never_trusts_everybody(world: World) -> None:
    with pytest.raises(TlsError, match="no authority"):
        client_context(TlsFiles(), check_name=False)
    for context in (client_context(TlsFiles()), client_context(TlsFiles(), expect_name="pacs.example")):
        assert context.check_hostname
        assert context.verify_mode is ssl.CERT_REQUIRED
    for pin in ("12:34", "g" * 64, "ab" * 33):
        with pytest.raises(TlsError, match="64 hexadecimal digits"):
            client_context(TlsFiles(), expect_fingerprint=pin)


def test_certificates_are_read(world: World) -> None:
    der = der_of(world.expired)
    known = read_certificate(der)
    assert known is not None
    assert (known.subject, known.issuer) == ("expired", "Test authority")
    assert timedelta(days=0.9) < known.not_after - known.not_before < timedelta(days=1.1)
    assert known.fingerprint == fingerprint(der) == hashlib.sha256(der).digest().hex(":").upper()


def test_damaged_certificates_are_none_and_harmless(world: World) -> None:
    der = der_of(world.server)
    for cut in range(len(der)):
        assert read_certificate(der[:cut]) is None
    for at in range(0, len(der), 3):
        for value in (0, 0x80, 0x84, 0xFF):
            read_certificate(der[:at] + bytes([value]) + der[at + 1 :])
    assert read_certificate(b"\x30\x84\xff\xff\xff\xff" + bytes(200)) is None
    assert read_certificate(bytes(1 << 20)) is None


# --- handshakes ---


class Both:
    """What each side of a handshake came to: a TlsSocket or the error."""

    client: TlsSocket | BaseException
    server: TlsSocket | BaseException


@contextmanager
def shake(server: ssl.SSLContext, client: ssl.SSLContext, host: str = "127.0.0.1", seconds: float = 5.0) -> Iterator[Both]:
    """A handshake over loopback; both sides in blocking mode with a time-out of 5 s."""
    both = Both()
    with listen(host, 0) as listener:

        def serve() -> None:
            sock, _ = listener.accept()
            try:
                both.server = secure_server(sock, server, seconds)
                set_timeouts(both.server, 5, 5)
            except AssociationFailure as error:
                both.server = error

        thread = threading.Thread(target=serve)
        thread.start()
        sock = socket.create_connection(listener.getsockname()[:2])
        try:
            both.client = secure_client(sock, client, host, seconds)
            set_timeouts(both.client, 5, 5)
        except AssociationFailure as error:
            both.client = error
        thread.join()
    yield both
    for side in (both.client, both.server):
        if isinstance(side, TlsSocket):
            side.close()


def kind_of(side: TlsSocket | BaseException) -> str:
    """The kind of a side's error; under TLS 1.3 a client hears of a refusal when it reads."""
    if isinstance(side, TlsSocket):
        try:
            side.recv_into(memoryview(bytearray(10)))
        except TlsError as error:
            return error.kind
        return ""
    assert isinstance(side, TlsError)
    return side.kind


def legacy(context: ssl.SSLContext, version: ssl.TLSVersion) -> ssl.SSLContext:
    """A peer from the past."""
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = version
    return context


@pytest.mark.parametrize("profile", list(Profile))
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_mutual(world: World, profile: Profile, host: str) -> None:
    server = server_context(world.server.files(world.trust), profile)
    client = client_context(world.client.files(world.trust), profile)
    with shake(server, client, host) as both:
        assert isinstance(both.client, TlsSocket)
        assert isinstance(both.server, TlsSocket)
        assert both.server.certificate == der_of(world.client)
        assert both.client.certificate == der_of(world.server)
        assert both.client.version.startswith("TLSv1.3 TLS_")


@pytest.mark.parametrize("rule", ["optional", "none"])
def test_anonymous_client(world: World, rule: str) -> None:
    server = server_context(world.server.files(world.trust), client_certificates=rule)  # type: ignore[arg-type]
    with shake(server, client_context(TlsFiles(authorities=world.trust))) as both:
        assert isinstance(both.server, TlsSocket)
        assert both.server.certificate is None


def test_tls_1_2_peer(world: World) -> None:
    old = client_context(world.client.files(world.trust))
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with shake(server_context(world.server.files(world.trust)), old) as both:
        assert isinstance(both.client, TlsSocket)
        assert both.client.version == "TLSv1.2 ECDHE-ECDSA-AES256-GCM-SHA384"
    with shake(server_context(world.server.files(world.trust), Profile.TLS13_ONLY), old) as both:
        assert (kind_of(both.server), kind_of(both.client)) == ("old-version", "our-version-refused")


def test_peers_from_the_past(world: World) -> None:
    for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        with pytest.deprecated_call():
            old = legacy(client_context(world.client.files(world.trust)), version)
        with shake(server_context(world.server.files(world.trust)), old) as both:
            assert kind_of(both.server) == "old-version"
        with pytest.deprecated_call():
            old = legacy(server_context(world.server.files(world.trust)), version)
        with shake(old, client_context(world.client.files(world.trust))) as both:
            assert kind_of(both.client) in {"old-version", "our-version-refused"}


def test_no_common_cipher(world: World) -> None:
    client = client_context(world.client.files(world.trust))
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.set_ciphers("ECDHE-RSA-AES128-SHA256")
    with shake(server_context(world.server.files(world.trust)), client) as both:
        assert kind_of(both.server) == "no-common-cipher"
        assert kind_of(both.client) == "refused"


def strange_client(w: World) -> ssl.SSLContext:
    return client_context(w.stranger.files(w.trust))


@pytest.mark.parametrize(
    ("make_server", "make_client", "seen_by_server", "seen_by_client"),
    [
        ("server", lambda w: client_context(TlsFiles(authorities=w.trust)), "peer-no-certificate", "own-missing"),
        ("server", strange_client, "peer-unknown-authority", "own-unknown-authority"),
        ("server", lambda w: client_context(w.client.files(w.strange.certificate)), "own-unknown-authority", "peer-unknown-authority"),
        ("elsewhere", lambda w: client_context(w.client.files(w.trust)), "own-refused", "peer-other-name"),
        ("elsewhere", lambda w: client_context(w.client.files(w.trust), check_name=False), "", ""),
        ("elsewhere", lambda w: client_context(w.client.files(w.trust), expect_name="pacs.example"), "", ""),
        ("server", lambda w: client_context(w.client.files(w.trust), expect_name="pacs.example"), "own-refused", "peer-other-name"),
        ("elsewhere", lambda w: client_context(w.client.files(), expect_fingerprint=fingerprint(der_of(w.elsewhere))), "", ""),
        ("elsewhere", lambda w: client_context(w.client.files(w.trust), expect_fingerprint=fingerprint(der_of(w.elsewhere))), "", ""),
        ("server", lambda w: client_context(w.client.files(), expect_fingerprint="0" * 64), "", "other-certificate"),
        ("server", lambda w: client_context(w.client.files(w.strange.certificate), expect_fingerprint=fingerprint(der_of(w.server))),
         "own-unknown-authority", "peer-unknown-authority"),
    ],
)  # fmt: skip
def test_who_is_trusted(
    world: World, make_server: str, make_client: Callable[[World], ssl.SSLContext], seen_by_server: str, seen_by_client: str
) -> None:
    own: Pair = getattr(world, make_server)
    with shake(server_context(own.files(world.trust)), make_client(world)) as both:
        if seen_by_client or seen_by_server:
            assert kind_of(both.client) == seen_by_client
            assert kind_of(both.server) == seen_by_server
        else:
            assert isinstance(both.client, TlsSocket)
            assert isinstance(both.server, TlsSocket)


@pytest.mark.parametrize(("who", "kind"), [("expired", "expired"), ("early", "not-yet-valid"), ("weak", "weak")])
def test_certificates_out_of_time(world: World, who: str, kind: str) -> None:
    pair: Pair = getattr(world, who)
    bad = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    bad.set_ciphers("DEFAULT:@SECLEVEL=0")
    bad.check_hostname = False
    bad.load_verify_locations(world.trust)
    bad.load_cert_chain(pair.certificate, pair.key)
    with shake(server_context(world.server.files(world.trust)), bad) as both:
        assert kind_of(both.server) == f"peer-{kind}"
        assert kind_of(both.client) == ("own-expired" if who == "expired" else "own-refused")
    bad = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    bad.set_ciphers("DEFAULT:@SECLEVEL=0")
    bad.load_cert_chain(pair.certificate, pair.key)
    with shake(bad, client_context(TlsFiles(authorities=world.trust))) as both:
        assert kind_of(both.client) == f"peer-{kind}"
    if who != "weak":
        with shake(bad, client_context(TlsFiles(), expect_fingerprint=fingerprint(der_of(pair)))) as both:
            assert kind_of(both.client) == f"peer-{kind}"


def test_fingerprints_as_people_write_them(world: World) -> None:
    der = der_of(world.server)
    for pin in (fingerprint(der), fingerprint(der).lower().replace(":", ""), "sha256 Fingerprint=" + fingerprint(der)):
        context = client_context(TlsFiles(), expect_fingerprint=pin)
        check_certificate(context, der)
        for other in (None, b"", der[:-1]):
            with pytest.raises(TlsError, match="another certificate"):
                check_certificate(context, other)
    check_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), None)  # nothing pinned


def test_names_that_are_asked_for(world: World) -> None:
    context = client_context(TlsFiles(authorities=world.trust))
    assert [server_name(context, host) for host in ("pacs", "10.1.2.3", "[::1]", "fe80::1%eth0", "")] == [
        "pacs", "10.1.2.3", "::1", "fe80::1", None]  # fmt: skip
    assert server_name(client_context(TlsFiles(authorities=world.trust), expect_name="x"), "pacs") == "x"


# --- peers that speak something else ---


def talk(answer: bytes | None, *, wait: bool = True) -> tuple[socket.socket, threading.Thread]:
    """A connection to a server that answers the first bytes with `answer` (None: closes at once)."""
    listener = listen("127.0.0.1", 0)

    def serve() -> None:
        with listener:
            sock, _ = listener.accept()
            with sock:
                if answer is None:
                    return
                sock.recv(65536)
                sock.sendall(answer)
                if wait:
                    sock.settimeout(5)
                    while sock.recv(65536):
                        continue

    thread = threading.Thread(target=serve)
    thread.start()
    return socket.create_connection(listener.getsockname()), thread


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (bytes.fromhex("07000000000400000200"), "peer-plain"),
        (bytes.fromhex("03000000000400010101"), "peer-plain"),
        (b"HTTP/1.0 400 Bad Request\r\n\r\n", "peer-not-tls"),
        (b"", "slow"),
        (None, "closed"),
    ],
)
def test_a_tls_client_at_another_port(world: World, answer: bytes | None, kind: str) -> None:
    began = time.monotonic()
    sock, thread = talk(answer)
    with pytest.raises(TlsError) as caught:
        secure_client(sock, client_context(world.client.files(world.trust)), "127.0.0.1", 0.5)
    assert caught.value.kind == kind
    assert time.monotonic() - began < 8
    assert sock.fileno() == -1
    thread.join()


@pytest.mark.parametrize(
    ("first", "kind"),
    [(REQUEST, "peer-plain"), (b"GET / HTTP/1.1\r\n\r\n", "peer-not-tls"), (b"", "closed"), (b"\x16\x03\x01", "slow")],
)
def test_another_client_at_a_tls_port(world: World, first: bytes, kind: str) -> None:
    mine, theirs = socket.socketpair()
    with mine:
        mine.sendall(first)
        if not first:
            mine.shutdown(socket.SHUT_WR)
        with pytest.raises(TlsError) as caught:
            secure_server(theirs, server_context(world.server.files(world.trust)), 0.3)
        assert caught.value.kind == kind
        mine.settimeout(2)
        assert not is_plain(mine.recv(100)), "nothing is said in plain"


def test_a_slow_handshake_ends_in_time_whatever_trickles_in(world: World) -> None:
    mine, theirs = socket.socketpair()
    stop = threading.Event()

    def trickle() -> None:
        hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(400)
        for byte in hello:
            if stop.wait(0.02):
                return
            with suppress(BrokenPipeError):  # it has given up on us
                mine.send(bytes([byte]))

    thread = threading.Thread(target=trickle)
    thread.start()
    began = time.monotonic()
    with pytest.raises(TlsError, match="in time"):
        secure_server(theirs, server_context(world.server.files(world.trust)), 0.3)
    assert time.monotonic() - began < 6
    stop.set()
    thread.join()
    mine.close()


def test_a_handshake_is_ended_by_another_thread(world: World) -> None:
    mine, theirs = socket.socketpair()
    timer = threading.Timer(0.2, lambda: theirs.shutdown(socket.SHUT_RDWR))
    timer.start()
    began = time.monotonic()
    with mine, pytest.raises(TlsError):
        secure_server(theirs, server_context(world.server.files(world.trust)), 20)
    assert time.monotonic() - began < 10
    timer.join()


def test_what_openssl_says_is_explained() -> None:
    assert explain_tls(ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number")).kind == "peer-not-tls"
    assert explain_tls(ssl.SSLEOFError(8, "EOF occurred in violation of protocol")).kind == "closed"
    assert explain_tls(ConnectionResetError(104, "reset")).kind == "closed"
    assert explain_tls(TimeoutError()).kind == "slow"
    assert explain_tls(ValueError("?")).kind == "failed"
    before = TlsError("slow", "a", "b")
    assert explain_tls(before) is before


# --- as a socket ---


@pytest.fixture
def pair(world: World) -> Iterator[tuple[TlsSocket, TlsSocket]]:
    with shake(server_context(world.server.files(world.trust)), client_context(world.client.files(world.trust))) as both:
        assert isinstance(both.client, TlsSocket)
        assert isinstance(both.server, TlsSocket)
        yield both.client, both.server


def test_bytes_arrive_as_they_were(pair: tuple[TlsSocket, TlsSocket]) -> None:
    client, server = pair
    digest, got = hashlib.sha256(), hashlib.sha256()
    sizes = [1, 12, 0, 131_060, 262_144, 7, 16_384, 16_385, 900_001, 3]

    def send() -> None:
        for _ in range(5):
            batch = [memoryview(os.urandom(size)) for size in sizes]
            for piece in batch:
                digest.update(piece)
            send_batch(client, batch)
            send_all(client, b"small")
            digest.update(b"small")
        close_politely(client, 3)

    thread = threading.Thread(target=send)
    thread.start()
    view, total = memoryview(bytearray(70_000)), 0
    while size := server.recv_into(view):
        got.update(view[:size])
        total += size
    server.close()  # so that the other side need not wait for us
    thread.join()
    assert total == 5 * (sum(sizes) + 5)
    assert got.digest() == digest.digest()


def test_reads_never_leave_decrypted_bytes_behind(pair: tuple[TlsSocket, TlsSocket]) -> None:
    client, server = pair
    send_all(client, bytes(range(256)) * 100)
    time.sleep(0.1)
    view = memoryview(bytearray(1000))
    got = b""
    while True:
        try:
            got += bytes(view[: server.recv_into(view, 0, socket.MSG_DONTWAIT)])
        except BlockingIOError:
            break
    assert got == bytes(range(256)) * 100
    send_all(client, b"12345")
    assert server.recv_into(view, 2) == 2
    assert server.recv_into(view) == 3


def test_time_outs_are_those_of_the_kernel(pair: tuple[TlsSocket, TlsSocket]) -> None:
    client, server = pair
    set_timeouts(server, 0.2, 0.3)
    view = memoryview(bytearray(1000))
    began = time.monotonic()
    with pytest.raises(BlockingIOError):
        server.recv_into(view)
    assert 0.1 < time.monotonic() - began < 4
    send_all(client, b"x")
    assert server.recv_into(view) == 1
    with pytest.raises(TimedOut):
        send_batch(server, [bytes(1 << 20)] * 100)
    assert time.monotonic() - began < 5
    with pytest.raises(ConnectionLost):
        send_all(server, b"a record was cut: nothing can follow")


def test_a_record_in_crumbs_does_not_stop_the_clock(pair: tuple[TlsSocket, TlsSocket]) -> None:
    client, server = pair
    set_timeouts(server, 0.2)
    stop = threading.Event()
    with socket.socket(fileno=os.dup(client.fileno())) as raw:

        def crumbs() -> None:
            raw.send(b"\x17\x03\x03\x40\x00")
            while not stop.wait(0.02):
                raw.send(b"x")

        thread = threading.Thread(target=crumbs)
        thread.start()
        began = time.monotonic()
        try:
            with pytest.raises(BlockingIOError):
                server.recv_into(memoryview(bytearray(10)))
            assert 0.15 < time.monotonic() - began < 4
        finally:
            stop.set()
            thread.join()


def test_the_end_is_seen(pair: tuple[TlsSocket, TlsSocket]) -> None:
    client, server = pair
    send_all(client, b"last")
    client.close()
    view = memoryview(bytearray(10))
    assert server.recv_into(view) == 4
    assert server.recv_into(view) == 0
    assert server.recv_into(view) == 0


def test_a_cut_connection_is_seen(pair: tuple[TlsSocket, TlsSocket]) -> None:
    client, server = pair
    client.shutdown(socket.SHUT_RDWR)  # without close_notify
    assert server.recv_into(memoryview(bytearray(10))) == 0


def test_damaged_bytes_are_an_error(pair: tuple[TlsSocket, TlsSocket]) -> None:
    client, server = pair
    with socket.socket(fileno=os.dup(client.fileno())) as raw:
        raw.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
    with pytest.raises(TlsError) as caught:
        server.recv_into(memoryview(bytearray(10)))
    assert caught.value.kind == "damaged"
    with pytest.raises(TlsError) as caught:
        client.recv_into(memoryview(bytearray(10)))
    assert caught.value.kind == "damaged"


# --- servers and clients of both drivers ---


def echo(driver: str, port: int, tls: ssl.SSLContext | None, host: str = "127.0.0.1") -> int:
    options = {"called_aet": "GANTRY", "calling_aet": "TESTER", "contexts": [ContextProposal(VERIFICATION)], "tls": tls}
    if driver == "threads":
        with blocking.connect(host, port, **options) as association:  # type: ignore[arg-type]
            return association.echo()

    async def go() -> int:
        async with await aio.connect(host, port, **options) as association:  # type: ignore[arg-type]
            return await association.echo()

    return asyncio.run(go())


@pytest.mark.parametrize("server", ["threads", "asyncio"])
@pytest.mark.parametrize("client", ["threads", "asyncio"])
def test_an_association_knows_the_certificate_of_its_peer(world: World, server: str, client: str) -> None:
    with tls_server(server, server_context(world.server.files(world.trust)), "::1") as (port, witness):
        assert echo(client, port, client_context(world.client.files(world.trust)), "::1") == 0
        assert witness.certificates == [der_of(world.client)]


@pytest.mark.parametrize("server", ["threads", "asyncio"])
@pytest.mark.parametrize("client", ["threads", "asyncio"])
def test_there_is_never_a_fall_back(world: World, server: str, client: str) -> None:
    good = client_context(world.client.files(world.trust))
    with tls_server(server, server_context(world.server.files(world.trust))) as (port, witness):
        with pytest.raises(AssociationFailure):
            echo(client, port, None)
        with pytest.raises(TlsError) as caught:
            echo(client, port, client_context(world.client.files(world.strange.certificate)))
        assert caught.value.kind == "peer-unknown-authority"
        assert witness.asked == 0
        assert echo(client, port, good) == 0
    with tls_server(server, None) as (port, witness):
        with pytest.raises(TlsError) as caught:
            echo(client, port, good)
        assert caught.value.kind in {"peer-plain", "peer-not-tls"}
        assert witness.asked == 0


@pytest.mark.parametrize("server", ["threads", "asyncio"])
def test_a_refused_certificate_is_told_by_either_client(world: World, server: str) -> None:
    with tls_server(server, server_context(world.server.files(world.trust))) as (port, _):
        for client in ("threads", "asyncio"):
            with pytest.raises(TlsError) as caught:
                echo(client, port, client_context(world.stranger.files(world.trust)))
            assert caught.value.kind == "own-unknown-authority"


def test_callers_that_never_shake_hands_do_not_keep_others_out(world: World) -> None:
    """More of them than there are places; each gives way after its time of grace."""
    limits = dataclasses.replace(QUICK, max_associations=5, request_grace_seconds=0.05)
    with tls_server("threads", server_context(world.server.files(world.trust)), limits=limits) as (port, _):
        silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(10)]
        time.sleep(0.2)
        assert echo("threads", port, client_context(world.client.files(world.trust))) == 0
        for sock in silent:
            sock.close()


def test_a_server_that_is_refused_hears_why(world: World) -> None:
    """The alert of our asyncio client reaches it before the connection is closed."""
    for driver in ("threads", "asyncio"):
        heard: list[TlsSocket | BaseException] = []
        with listen("127.0.0.1", 0) as listener:

            def serve(heard: list[TlsSocket | BaseException] = heard, listener: socket.socket = listener) -> None:
                try:
                    heard.append(secure_server(listener.accept()[0], server_context(world.server.files(world.trust)), 5))
                except AssociationFailure as error:
                    heard.append(error)

            thread = threading.Thread(target=serve)
            thread.start()
            with pytest.raises(TlsError):
                echo(driver, listener.getsockname()[1], client_context(world.client.files(world.strange.certificate)))
            thread.join()
        assert kind_of(heard[0]) == "own-unknown-authority"


# --- revocation lists ---


def test_who_was_revoked_is_refused(world: World) -> None:
    """On either side; the other sees why. An authority without a list, or with an old one, vouches for nobody."""
    bad = world.ours.issue("revoked")
    current, old = world.ours.revoke(bad), world.ours.revoke(days=-1, name="old")
    strangers = world.strange.revoke(name="strange")
    both = (world.trust, world.strange.certificate)
    server, client = world.server.files(*both), world.client.files(*both)
    checked = dataclasses.replace(server, authorities=both, revocations=current)
    plain = client_context(dataclasses.replace(client, authorities=both))
    cases = [
        (checked, plain, "", ""),
        (checked, client_context(bad.files(world.trust)), "peer-revoked", "own-revoked"),
        (checked, client_context(world.stranger.files(world.trust)), "no-revocation-list", "own-unknown-authority"),
        (
            dataclasses.replace(checked, revocations=[current, strangers]),
            client_context(world.stranger.files(world.trust)),
            "",
            "",
        ),
        (dataclasses.replace(checked, revocations=old), plain, "revocation-list-expired", "own-refused"),
        (dataclasses.replace(checked, revoked_chain=True), plain, "", ""),
    ]
    for files, context, seen_by_server, seen_by_client in cases:
        with shake(server_context(files), context) as both_sides:
            if not seen_by_server:
                assert isinstance(both_sides.server, TlsSocket)
                assert isinstance(both_sides.client, TlsSocket)
            else:
                assert kind_of(both_sides.server) == seen_by_server
                assert kind_of(both_sides.client) in {
                    seen_by_client,
                    "own-refused",
                    "own-unknown-authority",
                    "refused",
                    "own-expired",
                }
    revoked_server = server_context(dataclasses.replace(bad.files(world.trust)))
    ours = client_context(dataclasses.replace(world.client.files(world.trust), revocations=current))
    with shake(revoked_server, ours) as both_sides:
        assert kind_of(both_sides.client) == "peer-revoked"
        assert kind_of(both_sides.server) == "own-revoked"


# --- all places taken, shared places, new keys ---


@pytest.mark.parametrize("server", ["threads", "asyncio"])
def test_a_full_tls_listener_says_so(world: World, server: str) -> None:
    """A-ASSOCIATE-RJ after the handshake; who shakes no hands, or shows no certificate, keeps nobody out."""
    limits = dataclasses.replace(QUICK, max_associations=1, close_seconds=3.0)
    tls = client_context(world.client.files(world.trust))
    options = {"called_aet": "GANTRY", "calling_aet": "TESTER", "contexts": [ContextProposal(VERIFICATION)], "tls": tls}
    with tls_server(server, server_context(world.server.files(world.trust)), limits=limits) as (port, _):
        with blocking.connect("127.0.0.1", port, **options) as association:  # type: ignore[arg-type]
            silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(5)]
            with pytest.raises(TlsError):
                echo("threads", port, client_context(TlsFiles(authorities=world.trust)))
            for client in ("threads", "asyncio"):
                with pytest.raises(AssociationRejected) as caught:
                    echo(client, port, tls)
                rejected = caught.value
                assert (rejected.result, rejected.source, rejected.reason) == (2, 3, 2)
                assert not explain(rejected).permanent
            assert association.echo() == 0
        for sock in silent:
            sock.close()


def test_a_plain_and_a_tls_listener_share_their_places(world: World) -> None:
    limits = dataclasses.replace(QUICK, max_associations=1, close_seconds=3.0)
    keeper, doorkeeper = Keeper(), blocking.Doorkeeper(limits)
    secure = server_context(world.server.files(world.trust))
    tls = client_context(world.client.files(world.trust))
    options = {"called_aet": "GANTRY", "calling_aet": "TESTER", "contexts": [ContextProposal(VERIFICATION)]}
    with listen("127.0.0.1", 0) as one, listen("127.0.0.1", 0) as other:
        servers = [
            blocking.Server(one, keeper, limits=limits, doorkeeper=doorkeeper),
            blocking.Server(other, keeper, limits=limits, doorkeeper=doorkeeper, tls=secure),
        ]
        threads = [threading.Thread(target=server.serve_forever) for server in servers]
        for thread in threads:
            thread.start()
        ways = [(servers[0].address[1], None), (servers[1].address[1], tls)]
        try:
            for here, there in (ways, ways[::-1]):
                with blocking.connect("127.0.0.1", here[0], tls=here[1], **options) as association:  # type: ignore[arg-type]
                    with pytest.raises(AssociationRejected):
                        echo("threads", *there)
                    assert association.echo() == 0
                deadline = time.monotonic() + 10
                while any(server.associations for server in servers):
                    assert time.monotonic() < deadline
                    time.sleep(0.01)
        finally:
            for server in servers:
                server.stop(0)
            for thread in threads:
                thread.join()


@pytest.mark.parametrize("server", ["threads", "asyncio"])
@pytest.mark.parametrize("order", ["K", "k"])
def test_new_keys_in_the_middle(world: World, server: str, order: str) -> None:
    """`openssl s_client` changes its keys (k) or asks both sides to (K) between a request and its echo (TLS 1.3)."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("the openssl command is not installed here")
    own = ["-cert", world.client.certificate, "-key", world.client.key, "-CAfile", world.trust, "-tls1_3"]
    ask = pack_command(1, encode_command(encode_echo(7)), 16000)
    with tls_server(server, server_context(world.server.files(world.trust))) as (port, witness):
        command = [program, "s_client", "-connect", f"127.0.0.1:{port}", "-quiet", "-no_ign_eof", *own]
        command.remove("-quiet")  # with it the letters are no orders
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as client:
            assert client.stdin is not None
            assert client.stdout is not None
            client.stdin.write(REQUEST)
            client.stdin.flush()
            said = _until(client.stdout, b"GANTRY")
            client.stdin.write(order.encode() + b"\n")
            client.stdin.flush()
            said += _until(client.stdout, b"KEYUPDATE")
            for number in range(1, 4):
                client.stdin.write(ask)
                client.stdin.flush()
                deadline = time.monotonic() + 10
                while len(witness.certificates) < number:
                    assert time.monotonic() < deadline, said
                    time.sleep(0.01)
            client.stdin.write(RELEASE_REQUEST_BYTES)
            client.stdin.flush()
            _until(client.stdout, RELEASE_REPLY_BYTES)
            client.kill()
    assert witness.certificates == [der_of(world.client)] * 3


def _until(stream: IO[bytes], words: bytes) -> bytes:
    """What is said up to these words."""
    said = b""
    while words not in said:
        piece = stream.read1(1 << 16)  # type: ignore[attr-defined]  # Popen gives a BufferedReader
        assert piece, said
        said += piece
    return said
