"""Who did what: the conditions a person may ask the audit by."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from gantry.audit.models import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is empty is not asked. `act`: a whole name (node.edit) or a noun (node); `since` is included, `until` is not."""

    who: str = ""
    user_id: int | None = None
    act: str = ""
    study_uid: str = ""
    patient_id: str = ""
    kind: str = ""
    key: str = ""
    address: str = ""
    since: datetime | None = None
    until: datetime | None = None


def find(question: Question) -> QuerySet[Entry]:
    """The entries that fit; the caller orders and limits."""
    rows = Entry.objects.all()
    for name in ("who", "study_uid", "patient_id", "kind", "key", "address"):
        if value := getattr(question, name):
            rows = rows.filter(**{name: value})
    if question.user_id is not None:
        rows = rows.filter(user_id=question.user_id)
    if question.act:
        rows = rows.filter(act=question.act) if "." in question.act else rows.filter(act__startswith=f"{question.act}.")
    if question.since:
        rows = rows.filter(at__gte=question.since)
    if question.until:
        rows = rows.filter(at__lt=question.until)
    return rows
