"""The status table: categories after PS3.7 annex C, the same code by service."""

from __future__ import annotations

import pytest

from dimse.status import FAILURE_REASONS, TABLE, Category, Service, category_of, describe, row_of


def test_the_table_is_in_order() -> None:
    """No line hides behind an earlier one: each first code leads to its own line in each of its services."""
    for row in TABLE:
        assert row.low <= row.high <= 0xFFFF
        assert row.meaning
        assert row.services
    for service in Service:
        for row in TABLE:
            if service in row.services:
                first = row_of(row.low, service)
                assert first is row or len(first.services) < len(row.services), (service, hex(row.low))


@pytest.mark.parametrize("service", list(Service))
def test_categories_follow_annex_c(service: Service) -> None:
    ends = {code for row in TABLE for code in (row.low, row.high, min(row.high + 1, 0xFFFF), max(row.low - 1, 0))}
    for code in {*range(0, 0x10000, 97), *ends}:
        category = category_of(code, service)
        if code == 0:
            assert category is Category.SUCCESS
        elif code in {0x0001, 0x0107, 0x0116} or code >> 12 == 0xB:
            assert category is Category.WARNING
        elif code in {0xFF00, 0xFF01}:
            assert category is Category.PENDING
        elif code == 0xFE00:
            assert category is Category.CANCEL
        else:
            assert category is Category.FAILURE


@pytest.mark.parametrize(
    ("code", "service", "meaning"),
    [
        (0xC001, Service.STORE, "cannot understand"),
        (0xC001, Service.FIND, "unable to process"),
        (0xA702, Service.MOVE, "out of resources: cannot perform sub-operations"),
        (0xA702, Service.STORE, "out of resources"),
        (0xFF01, Service.FIND, "pending, one or more optional keys are not supported"),
        (0xB000, Service.MOVE, "sub-operations complete, one or more failed or gave a warning"),
        (0xB006, Service.ANY, "elements discarded"),
        (0x0123, Service.N_ACTION, "no such action type"),
        (0x8888, Service.ANY, "unknown status"),
    ],
)
def test_meanings(code: int, service: Service, meaning: str) -> None:
    assert describe(code, service).meaning == meaning


def test_failure_reasons_of_commitment() -> None:
    assert sorted(FAILURE_REASONS) == [0x0110, 0x0112, 0x0119, 0x0122, 0x0131, 0x0213]
