"""Where the frames of stored files lie: read once from their headers and remembered; the bytes of a version never change."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock

from gantry.dataset.attributes import Attributes, open_attributes
from gantry.dataset.attributes_shown import may_name_patient
from gantry.dataset.attributes_values import Values
from gantry.dataset.frames import Layout, layout_of
from gantry.dataset.render import embedded_overlays
from gantry.dicomweb.errors import refusing
from gantry.dicomweb.find import Place, only_identified

#: Numbers that are kept of all files together; one of a CT slice has some twenty.
_MAX_WEIGHT = 4_000_000


@dataclass(frozen=True, slots=True)
class Known:
    """A layout; `names`: the pixels may say who the patient is; `direct`: its places are places in the file.

    `overlays`: which bit beside the samples is an overlay plane, by group.
    """

    layout: Layout
    names: bool
    direct: bool
    overlays: dict[int, int]


class _Kept:
    def __init__(self) -> None:
        self._lock = Lock()
        self._known: OrderedDict[int, Known] = OrderedDict()
        self._weight = 0

    def get(self, version_id: int) -> Known | None:
        with self._lock:
            known = self._known.get(version_id)
            if known is not None:
                self._known.move_to_end(version_id)
            return known

    def put(self, version_id: int, known: Known) -> None:
        if known.layout.weight > _MAX_WEIGHT // 4:
            return
        with self._lock:
            if version_id not in self._known:
                self._weight += known.layout.weight
            self._known[version_id] = known
            while self._weight > _MAX_WEIGHT:
                _, gone = self._known.popitem(last=False)
                self._weight -= gone.layout.weight


_kept = _Kept()


def known_of(place: Place) -> Known:
    """The layout of a stored file, for those who may see its pixels. Raises RequestRefused."""
    known = _kept.get(place.version_id)
    if known is None:
        with (
            refusing(),
            open_attributes(place.path, place.dataset_offset, place.dataset_bytes, place.transfer_syntax_uid) as attributes,
        ):
            known = _read(place, attributes)
    refuse_unless_shown(place, known)
    return known


def read_layout(place: Place, attributes: Attributes) -> Known:
    """The same where the file is open already. Raises CannotShow, RequestRefused."""
    known = _kept.get(place.version_id) or _read(place, attributes)
    refuse_unless_shown(place, known)
    return known


def _read(place: Place, attributes: Attributes) -> Known:
    layout = layout_of(attributes, place.transfer_syntax_uid)
    values = Values(attributes)
    image_type = attributes.get(0x00080008)
    names = may_name_patient(
        place.sop_class_uid, burnt_in=values.text(0x00280301).strip().upper(), modality=values.text(0x00080060).strip().upper(),
        image_type=(attributes.bytes_of(image_type, 1024) if image_type else b"").decode("ascii", "replace").upper(),
        conversion_type=values.text(0x00080064).strip(),
    )  # fmt: skip
    known = Known(layout, names, attributes.direct, embedded_overlays(attributes, layout))
    _kept.put(place.version_id, known)
    return known


def refuse_unless_shown(place: Place, known: Known) -> None:
    """Raises NotAllowed when the pixels may name the patient, and the actor may not know."""
    if known.names:
        only_identified(place)
