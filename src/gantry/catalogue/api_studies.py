"""What the routes that search studies share: the parameters of a search, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any, cast, get_args

from ninja import Schema
from pydantic import Field, field_validator

from gantry.accounts.errors import NotAllowed, RequestRefused
from gantry.accounts.page import Text
from gantry.catalogue.access import Access
from gantry.catalogue.errors import SearchTooBroad
from gantry.catalogue.search_wanted import State, Wanted, Within
from gantry.catalogue.search_words import Kind, Term

_STATES = get_args(State)


class TooBroad(RequestRefused):
    """This search finds too much to be answered in time."""

    status = 422
    code = "search_too_broad"
    remedy = "Add a day, a modality or more letters of a word."


class StudyFilters(Schema):
    """Which studies. Everything given must hold; empty is not given."""

    q: Text = Field(
        default="",
        description="The search box: names (parts in any order), Patient ID, accession number, days (2024-05-03, 03.05.2024, "
        "2024, today, ranges with ..), modality, UID, words of the description. `name:`, `id:`, `acc:`, `date:`, `mod:`, `uid:` "
        "and `desc:` before a word say what it is",
        examples=["muster anna 2024 CT"],
    )
    patient_id: Text = Field(default="", description="Wildcards * and ?, any case", examples=["4711"])
    patient_name: Text = Field(default="", description="Wildcards * and ?, any case", examples=["doe*"])
    accession_number: Text = Field(default="", description="Wildcards * and ?, any case")
    study_date: date | None = Field(default=None, description="This day")
    study_date_from: date | None = Field(default=None, description="This day or later")
    study_date_to: date | None = Field(default=None, description="This day or earlier")
    modality: Text = Field(default="", description="One of the study's; several with commas: any of them", examples=["CT"])
    study_instance_uid: Text = ""
    conflicts: bool | None = Field(default=None, description="With or without conflicts")
    calling_aet: Text = Field(default="", description="An AE title that sent something of it")
    called_aet: Text = Field(default="", description="An AE title of ours that it was sent to")
    institute: Text = Field(default="", description="The name of an institute that it belongs to")
    state: Text = Field(default="", description=f"Of {', '.join(_STATES)}; several with commas: all of them", examples=["new"])
    dated: Within = Field(default="", description="Study date within the last day, week, month (30 days) or year")
    received: Within = Field(default="", description="Received within the last day, week, month (30 days) or year")

    @field_validator("state")
    @classmethod
    def known_states(cls, value: str) -> str:
        """States that there are."""
        if unknown := [state for state in split(value) if state not in _STATES]:
            raise ValueError(f"{unknown[0][:40]!r} is no state; there are {', '.join(_STATES)}")
        return value

    def wanted(self) -> Wanted:
        """The search that these parameters mean."""
        days = self.study_date or self.study_date_from, self.study_date or self.study_date_to
        return Wanted(
            text=self.q, patient_id=self.patient_id, patient_name=self.patient_name, accession_number=self.accession_number,
            study_date=days, modalities=split(self.modality), study_instance_uid=self.study_instance_uid,
            conflicts=self.conflicts, calling_aet=self.calling_aet, called_aet=self.called_aet, institute=self.institute,
            states=cast("Sequence[State]", split(self.state)), dated=self.dated, received=self.received,
        )  # fmt: skip


def split(value: str) -> tuple[str, ...]:
    """Several values with commas, at most 20."""
    return tuple(dict.fromkeys(part.strip() for part in value.split(",") if part.strip()))[:20]


def refuse_hidden(allowed: Access, query: StudyFilters, *, sort: str = "") -> None:
    """Say so when a search asks for what is hidden everywhere; an empty list would look like an answer."""
    hidden = (query.patient_id or query.patient_name or sort == "name") and allowed.identified.nothing
    leading = allowed.identified.nothing and allowed.initials.nothing
    if hidden or ((query.accession_number or sort == "accession") and leading):
        raise NotAllowed(
            "Not allowed: you may not see who a patient is, so you cannot search by it.", details={"action": "patients.identify"}
        )


@contextmanager
def in_time() -> Iterator[None]:
    """Refuse what finds too much."""
    try:
        yield
    except SearchTooBroad as error:
        raise TooBroad from error


def understood(terms: Sequence[Term], allowed: Access) -> list[dict[str, Any]]:
    """The words of a search as they were understood; `searched` false: this reader may not search by such a word."""
    return [
        {
            "kind": term.kind, "text": term.text, "start": term.start, "end": term.end, "first": term.first, "last": term.last,
            "alternatives": list(term.alternatives), "searched": _searched(term.kind, allowed),
        }
        for term in terms
    ]  # fmt: skip


def _searched(kind: Kind, allowed: Access) -> bool:
    if kind in {"name", "patient_id"}:
        return not allowed.identified.nothing
    return kind != "accession" or not (allowed.identified.nothing and allowed.initials.nothing)
