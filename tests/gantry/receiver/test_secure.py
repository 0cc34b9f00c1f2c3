"""The TLS port: who has no certificate gets nowhere, an AE title can be bound to one, plain stays outside."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.gantry.receiver.test_callers import until
from tests.support.certificates import Authority, Pair, der_of

from dimse.blocking import ClientAssociation, connect
from dimse.errors import AssociationRejected, DimseError, TlsError
from dimse.negotiation import ContextProposal
from dimse.tls import TlsContext, client_context
from gantry.config import Config
from gantry.main.doctor_dicom import tls as examine
from gantry.main.home import Home
from gantry.receiver import listen


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "ca")


@pytest.fixture(scope="module")
def ours(authority: Authority) -> Pair:
    return authority.issue("gantry")


@contextmanager
def serving(home: Home, authority: Authority, ours: Pair, **settings: Any) -> Iterator[tuple[int, int]]:
    """Ports of a receiver, plain and TLS."""
    config = Config(
        home=home.path, disk_reserve_mb=0, dicom_tls_address="127.0.0.1:0", dicom_tls_certificate=ours.certificate,
        dicom_tls_key=ours.key, dicom_tls_authorities=authority.certificate, **settings,
    )  # fmt: skip
    plain, secure, stop = socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0)), threading.Event()
    thread = threading.Thread(target=listen, args=(plain, config, "r0", stop, secure), daemon=True)
    thread.start()
    until((home.path / "spool" / "r0").exists)
    try:
        yield plain.getsockname()[1], secure.getsockname()[1]
    finally:
        stop.set()
        thread.join(30)
        plain.close()
        secure.close()
        assert not thread.is_alive()


def associate(port: int, tls: TlsContext | None, calling: str = "CT1") -> ClientAssociation:
    return connect(
        "127.0.0.1", port, called_aet="GANTRY", calling_aet=calling, contexts=[ContextProposal("1.2.840.10008.1.1")],
        connect_timeout=30, response_timeout=30, tls=tls,
    )  # fmt: skip


def test_an_ae_title_is_bound_to_its_certificate(
    home: Home, connection: psycopg.Connection, authority: Authority, ours: Pair
) -> None:
    from gantry.receiver import allow
    from gantry.receiver.callers import fingerprint

    good, other = authority.issue("ct1"), authority.issue("ct2")
    allow.allow("CT1", certificate=fingerprint(der_of(good)))
    contexts = {pair: client_context(pair.files(authority.certificate)) for pair in (good, other)}
    with serving(home, authority, ours, unknown_callers="refuse") as (plain, secure):
        with associate(secure, contexts[good]) as association:
            assert association.echo() == 0
        for port, context in ((secure, contexts[other]), (plain, None)):
            with pytest.raises(AssociationRejected) as refused:
                associate(port, context)
            assert refused.value.reason == 3
        with pytest.raises(AssociationRejected):
            associate(secure, contexts[good], calling="STRANGER")
    reasons = {one.reason for one in allow.list_refused()}
    assert {"shows another certificate", "shows no certificate", "unknown AE title"} <= reasons


def test_no_certificate_and_plain_get_nowhere(
    home: Home, connection: psycopg.Connection, authority: Authority, ours: Pair
) -> None:
    from dimse.tls import TlsFiles

    stranger = Authority(home.path.parent / "other").issue("ct1")
    with serving(home, authority, ours, unknown_callers="allow") as (plain, secure):
        for files in (TlsFiles(authorities=authority.certificate), stranger.files(authority.certificate)):
            with pytest.raises((TlsError, DimseError, OSError)):
                associate(secure, client_context(files)).echo()
        with pytest.raises((DimseError, OSError)):
            associate(secure, None)
        with associate(plain, None) as association:
            assert association.echo() == 0


@pytest.mark.peer("echoscu")
def test_echoscu_over_tls(
    home: Home, connection: psycopg.Connection, authority: Authority, ours: Pair, dcmtk: Callable[[str], str]
) -> None:
    theirs = authority.issue("echoscu")
    with serving(home, authority, ours, unknown_callers="store") as (_, secure):
        done = subprocess.run(
            [dcmtk("echoscu"), "+tls", theirs.key, theirs.certificate, "+cf", authority.certificate, "127.0.0.1", str(secure)],
            capture_output=True, text=True, check=False, timeout=30,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_what_the_doctor_says(home: Home, authority: Authority, ours: Pair, tmp_path: Path) -> None:
    def says(**changes: str) -> tuple[str, str]:
        values = {"dicom_tls_address": "127.0.0.1:0", "dicom_tls_certificate": ours.certificate, "dicom_tls_key": ours.key,
                  "dicom_tls_authorities": authority.certificate, **changes}  # fmt: skip
        (finding,) = examine(Config(home=home.path, **values))  # type: ignore[arg-type]  # pydantic reads words
        return finding.level, finding.message

    assert says()[0] == "warning"  # the test certificates live for less than a month
    assert "ends soon" in says()[1]
    assert says(dicom_tls_key=authority.issue("x").key)[0] == "problem"
    assert says(dicom_tls_certificate=str(tmp_path / "none.pem"))[0] == "problem"
    assert list(examine(Config(home=home.path))) == []
    with pytest.raises(ValueError, match="dicom_tls_certificate and dicom_tls_key"):
        Config(home=home.path, dicom_tls_address="127.0.0.1:0", dicom_tls_clients="none")


def test_a_revoked_certificate_gets_nowhere(home: Home, connection: psycopg.Connection, authority: Authority, ours: Pair) -> None:
    good, bad = authority.issue("kept"), authority.issue("withdrawn")
    revoked = authority.revoke(bad)
    with serving(home, authority, ours, unknown_callers="store", dicom_tls_crl=revoked) as (_, secure):
        with associate(secure, client_context(good.files(authority.certificate))) as association:
            assert association.echo() == 0
        with pytest.raises(TlsError) as caught:
            associate(secure, client_context(bad.files(authority.certificate)))
        assert caught.value.kind == "own-revoked"


def test_both_ports_share_the_places_of_the_settings(
    home: Home, connection: psycopg.Connection, authority: Authority, ours: Pair
) -> None:
    context = client_context(authority.issue("sharer").files(authority.certificate))
    with serving(home, authority, ours, unknown_callers="store", max_associations=1) as (plain, secure):
        for (port, tls), (other, with_tls) in (((plain, None), (secure, context)), ((secure, context), (plain, None))):
            association: list[ClientAssociation] = []

            def joined(port: int = port, tls: TlsContext | None = tls, found: list[ClientAssociation] = association) -> bool:
                try:
                    found.append(associate(port, tls))
                except AssociationRejected:  # the place of the one before is given back in a moment
                    return False
                return True

            until(joined)
            with association[0]:
                with pytest.raises(AssociationRejected) as refused:
                    associate(other, with_tls)
                assert (refused.value.result, refused.value.source, refused.value.reason) == (2, 3, 2)
