"""Why an instance cannot be shown.

CannotShow
├── NoPixels        it has no pixels: a report, a document, a waveform
├── FrameMissing    it has pixels, but not this frame
├── Damaged         its elements or pixels do not read as they should
├── NotDecodable    the pixels are in a way that is not known, or their decoder refuses them
├── TooLarge        a limit of size, number or time was reached
└── RenderersBusy   all processes that decode are at work, for too long
"""

from __future__ import annotations

from gantry.dataset.errors import DatasetError


class CannotShow(DatasetError):
    """It cannot be shown; the reason names no value of the data set."""


class NoPixels(CannotShow):
    """There is nothing to see."""


class FrameMissing(CannotShow):
    """There is no frame of this number."""


class Damaged(CannotShow):
    """What would come out would be garbage."""


class NotDecodable(CannotShow):
    """The pixels cannot be decoded."""


class TooLarge(CannotShow):
    """A limit was reached."""


class RenderersBusy(CannotShow):
    """Everything that decodes is at work."""
