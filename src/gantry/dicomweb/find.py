"""Which stored file is meant, and may they see it: one statement. And the audit of looking."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any

import psycopg
from django.http import HttpRequest
from psycopg.rows import class_row, scalar_row

from gantry import config, database, storage
from gantry.accounts import connection, trail
from gantry.accounts.errors import NotAllowed, NotFound
from gantry.accounts.route import actor_of
from gantry.catalogue.access import Access, Level, access

#: So many instances at once; a series of more is asked for in parts.
MAX_INSTANCES = 20_000
#: A stack of so many images is opened in its middle, where there is most to see.
MANY = 8
#: Looking at one study again within this time is one act, seconds: a viewer asks hundreds of times.
AGAIN_SECONDS = 600.0
_MAX_LOOKS = 20_000


@dataclass(frozen=True, slots=True)
class Place:
    """The current bytes of an instance, and how much of its patient the actor may know."""

    version_id: int
    study_row: int
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    file_path: str
    dataset_offset: int
    dataset_bytes: int
    file_bytes: int
    modality: str
    series_number: int | None
    instance_number: int | None
    patient_id: str
    patient_level: Level

    @property
    def path(self) -> str:
        """Of the file. Raises PathRefused."""
        return storage.resolve(Path(config.current().home), self.file_path)

    @property
    def identified(self) -> bool:
        """The actor may know who the patient is."""
        return self.patient_level == "full"


@dataclass(frozen=True, slots=True)
class Marked:
    """A series by the versions that it is made of, in the order of its instances: tells whether anything changed."""

    study_row: int
    study_instance_uid: str
    patient_id: str
    patient_level: Level
    versions: list[int] | None

    @property
    def identified(self) -> bool:
        """The actor may know who the patient is."""
        return self.patient_level == "full"


def _statement(name: str, allowed: Access) -> Any:
    sql = database.statements("gantry.dicomweb")[name]
    # Looked up for this one study; `into` would first count all that the actor sees.
    return allowed.into(sql.replace("/* seen */ TRUE", allowed.seen.mark("st.id")), "st.id")


def _places(request: HttpRequest, action: str, name: str, values: dict[str, Any]) -> list[Place]:
    allowed = access(actor_of(request), action)
    with psycopg.Cursor(connection.of_request(), row_factory=class_row(Place)) as found:
        found.execute(_statement(name, allowed), {**values, **allowed.params})
        return found.fetchall()


def find_instance(
    request: HttpRequest, instance: str, *, study: str | None = None, series: str | None = None, action: str = "studies.view"
) -> Place:
    """The current bytes of one instance. Raises NotFound, for what is not theirs too."""
    places = _places(request, action, "instance", {"instance": instance, "series": series, "study": study})
    if not places:
        raise NotFound("There is no such instance.")
    note_look(request, places[0])
    return places[0]


def find_series(request: HttpRequest, series: str, *, study: str | None = None, action: str = "studies.view") -> list[Place]:
    """The instances of a series by their number, one more than MAX_INSTANCES at most. Raises NotFound."""
    places = _places(request, action, "series", {"series": series, "study": study, "limit": MAX_INSTANCES + 1})
    if not places:
        raise NotFound("There is no such series.")
    note_look(request, places[0])
    return places


def mark_series(request: HttpRequest, series: str, *, study: str | None = None) -> Marked:
    """Which versions a series is made of, for who may look at it. Raises NotFound."""
    allowed = access(actor_of(request), "studies.view")
    values = {"series": series, "study": study, "limit": MAX_INSTANCES + 1, **allowed.params}
    with psycopg.Cursor(connection.of_request(), row_factory=class_row(Marked)) as found:
        found.execute(_statement("series_versions", allowed), values)
        marked = found.fetchone()
    if marked is None or not marked.versions:
        raise NotFound("There is no such series.")
    note_look(request, marked)
    return marked


def find_study(request: HttpRequest, study: str, *, action: str = "studies.view", limit: int = MAX_INSTANCES + 1) -> list[Place]:
    """The instances of a study by series and number. Raises NotFound."""
    places = _places(request, action, "study", {"study": study, "limit": limit})
    if not places:
        raise NotFound("There is no such study.")
    note_look(request, places[0])
    return places


def find_picture(request: HttpRequest, series: str | None, *, study: str | None) -> Place:
    """The instance that stands for a series, the middle one; without a series, of the first of the study with images."""
    if series is None:
        allowed = access(actor_of(request))
        with psycopg.Cursor(connection.of_request(), row_factory=scalar_row) as found:
            found.execute(_statement("series_of_study", allowed), {"study": study, **allowed.params})
            series = found.fetchone()
        if series is None:
            raise NotFound("There is no such study, or nothing in it is an image.")
    places = _places(request, "studies.view", "picture_of_series", {"series": series, "study": study})
    if not places:
        raise NotFound("There is no such series.")
    return places[0]


def find_first_image(request: HttpRequest, study: str, series: str | None) -> Place:
    """With which instance a viewer begins: the middle one of MANY or more, else the first; of this series, or of the first
    of the study with images. Raises NotFound.
    """
    places = _places(request, "studies.view", "first_image", {"study": study, "series": series, "many": MANY})
    if not places:
        raise NotFound("There is no such study or series, or nothing in it is an image.")
    note_look(request, places[0])
    return places[0]


def only_identified(place: Place) -> None:
    """Raises NotAllowed for those who may not know who the patient is: what they ask for may say it."""
    if not place.identified:
        raise NotAllowed(
            "Not allowed: this may say who the patient is, and you may not see that.", details={"action": "patients.identify"}
        )


class _Looks:
    """Who looked at which study lately, in this process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._times: OrderedDict[tuple[int | None, int | None, int], float] = OrderedDict()

    def first(self, key: tuple[int | None, int | None, int]) -> bool:
        """Whether this look is to be written down."""
        now = monotonic()
        with self._lock:
            if now - self._times.get(key, -AGAIN_SECONDS) < AGAIN_SECONDS:
                return False
            self._times[key] = now
            self._times.move_to_end(key)
            while len(self._times) > _MAX_LOOKS:
                self._times.popitem(last=False)
            return True


_looks = _Looks()


def note_look(request: HttpRequest, place: Place | Marked) -> None:
    """Into the audit, once in AGAIN_SECONDS for a study and person or token."""
    actor = actor_of(request)
    if _looks.first((actor.user_id, actor.token_id, place.study_row)):
        trail.note(
            "study.view", trail.by_request(request), kind="study", key=place.study_instance_uid,
            study_uid=place.study_instance_uid, patient_id=place.patient_id,
        )  # fmt: skip


def note_download(request: HttpRequest, act: str, kind: str, key: str, place: Place) -> None:
    """Into the audit: bytes went out."""
    trail.note(
        act, trail.by_request(request), kind=kind, key=key, study_uid=place.study_instance_uid, patient_id=place.patient_id
    )
