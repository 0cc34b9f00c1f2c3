"""DCMTK's dcmqrscp as a node that has studies."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import unused_port
from tests.support import peers

from gantry.nodes.address import DimseAddress
from gantry.nodes.echo import echo
from gantry.nodes.items import SendTarget
from gantry.transfers.send_paths import send_paths

_IN_CI = os.environ.get("GANTRY_CI", "") == "1"


@contextmanager
def dcmqrscp(folder: Path, files: Sequence[Path], *, move_port: int = 0, options: Sequence[str] = ()) -> Iterator[SendTarget]:
    """It runs and has these files; `move_port` is where it finds us (AE title GANTRY)."""
    program = peers.find_dcmtk("dcmqrscp") or peers.missing("DCMTK's dcmqrscp", in_ci=_IN_CI)
    port = unused_port()
    (folder / "db").mkdir(parents=True)
    (folder / "dcmqrscp.cfg").write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 131072\nMaxAssociations = 16\n"
        f"HostTable BEGIN\ngantry = (GANTRY, 127.0.0.1, {move_port or 1})\nHostTable END\n"
        "VendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nSOURCE {folder}/db RW (100, 1024mb) ANY\nAETable END\n"
    )
    target = SendTarget(DimseAddress("SOURCE", "127.0.0.1", port), "GANTRY")
    with open(folder / "output", "wb") as output:
        process = subprocess.Popen(
            [str(program), *options, "-c", str(folder / "dcmqrscp.cfg")], stdout=output, stderr=output, cwd=folder
        )
    try:
        until = time.monotonic() + 20
        while not echo(target).ok:
            assert process.poll() is None, (folder / "output").read_text()
            assert time.monotonic() < until, (folder / "output").read_text()
            time.sleep(0.05)
        if files:
            send_paths(list(files), target, lambda outcome: None, associations=1)
        yield target
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
