"""C-STORE: what is answered 0000 is durable and byte-identical; what is not, says why."""

from __future__ import annotations

import hashlib
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.gantry.receiver.served import Served, serving
from tests.support.part10_files import EXPLICIT_LITTLE_ENDIAN, ROOT, ct_dataset, dataset_of, element

from gantry.dataset import read_part10
from gantry.main.home import Home

IMPLICIT = "1.2.840.10008.1.2"


@pytest.fixture
def receiver(home: Home) -> Iterator[Served]:
    with serving(home.path) as made:
        yield made


def content(item: object) -> bytes:
    """The data set of a spooled object, read from the disk."""
    return item.head(1 << 30)[item.dataset_offset :]  # type: ignore[attr-defined]


@pytest.mark.parametrize("side", [16, 300, 1500], ids=["journal", "file", "several buffers"])
def test_success_means_it_is_in_the_spool_byte_for_byte(receiver: Served, side: int) -> None:
    dataset = ct_dataset(side=side)
    answer = receiver.store(dataset, instance=f"{ROOT}.1.1.1")
    found = receiver.spooled()
    assert answer.status == 0
    assert len(found) == 1
    assert content(found[0]) == dataset
    assert found[0].sha256 == hashlib.sha256(dataset).digest()


def test_the_envelope_says_who_sent_it(receiver: Served) -> None:
    dataset = ct_dataset()
    receiver.store(dataset, instance=f"{ROOT}.1.1.1")
    data = receiver.spooled()[0].head(1 << 20)
    envelope = read_part10(memoryview(data), total=len(data)).envelope
    assert envelope is not None
    assert (envelope.calling_aet, envelope.called_aet, envelope.remote_address) == ("TESTS", "GANTRY", "127.0.0.1")
    assert envelope.sha256 == hashlib.sha256(dataset).digest()
    assert envelope.association_id is not None
    assert receiver.ended()[-1].association_id == envelope.association_id


def test_the_answer_waits_for_the_disk(receiver: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the sync has not returned, nothing is answered."""
    gate, waiting = threading.Event(), threading.Event()
    real = os.fdatasync

    def slow(descriptor: int) -> None:
        waiting.set()
        gate.wait(90)
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", slow)
    answers: list[int] = []
    sender = threading.Thread(target=lambda: answers.append(receiver.store(ct_dataset(), instance=f"{ROOT}.1.1.1").status))
    sender.start()
    assert waiting.wait(60)
    sender.join(0.5)
    assert answers == []
    gate.set()
    sender.join(60)
    assert answers == [0]


@pytest.mark.parametrize(
    ("changes", "instance", "status"),
    [
        ({"instance": "1.2.840.99"}, "1.2.840.98", 0xA901),
        ({"study": "../../etc/passwd"}, f"{ROOT}.1.1.1", 0xC015),
        ({"study": ""}, f"{ROOT}.1.1.1", 0xC014),
        ({"series": "1." * 40 + "1", "instance": f"{ROOT}.1.1.1"}, f"{ROOT}.1.1.1", 0xC017),
        ({"sop_class": "1.2.3"}, f"{ROOT}.1.1.1", 0xA900),
    ],
)
def test_what_cannot_be_indexed_is_kept_and_named(receiver: Served, changes: dict[str, str], instance: str, status: int) -> None:
    dataset = ct_dataset(**changes)  # type: ignore[arg-type]
    answer = receiver.store(dataset, instance=instance)
    assert answer.status == status
    assert 0 < len(answer.comment) <= 64
    assert [content(item) for item in receiver.spooled()] == [dataset]


def test_uids_beyond_a_long_private_group_are_found(receiver: Served) -> None:
    """Only the first part is buffered; what lies behind it is not taken for missing."""
    base = ct_dataset(side=64)
    at = base.index(b"\x10\x00\x10\x00PN")
    long = element(0x0009, 0x0010, "LO", b"TESTS") + element(0x0009, 0x1001, "OB", bytes(400_000))
    dataset = base[:at] + long + base[at:]
    answer = receiver.store(dataset, instance=f"{ROOT}.1.1.1")
    assert answer.status == 0
    assert content(receiver.spooled()[0]) == dataset


def test_any_storage_class_in_any_syntax(receiver: Served) -> None:
    private = "1.3.6.1.4.1.99999.1.2.3"
    dataset = ct_dataset(sop_class=private)
    assert receiver.store(dataset, instance=f"{ROOT}.1.1.1", sop_class=private, syntax="1.2.840.10008.1.2.4.999").status == 0
    assert content(receiver.spooled()[0]) == dataset


def test_real_files_of_another_implementation(receiver: Served, part10_files: list[Path]) -> None:
    expected = {}
    for path in part10_files:
        data = path.read_bytes()
        found = read_part10(memoryview(data), total=len(data))
        if not found.sop_class_uid or not found.sop_instance_uid or found.sop_class_uid == "1.2.840.10008.1.3.10":
            continue
        answer = receiver.store(
            dataset_of(path), instance=found.sop_instance_uid, sop_class=found.sop_class_uid, syntax=found.transfer_syntax_uid
        )
        assert answer.status == 0 or 0xA900 <= answer.status <= 0xC0FF, path
        expected[path.name] = hashlib.sha256(dataset_of(path)).digest()
    assert len(expected) > 30
    assert {item.sha256 for item in receiver.spooled()} == set(expected.values())


@pytest.mark.peer("storescu")
def test_dcmtk_sends(receiver: Served, dcmtk: Callable[[str], str], make_ct: Callable[..., list[Path]]) -> None:
    paths = make_ct(20)
    command = [dcmtk("storescu"), "-aec", "GANTRY", "-R", "127.0.0.1", str(receiver.port), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(item.sha256 for item in receiver.spooled()) == sorted(
        hashlib.sha256(dataset_of(path)).digest() for path in paths
    )


@pytest.mark.peer("echoscu")
def test_dcmtk_echoes(receiver: Served, dcmtk: Callable[[str], str]) -> None:
    subprocess.run([dcmtk("echoscu"), "-aec", "GANTRY", "127.0.0.1", str(receiver.port)], check=True, timeout=30)


def test_pynetdicom_sends(receiver: Served, make_ct: Callable[..., list[Path]]) -> None:
    pydicom = pytest.importorskip("pydicom")
    pynetdicom = pytest.importorskip("pynetdicom")
    path = make_ct(1)[0]
    entity = pynetdicom.AE(ae_title="PYNET")
    entity.add_requested_context("1.2.840.10008.5.1.4.1.1.2", EXPLICIT_LITTLE_ENDIAN)
    association = entity.associate("127.0.0.1", receiver.port, ae_title="GANTRY")
    assert association.is_established
    status = association.send_c_store(pydicom.dcmread(path))
    association.release()
    assert status.Status == 0
    assert len(receiver.spooled()) == 1


def test_a_full_volume_is_out_of_resources_and_recovers(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small volume")
    volume = tmp_path / "volume"
    volume.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(volume)], check=False, capture_output=True
    ).returncode:
        pytest.skip("no small volume here")
    try:
        (volume / "home" / "run").mkdir(parents=True)
        with serving(volume / "home", durability="disk", disk_reserve_mb=8) as receiver:
            assert receiver.store(ct_dataset(), instance=f"{ROOT}.1.1.1").status == 0
            free = os.statvfs(volume).f_bavail * os.statvfs(volume).f_frsize
            ballast = volume / "ballast"
            ballast.write_bytes(bytes(free - (4 << 20)))
            answers = {
                receiver.store(ct_dataset(number=number, side=400), instance=f"{ROOT}.1.1.{number}").status
                for number in range(2, 30)
            }
            assert 0xA700 in answers
            kept = len(receiver.spooled())
            assert receiver.store(ct_dataset(number=90, side=400), instance=f"{ROOT}.1.1.90").status == 0xA700
            assert len(receiver.spooled()) == kept
            assert not list((volume / "home" / "spool").rglob("*.part"))
            ballast.unlink()
            deadline = 300
            while receiver.store(ct_dataset(number=91, side=400), instance=f"{ROOT}.1.1.91").status and deadline:
                threading.Event().wait(0.1)
                deadline -= 1
            assert deadline
            assert len(receiver.spooled()) == kept + 1
    finally:
        subprocess.run(["umount", "-l", str(volume)], check=True)


def test_a_volume_that_is_full_from_the_start(tmp_path: Path) -> None:
    """The receiver starts, answers C-ECHO, refuses C-STORE, and goes on when there is space."""
    with serving(tmp_path, disk_reserve_mb=10_000_000) as receiver:
        with receiver.associate() as association:
            assert association.echo() == 0
        assert receiver.store(ct_dataset(), instance=f"{ROOT}.1.1.1").status == 0xA700
        assert receiver.failure == []
