"""Searches that people keep: their own, or shown to all of their institute."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet

from gantry.accounts.allowed import Actor
from gantry.accounts.errors import Conflict, Invalid, NotAllowed, NotFound
from gantry.accounts.models import Institute
from gantry.catalogue.search_models import SavedSearch

#: Enough for a person; each is small.
MAX_OWN = 200
_TAKEN = "There is a saved search of this name."


def list_saved(actor: Actor) -> QuerySet[SavedSearch]:
    """Own ones and those of the institutes that count now, by name."""
    shared = Q(institute_id__in=[place.institute_id for place in actor.places])
    return (
        SavedSearch.objects.filter(Q(user_id=_owner(actor)) | shared).select_related("user", "institute").order_by("name", "pk")
    )


def add(actor: Actor, name: str, search: Mapping[str, str], *, institute: str = "") -> SavedSearch:
    """Keep a search; with an institute, for all who are in it. Raises Conflict, Invalid, NotFound."""
    place = _place(actor, institute) if institute else None
    if SavedSearch.objects.filter(user_id=_owner(actor)).count() >= MAX_OWN:
        raise Invalid(f"There are {MAX_OWN} saved searches of yours.", remedy="Delete some that nobody uses.")
    try:
        with transaction.atomic():
            return SavedSearch.objects.create(user_id=_owner(actor), institute=place, name=name, search=dict(search))
    except IntegrityError as error:
        raise Conflict(_TAKEN, remedy="Choose another name.") from error


def change(actor: Actor, saved_id: int, *, name: str | None = None, search: Mapping[str, str] | None = None) -> SavedSearch:
    """Rename an own search, or keep other values in it. Raises Conflict, NotFound, NotAllowed."""
    saved = _own(actor, saved_id)
    saved.name = name if name is not None else saved.name
    saved.search = dict(search) if search is not None else saved.search
    try:
        with transaction.atomic():
            saved.save(update_fields=["name", "search"])
    except IntegrityError as error:
        raise Conflict(_TAKEN, remedy="Choose another name.") from error
    return saved


def delete(actor: Actor, saved_id: int) -> None:
    """Forget an own search. Raises NotFound, NotAllowed."""
    _own(actor, saved_id).delete()


def _owner(actor: Actor) -> int:
    """The person; nobody has number 0."""
    return actor.user_id or 0


def _own(actor: Actor, saved_id: int) -> SavedSearch:
    saved = list_saved(actor).filter(pk=saved_id).first()
    if saved is None:
        raise NotFound("There is no such saved search.")
    if saved.user_id != actor.user_id:
        raise NotAllowed(
            "This search was saved by somebody else: only they change it.", remedy="Save it under a name of your own."
        )
    return saved


def _place(actor: Actor, institute: str) -> Institute:
    """An institute that the actor is in; those of others look as if they were none."""
    found = Institute.objects.filter(name=institute, pk__in=[place.institute_id for place in actor.places]).first()
    if found is None:
        raise NotFound("You are in no institute of this name.", remedy="Share it with the institute that is active.")
    return found
