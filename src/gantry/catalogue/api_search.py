"""Routes: facets of a search of studies, and searches that people keep."""

from __future__ import annotations

from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Path, Query, Router, Schema, Status
from pydantic import Field, StringConstraints, field_validator

from gantry.accounts import connection
from gantry.accounts.page import RowId, Text, answer
from gantry.accounts.route import actor_of, may
from gantry.catalogue import saved
from gantry.catalogue.access import access
from gantry.catalogue.api_studies import StudyFilters, in_time, refuse_hidden, split, understood
from gantry.catalogue.facets import FACETS, count_facets
from gantry.catalogue.facets import Name as Facet
from gantry.catalogue.schemas import FacetsOut, SavedSearchOut, SavedSearchPage
from gantry.catalogue.search_models import SavedSearch

router = Router(tags=["catalogue"])

Name = Annotated[str, StringConstraints(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f]*\S[^\x00-\x1f]*$")]
Parameter = Annotated[str, StringConstraints(max_length=1024, pattern=r"^[^\x00]*$")]
#: Asked for instead of a facet by who wants the total only.
NO_FACET = "total"
ParameterName = Annotated[str, StringConstraints(max_length=40, pattern=r"^[a-z_]+$")]
Parameters = Annotated[dict[ParameterName, Parameter], Field(max_length=20)]


class FacetFilters(StudyFilters):
    """Which studies, and what to count of them."""

    facet: Text = Field(
        default="",
        description=f"Only these, several with commas: {', '.join(FACETS)}; `{NO_FACET}`: no facet, only how many; empty: all",
        examples=["modality"],
    )

    @field_validator("facet")
    @classmethod
    def known_facets(cls, value: str) -> str:
        """Facets that there are."""
        if unknown := [name for name in split(value) if name not in (*FACETS, NO_FACET)]:
            raise ValueError(f"{unknown[0][:40]!r} is no facet; there are {', '.join(FACETS)} and {NO_FACET}")
        return value

    @property
    def facets(self) -> tuple[Facet, ...]:
        """Those that are to be counted."""
        asked = split(self.facet)
        return tuple(name for name in FACETS if name in asked) if asked else FACETS


@router.get("/study-facets", auth=may("studies.view"), response=FacetsOut, summary="Count studies by kind")
def count_study_facets(request: HttpRequest, query: Query[FacetFilters]) -> dict[str, Any]:
    """How many studies of a search there are of each modality, state, age, source and institute: to 10 000, then at least."""
    actor = actor_of(request)
    allowed = access(actor)
    refuse_hidden(allowed, query)
    with in_time():
        wanted = query.wanted()
        counted = count_facets(connection.of_request(), wanted, actor=actor, access=allowed, names=query.facets)
    return {
        "total": counted.total, "more": counted.more, "facets": counted.facets, "understood": understood(wanted.terms, allowed),
    }  # fmt: skip


class SavedIn(Schema):
    """A search to keep."""

    name: Name = Field(examples=["CT of today"])
    search: Parameters = Field(description="Parameters of the page, with values", examples=[{"q": "today", "modality": "CT"}])
    institute: Name | None = Field(default=None, description="Show it to all of this institute; yours")


class SavedChange(Schema):
    """What to change of a saved search."""

    name: Name | None = None
    search: Parameters | None = None


def _shown(actor_id: int | None, one: SavedSearch) -> dict[str, Any]:
    institute = one.institute.name if one.institute is not None else None
    return {
        "id": one.pk, "name": one.name, "search": one.search, "institute": institute, "own": one.user_id == actor_id,
        "saved_by": one.user.get_username(), "created_at": one.created_at,
    }  # fmt: skip


@router.get("/saved-searches", auth=may("studies.view"), response=SavedSearchPage, summary="List saved searches")
def list_saved_searches(request: HttpRequest) -> dict[str, Any]:
    """Your own and those of your institute, by name; at most 1 000."""
    actor = actor_of(request)
    return answer(request, [_shown(actor.user_id, one) for one in saved.list_saved(actor)[:1000]], None)


@router.post("/saved-searches", auth=may("studies.view"), response={201: SavedSearchOut}, summary="Save a search")
def add_saved_search(request: HttpRequest, body: SavedIn) -> Status[dict[str, Any]]:
    """Keep a search under a name, for yourself or for your institute."""
    actor = actor_of(request)
    return Status(201, _shown(actor.user_id, saved.add(actor, body.name, body.search, institute=body.institute or "")))


@router.patch("/saved-searches/{saved_id}", auth=may("studies.view"), response=SavedSearchOut, summary="Change a saved search")
def change_saved_search(request: HttpRequest, saved_id: Path[RowId], body: SavedChange) -> dict[str, Any]:
    """Rename it, or keep another search under its name. Only who saved it may."""
    actor = actor_of(request)
    return _shown(actor.user_id, saved.change(actor, saved_id, name=body.name, search=body.search))


@router.delete("/saved-searches/{saved_id}", auth=may("studies.view"), response={204: None}, summary="Delete a saved search")
def delete_saved_search(request: HttpRequest, saved_id: Path[RowId]) -> Status[None]:
    """Forget it. Only who saved it may."""
    saved.delete(actor_of(request), saved_id)
    return Status(204, None)
