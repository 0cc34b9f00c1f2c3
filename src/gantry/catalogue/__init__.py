"""The index: patients, studies, series, instances, and where the bytes are."""

from __future__ import annotations

from gantry.catalogue.errors import BadCursor, BadQuery, CatalogueError, LimitReached, QueryStopped
from gantry.catalogue.find import StudyQuery, find_instances, find_series, find_studies
from gantry.catalogue.index import IndexedBatch, index_versions
from gantry.catalogue.locate import Known, Location, every_location, locate, lookup_versions
from gantry.catalogue.query import Query, matching_instances, run, supported_keys
from gantry.catalogue.rows import VersionRow
from gantry.catalogue.settle import settle_due

__all__ = [
    "BadCursor", "BadQuery", "CatalogueError", "IndexedBatch", "Known", "LimitReached", "Location", "Query",
    "QueryStopped", "StudyQuery", "VersionRow", "every_location", "find_instances", "find_series", "find_studies",
    "index_versions", "locate", "lookup_versions", "matching_instances", "run", "settle_due", "supported_keys",
]  # fmt: skip
