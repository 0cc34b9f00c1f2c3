"""What a search of studies asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any, Literal, TypeAlias

from gantry.catalogue.search_words import Term, understand

State: TypeAlias = Literal["new", "settled", "conflict", "protected", "legal_hold", "held"]
Within: TypeAlias = Literal["", "day", "week", "month", "year"]
SPANS: dict[str, int] = {"day": 1, "week": 7, "month": 30, "year": 365}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which studies; what is empty does not count, all that is given must hold.

    `text` is the search box. Names, Patient ID and accession number take the wildcards * and ?, any case; days are
    ranges with both ends included; `dated` and `received` count back from `today`.
    """

    text: str = ""
    patient_id: str = ""
    patient_name: str = ""
    accession_number: str = ""
    study_date: tuple[date | None, date | None] = (None, None)
    modalities: Sequence[str] = ()
    study_instance_uid: str = ""
    conflicts: bool | None = None
    calling_aet: str = ""
    called_aet: str = ""
    institute: str = ""
    states: Sequence[State] = ()
    dated: Within = ""
    received: Within = ""
    today: date = field(default_factory=lambda: datetime.now().astimezone().date())

    @property
    def terms(self) -> list[Term]:
        """The text as it was understood."""
        return understand(self.text, self.today)


def since(within: str, today: date) -> date:
    """The first day of the last day, week, month or year."""
    return today - timedelta(days=SPANS[within] - 1)


def moment(day: date) -> datetime:
    """When that day began here."""
    return datetime(day.year, day.month, day.day).astimezone()


def without(wanted: Wanted, facet: str) -> Wanted:
    """The same search without what one facet narrows, so that its other values can be counted."""
    empty: dict[str, Any] = {"modality": {"modalities": ()}, "state": {"states": ()}}.get(facet, {facet: ""})
    return replace(wanted, **empty)
