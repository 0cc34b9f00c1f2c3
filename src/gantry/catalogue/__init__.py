"""The index: patients, studies, series, instances, and where the bytes are."""

from __future__ import annotations

from gantry.catalogue.errors import BadCursor, BadQuery, CatalogueError, LimitReached, QueryStopped
from gantry.catalogue.find import find_instances, find_series
from gantry.catalogue.index import IndexedBatch, index_versions
from gantry.catalogue.locate import Known, Location, every_location, locate, lookup_versions
from gantry.catalogue.query import Query, matching_instances, run, supported_keys
from gantry.catalogue.rows import VersionRow
from gantry.catalogue.search import StudyListed, search_studies
from gantry.catalogue.search_wanted import Wanted
from gantry.catalogue.settle import settle_due

__all__ = [
    "BadCursor", "BadQuery", "CatalogueError", "IndexedBatch", "Known", "LimitReached", "Location", "Query",
    "QueryStopped", "StudyListed", "VersionRow", "Wanted", "every_location", "find_instances", "find_series", "index_versions",
    "locate", "lookup_versions", "matching_instances", "run", "search_studies", "settle_due", "supported_keys",
]  # fmt: skip
