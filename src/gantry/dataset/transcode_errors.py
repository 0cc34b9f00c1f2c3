"""Why a data set cannot be given in another transfer syntax.

CannotTranscode
├── DamagedDataSet      its elements do not read as its transfer syntax says
├── TooMuch             a limit of size, number or time was reached
├── CannotDecode        the pixels are damaged, or the decoders do not know this kind
└── DecodersMissing     the extra `pixels` is not installed
"""

from __future__ import annotations

from gantry.dataset.errors import DatasetError


class CannotTranscode(DatasetError):
    """The data set stays as it is; `reason` says why, `remedy` what to do. Neither names a value of the data set."""

    def __init__(self, reason: str, remedy: str = "let the other side take the data set as it is stored") -> None:
        super().__init__(reason)
        self.remedy = remedy


class DamagedDataSet(CannotTranscode):
    """What would come out would be garbage."""


class TooMuch(CannotTranscode):
    """A limit was reached."""


class CannotDecode(CannotTranscode):
    """The pixels cannot be decoded."""


class DecodersMissing(CannotTranscode):
    """Compressed pixels need decoders that are not installed."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, "install them: pip install 'gantry-dicom[pixels]'")
