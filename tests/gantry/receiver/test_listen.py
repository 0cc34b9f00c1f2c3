"""The receiver as a process among processes: slots, sockets, limits, stopping."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from pathlib import Path

import pytest
from tests.gantry.receiver.served import serving
from tests.support.part10_files import CT_IMAGE_STORAGE, EXPLICIT_LITTLE_ENDIAN, ROOT, ct_dataset

from dimse.blocking import ClientAssociation
from dimse.errors import AssociationRejected, DimseError
from gantry.main.home import Home
from gantry.receiver import inherited_sockets
from gantry.storage.errors import SlotBusy


def test_another_called_title_is_rejected_when_it_matters(home: Home) -> None:
    with serving(home.path, aet="OURS", accept_any_called_aet=False) as receiver:
        with pytest.raises(AssociationRejected) as caught:
            receiver.associate(called="OTHER")
        assert (caught.value.source, caught.value.reason) == (1, 7)
        with receiver.associate(called="OURS") as association:
            assert association.echo() == 0


def test_any_called_title_is_fine_by_default(home: Home) -> None:
    with serving(home.path) as receiver, receiver.associate(called="WHATEVER") as association:
        assert association.echo() == 0


def test_two_receivers_do_not_share_a_slot(home: Home) -> None:
    with serving(home.path) as first, serving(home.path) as second:
        deadline = time.monotonic() + 60
        while not second.failure and time.monotonic() < deadline:
            time.sleep(0.05)
        assert isinstance(second.failure[0], SlotBusy)
        assert first.store(ct_dataset(), instance=f"{ROOT}.1.1.1").status == 0


def test_too_many_associations_are_rejected(home: Home) -> None:
    with serving(home.path, max_associations=2) as receiver:
        one, two = receiver.associate(), receiver.associate()
        with pytest.raises(AssociationRejected) as caught:
            receiver.associate()
        assert caught.value.transient
        for association in (one, two):
            association.release()


@pytest.mark.parametrize(
    "garbage", [b"GET / HTTP/1.1\r\n\r\n", bytes(10), os.urandom(500), b"\x01\x00\xff\xff\xff\xff" + bytes(100)]
)
def test_garbage_harms_nobody(home: Home, garbage: bytes) -> None:
    with serving(home.path, association_seconds=1) as receiver:
        with socket.create_connection(("127.0.0.1", receiver.port), timeout=60) as peer:
            peer.sendall(garbage)
            peer.shutdown(socket.SHUT_WR)
            try:
                while peer.recv(4096):
                    pass
            except ConnectionResetError:
                pass
        assert receiver.store(ct_dataset(), instance=f"{ROOT}.1.1.1").status == 0
        assert len(receiver.spooled()) == 1


def _store_for_ever(association: ClientAssociation) -> None:
    dataset = memoryview(ct_dataset(side=2000))
    while True:
        association.store(
            sop_class_uid=CT_IMAGE_STORAGE,
            sop_instance_uid=f"{ROOT}.1.1.1",
            transfer_syntax_uid=EXPLICIT_LITTLE_ENDIAN,
            data=dataset,
        )


def test_a_sender_that_goes_away_leaves_nothing(home: Home) -> None:
    with serving(home.path) as receiver:
        association = receiver.associate()
        threading.Timer(0.2, association.close).start()
        with pytest.raises((DimseError, OSError, ValueError)):
            _store_for_ever(association)
        deadline = time.monotonic() + 60
        while list((home.path / "spool").rglob("*.part")) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not list((home.path / "spool").rglob("*.part"))


def test_no_patient_data_in_the_log(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), serving(home.path) as receiver:
        receiver.store(ct_dataset(patient_name="Secret^Name", patient_id="SECRET-1"), instance=f"{ROOT}.1.1.1")
        receiver.store(ct_dataset(patient_name="Secret^Name", study=""), instance=f"{ROOT}.1.1.1")
    assert caplog.text
    assert "ecret" not in caplog.text
    assert "SECRET" not in caplog.text


def test_an_inherited_socket_is_taken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    monkeypatch.setenv("GANTRY_LISTEN_FD", str(os.dup(listener.fileno())))
    taken, _ = inherited_sockets()
    assert taken is not None
    assert taken.getsockname() == listener.getsockname()
    assert not os.get_inheritable(taken.fileno())
    assert inherited_sockets() == (None, None)
    taken.close()
    listener.close()


def test_sockets_of_systemd_for_another_process_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_PID", "1")
    monkeypatch.setenv("LISTEN_FDS", "1")
    assert inherited_sockets() == (None, None)


def test_the_folder_of_the_slot_is_private(home: Home) -> None:
    with serving(home.path) as receiver:
        receiver.store(ct_dataset(), instance=f"{ROOT}.1.1.1")
        open_places = [path for path in (home.path / "spool").rglob("*") if path.lstat().st_mode & 0o077]
    assert open_places == []
    assert isinstance(home.path, Path)
