"""Why a request is refused.

RequestRefused
├── NotSignedIn        401  no session, no token, or one that does not hold
│   ├── SignInRefused  401  user name and password do not fit
│   └── SecondFactorNeeded  401  they do, and the code is missing or wrong
├── NotAllowed         403  signed in, but may not
│   └── CsrfRefused    403  a session request without its CSRF token
├── NotFound           404
├── Conflict           409  it clashes with something that is there
├── Invalid            422  the request is understood and wrong
│   └── PasswordRefused
│   └── LinkRefused    422  a link from a mail that does not hold
├── SignInLocked       429  too many failures
├── TooManyRequests    429  too many mails asked for
├── TooManySignIns     429  too many at the same moment
└── Unavailable        503  something this server needs is away
"""

from __future__ import annotations

from typing import Any, ClassVar


class RequestRefused(Exception):
    """The request is refused."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "refused"
    remedy: ClassVar[str] = ""

    def __init__(self, message: str = "", *, remedy: str = "", details: Any = None, retry_after: int | None = None) -> None:
        self.message = message or (type(self).__doc__ or "").strip()
        self.advice = remedy or type(self).remedy
        self.details = details
        self.retry_after = retry_after
        super().__init__(self.message)


class NotSignedIn(RequestRefused):
    """You are not signed in, or the token does not hold."""

    status = 401
    code = "not_signed_in"
    remedy = "Send `Authorization: Bearer TOKEN`; `gantry token create` makes one."


class SignInRefused(NotSignedIn):
    """User name and password do not fit."""

    code = "sign_in_refused"
    remedy = "Check both; after five failures the sign-in is locked for a while."


class SecondFactorNeeded(NotSignedIn):
    """This account has a second factor: the code is missing or wrong."""

    code = "second_factor_needed"
    remedy = "Send the code that the authenticator shows, or a recovery code, as `code`."


class NotAllowed(RequestRefused):
    """You may not do this."""

    status = 403
    code = "not_allowed"
    remedy = "Ask an administrator for a role or a token that includes this action."


class CsrfRefused(NotAllowed):
    """The request came without the CSRF token of its session."""

    code = "csrf_refused"
    remedy = "Send the value of the cookie csrftoken in the header X-CSRFToken."


class NotFound(RequestRefused):
    """There is no such thing."""

    status = 404
    code = "not_found"
    remedy = "Look it up in the list it belongs to."


class Conflict(RequestRefused):
    """It clashes with something that is already there."""

    status = 409
    code = "conflict"


class Invalid(RequestRefused):
    """The request is not valid."""

    status = 422
    code = "invalid"
    remedy = "Correct the values and send it again."


class PasswordRefused(Invalid):
    """This password cannot be used."""

    code = "password_refused"
    remedy = "Use at least 12 characters that are not a common password and not the user name."


class LinkRefused(Invalid):
    """This link is unknown, was used already, or has ended."""

    code = "link_refused"
    remedy = "Ask for a new one."


class TooManyRequests(RequestRefused):
    """Too many of these requests; they are locked for a while."""

    status = 429
    code = "too_many"
    remedy = "Wait as long as the header Retry-After says, in seconds."


class SignInLocked(RequestRefused):
    """Too many failures; signing in is locked for a while."""

    status = 429
    code = "sign_in_locked"
    remedy = "Wait as long as the header Retry-After says, in seconds."


class TooManySignIns(RequestRefused):
    """Too many people sign in at this moment."""

    status = 429
    code = "busy"
    remedy = "Try again in a few seconds."


class Unavailable(RequestRefused):
    """Something this server needs is away."""

    status = 503
    code = "unavailable"
    remedy = "Look at /health/ready and `gantry doctor`, then try again."
