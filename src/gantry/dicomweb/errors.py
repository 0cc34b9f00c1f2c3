"""Why a wish of a viewer is refused. What is wrong inside of a file is a `CannotShow` of the dataset room.

RequestRefused
├── BytesAway        500  the index knows the file, and it is not on the disk
├── NotAcceptable    406  in none of the asked forms
├── CannotShowIt     422  damaged, or not decodable here
├── NothingToShow    404  no pixels, no such frame, no such value, no document
├── TooMuchAtOnce    413  a limit was reached
└── Busy             503  everything that decodes is at work
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gantry.accounts.errors import RequestRefused
from gantry.dataset import render_errors as inside
from gantry.dataset.errors import DatasetError
from gantry.storage import errors as storage_errors


class BytesAway(RequestRefused):
    """The index knows this file, and it is not on the disk."""

    status = 500
    code = "bytes_missing"
    remedy = "Run `gantry verify`, which names and mends what it can."


class NotAcceptable(RequestRefused):
    """It can be given in none of the forms that were asked for."""

    status = 406
    code = "not_acceptable"
    remedy = "Send another Accept header; `*/*` takes what there is."


class BadParameter(RequestRefused):
    """A parameter of the address is not valid."""

    status = 400
    code = "bad_parameter"
    remedy = "Correct it; PS3.18 8.3.5 says how window, viewport and quality are written."


class CannotShowIt(RequestRefused):
    """It cannot be shown."""

    status = 422
    code = "cannot_show"
    remedy = "Download the stored file and open it elsewhere; ask the sender to send it again if it is damaged."


class NothingToShow(RequestRefused):
    """There is nothing to show."""

    status = 404
    code = "nothing_to_show"
    remedy = "The attributes of the instance say what it is."


class TooMuchAtOnce(RequestRefused):
    """A limit was reached."""

    status = 413
    code = "too_much"
    remedy = "Ask for less at once, or download the stored file."


class Busy(RequestRefused):
    """Everything that decodes pixels is at work."""

    status = 503
    code = "busy"
    remedy = "Try again in a few seconds."


_REFUSALS: tuple[tuple[type[DatasetError], type[RequestRefused]], ...] = (
    (inside.NoPixels, NothingToShow),
    (inside.FrameMissing, NothingToShow),
    (inside.TooLarge, TooMuchAtOnce),
    (inside.RenderersBusy, Busy),
    (DatasetError, CannotShowIt),
)


@contextmanager
def refusing() -> Iterator[None]:
    """What goes wrong with a stored file becomes a refusal with a cause."""
    try:
        yield
    except DatasetError as error:
        kind = next(refusal for inner, refusal in _REFUSALS if isinstance(error, inner))
        reason = error.reason[:1].upper() + error.reason[1:]
        raise kind(f"{reason}.", details={"why": type(error).__name__}, retry_after=5 if kind is Busy else None) from error
    except (OSError, storage_errors.StorageError) as error:
        raise BytesAway from error
