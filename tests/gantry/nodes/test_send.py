"""send: real sockets, real files; what the peer does becomes the outcome of each instance, and of no other."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest
from tests.gantry.nodes.destination import Destination

from dimse.acceptance import Reject, StoreAnswer, StoreRequest
from gantry.nodes.address import DimseAddress
from gantry.nodes.echo import echo
from gantry.nodes.items import Outcome, SendItem, SendOutcome, SendResult, SendTarget
from gantry.nodes.pool import AssociationPool
from gantry.nodes.send import send

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
EXPLICIT = "1.2.840.10008.1.2.1"
JPEG = "1.2.840.10008.1.2.4.70"


@pytest.fixture
def make_items(tmp_path: Path) -> Callable[..., list[SendItem]]:
    def make(sizes: list[int], sop_class: str = CT, syntax: str = EXPLICIT, start: int = 1) -> list[SendItem]:
        items = []
        for number, size in enumerate(sizes, start):
            path = tmp_path / f"{sop_class}-{number}.dcm"
            data = os.urandom(size // 2 * 2)
            path.write_bytes(os.urandom(337) + data)
            digest = hashlib.sha256(data).digest()
            items.append(SendItem(number, str(path), 337, len(data), digest, sop_class, f"1.2.{number}", syntax))
        return items

    return make


def run(
    target: SendTarget,
    items: list[SendItem],
    *,
    associations: int = 2,
    stop: threading.Event | None = None,
    pool: AssociationPool | None = None,
) -> tuple[SendOutcome, dict[int, SendResult]]:
    results: list[SendResult] = []
    waiting = iter(items)
    outcome = send(
        target,
        lambda limit: list(islice(waiting, limit)),
        results.append,
        associations=associations,
        stop=stop or threading.Event(),
        pool=pool,
    )
    by_key = {result.item.key: result for result in results}
    assert len(by_key) == len(results), "an item has two results"
    return outcome, by_key


def data_of(item: SendItem) -> bytes:
    return Path(item.path).read_bytes()[item.dataset_offset :]


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("associations", [1, 4])
def test_all_are_confirmed_with_the_same_bytes(make_items: Callable[..., list[SendItem]], associations: int) -> None:
    items = make_items([2, 10_000, 65_536, (1 << 20), (1 << 20) + 2, 5_000_000] + [3000] * 80)
    before = open_files()
    with Destination() as destination:
        outcome, results = run(destination.target(), items, associations=associations)
        assert [r.explanation for r in results.values() if r.outcome is not Outcome.CONFIRMED] == []
        assert outcome.bytes_confirmed == sum(item.dataset_bytes for item in items)
        assert not outcome.failure
        assert not outcome.untried
        for item in items:
            assert destination.received[item.sop_instance_uid] == [data_of(item)]
            assert results[item.key].sha256 == item.sha256
            assert results[item.key].started_at <= results[item.key].ended_at
        assert len(destination.associations) <= associations
    deadline = time.monotonic() + 30
    while open_files() > before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert open_files() <= before


def test_damaged_files_are_never_sent_and_stop_nothing(make_items: Callable[..., list[SendItem]]) -> None:
    items = make_items([4000, 4000, 4000, 2_000_000, 2_000_000, 4000])
    with open(items[1].path, "r+b") as file:
        file.seek(400)
        file.write(b"\0changed\0")
    os.unlink(items[2].path)
    os.truncate(items[3].path, 1_000_000)
    with open(items[4].path, "r+b") as file:
        file.seek(1_999_000)
        file.write(b"\0changed\0")
    with Destination() as destination:
        outcome, results = run(destination.target(), items)
        assert {key for key, result in results.items() if result.outcome is Outcome.DAMAGED} == {2, 3, 4, 5}
        assert set(destination.attempts) == {"1.2.1", "1.2.6"}
    assert outcome.counts[Outcome.CONFIRMED] == 2
    assert "SHA-256" in results[2].explanation
    assert "cannot be read" in results[3].explanation
    assert "too short" in results[4].explanation
    assert not outcome.failure


def test_an_empty_data_set_is_refused_and_stops_nothing(make_items: Callable[..., list[SendItem]]) -> None:
    with Destination() as destination:
        outcome, results = run(destination.target(), make_items([0, 3000]), associations=1)
    assert [results[1].outcome, results[2].outcome] == [Outcome.REFUSED, Outcome.CONFIRMED]
    assert results[1].permanent
    assert not outcome.failure


def test_a_link_in_place_of_the_file_is_not_followed(make_items: Callable[..., list[SendItem]], tmp_path: Path) -> None:
    (item,) = make_items([4000])
    os.rename(item.path, tmp_path / "moved")
    os.symlink(tmp_path / "moved", item.path)
    with Destination() as destination:
        _, results = run(destination.target(), [item])
        assert destination.attempts == []
    assert results[1].outcome is Outcome.DAMAGED


def test_some_are_refused_and_the_rest_confirmed(make_items: Callable[..., list[SendItem]]) -> None:
    answers = {"1.2.2": StoreAnswer(0xA700, "disk full"), "1.2.4": StoreAnswer(0xB000), "1.2.5": StoreAnswer(0xC123, "no")}

    def behave(command: StoreRequest) -> StoreAnswer:
        return answers.get(command.sop_instance_uid, StoreAnswer())

    with Destination(behave) as destination:
        outcome, results = run(destination.target(), make_items([3000] * 6))
    assert [results[key].outcome.value for key in range(1, 7)] == [
        "confirmed",
        "refused",
        "confirmed",
        "confirmed",
        "refused",
        "confirmed",
    ]
    assert results[2].dimse_status == 0xA700
    assert "disk full" in results[2].explanation
    assert not results[2].permanent
    assert results[4].dimse_status == 0xB000
    assert results[5].permanent
    assert not outcome.failure


@pytest.mark.parametrize(("refused", "message"), [(MR, "does not take SOP class"), (JPEG, "not in transfer syntax")])
def test_a_refused_class_or_syntax_stops_only_those(
    make_items: Callable[..., list[SendItem]], refused: str, message: str
) -> None:
    good = make_items([3000] * 5)
    bad = make_items([3000] * 5, MR if refused == MR else CT, JPEG if refused == JPEG else EXPLICIT, start=100)
    mixed = [item for pair in zip(good, bad, strict=True) for item in pair]
    with Destination(refused=[refused]) as destination:
        outcome, results = run(destination.target(), mixed)
        assert set(destination.received) == {item.sop_instance_uid for item in good}
    assert all(results[item.key].outcome is Outcome.CONFIRMED for item in good)
    assert all(results[item.key].outcome is Outcome.REFUSED for item in bad)
    assert message in results[100].explanation
    assert results[100].permanent
    assert not outcome.failure


def test_nothing_listens(make_items: Callable[..., list[SendItem]]) -> None:
    with Destination() as gone:
        target = gone.target()
    outcome, results = run(target, make_items([3000] * 300))
    assert results == {}
    held = sorted(item.key for item in outcome.untried)
    assert held == list(range(1, len(held) + 1))
    assert len(held) in {32, 96}, "a peer that is down must not be given more than a chunk or two"
    assert "nothing listens" in outcome.failure


def test_a_rejected_association(make_items: Callable[..., list[SendItem]]) -> None:
    with Destination(reject=Reject(1, 1, 7)) as destination:
        outcome, results = run(destination.target(), make_items([3000] * 3))
    assert results == {}
    assert len(outcome.untried) == 3
    assert "is not called 'DEST'" in outcome.failure


def test_an_abort_fails_the_one_in_flight_and_the_rest_goes_on(make_items: Callable[..., list[SendItem]]) -> None:
    def behave(command: StoreRequest) -> StoreAnswer:
        if command.sop_instance_uid == "1.2.3":
            destination.abort_all()
            time.sleep(0.2)
        return StoreAnswer()

    destination = Destination(behave)
    with destination:
        outcome, results = run(destination.target(), make_items([3000] * 10), associations=1)
    assert results[3].outcome is Outcome.FAILED
    assert {key for key, result in results.items() if result.outcome is Outcome.CONFIRMED} == set(range(1, 11)) - {3}
    assert not outcome.failure


def test_a_peer_that_always_aborts_ends_the_run(make_items: Callable[..., list[SendItem]]) -> None:
    def behave(_command: StoreRequest) -> StoreAnswer:
        destination.abort_all()
        time.sleep(0.1)
        return StoreAnswer()

    destination = Destination(behave)
    with destination:
        outcome, results = run(destination.target(), make_items([3000] * 20), associations=1)
    assert len(results) == 3
    assert all(result.outcome is Outcome.FAILED for result in results.values())
    assert len(outcome.untried) == 17
    assert outcome.failure


def test_a_silent_peer_times_out(make_items: Callable[..., list[SendItem]]) -> None:
    over = threading.Event()

    def behave(_command: StoreRequest) -> StoreAnswer:
        over.wait(60)
        return StoreAnswer()

    with Destination(behave) as destination:
        _, results = run(destination.target(response_seconds=1.0), make_items([3000]), associations=1)
        over.set()
    assert results[1].outcome is Outcome.FAILED
    assert "in time" in results[1].explanation


def test_stop_ends_after_the_instance_in_flight(make_items: Callable[..., list[SendItem]]) -> None:
    stop = threading.Event()

    def behave(command: StoreRequest) -> StoreAnswer:
        if command.sop_instance_uid == "1.2.3":
            stop.set()
        return StoreAnswer()

    with Destination(behave) as destination:
        outcome, results = run(destination.target(), make_items([3000] * 30), associations=1, stop=stop)
    assert set(results) == {1, 2, 3}
    assert len(outcome.untried) == 27
    assert not outcome.failure


def test_more_contexts_than_an_association_holds(make_items: Callable[..., list[SendItem]]) -> None:
    items = [SendItem(**{**_fields(item), "sop_class_uid": f"1.2.840.99999.{item.key}"}) for item in make_items([2000] * 300)]
    with Destination() as destination:
        outcome, _ = run(destination.target(), items, associations=2)
        assert outcome.counts[Outcome.CONFIRMED] == 300
        assert all(len(request.contexts) <= 128 for request in destination.associations)


def _fields(item: SendItem) -> dict[str, object]:
    return {name: getattr(item, name) for name in SendItem.__slots__}


def test_a_peer_with_few_associations_is_served_by_those(make_items: Callable[..., list[SendItem]]) -> None:
    def behave(_command: StoreRequest) -> StoreAnswer:
        time.sleep(0.01)
        return StoreAnswer()

    with Destination(behave) as destination:
        accept = destination.association_requested

        def first_only(request: object, peer: object) -> object:
            answer = accept(request, peer)  # type: ignore[arg-type]  # handed on
            return answer if len(destination.associations) == 1 else Reject(2, 3, 2)

        destination.association_requested = first_only  # type: ignore[method-assign]  # the test's own peer
        outcome, _ = run(destination.target(), make_items([3000] * 20), associations=4)
    assert outcome.counts[Outcome.CONFIRMED] == 20
    assert not outcome.failure
    assert not outcome.untried


def test_the_pool_keeps_an_association_between_batches(make_items: Callable[..., list[SendItem]]) -> None:
    pool = AssociationPool(5.0)
    with Destination() as destination:
        for start in (1, 50, 100):
            outcome, _ = run(destination.target(), make_items([3000] * 5, start=start), associations=1, pool=pool)
            assert outcome.counts[Outcome.CONFIRMED] == 5
        assert len(destination.associations) == 1
        # The peer closes it meanwhile: nobody should notice.
        destination.abort_all()
        time.sleep(0.3)
        outcome, _ = run(destination.target(), make_items([3000] * 5, start=200), associations=1, pool=pool)
        assert outcome.counts[Outcome.CONFIRMED] == 5
        assert len(destination.associations) == 2
        pool.close()


def test_the_pool_releases_what_is_idle(make_items: Callable[..., list[SendItem]]) -> None:
    pool = AssociationPool(0.2)
    with Destination() as destination:
        run(destination.target(), make_items([3000]), pool=pool)
        deadline = time.monotonic() + 60
        while destination._server.associations and time.monotonic() < deadline:
            time.sleep(0.02)
        assert destination._server.associations == 0


def test_a_source_that_raises_leaves_no_thread(make_items: Callable[..., list[SendItem]]) -> None:
    items = make_items([3000] * 40)
    calls = iter([items, None])

    def source(_limit: int) -> list[SendItem]:
        given = next(calls)
        if given is None:
            raise RuntimeError("the source broke")
        return given

    with Destination() as destination, pytest.raises(RuntimeError, match="the source broke"):
        send(destination.target(), source, lambda _result: None, associations=2, stop=threading.Event())
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("send-")]


@pytest.mark.peer("storescp")
@pytest.mark.timeout(60)
def test_a_peer_that_serves_one_association_at_a_time(
    make_items: Callable[..., list[SendItem]], dcmtk: Callable[[str], str], tmp_path: Path
) -> None:
    """The others wait for their turn: an association must not be kept for later while they do."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = subprocess.Popen([dcmtk("storescp"), "+B", "-aet", "ONE", str(port)], cwd=tmp_path, stderr=subprocess.DEVNULL)
    try:
        target = SendTarget(DimseAddress("ONE", "127.0.0.1", port), "GANTRY")
        pool = AssociationPool(idle_seconds=300)
        while not echo(target).ok:
            time.sleep(0.05)
        began = time.monotonic()
        outcome, results = run(target, make_items([2000] * 8), associations=4, pool=pool)
        assert outcome.counts[Outcome.CONFIRMED] == 8, {result.explanation for result in results.values()}
        assert time.monotonic() - began < 30
        pool.close()
    finally:
        program.kill()
        program.wait()
