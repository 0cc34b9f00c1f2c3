"""The wire engine alone against pynetdicom: reading and writing PDUs, associations per second, what TLS leaves.

    python -m bench.stack [--only decode,encode,associate,tls,tls-gantry] [--rounds 3] [--seconds 2]

`decode`, `encode`: a C-STORE of 16 MB in PDUs of 16 KB and 128 KB, from bytes to data set pieces and back, in memory.
`associate`: connect, A-ASSOCIATE with one context, C-ECHO, release, one after the other, by one raw requestor against
an echo server. `tls`: C-STORE of 0.5 MB instances by our client to our server that drops them, TLS 1.3 against plain. `tls-gantry`: 1 000 CT to a whole Gantry, synced before the answer.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench import data, summary, wire
from bench.machine import REPOSITORY, Workplace, end_cleanly, free_port, note, report
from bench.ours import Gantry

sys.path[:0] = [str(REPOSITORY / "src")]
CT = "1.2.840.10008.5.1.4.1.1.2"
Row = dict[str, Any]
_SIZE = 16 << 20


def _message(pdu: int) -> bytes:
    """A C-STORE-RQ and a data set of 16 MB."""
    room = pdu - 6
    payload = bytes(room)
    parts = [wire.command_pdu(1, wire.store_request(1, CT, "1.2.3"))]
    left = _SIZE
    while left > room:
        parts += [wire.pdata_header(1, room, command=False, last=False), payload]
        left -= room
    parts += [wire.pdata_header(1, left, command=False, last=True), payload[:left]]
    return b"".join(parts)


def _per_second(work: Callable[[], int], seconds: float) -> float:
    """Units of work per second, repeated for about `seconds`."""
    work()
    done, begun = 0, time.perf_counter()
    while (spent := time.perf_counter() - begun) < seconds:
        done += work()
    return done / spent


def _our_core(pdu: int) -> Any:
    from dimse.association import Association
    from dimse.negotiation import AcceptedContext
    from dimse.states import Role, State

    core = Association(Role.ACCEPTOR, max_pdu=pdu)
    core.contexts = {1: AcceptedContext(1, CT, wire.EXPLICIT_LE)}
    core.state = State.ESTABLISHED
    core._fragment = pdu - 6
    return core


def _decode_ours(pdu: int) -> Callable[[], int]:
    data = memoryview(_message(pdu))
    chunk = 256 << 10

    def work() -> int:
        core = _our_core(pdu)
        size = 0
        for start in range(0, len(data), chunk):
            core.receive(data[start : start + chunk])
            while (event := core.next_event()) is not None:
                size += sum(map(len, getattr(event, "views", ())))
        assert size == _SIZE
        return size

    return work


def _decode_pynetdicom(pdu: int) -> Callable[[], int]:
    from pynetdicom.dimse_messages import C_STORE_RQ
    from pynetdicom.pdu import P_DATA_TF

    data = _message(pdu)

    def work() -> int:
        message = C_STORE_RQ()
        at = 0
        while at < len(data):
            end = at + 6 + int.from_bytes(data[at + 2 : at + 6], "big")
            received = P_DATA_TF()
            received.decode(data[at:end])
            message.decode_msg(received.to_primitive())
            at = end
        assert message.data_set is not None
        size = message.data_set.getbuffer().nbytes
        assert size == _SIZE
        return int(size)

    return work


def _encode_ours(pdu: int) -> Callable[[], int]:
    from dimse.requesting import encode_store

    payload = [memoryview(bytes(_SIZE))]
    core = _our_core(pdu)

    def work() -> int:
        batches = core.send_message(1, encode_store(1, CT, "1.2.3", 0, None), payload)
        return sum(sum(map(len, batch)) for batch in batches)

    return work


def _encode_pynetdicom(pdu: int) -> Callable[[], int]:
    from io import BytesIO

    from pynetdicom.dimse_messages import C_STORE_RQ
    from pynetdicom.dimse_primitives import C_STORE
    from pynetdicom.pdu import P_DATA_TF

    payload = bytes(_SIZE)

    def work() -> int:
        primitive = C_STORE()
        primitive.MessageID, primitive.AffectedSOPClassUID, primitive.AffectedSOPInstanceUID = 1, CT, "1.2.3"
        primitive.Priority, primitive.DataSet = 0, BytesIO(payload)
        message = C_STORE_RQ()
        message.primitive_to_message(primitive)
        size = 0
        for fragment in message.encode_msg(1, pdu):
            size += len(P_DATA_TF(fragment).encode())
        return size

    return work


CODECS = {
    ("decode", "dimse"): _decode_ours, ("decode", "pynetdicom"): _decode_pynetdicom,
    ("encode", "dimse"): _encode_ours, ("encode", "pynetdicom"): _encode_pynetdicom,
}  # fmt: skip


def _codec(case: str, peer: str, options: argparse.Namespace) -> list[Row]:
    return [
        {
            "case": f"{case}-{pdu >> 10}k",
            "value": round(_per_second(CODECS[case, peer](pdu), options.seconds) / 1e6, 1),
            "unit": "MB/s",
        }
        for pdu in (16384, 131072)
    ]


class _Echo:
    """An acceptor that answers echoes and drops what is stored; for the blocking and the asyncio server."""

    def association_requested(self, request: Any, peer: Any) -> Any:
        from dimse import Accept

        return Accept()

    def echo(self, association: Any) -> int:
        return 0

    def store(self, association: Any, command: Any, context: Any) -> Any:
        from dimse.acceptance import Drain, StoreAnswer

        return Drain(StoreAnswer())

    def association_ended(self, association: Any, how: str) -> None:
        return


def _serve_blocking(talk: Connection, files: tuple[str, str] | None = None) -> None:
    from dimse.blocking import Server, listen

    more: dict[str, Any] = {}
    if files is not None:
        from dimse.tls import TlsFiles, server_context

        more["tls"] = server_context(TlsFiles(files[0], files[1], ()), client_certificates="none")
    server = Server(listen("127.0.0.1", 0), _Echo(), **more)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    talk.send(server.address)
    talk.recv()


def _serve_asyncio(talk: Connection) -> None:

    import uvloop

    from dimse.aio import Server
    from dimse.blocking import listen

    async def serve() -> None:
        server = Server(listen("127.0.0.1", 0), _Echo())
        talk.send(server.address)
        await server.serve_forever()

    uvloop.run(serve())


def _serve_pynetdicom(talk: Connection) -> None:
    from pynetdicom import AE

    entity = AE("ECHO")
    entity.add_supported_context(wire.VERIFICATION)
    server = entity.start_server(("127.0.0.1", 0), block=False)
    assert server is not None
    assert server.socket is not None
    talk.send(server.socket.getsockname())
    talk.recv()


SERVERS = {"dimse": _serve_blocking, "dimse-asyncio": _serve_asyncio, "pynetdicom": _serve_pynetdicom}


@contextlib.contextmanager
def _in_process(target: Callable[..., None], *arguments: object) -> Iterator[tuple[str, int]]:
    """A server in a process of its own; gives its address."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=target, args=(there, *arguments), daemon=True)
    process.start()
    try:
        if not here.poll(20):
            raise wire.WireError("the server did not start")
        yield here.recv()
    finally:
        process.kill()
        process.join()
        here.close()


def _associate(case: str, peer: str, options: argparse.Namespace) -> list[Row]:
    context = wire.Context(1, wire.VERIFICATION, (wire.IMPLICIT_LE,))

    def once(address: tuple[str, int]) -> int:
        sock, _ = wire.associate(address, [context])
        sock.sendall(wire.command_pdu(1, wire.echo_request(1)))
        if wire.read_response(sock).get(0x0900) != b"\0\0":
            raise wire.WireError("C-ECHO was not answered with success")
        wire.release(sock)
        return 1

    with _in_process(SERVERS[peer]) as address:
        rate = _per_second(lambda: once(address), options.seconds)
    return [{"case": case, "value": round(rate, 1), "unit": "associations/s"}]


def _certificate(folder: Path) -> tuple[str, str]:
    """A self-signed certificate by the openssl command."""
    key, certificate = str(folder / "key.pem"), str(folder / "certificate.pem")
    openssl = shutil.which("openssl") or "openssl"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    command = [
        openssl,
        "req",
        "-x509",
        "-newkey",
        "rsa:3072",
        "-nodes",
        "-days",
        "1",
        *subject,
        "-keyout",
        key,
        "-out",
        certificate,
    ]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


def _tls(case: str, peer: str, options: argparse.Namespace) -> list[Row]:
    from dimse import ContextProposal
    from dimse.blocking import connect
    from dimse.tls import TlsFiles, client_context

    payload = bytes(527_000)
    proposal = ContextProposal(CT, (wire.EXPLICIT_LE,))
    with tempfile.TemporaryDirectory() as folder:
        files = _certificate(Path(folder))
        tls = client_context(TlsFiles("", "", (files[0],))) if peer == "tls13" else None
        with (
            _in_process(_serve_blocking, files if peer == "tls13" else None) as (host, port),
            connect(host, port, called_aet="A", calling_aet="B", contexts=[proposal], tls=tls) as association,
        ):

            def once() -> int:
                result = association.store(
                    sop_class_uid=CT, sop_instance_uid="1.2.3", transfer_syntax_uid=wire.EXPLICIT_LE, data=payload
                )
                assert result.stored
                return len(payload)

            rate = _per_second(once, options.seconds)
    return [{"case": case, "value": round(rate / 1e6, 1), "unit": "MB/s"}]


def _tls_product(case: str, peer: str, options: argparse.Namespace) -> list[Row]:
    """The same to a whole Gantry: synced and indexed. Each instance has a UID of its own."""
    from dimse import ContextProposal
    from dimse.blocking import connect
    from dimse.tls import TlsFiles, client_context

    items = data.load("ct", options.scale).items
    folder = data.load("ct", options.scale).folder
    with Workplace() as place:
        home = place.fresh("tls")
        certificate, key = _certificate(home)
        secure = free_port()
        settings = {
            "GANTRY_DICOM_TLS_ADDRESS": f"127.0.0.1:{secure}", "GANTRY_DICOM_TLS_CERTIFICATE": certificate,
            "GANTRY_DICOM_TLS_KEY": key, "GANTRY_DICOM_TLS_CLIENTS": "none", "GANTRY_UNKNOWN_CALLERS": "allow",
        }  # fmt: skip
        with Gantry("gantry", home, **settings) as gantry:
            tls = client_context(TlsFiles("", "", (certificate,))) if peer == "tls13" else None
            proposal = ContextProposal(CT, (wire.EXPLICIT_LE,))
            port = secure if tls is not None else gantry.port
            with connect("127.0.0.1", port, called_aet="GANTRY", calling_aet="B", contexts=[proposal], tls=tls) as association:
                begun, size = time.perf_counter(), 0
                for item in items:
                    raw = memoryview((folder / item.path).read_bytes())[item.offset :]
                    result = association.store(
                        sop_class_uid=CT, sop_instance_uid=item.sop_instance, transfer_syntax_uid=wire.EXPLICIT_LE, data=raw
                    )
                    assert result.stored
                    size += raw.nbytes
                rate = size / (time.perf_counter() - begun)
    return [{"case": case, "value": round(rate / 1e6, 1), "unit": "MB/s"}]


PARTS: dict[str, tuple[Callable[[str, str, argparse.Namespace], list[Row]], tuple[str, ...]]] = {
    "decode": (_codec, ("dimse", "pynetdicom")),
    "encode": (_codec, ("dimse", "pynetdicom")),
    "associate": (_associate, tuple(SERVERS)),
    "tls": (_tls, ("tls13", "plain")),
    "tls-gantry": (_tls_product, ("tls13", "plain")),
}


def main() -> None:
    """All parts, all rounds, one JSON line."""
    end_cleanly()
    parser = argparse.ArgumentParser(description="Measure the wire engine alone.")
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="of the set for tls-gantry")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long one figure is taken")
    options = parser.parse_args()
    rows: list[Row] = []
    for number in range(options.rounds):
        for name in options.only.split(","):
            part, peers = PARTS[name]
            for peer in summary.in_turns(peers, number):
                try:
                    found = part(name, peer, options)
                except (TimeoutError, OSError, wire.WireError, ImportError, subprocess.SubprocessError) as error:
                    found = [{"case": name, "errors": [f"{type(error).__name__}: {error}"[:300]]}]
                for row in found:
                    rows.append({"peer": peer, "round": number, "errors": [], **row})
                    note(f"{row['case']} round {number} {peer}: {row.get('value')} {row.get('unit', '')} {row.get('errors', '')}")
    report(
        "stack",
        options,
        medians=summary.medians(rows, ["case", "peer"], "value"),
        ratios=summary.ratios(rows, case=["case"], who="peer", ours=["dimse", "dimse-asyncio", "tls13"], value="value"),
        runs=rows,
    )


if __name__ == "__main__":
    main()
