"""Any bytes on the DICOM port: an abort or a closed connection, no crash, no growth, and honest senders go on."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.path.index import assert_nothing_lost
from tests.path.load import Load
from tests.support.gantry_process import GantryProcess


def _resident_kb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS")


def _throw(port: int, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as peer:
        peer.settimeout(60)
        try:
            peer.sendall(data)
            peer.shutdown(socket.SHUT_WR)
            answer = b""
            while piece := peer.recv(4096):
                answer += piece
        except ConnectionError:
            return b""
        return answer


@pytest.mark.timeout(120)
def test_garbage(gantry_process: Callable[..., GantryProcess]) -> None:
    gantry = gantry_process(receivers=1, association_seconds=2, max_associations=40)
    gantry.start()
    dice = random.Random(7)
    pid = gantry.pid("receiver-r0")
    load = Load(gantry.dicom_port, senders=1, pause=0.005).start()
    idle = [socket.create_connection(("127.0.0.1", gantry.dicom_port)) for _ in range(30)]  # half-open associations
    gantry.until(lambda: len(load) > 10)
    before = _resident_kb(pid)
    for _ in range(300):
        answer = _throw(gantry.dicom_port, dice.randbytes(dice.choice([1, 5, 6, 70, 1000, 50_000])))
        assert answer == b"" or answer[0] in {3, 7}, answer[:10]  # A-ASSOCIATE-RJ or A-ABORT
    huge = b"\x01\x00\xff\xff\xff\xff" + bytes(100_000)
    assert _throw(gantry.dicom_port, huge)[:1] in {b"\x07", b""}
    count = len(load)
    gantry.until(lambda: len(load) > count + 10)
    assert gantry.pid("receiver-r0") == pid, "the receiver was restarted"
    assert _resident_kb(pid) - before < 40_000
    for peer in idle:  # ARTIM has closed them by now
        peer.settimeout(60)
        while peer.recv(100):
            pass
        peer.close()
    load.stop()
    assert_nothing_lost(gantry, load.acknowledged)
