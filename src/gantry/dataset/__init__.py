"""The inside of an instance: header scan, tags, character sets, Part 10.

scan(), scan_identity()     the indexed attributes of a data set, from its first bytes
read_part10()               what a file is and where its data set begins
build_prefix()              preamble and group 0002 for a data set from the network
"""

from gantry.dataset.errors import DamagedHeader, DatasetError, NotDicom
from gantry.dataset.part10 import DICOMDIR_UID, Envelope, Part10, build_prefix, read_part10
from gantry.dataset.scan import Header, Identity, scan, scan_identity
from gantry.dataset.tags import INDEXED_KEYWORDS, IndexedKeyword
from gantry.dataset.uids import has_leading_zero, is_valid_uid, normalise_uid
from gantry.dataset.values import parse_date, parse_int

__all__ = [
    "DICOMDIR_UID", "INDEXED_KEYWORDS", "DamagedHeader", "DatasetError", "Envelope", "Header", "Identity",
    "IndexedKeyword", "NotDicom", "Part10", "build_prefix", "has_leading_zero", "is_valid_uid",
    "normalise_uid", "parse_date", "parse_int", "read_part10", "scan", "scan_identity",
]  # fmt: skip
