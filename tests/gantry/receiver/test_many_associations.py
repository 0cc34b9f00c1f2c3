"""Two hundred associations at once on a real receiver, and a hundred that end badly: all that is answered 0000 is kept,
and nothing else is. The thousand and the hundred thousand are for tools/churn.py."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from tests.gantry.receiver.served import Served, serving
from tests.support.part10_files import CT_IMAGE_STORAGE, EXPLICIT_LITTLE_ENDIAN, ROOT, ct_dataset
from tests.support.proxy import Fault, Proxy

from dimse.blocking import ClientAssociation
from dimse.errors import DimseError
from gantry.main.home import Home

AT_ONCE, EACH = 200, 3


def dataset(lane: int, turn: int) -> tuple[str, bytes]:
    uid = f"{ROOT}.5.{lane}.{turn}"
    return uid, ct_dataset(instance=uid, number=lane, fill=turn, side=16 + lane % 50)


def store(association: ClientAssociation, uid: str, data: bytes) -> int:
    return association.store(
        sop_class_uid=CT_IMAGE_STORAGE, sop_instance_uid=uid, transfer_syntax_uid=EXPLICIT_LITTLE_ENDIAN, data=data
    ).status


def digests(receiver: Served) -> list[bytes]:
    return sorted(item.sha256 for item in receiver.spooled())


def test_two_hundred_associations_store_at_once(home: Home) -> None:
    problems: list[BaseException] = []
    slowest: list[float] = []
    all_open = threading.Barrier(AT_ONCE, timeout=60)

    with serving(home.path, max_associations=AT_ONCE, durability="os") as receiver:

        def lane(number: int) -> None:
            try:
                with receiver.associate() as association:
                    all_open.wait()
                    for turn in range(EACH):
                        began = time.monotonic()
                        assert store(association, *dataset(number, turn)) == 0
                        slowest.append(time.monotonic() - began)
            except BaseException as error:
                problems.append(error)

        threads = [threading.Thread(target=lane, args=(number,)) for number in range(AT_ONCE)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert problems == []
        wanted = sorted(hashlib.sha256(dataset(n, turn)[1]).digest() for n in range(AT_ONCE) for turn in range(EACH))
        assert digests(receiver) == wanted
        assert max(slowest) < 20
        _calm(threads=6)  # a place is free again when its thread has ended
        with receiver.associate() as association:
            assert association.echo() == 0
        _calm(threads=6)


def _calm(threads: int) -> None:
    deadline = time.monotonic() + 60
    while threading.active_count() > threads + 2:
        assert time.monotonic() < deadline, f"{threading.active_count()} threads are left"
        time.sleep(0.02)


def test_a_hundred_associations_that_end_badly_leave_nothing(home: Home) -> None:
    with serving(home.path) as receiver:
        with receiver.associate() as association:
            association.echo()
        _calm(threads=6)
        descriptors = len(os.listdir("/proc/self/fd"))
        kept = []
        for number in range(100):
            association = receiver.associate()
            uid, data = dataset(number, 0)
            assert store(association, uid, data) == 0
            kept.append(hashlib.sha256(data).digest())
            if number % 3 == 0:
                association.abort()
            elif number % 3 == 1:
                association.close()
            else:
                association.release()
        _calm(threads=6)
        deadline = time.monotonic() + 60
        while len(os.listdir("/proc/self/fd")) > descriptors + 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert digests(receiver) == sorted(kept)


@pytest.mark.parametrize("side", [40, 700], ids=["small", "of many buffers"])
def test_a_wire_that_is_cut_never_leaves_half_an_instance(home: Home, side: int) -> None:
    data = {f"{ROOT}.6.{n}": ct_dataset(instance=f"{ROOT}.6.{n}", number=n, side=side) for n in range(3)}
    whole = len(next(iter(data.values())))
    answered: set[bytes] = set()
    with serving(home.path) as receiver, Proxy(receiver.port) as proxy:
        through = Served(receiver.home, proxy.port, receiver.failure)
        for position in range(50, 3 * whole, whole // 4):
            proxy.forward = Fault(cut_after=position, reset=position % 2 == 0)
            with suppress(DimseError), through.associate() as association:
                for uid, content in data.items():
                    assert store(association, uid, content) == 0
                    answered.add(hashlib.sha256(content).digest())
        found = set(digests(receiver))
        assert answered <= found <= {hashlib.sha256(content).digest() for content in data.values()}
        deadline = time.monotonic() + 60
        while list(Path(home.path / "spool").rglob("*.part")) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not list(Path(home.path / "spool").rglob("*.part"))
        assert receiver.store(next(iter(data.values())), instance=next(iter(data))).status == 0
