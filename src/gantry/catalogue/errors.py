"""What can go wrong in the catalogue.

CatalogueError
├── BadCursor     a page is asked for with a cursor that we did not give
├── BadQuery      a key of a query is missing or has an impossible value
├── LimitReached  more matches than the limit of the query
├── SearchTooBroad  a search took too long
├── QueryStopped  whoever asked no longer wants the answer
├── StudyMissing  there is no study of this UID, or it is not where it should be for this
│   └── RetentionMissing  there is no retention rule of this name
├── StudyKept     a hold, a protection or open deliveries keep the study
└── BadRetention  a retention rule, hold or label has an impossible value
"""

from __future__ import annotations


class CatalogueError(Exception):
    """The catalogue cannot do what was asked."""


class BadCursor(CatalogueError, ValueError):
    """The cursor is not one of this search; begin again without it."""


class BadQuery(CatalogueError, ValueError):
    """`keyword` is the attribute at fault; the text says what is wrong, without its value."""

    def __init__(self, keyword: str, fault: str) -> None:
        super().__init__(f"{keyword} {fault}")
        self.keyword = keyword
        self.fault = fault


class SearchTooBroad(CatalogueError):
    """This search finds too much to be answered in time."""


class QueryStopped(CatalogueError):
    """The query was cancelled while it ran."""


class LimitReached(CatalogueError):
    """All matches up to the limit were given, and there are more."""


class StudyMissing(CatalogueError):
    """There is no study of this UID there."""


class RetentionMissing(StudyMissing):
    """There is no retention rule of this name."""


class StudyKept(CatalogueError):
    """Something keeps the study: `by` is "hold", "protection" or "deliveries"."""

    def __init__(self, by: str, message: str) -> None:
        super().__init__(message)
        self.by = by


class BadRetention(CatalogueError, ValueError):
    """A retention rule, hold or label has an impossible value."""
