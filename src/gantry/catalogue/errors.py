"""What can go wrong in the catalogue.

CatalogueError
└── BadCursor     a page is asked for with a cursor that we did not give
"""

from __future__ import annotations


class CatalogueError(Exception):
    """The catalogue cannot do what was asked."""


class BadCursor(CatalogueError, ValueError):
    """The cursor is not one of this search; begin again without it."""
