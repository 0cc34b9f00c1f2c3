"""What a fetch is asked for, what it asks a node for, and what it comes to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from dimse.identifier import Identifier
from gantry.dataset import is_valid_uid
from gantry.nodes.errors import BadQuery
from gantry.nodes.into import Announced
from gantry.nodes.retrieving import chosen

_IDLE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to fetch: a study, a series of it, or an instance of that."""

    study: str
    series: str = ""
    instance: str = ""

    @classmethod
    def parse(cls, text: str) -> Wanted:
        """STUDY, STUDY/SERIES or STUDY/SERIES/INSTANCE. Raises BadQuery."""
        parts = text.strip().split("/")
        if not 1 <= len(parts) <= 3 or not all(is_valid_uid(part) for part in parts):
            raise BadQuery(f"{text[:200]!r} is no UID: write STUDY, STUDY/SERIES or STUDY/SERIES/INSTANCE, of UIDs")
        return cls(*parts)

    def keys(self) -> dict[str, str]:
        """As keys of a query."""
        found = {"StudyInstanceUID": self.study, "SeriesInstanceUID": self.series, "SOPInstanceUID": self.instance}
        return {key: uid for key, uid in found.items() if uid}

    def covers(self, one: Announced) -> bool:
        """Whether an instance belongs to it."""
        return (
            one.study_instance_uid == self.study
            and self.series in {"", one.series_instance_uid}
            and self.instance in {"", one.sop_instance_uid}
        )

    def __str__(self) -> str:
        return "/".join(part for part in (self.study, self.series, self.instance) if part)


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: of silence inside a sub-operation, and for the whole (None: as long as something comes)."""

    idle_seconds: float = _IDLE_SECONDS
    deadline: float | None = None


@dataclass(slots=True)
class FetchResult:
    """What a fetch came to. `announced` is None when the node could not say what it has.

    `missing` were announced (or failed at the node) and are not here; `unexpected` came without having been announced,
    and were kept; `refused` came and could not be kept, with the reason. `associations`: how many at once were good.
    """

    announced: int | None = None
    present: int = 0
    received: int = 0
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    how: list[str] = field(default_factory=list)
    associations: int = 1
    seconds: float = 0.0
    error: str = ""
    remedy: str = ""

    @property
    def ok(self) -> bool:
        """Everything that was announced is here."""
        return not (self.error or self.missing or self.refused)


@dataclass(frozen=True, slots=True)
class Plan:
    """One retrieval."""

    keys: dict[str, str | list[str]]
    level: str
    classes: tuple[str, ...]

    def identifier(self) -> Identifier:
        return Identifier({"QueryRetrieveLevel": self.level, **self.keys})


def by_instance(items: Sequence[Announced], together: int) -> Iterator[Plan]:
    """Lists of instances, a series at a time (PS3.4 C.4.2.2.1: only the last unique key may be a list)."""
    by_series: dict[tuple[str, str], list[Announced]] = {}
    for item in items:
        by_series.setdefault((item.study_instance_uid, item.series_instance_uid), []).append(item)
    for (study, series), members in by_series.items():
        for start in range(0, len(members), together):
            some = members[start : start + together]
            keys: dict[str, str | list[str]] = {"StudyInstanceUID": study, "SeriesInstanceUID": series}
            keys["SOPInstanceUID"] = chosen([item.sop_instance_uid for item in some])
            yield Plan(keys, "IMAGE", classes_of(some))


def classes_of(items: Sequence[Announced]) -> tuple[str, ...]:
    """The SOP classes, the most frequent first; none when the node did not name them all."""
    counts: dict[str, int] = {}
    for item in items:
        counts[item.sop_class_uid] = counts.get(item.sop_class_uid, 0) + 1
    return () if "" in counts else tuple(sorted(counts, key=counts.__getitem__, reverse=True))
