"""What can be wrong with a file that should be DICOM.

DatasetError
├── NotDicom        the bytes are something else; the reason says what
└── DamagedHeader   DICOM, but its file meta information cannot be read

Scanning a data set never raises: what is wrong there is told by the warnings of its result.
"""

from __future__ import annotations


class DatasetError(Exception):
    """The file cannot be taken in."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotDicom(DatasetError):
    """Not a DICOM file."""


class DamagedHeader(DatasetError):
    """A DICOM file whose file meta information is damaged."""
