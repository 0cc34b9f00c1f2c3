"""Nothing that can be refused is without cause and remedy; the words name who was on the line."""

from __future__ import annotations

import errno
import re
import socket

import pytest

from dimse import errors
from dimse.explain import (
    ABORTS,
    COMMITMENT,
    CONTEXTS,
    NETWORK,
    REJECTIONS,
    STATUSES,
    Explanation,
    Parties,
    explain,
    explain_abort,
    explain_commitment,
    explain_context,
    explain_rejection,
    explain_status,
)
from dimse.status import FAILURE_REASONS, TABLE, Category, Service, describe
from dimse.tls_failures import KINDS, failure

WHO = Parties("GANTRY", "PACS", "10.1.2.3", 104)
CT_STORAGE = "1.2.840.10008.5.1.4.1.1.2"


def check(found: Explanation) -> None:
    """Both sentences are there, and no placeholder is left."""
    for text in (found.cause, found.remedy):
        assert len(text) > 5, found
        assert not re.search(r"[{}]|  |\bNone\b", text), found
    assert str(found) == f"{found.cause} ({found.remedy})"


@pytest.mark.parametrize("who", [WHO, Parties(), Parties(host="fd00::5", port=11112, retried=True)])
def test_every_rejection_abort_and_context(who: Parties) -> None:
    for result in range(4):
        for source in range(5):
            for reason in range(12):
                check(explain_rejection(result, source, reason, who))
                check(explain_abort(source, reason, who))
        check(explain_context(result, CT_STORAGE, who))
    for result in (4, 5, 255):
        check(explain_context(result, "1.2.3", who))


def test_tables_hold_all_of_the_standard() -> None:
    assert set(REJECTIONS) == set(errors.REJECT_REASONS)
    assert {(2, reason) for reason in errors.ABORT_REASONS} <= set(ABORTS)
    assert set(CONTEXTS) == {1, 2, 3, 4}
    assert set(COMMITMENT) == set(FAILURE_REASONS)


@pytest.mark.parametrize("service", list(Service))
def test_every_status_of_every_service(service: Service) -> None:
    rows = {(row.low, row.high) for row in TABLE if service in row.services}
    codes = {code for low, high in rows for code in (low, (low + high) // 2, high)} | {0x7777, 0xFFFF, 0x0099}
    for code in codes:
        found = explain_status(code, service, parties=WHO)
        assert len(found.cause) > len(f"{code:04X} ") + 3
        assert len(found.remedy) > 5, (service, hex(code))
        assert "{" not in str(found)
        assert found.cause.startswith(f"{code:04X} ")
        category = describe(code, service).category
        if category is not Category.FAILURE:
            assert not found.permanent
        if code in {0x7777, 0xFFFF, 0x0099}:
            assert "does not have" in found.cause


def test_no_line_of_the_table_is_without_words_and_no_words_without_a_line() -> None:
    assert {low for _, low in STATUSES} == {row.low for row in TABLE}
    for service, low in STATUSES:
        assert service is Service.ANY or any(row.low == low and service in row.services for row in TABLE), (service, hex(low))


@pytest.mark.parametrize(
    ("code", "service", "words"),
    [
        (0xA801, Service.MOVE, "A801 the peer does not know the move destination (add its AE title, host and port at the peer)"),
        (0xC123, Service.STORE, "C123 the peer cannot understand the instance"),
        (0xC123, Service.FIND, "C123 the peer cannot process the query"),
        (0xA700, Service.FIND, "too many matches"),
        (0xA7FE, Service.STORE, "free space at the peer"),
        (0xB000, Service.STORE, "changed data elements"),
        (0xB000, Service.GET, "fetch again"),
        (0x0124, Service.FIND, "allow our AE title to query"),
    ],
)
def test_the_same_code_in_different_services(code: int, service: Service, words: str) -> None:
    assert words in str(explain_status(code, service))


def test_the_comment_of_the_peer_is_shown_harmlessly() -> None:
    found = explain_status(0xC000, Service.STORE, " no space {us} left\r\n\x1b[31m on device ")
    assert found.cause.endswith("instance: no space {us} left   [31m on device")


def test_a_transient_rejection_is_not_permanent() -> None:
    assert explain_rejection(1, 1, 3).permanent
    assert not explain_rejection(2, 1, 3).permanent
    assert not explain_rejection(2, 3, 2).permanent


def test_names_are_filled_in() -> None:
    assert str(explain_rejection(1, 1, 3, WHO)) == (
        "the peer does not know our AE title 'GANTRY' "
        "(ask its administrator to add 'GANTRY', or set the calling AE title of the node)"
    )
    assert "does not know our AE title (ask its administrator to add it" in str(explain_rejection(1, 1, 3))
    assert "'PACS'" in explain_rejection(1, 1, 7, WHO).cause
    assert explain_context(3, CT_STORAGE).cause == "the peer does not support CT Image Storage"


def network(number: int) -> BaseException:
    """As the drivers raise it: ConnectFailed in the place of an OSError."""
    try:
        try:
            raise OSError(number, "words of the system")
        except OSError as error:
            raise errors.ConnectFailed(f"no connection: {error.strerror}") from None
    except errors.ConnectFailed as error:
        return error


@pytest.mark.parametrize("number", [*NETWORK, errno.EIO])
def test_network(number: int) -> None:
    found = explain(network(number), WHO)
    check(found)
    assert explain(OSError(number, "x"), WHO).remedy == found.remedy


def test_network_by_name() -> None:
    assert explain(network(errno.ECONNREFUSED), WHO).cause == "nothing listens at 10.1.2.3:104"
    assert explain(network(errno.ECONNREFUSED), Parties(host="::1", port=104)).cause == "nothing listens at [::1]:104"
    assert "'pacs' is not known" in explain(socket.gaierror(-2, "?"), Parties(host="pacs")).cause
    assert explain(TimeoutError(), WHO).cause == "10.1.2.3:104 does not answer"


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_tls_failure(kind: str) -> None:
    found = explain(failure(kind), WHO)
    check(found)
    assert found.permanent == KINDS[kind][2]


def test_every_error_of_the_engine() -> None:
    """Also of those that are added later."""
    special = {
        errors.AssociationRejected: (1, 1, 3),
        errors.AssociationAborted: (2, 1),
        errors.TlsError: ("slow", "the handshake took long", "wait for it"),
        errors.Refused: (0xA700, "full"),
    }
    seen = 0
    waiting: list[type[errors.DimseError]] = [errors.DimseError]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if kind.__module__ == "dimse.errors":
            check(explain(kind(*special.get(kind, ("something happened",))), WHO))
            seen += 1
    assert seen >= 13
    check(explain(ValueError("what is this"), WHO))


@pytest.mark.parametrize("reason", [*FAILURE_REASONS, 0x0999])
def test_commitment(reason: int) -> None:
    found = explain_commitment(reason)
    check(found)
    assert found.cause.startswith(f"{reason:04X} ")
