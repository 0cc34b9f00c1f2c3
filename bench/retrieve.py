"""C-GET and C-MOVE of a study: Gantry, Orthanc and dcmqrscp in turns as provider, and as the one who fetches.

    python -m bench.retrieve [--only get,move,fetch-orthanc,fetch-dcmqrscp] [--rounds 3] [--scale 0.01]

`get`: one asker on raw sockets takes 1 000 CT of 527 KB on one association, keeps nothing, answers 0000.
`move`: the provider sends them to `fastsink`; the clock runs from C-MOVE-RQ to its final answer. `fetch-*`: the
study lies in that peer; `gantry fetch` (C-GET into a folder), getscu (C-GET) and movescu (C-MOVE to its own port)
fetch it, whole processes.
Numbers of answers, instances and bytes are checked in each run.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import data, fastscu, ours, summary, wire
from bench.fastsink import FastSink, Receiving
from bench.machine import WARM_MB, Workplace, dcmtk, end_cleanly, free_port, note, report, warm_memory
from bench.ours import Gantry
from bench.peers import Orthanc, Peer, PeerError

STUDY_MOVE, STUDY_GET = "1.2.840.10008.5.1.4.1.2.2.2", "1.2.840.10008.5.1.4.1.2.2.3"
#: `gantry-scrubber` does not compare the digest at each C-GET, as the others never do.
PROVIDERS = ("gantry", "gantry-scrubber", "orthanc", "dcmqrscp")
OURS = ("gantry", "gantry-scrubber")
SINK = "SINK"
Row = dict[str, Any]


class Dcmqrscp(Peer):
    """DCMTK's archive, its largest PDU, files as they came."""

    called = "QRSCP"

    def __init__(self, name: str, folder: Path, sink_port: int = 0, *, studies: int = 100) -> None:
        super().__init__(name, folder)
        self._sink_port = sink_port or free_port()
        self._studies = studies

    def command(self) -> list[str]:
        archive = self.folder / "out"
        lines = [
            f"NetworkTCPPort = {self.port}", "MaxPDUSize = 131072", "MaxAssociations = 64",
            "HostTable BEGIN", f"sink = ({SINK}, 127.0.0.1, {self._sink_port})", "HostTable END",
            "VendorTable BEGIN", "VendorTable END",
            "AETable BEGIN", f"{self.called} {archive} RW ({self._studies}, 4096mb) ANY", "AETable END",
        ]  # fmt: skip
        path = self.folder / "dcmqrscp.cfg"
        path.write_text("\n".join(lines) + "\n", encoding="ascii")
        return [dcmtk("dcmqrscp"), "-c", str(path)]

    def stored(self) -> int | None:
        return sum(1 for path in (self.folder / "out").iterdir() if path.name != "index.dat")


def _provider(name: str, folder: Path, sink_port: int) -> Peer:
    if name in OURS:
        digest = "scrubber" if name == "gantry-scrubber" else "each"
        return Gantry(name, folder, GANTRY_UNKNOWN_CALLERS="allow", GANTRY_RETRIEVE_DIGEST=digest)
    if name == "orthanc":
        return Orthanc(name, folder, DicomModalities={"sink": [SINK, "127.0.0.1", sink_port]}, DicomAlwaysAllowGet=True,
                       DicomAlwaysAllowMove=True, DicomAlwaysAllowFind=True)  # fmt: skip
    return Dcmqrscp(name, folder, sink_port)


def _fill(peer: Peer, loaded: fastscu.Loaded) -> None:
    sent = fastscu.send(peer.address, loaded, associations=1, called=peer.called, limit=300)
    if sent.errors:
        raise PeerError(f"filling {peer.name}: {sent.errors[0]}")
    if isinstance(peer, Gantry):
        peer.wait_indexed(len(loaded.views), sent.last_at)


@dataclass(slots=True)
class Answers:
    """What a retrieve was answered with."""

    instances: int = 0
    dataset_bytes: int = 0
    status: int = -1
    completed: int = 0
    failed: int = 0


class _Taker(Receiving):
    """The asker's side of a C-GET: counts C-STORE sub-operations, reads the final answer."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.answers = Answers()

    def commanded(self, context: int, request: dict[int, bytes]) -> None:
        """A C-GET-RSP or C-MOVE-RSP."""
        kind = int.from_bytes(request[0x0100], "little")
        if kind in (wire.C_GET_RSP, wire.C_MOVE_RSP):
            status = int.from_bytes(request[0x0900], "little")
            self.answers.completed = int.from_bytes(request.get(0x1021, b""), "little")
            self.answers.failed = int.from_bytes(request.get(0x1022, b""), "little")
            if status not in (0xFF00, 0xFF01):
                self.answers.status = status

    def stored(self, context: int, request: dict[int, bytes], size: int) -> None:
        """A data set ended: of an instance, or the identifier of a final answer."""
        if int.from_bytes(request[0x0100], "little") == wire.C_STORE_RQ:
            self.answers.instances += 1
            self.answers.dataset_bytes += size
            answer = wire.response(wire.C_STORE_RSP, request[0x0110], request[0x0002], request[0x1000], wire.SUCCESS)
            self.sock.sendall(wire.command_pdu(context, answer))

    def run(self) -> Answers:
        """Until the final answer."""
        while self.answers.status < 0:
            self.one_pdu()
        return self.answers


def _retrieve(peer: Peer, dataset: data.DataSet, *, destination: str = "") -> tuple[Answers, float]:
    sop_class, command = (STUDY_MOVE, wire.C_MOVE_RQ) if destination else (STUDY_GET, wire.C_GET_RQ)
    storage = sorted({item.sop_class for item in dataset.items})
    contexts = [wire.Context(1, sop_class, (wire.IMPLICIT_LE,))]
    if not destination:
        contexts += [wire.Context(3 + 2 * at, name, (wire.EXPLICIT_LE,)) for at, name in enumerate(storage)]
    sock, agreed = wire.associate(peer.address, contexts, called=peer.called, receives=() if destination else storage)
    refused = [context.number for context in agreed.contexts if context.result]
    if refused:
        raise wire.WireError(f"presentation contexts refused: {refused}")
    identifier = wire.study_identifier(dataset.study)
    begun = time.perf_counter()
    sock.sendall(
        wire.command_pdu(1, wire.retrieve_request(command, 1, sop_class, destination))
        + wire.pdata_header(1, len(identifier), command=False, last=True)
        + identifier
    )
    answers = _Taker(sock).run()
    seconds = time.perf_counter() - begun
    wire.release(sock)
    return answers, seconds


def _result(count: int, size: int, seconds: float) -> Row:
    return {"inst_s": round(count / seconds, 1), "mb_s": round(size / seconds / 1e6, 1), "seconds": round(seconds, 4)}


def _as_provider(name: str, case: str, folder: Path, dataset: data.DataSet, options: argparse.Namespace) -> Row:
    count = len(dataset.items)
    with FastSink() as sink, _provider(name, folder, sink.port) as peer:
        if isinstance(peer, Gantry):
            peer.cli("node", "add", "sink", f"{SINK}@127.0.0.1:{sink.port}")
        _fill(peer, fastscu.Loaded(dataset))
        sink.reset()
        warm_memory(options.warm_mb)
        with peer.watch() as watch:
            answers, seconds = _retrieve(peer, dataset, destination=SINK if case == "move" else "")
        arrived = sink.counts() if case == "move" else answers
        row = _result(arrived.instances, arrived.dataset_bytes, seconds)
        row["cpu_s_per_1000"] = round(watch.cpu / count * 1000, 3)
        wrong = []
        if answers.status != 0 or answers.completed != count or arrived.instances != count:
            wrong.append(f"status {answers.status:04X}, {answers.completed} completed, {answers.failed} failed, "
                         f"{arrived.instances} of {count} arrived")  # fmt: skip
        if name in OURS and arrived.dataset_bytes != dataset.dataset_bytes:
            wrong.append(f"{arrived.dataset_bytes} of {dataset.dataset_bytes} bytes arrived")
        return {**row, "errors": wrong}


def _gantry_fetch(peer: Peer, folder: Path, study: str, port: int) -> list[str]:
    del port
    node = f"{peer.called}@127.0.0.1:{peer.port}"
    return [sys.executable, "-m", "gantry.main.cli", "fetch", node, study, "--to", str(folder)]


def _dcmtk_fetch(tool: str, *options: str) -> Callable[[Peer, Path, str, int], list[str]]:
    """A tool of DCMTK at its best: the largest PDU, files written as they came."""

    def command(peer: Peer, folder: Path, study: str, port: int) -> list[str]:
        mine = [option.format(port=port) for option in options]
        keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}"]
        return [
            dcmtk(tool), "-S", "+B", "-pdu", "131072", *mine, "-od", str(folder), "-aec", peer.called, *keys, "127.0.0.1",
            str(peer.port),
        ]  # fmt: skip

    return command


FETCHERS: dict[str, Callable[[Peer, Path, str, int], list[str]]] = {
    "gantry-fetch": _gantry_fetch,
    "getscu": _dcmtk_fetch("getscu"),
    "movescu": _dcmtk_fetch("movescu", "-aet", SINK, "-aem", SINK, "+P", "{port}"),
}


def _as_user(name: str, source: str, folder: Path, dataset: data.DataSet, options: argparse.Namespace) -> Row:
    target = folder / "fetched"
    target.mkdir()
    port = free_port()
    with _provider(source, folder, port) as peer:
        _fill(peer, fastscu.Loaded(dataset))
        warm_memory(options.warm_mb)
        environment = ours.environment({"GANTRY_HOME": str(folder / "user")})
        with (folder / "user.log").open("wb") as log:
            begun = time.perf_counter()
            # movescu writes into its working folder, whatever -od says, when it keeps the bytes as they came.
            done = subprocess.run(FETCHERS[name](peer, target, dataset.study, port), stdout=log, stderr=log, env=environment,
                                  cwd=target, timeout=options.limit, check=False)  # fmt: skip
        seconds = time.perf_counter() - begun
    if done.returncode != 0:
        tail = (folder / "user.log").read_text(encoding="utf-8", errors="replace")[-400:]
        return {"errors": [f"exit {done.returncode}: {tail}"]}
    files = [path for path in target.rglob("*") if path.is_file() and not path.name.startswith(".")]
    row = _result(len(dataset.items), dataset.dataset_bytes, seconds)
    wrong = [] if len(files) == len(dataset.items) else [f"{len(files)} of {len(dataset.items)} files"]
    if name == "gantry-fetch" and not wrong:
        wrong += _same_bytes(files, dataset)
    return {**row, "errors": wrong}


def _same_bytes(files: list[Path], dataset: data.DataSet) -> list[str]:
    """Compare the data sets of the first files with the source, by digest."""
    expected = {item.sop_instance: item for item in dataset.items}
    for path in files[:10]:
        raw = path.read_bytes()
        item = expected.get(path.stem)
        if item is None or hashlib.sha256(raw[len(raw) - item.length :]).hexdigest() != item.sha256:
            return [f"the bytes of {path.name} differ"]
    return []


def run(name: str, case: str, folder: Path, dataset: data.DataSet, options: argparse.Namespace) -> Row:
    """One provider or fetcher, one case, once."""
    try:
        if case.startswith("fetch-"):
            return _as_user(name, case.removeprefix("fetch-"), folder, dataset, options)
        return _as_provider(name, case, folder, dataset, options)
    except (PeerError, wire.WireError, OSError, struct.error, subprocess.TimeoutExpired, json.JSONDecodeError) as error:
        return {"errors": [f"{type(error).__name__}: {error}"[:600]]}


def main() -> None:
    """All cases, all rounds, one JSON line."""
    end_cleanly()
    parser = argparse.ArgumentParser(description="Measure C-GET and C-MOVE.")
    parser.add_argument("--only", default="get,move,fetch-orthanc,fetch-dcmqrscp")
    parser.add_argument("--peers", default=",".join((*PROVIDERS, *FETCHERS)))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--try", action="store_true", dest="trial", help="one small round of everything, to see that it works")
    parser.add_argument("--limit", type=float, default=180.0, help="seconds one run may take")
    parser.add_argument("--warm-mb", type=int, default=WARM_MB)
    options = parser.parse_args()
    if options.trial:
        options.rounds, options.scale, options.warm_mb = 1, 0.02, 0
    wanted = options.peers.split(",")
    dataset = data.load("ct", options.scale)
    rows: list[Row] = []
    with Workplace() as place:
        for case in options.only.split(","):
            group = FETCHERS if case.startswith("fetch-") else PROVIDERS
            names = [name for name in group if name in wanted and (name != "gantry-scrubber" or case == "get")]
            for number in range(options.rounds):
                for name in summary.in_turns(names, number):
                    folder = place.fresh(name)
                    row = {"case": case, "peer": name, "round": number, **run(name, case, folder, dataset, options)}
                    rows.append(row)
                    place.drain(folder)
                    note(f"{case} round {number} {name}: {row.get('inst_s')}/s {row.get('mb_s')} MB/s {row['errors'] or ''}")
    report(
        "retrieve",
        options,
        medians=summary.medians(rows, ["case", "peer"], "inst_s"),
        ratios=summary.ratios(rows, case=["case"], who="peer", ours=[*OURS, "gantry-fetch"], value="mb_s"),
        runs=rows,
    )


if __name__ == "__main__":
    main()
