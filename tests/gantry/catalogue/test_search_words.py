"""What the search box understands."""

from __future__ import annotations

from datetime import date

import pytest

from gantry.catalogue.search_words import MAX_TERMS, Term, lexemes, understand

TODAY = date(2026, 3, 15)


def one(text: str) -> Term:
    (term,) = understand(text, TODAY)
    return term


DAYS = [
    ("2024-05-03", "2024-05-03", "2024-05-03"),
    ("03.05.2024", "2024-05-03", "2024-05-03"),
    ("3.5.24", "2024-05-03", "2024-05-03"),
    ("20240503", "2024-05-03", "2024-05-03"),
    ("31/12/2024", "2024-12-31", "2024-12-31"),
    ("12/31/2024", "2024-12-31", "2024-12-31"),
    ("2024", "2024-01-01", "2024-12-31"),
    ("2024-02", "2024-02-01", "2024-02-29"),
    ("02.2023", "2023-02-01", "2023-02-28"),
    ("12/2023", "2023-12-01", "2023-12-31"),
    ("2023-2024", "2023-01-01", "2024-12-31"),
    ("2024-01-05..2024-02", "2024-01-05", "2024-02-29"),
    ("20240101-20240201", "2024-01-01", "2024-02-01"),
    ("2024-02..2024-01", "2024-01-01", "2024-02-29"),
    ("2024..", "2024-01-01", None),
    ("..2024", None, "2024-12-31"),
    (">=2024", "2024-01-01", None),
    ("today", "2026-03-15", "2026-03-15"),
    ("HEUTE", "2026-03-15", "2026-03-15"),
    ("gestern", "2026-03-14", "2026-03-14"),
    ("7d", "2026-03-09", "2026-03-15"),
    ("week", "2026-03-09", "2026-03-15"),
]


@pytest.mark.parametrize(("text", "first", "last"), DAYS)
def test_days(text: str, first: str | None, last: str | None) -> None:
    term = one(text)
    assert term.kind == "date"
    assert [day.isoformat() if day else None for day in (term.first, term.last)] == [first, last]


KINDS = [
    ("Muster", "text"), ("4711", "number"), ("20241399", "number"), ("ct", "modality"), ("US", "modality"), ("zz", "text"),
    ("1.2.840.10008.1", "uid"), ("1.2.3", "uid"), ("1.2", "number"), ("name:ct", "name"), ("id:20240503", "patient_id"), ("acc:2024", "accession"),
    ("date:2024", "date"), ("date:anna", "text"), ("mod:xyz", "modality"), ('"CT Thorax"', "text"), ("a:b", "text"), ("31.02.2024", "number"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "kind"), KINDS)
def test_kinds(text: str, kind: str) -> None:
    assert one(text).kind == kind


def test_each_word_says_where_it_stands_and_what_it_may_be() -> None:
    text = "  muster^anna, 20240503 CT"
    terms = understand(text, TODAY)
    assert [text[term.start : term.end] for term in terms] == ["muster", "anna", "20240503", "CT"]
    assert terms[2].alternatives == ("number", "patient_id", "accession")
    assert "name" in terms[0].alternatives


def test_spellings_of_umlauts_meet() -> None:
    spelled = {text: set(one(text).words[0]) for text in ("Müller", "Mueller", "MULLER")}
    assert "muller" in spelled["Müller"] & spelled["Mueller"] & spelled["MULLER"]
    assert "mueller" in spelled["Müller"] & spelled["Mueller"]


def test_hidden_fields_are_not_asked() -> None:
    assert "'nmuster':*" in lexemes(one("muster"), "niad")
    assert lexemes(one("muster"), "d") == "('dmuster':*)"
    assert lexemes(one("name:muster"), "ad") == ""


HOSTILE = [
    "",
    " ",
    "%",
    "'",
    "\\",
    "a' | 'b",
    '"',
    ":",
    "name:",
    "^^^",
    "\0",
    "<script>",
    "(((",
    "\u202eabc",
    "💥",
    "*",
    "..",
    "-",
    "a:*",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_fails(text: str) -> None:
    for term in understand(text, TODAY):
        if term.words:
            lexemes(term, "niad")


def test_much_is_cut() -> None:
    terms = understand("word " * 1000, TODAY)
    assert len(terms) == MAX_TERMS
    assert all(len(spelling) <= 200 for spelling in one("x" * 9000).words[0])
