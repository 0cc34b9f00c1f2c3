"""TLS under asyncio and uvloop, IPv6: our client and server, DCMTK, and peers that do not speak it."""

from __future__ import annotations

import asyncio
import random
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from dimse import AssociationInfo, ContextProposal, aio, blocking
from dimse.aio import Pool
from dimse.errors import AssociationFailure, ConnectFailed, TlsError
from dimse.negotiation import STUDY_ROOT_FIND
from dimse.pdu import encode_request
from dimse.requesting import build_request
from dimse.tls import Profile, TlsContext, TlsFiles, client_context, server_context
from dimse.uids import EXPLICIT_VR_LITTLE_ENDIAN, VERIFICATION
from tests.dimse.archive import MR, numbered, part10
from tests.dimse.drivers import QUICK
from tests.dimse.loops import STORE, Waiting, collect, dcmtk, endless, join, on_both_loops, until
from tests.dimse.pair import CONTEXTS as SHORT
from tests.dimse.test_peers import dataset_of, program
from tests.dimse.test_pool import target
from tests.support.certificates import Authority, Pair, der_of
from tests.support.tls_servers import tls_server

_made: dict[str, tuple[Authority, Pair, Pair]] = {}


@pytest.fixture(autouse=True, scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    authority = Authority(tmp_path_factory.mktemp("aio-tls") / "ca")
    _made["it"] = authority, authority.issue("server"), authority.issue("client")
    yield
    _made.clear()


def for_server(wanted: str = "required", profile: Profile = Profile.BCP195) -> TlsContext:
    authority, server, _ = _made["it"]
    return server_context(server.files(authority.certificate), profile, wanted)  # type: ignore[arg-type]


def for_client() -> TlsContext:
    authority, _, client = _made["it"]
    return client_context(client.files(authority.certificate))


class Witness(Waiting):
    """Keeps what it hears of its callers."""

    def echo(self, association: AssociationInfo) -> int:
        self.infos.append(association)
        return 0


@asynccontextmanager
async def serving(acceptor: Witness, context: TlsContext | None, host: str = "127.0.0.1") -> AsyncIterator[int]:
    with blocking.listen(host, 0) as listener:
        server = aio.Server(listener, acceptor, limits=QUICK, tls=context)
        server.start()
        try:
            yield server.address[1]
        finally:
            await server.stop(0)


@on_both_loops
async def test_everything_over_tls_with_both_certificates_seen() -> None:
    witness = Witness(matches=numbered(200))
    data = {f"1.2.{n}": random.Random(n).randbytes(n) for n in (1, 16_384, 300_001, 9_000_000)}
    for profile in Profile:
        async with serving(witness, for_server(profile=profile)) as port:
            tls = for_client()
            async with await join(port, tls=tls, window=4) as association:
                assert await association.echo() == 0
                assert association.certificate == der_of(_made["it"][1])
                assert witness.infos[-1].peer.certificate == der_of(_made["it"][2])
                assert len(await collect(association.find(b"12", sop_class_uid=STUDY_ROOT_FIND))) == 200
                await asyncio.gather(*(association.store(sop_instance_uid=uid, data=it, **STORE) for uid, it in data.items()))
            assert witness.stored == data
            witness.stored.clear()
            async with Pool() as pool:
                for _ in range(2):
                    async with pool.association(target(port, tls=tls)) as association:
                        await association.echo()
                assert pool.idle == 1
    assert {info.peer.certificate for info in witness.infos} == {der_of(_made["it"][2])}
    await until(lambda: witness.ended == ["released"] * 6)


@on_both_loops
async def test_ipv6_plain_and_secured() -> None:
    witness = Witness()
    for context, tls in ((None, None), (for_server(), for_client())):
        async with serving(witness, context, "::1") as port:
            for host in ("::1", "[::1]"):
                async with await aio.connect(host, port, called_aet="A", calling_aet="B", contexts=SHORT, tls=tls) as association:
                    assert await association.echo() == 0
    assert {info.peer.host for info in witness.infos} == {"::1"}


@on_both_loops
async def test_who_may_not_come_in_hears_why() -> None:
    authority, _, _ = _made["it"]
    witness = Witness()
    async with serving(witness, for_server()) as port:
        # TLS 1.3 tells a client that its certificate is missing only after its own handshake is done
        with pytest.raises(TlsError) as caught:
            await join(port, tls=client_context(TlsFiles(authorities=authority.certificate)))
        assert caught.value.kind == "own-missing"
        with pytest.raises(TlsError) as caught:
            await join(port, tls=client_context(TlsFiles(), expect_fingerprint="00" * 32))
        assert caught.value.kind == "other-certificate"
        with pytest.raises(TlsError) as caught:
            await join(port, tls=client_context(TlsFiles()))
        assert caught.value.kind in {"peer-unknown-authority", "peer-self-signed"}
        with pytest.raises(AssociationFailure):
            await join(port, response_timeout=2.0)  # in plain
        async with await join(port, tls=for_client()) as association:
            assert await association.echo() == 0
    assert witness.ended == ["released"]  # nobody else had an association
    with tls_server("threads", for_server()) as (port, _), pytest.raises(TlsError) as caught:
        await join(port, tls=client_context(TlsFiles(authorities=authority.certificate)))
    assert caught.value.kind == "own-missing"
    async with serving(witness, None) as port:
        with pytest.raises(TlsError) as caught:
            await join(port, tls=for_client())
        assert caught.value.kind in {"peer-plain", "peer-not-tls", "closed"}
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectFailed, match="no connection to"):
            await join(nobody.getsockname()[1], tls=for_client())


@on_both_loops
async def test_handshakes_that_do_not_end_hold_nobody_up() -> None:
    witness = Witness()
    async with serving(witness, for_server()) as port:
        silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
        began = time.monotonic()
        async with await join(port, tls=for_client()) as association:
            assert await association.echo() == 0
        assert time.monotonic() - began < 4
        for sock in silent:
            sock.close()
    # and a server that says nothing
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        began = time.monotonic()
        with pytest.raises(AssociationFailure):
            await join(deaf.getsockname()[1], tls=for_client(), connect_timeout=0.2)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await join(deaf.getsockname()[1], tls=for_client())
        assert time.monotonic() - began < 6


@on_both_loops
async def test_back_pressure_and_ends_hold_over_tls() -> None:
    witness = Witness(matches=endless)
    async with serving(witness, for_server()) as port:
        for leave in ("close", "abort"):
            witness.produced = 0
            association = await join(port, tls=for_client())
            operation = association.find(b"12", sop_class_uid=STUDY_ROOT_FIND)
            await anext(operation)
            before = -1
            async with asyncio.timeout(5):
                while before != witness.produced:
                    before = witness.produced
                    await asyncio.sleep(0.1)
            assert before < 10_000
            await association.abort() if leave == "abort" else association.close()
            del operation
        await until(lambda: len(witness.ended) == 2)
        # a plain A-ASSOCIATE-RQ on a TLS listener gets no plain answer
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(encode_request(build_request("GANTRY", "TESTER", SHORT, 16384)))
        answer = await reader.read()
        assert answer[:1] in {b"", b"\x15"}
        writer.close()


# --- DCMTK ---


def test_storescu_of_dcmtk_sends_to_us_over_tls(tmp_path: Path) -> None:
    wanted = part10(tmp_path / "in", 3)
    authority, _, client = _made["it"]
    witness = Witness()

    async def run() -> None:
        async with serving(witness, for_server()) as port:
            files = sorted((tmp_path / "in").iterdir())
            code, said = await dcmtk(program("storescu"), "-xe", "+tls", client.key, client.certificate, "+cf",
                                     authority.certificate, "localhost", port, *files)  # fmt: skip
            assert code == 0, said
            code, said = await dcmtk(program("echoscu"), "localhost", port)
            assert code != 0
            await until(lambda: witness.ended == ["released"])

    asyncio.run(run())
    assert witness.stored == wanted


@contextmanager
def storescp(folder: Path) -> Iterator[int]:
    authority, server, _ = _made["it"]
    with socket.create_server(("127.0.0.1", 0)) as chosen:
        port = chosen.getsockname()[1]
    process = subprocess.Popen([program("storescp"), "+B", "+xa", "-od", folder, "+tls", server.key, server.certificate,
                                "+cf", authority.certificate, str(port)])  # fmt: skip
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
        process.wait(10)


def test_we_send_to_storescp_of_dcmtk_over_tls(tmp_path: Path) -> None:
    wanted = part10(tmp_path / "in", 3)
    out = tmp_path / "out"
    out.mkdir()
    contexts = (ContextProposal(VERIFICATION), ContextProposal(MR, (EXPLICIT_VR_LITTLE_ENDIAN,)))

    async def run(port: int) -> None:
        async with await join(port, contexts=contexts, tls=for_client()) as association:
            assert await association.echo() == 0
            for uid, data in wanted.items():
                result = await association.store(sop_class_uid=MR, sop_instance_uid=uid, data=data,
                                                 transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN)  # fmt: skip
                assert result.stored
        with pytest.raises(AssociationFailure):
            await join(port, contexts=contexts, response_timeout=2.0)

    with storescp(out) as port:
        asyncio.run(run(port))
    assert sorted(dataset_of(path) for path in out.iterdir()) == sorted(wanted.values())
