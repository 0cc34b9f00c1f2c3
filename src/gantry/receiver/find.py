"""C-FIND: an identifier becomes a query of the index, its matches become identifiers (PS3.4 C.4.1).

Answers come in the character set of the question where their text fits it, else in UTF-8, and in plain ASCII when
that is enough. Attributes that the index does not have are left out, and the answers say so with FF01.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Final, Literal

import psycopg

from dimse.acceptance import AssociationInfo
from dimse.dictionary import tag_of
from dimse.identifier import Identifier, IdentifierError
from dimse.operations import Final as Answered
from dimse.operations import FindRequest, Match
from dimse.status import CANNOT_UNDERSTAND, DATA_SET_DOES_NOT_MATCH, OUT_OF_RESOURCES, SOP_CLASS_NOT_SUPPORTED
from gantry.catalogue.errors import BadQuery, QueryStopped
from gantry.catalogue.query import LEVELS, Page, Query, pages, supported_keys
from gantry.dataset.charset import character_set
from gantry.receiver.answers import Answers, Question
from gantry.receiver.errors import IndexAway
from gantry.receiver.index import Index

log = logging.getLogger("gantry.receiver")
#: PS3.4 table C.4-1.
CANCELLED: Final = 0xFE00
#: Query models (PS3.4 C.3): patient root, study root, and the retired one that knows only patients and studies.
_ROOTS: dict[str, tuple[Literal["PATIENT", "STUDY"], int]] = {
    "1.2.840.10008.5.1.4.1.2.1.1": ("PATIENT", 4),
    "1.2.840.10008.5.1.4.1.2.2.1": ("STUDY", 4),
    "1.2.840.10008.5.1.4.1.2.3.1": ("PATIENT", 2),
}
#: Of a question: not compared, and answered without the index where at all.
_ASIDE: Final = frozenset({
    "SpecificCharacterSet", "QueryRetrieveLevel", "QueryRetrieveView", "TimezoneOffsetFromUTC", "RetrieveAETitle",
    "InstanceAvailability",
})  # fmt: skip


def find(
    index: Index,
    association: AssociationInfo,
    request: FindRequest,
    cancelled: Callable[[], bool],
    *,
    limit: int = 0,
) -> Iterator[Match | Answered]:
    """The matches of a C-FIND, one at a time, then a final answer unless it is Success.

    The title that was called is what the answers name to retrieve from. `limit` 0: none; else A700 follows so many
    matches when there are more. A connection of `index` is held until the last page is read. `cancelled` is asked
    while the database works, too: the statement ends within 100 ms. Other statuses: A900 for an identifier that
    does not fit its query model, C000 for one that cannot be read, A700 while the index is away.
    """
    try:
        question = read_question(request, limit)
    except IdentifierError as error:
        yield Answered(CANNOT_UNDERSTAND, "the identifier cannot be read", offending=(error.tag,) if error.tag else ())
        return
    except BadQuery as error:
        yield _does_not_match(error)
        return
    if question is None:
        yield Answered(SOP_CLASS_NOT_SUPPORTED)
        return
    answers = Answers(question, association.called_aet, request.transfer_syntax_uid)
    last = Page([], [], last=True)
    try:
        with index.connection() as connection:
            for page in pages(connection, question.query, stop=cancelled):
                if page.last:
                    last = page
                    break
                yield from answers.matches(page)
        # Most answers are one page: the connection is free for others while they are sent.
        yield from answers.matches(last)
    except QueryStopped:
        yield Answered(CANCELLED)
    except BadQuery as error:
        yield _does_not_match(error)
    except (IndexAway, psycopg.OperationalError, psycopg.InterfaceError) as error:
        log.warning("a query from %s cannot be answered: %s", association.peer.host, type(error).__name__)
        yield Answered(OUT_OF_RESOURCES, "index is away")
    except psycopg.Error as error:  # its text may hold what was asked for
        log.error("a query from %s failed: %s %s", association.peer.host, type(error).__name__, error.sqlstate)
        yield Answered(CANNOT_UNDERSTAND, "unable to process")
    else:
        if last.more:
            yield Answered(OUT_OF_RESOURCES, f"only the first {limit} matches were given")


def _does_not_match(error: BadQuery) -> Answered:
    return Answered(DATA_SET_DOES_NOT_MATCH, str(error)[:64], offending=(tag_of(error.keyword),))


def read_question(request: FindRequest, limit: int = 0) -> Question | None:
    """The query that a request means; None for a SOP class that is no query of ours.

    Raises IdentifierError, and BadQuery when level and unique keys do not go together (PS3.4 C.4.1.1.3.1).
    """
    model = _ROOTS.get(request.sop_class_uid)
    if model is None:
        return None
    root, levels = model
    asked = Identifier.parse(request.identifier, request.transfer_syntax_uid, decode=decode)
    level = asked.text("QueryRetrieveLevel")
    if level not in LEVELS[:levels]:
        raise BadQuery("QueryRetrieveLevel", "is missing or unknown")
    supported = supported_keys(level)
    keys = {keyword: asked.texts(keyword) for keyword in asked if keyword in supported}
    query = Query(level, root, keys, relational=request.relational, limit=limit, combined=request.combined)
    query.check()
    complete = all(keyword in supported or keyword in _ASIDE for keyword in asked)
    return Question(query, complete, asked.get("SpecificCharacterSet", ""), "InstanceAvailability" in asked)


def decode(raw: bytes, charset: bytes, person_name: bool) -> str:
    """Text of an identifier, with all that the standard and its users have as character sets."""
    return character_set(charset).decode(raw, [], person_name=person_name)
