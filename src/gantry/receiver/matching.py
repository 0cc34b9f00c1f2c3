"""Which instances a C-GET or C-MOVE means: the unique keys of its identifier, looked up in the index (PS3.4 C.4.2, C.4.3)."""

from __future__ import annotations

from typing import Final

import psycopg

from dimse.errors import DimseError, Refused
from dimse.identifier import Identifier
from dimse.negotiation import STUDY_ROOT_GET, STUDY_ROOT_MOVE
from dimse.operations import GetRequest, MoveRequest
from dimse.status import DATA_SET_DOES_NOT_MATCH
from gantry.catalogue.errors import BadQuery
from gantry.catalogue.locate import Location
from gantry.catalogue.query import LEVELS, UNIQUE, Level, Query, matching_instances

_STUDY_ROOT: Final = frozenset({STUDY_ROOT_GET, STUDY_ROOT_MOVE})
_WILD = frozenset("*?")


def query_of(request: GetRequest | MoveRequest) -> Query:
    """What is asked of the index. Raises Refused with A900 when the identifier does not say what is meant.

    Unique keys above the level may be left out also where relational retrieval was not negotiated: UIDs are unique.
    """
    try:
        identifier = Identifier.parse(request.identifier, request.transfer_syntax_uid)
    except (DimseError, ValueError) as error:
        raise Refused(DATA_SET_DOES_NOT_MATCH, "the identifier cannot be read") from error
    found = identifier.text("QueryRetrieveLevel")
    level: Level | None = next((one for one in LEVELS if one == found), None)
    if level is None or (level == "PATIENT" and request.sop_class_uid in _STUDY_ROOT):
        raise Refused(DATA_SET_DOES_NOT_MATCH, "Query/Retrieve Level is missing or unknown")
    keys: dict[str, str | list[str]] = {}
    for name in LEVELS[: LEVELS.index(level) + 1]:
        keyword = UNIQUE[name]
        values = [value for value in identifier.texts(keyword) if value]
        if any(_WILD & set(value) for value in values):
            raise Refused(DATA_SET_DOES_NOT_MATCH, f"{keyword} takes no wildcards here")
        if len(values) > 1 and name != level:
            # A list is for the level itself (PS3.4 C.4.2.2.1).
            raise Refused(DATA_SET_DOES_NOT_MATCH, f"{keyword} takes one value above the level")
        if values:
            keys[keyword] = values
    if UNIQUE[level] not in keys:
        raise Refused(DATA_SET_DOES_NOT_MATCH, f"{UNIQUE[level]} is missing")
    return Query(level, "STUDY" if request.sop_class_uid in _STUDY_ROOT else "PATIENT", keys, relational=True)


def matching(connection: psycopg.Connection, request: GetRequest | MoveRequest) -> list[Location]:
    """The instances that a request means, as a receiver would like to get them. Raises Refused."""
    try:
        return matching_instances(connection, query_of(request))
    except BadQuery as error:
        raise Refused(DATA_SET_DOES_NOT_MATCH, "the identifier has values that cannot be") from error
