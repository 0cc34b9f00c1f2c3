"""Send every file of a folder through a running Gantry to two destinations and compare the data set bytes.

    python tools/roundtrip.py FOLDER

Destinations: DCMTK's `storescp +B` (bit-preserving, every syntax it knows) and our own sink (every syntax). Each file
has to end in one of three ways: delivered with identical data set bytes; kept in quarantine with a named status
told to the sender; or skipped as no DICOM object, with a reason. Files that the manifest beside them calls malformed or
notdicom are left out. Prints a JSON summary; exit 1 if a single file ended otherwise.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.conftest import unused_port
from tests.path.index import query
from tests.path.sink import Sink
from tests.support.gantry_process import GantryProcess
from tests.support.peers import find_dcmtk

from gantry.dataset.part10 import read_part10

LEFT_OUT = {"malformed", "notdicom"}


def wanted(folder: Path) -> list[Path]:
    manifest = folder / "MANIFEST.csv"
    if not manifest.exists():
        return sorted(path for path in folder.rglob("*") if path.is_file())
    with open(manifest, newline="") as file:
        return [folder / row["file"] for row in csv.DictReader(file) if row["kind"] not in LEFT_OUT]


def digest(path: Path) -> str:
    data = path.read_bytes()
    part10 = read_part10(memoryview(data), total=len(data))
    return hashlib.sha256(memoryview(data)[part10.dataset_offset :]).hexdigest()


def storescp(folder: Path, port: int) -> subprocess.Popen[bytes]:
    program = find_dcmtk("storescp")
    if program is None:
        raise SystemExit("DCMTK's storescp is missing: apt-get install dcmtk")
    folder.mkdir()
    return subprocess.Popen(
        [program, "+B", "+xa", "-pm", "+uf", "--fork", "-od", str(folder), str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def states(gantry: GantryProcess) -> Counter[tuple[str, str]]:
    rows = query(
        gantry,
        "select n.name, d.status, count(*) from transfers_delivery d join nodes_node n on n.id = d.node_id group by 1, 2",
    )
    return Counter({(name, status): count for name, status, count in rows})


def wait_quiet(gantry: GantryProcess, seconds: float) -> None:
    """Until nothing changes any more: refused ones go on being tried, confirmed ones are final."""
    deadline, last, since = time.monotonic() + seconds, states(gantry), time.monotonic()
    while time.monotonic() < deadline:
        time.sleep(0.5)
        now = states(gantry)
        if now != last:
            last, since = now, time.monotonic()
        open_ones = sum(count for (_, status), count in now.items() if status in {"waiting", "sent"})
        if time.monotonic() - since > 4 and not open_ones:
            return


def send(gantry: GantryProcess, files: list[Path]) -> list[dict[str, Any]]:
    outcomes = []
    for start in range(0, len(files), 100):
        part = [str(path) for path in files[start : start + 100]]
        done = gantry.cli("send", *part, "--to", f"GANTRY@127.0.0.1:{gantry.dicom_port}", "--json", check=False, timeout=300)
        outcomes += json.loads(done.stdout)
    return outcomes


def compare(gantry: GantryProcess, outcomes: list[dict[str, Any]], received: set[str], sink: Sink) -> dict[str, Any]:
    refused_by_dcmtk = {
        uid: (syntax, error)
        for uid, syntax, error in query(
            gantry,
            "select encode(v.sha256, 'hex'), v.transfer_syntax_uid, d.error"
            " from transfers_delivery d join nodes_node n on n.id = d.node_id"
            " join catalogue_version v on v.id = d.version_id where n.name = 'DCMTK' and d.status <> 'confirmed'",
        )
    }
    ours = set(sink.every)
    ends: Counter[str] = Counter()
    problems, kept = [], []
    for outcome in outcomes:
        path = Path(outcome["path"])
        if outcome["outcome"] == "confirmed":
            sha = digest(path)
            if sha not in ours:
                problems.append(f"{path}: our sink did not get these bytes")
            elif sha in received:
                ends["identical at DCMTK and at our sink"] += 1
            elif sha in refused_by_dcmtk:
                ends["identical at our sink; refused by DCMTK"] += 1
                kept.append([path.name, "refused by DCMTK", *refused_by_dcmtk[sha]])
            else:
                problems.append(f"{path}: DCMTK did not get these bytes")
        else:
            ends[outcome["outcome"]] += 1
            kept.append([path.name, outcome["outcome"], outcome.get("status"), outcome.get("reason")])
    return {"files": len(outcomes), "ends": dict(ends), "problems": problems, "not_delivered": kept}


class DigestSink(Sink):
    """Keeps the digest of every object, also of several versions of one instance."""

    def __init__(self, port: int) -> None:
        self.every: list[str] = []
        super().__init__(port)

    def received(self, instance: str, digest: str) -> Any:
        self.every.append(digest)
        return super().received(instance, digest)


def main() -> int:
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        print(__doc__, file=sys.stderr)
        return 2
    files = wanted(Path(sys.argv[1]).resolve())
    work = Path(tempfile.mkdtemp(prefix="gantry-roundtrip-"))
    port, own_port = unused_port(), unused_port()
    dcmtk = storescp(work / "dcmtk", port)
    sink = DigestSink(own_port)
    gantry = GantryProcess(
        work / "home",
        unused_port(),
        unused_port(),
        {"settle_quiet_seconds": "1", "retry_first_seconds": "1", "retry_max_seconds": "2"},
    )
    try:
        gantry.start()
        gantry.cli("node", "add", "DCMTK", f"DCMTK@127.0.0.1:{port}")
        gantry.cli("node", "add", "OWN", f"OWN@127.0.0.1:{own_port}")
        gantry.cli("rule", "add", "everything", "--to", "DCMTK", "--to", "OWN")
        outcomes = send(gantry, files)
        time.sleep(2)
        wait_quiet(gantry, 180)
        received = {digest(path) for path in (work / "dcmtk").iterdir() if path.is_file()}
        summary = compare(gantry, outcomes, received, sink)
        verified = gantry.cli("verify", "--json", check=False)
        summary["verify"] = verified.returncode
        summary["quarantined"] = query(gantry, "select count(*) from intake_quarantinedobject")[0][0]
        summary["conflicts"] = query(gantry, "select count(*) from catalogue_conflict")[0][0]
    finally:
        gantry.stop()
        dcmtk.terminate()
        sink.stop()
        if os.environ.get("GANTRY_KEEP") != "1":
            shutil.rmtree(work, ignore_errors=True)
    print(json.dumps(summary, indent=1))
    return 1 if summary["problems"] or summary["verify"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
