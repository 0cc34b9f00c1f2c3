"""The second factor: time-based codes (RFC 6238) and recovery codes, made and kept by django-allauth.

Secrets are sealed with the keys of the home (`second_factor_secrets`), so that a copy of the database signs nobody in.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from gantry.accounts import sign_in, throttle, trail
from gantry.accounts.actors import actor_of_user
from gantry.accounts.errors import Conflict, Invalid, NotAllowed, SecondFactorNeeded
from gantry.accounts.models import User
from gantry.accounts.second_factor_secrets import of_user

_PENDING = "gantry_second_factor"
#: A code works once; it is shown for 30 s and taken for one step before and after.
_REMEMBER_SECONDS = 120


def _authenticators(user_id: int) -> Any:
    from allauth.mfa.models import Authenticator

    return Authenticator.objects.filter(user_id=user_id)


def state(user_id: int) -> dict[str, Any]:
    """Whether there is one, and how many recovery codes are left."""
    found = {row.type: row for row in _authenticators(user_id)}
    codes = found.get("recovery_codes")
    with of_user(user_id):
        return {"enabled": "totp" in found, "recovery_codes_left": len(codes.wrap().get_unused_codes()) if codes else 0}


def require(request: HttpRequest, user: User, code: str) -> None:
    """Return when the user has no second factor, or this is its code. Raises SecondFactorNeeded, SignInLocked."""
    if not _authenticators(user.pk).filter(type="totp").exists():
        return
    if not code.strip():
        raise SecondFactorNeeded
    throttle.count_code(user.pk)
    if not _valid(user.pk, code.strip()):
        by = trail.by_request(request, actor_of_user(user))
        trail.note("session.refuse", by, kind="user", key=user.username, reason="second factor")
        raise SecondFactorNeeded
    throttle.forgive_code(user.pk)


def _valid(user_id: int, code: str) -> bool:
    """Take a code: of the authenticator or a recovery code; each works once, in whatever process."""
    from allauth.mfa.totp.internal.auth import validate_totp_code
    from allauth.mfa.utils import decrypt

    code = code.replace(" ", "").replace("-", "")
    with transaction.atomic(), of_user(user_id):
        rows = {row.type: row for row in _authenticators(user_id).select_for_update()}
        totp, recovery = rows.get("totp"), rows.get("recovery_codes")
        if totp is not None and validate_totp_code(decrypt(totp.data["secret"]), code):
            now = timezone.now()
            used = {one: at for one, at in totp.data.get("used", {}).items() if at > now.timestamp() - _REMEMBER_SECONDS}
            if code in used:
                return False
            totp.data["used"] = {**used, code: now.timestamp()}
            totp.last_used_at = now
            totp.save(update_fields=["data", "last_used_at"])
            return True
        return recovery is not None and bool(recovery.wrap().validate_code(code))


def _own(request: HttpRequest) -> User:
    if not isinstance(request.user, User) or not request.session.session_key:
        raise NotAllowed("A second factor is set up in a session, not with a token.", remedy="Sign in with POST /session.")
    return request.user


def start(request: HttpRequest, password: str) -> dict[str, str]:
    """A secret for an authenticator app, kept in the session until a code of it was shown. Raises SignInRefused, Conflict."""
    from allauth.mfa.adapter import get_adapter
    from allauth.mfa.totp.internal.auth import generate_totp_secret
    from allauth.mfa.utils import encrypt

    user = sign_in.verify(request, _own(request).username, password)
    if state(user.pk)["enabled"]:
        raise Conflict("There is a second factor already.", remedy="DELETE it first.")
    secret = generate_totp_secret()
    with of_user(user.pk):
        request.session[_PENDING] = encrypt(secret)
    return {"secret": secret, "uri": get_adapter().build_totp_url(user, secret)}


def confirm(request: HttpRequest, code: str) -> list[str]:
    """The first code of the new secret: from now on signing in asks for one. Gives the recovery codes. Raises Invalid."""
    from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
    from allauth.mfa.totp.internal.auth import TOTP, validate_totp_code
    from allauth.mfa.utils import decrypt

    user = _own(request)
    throttle.count_code(user.pk)
    sealed = request.session.get(_PENDING)
    with of_user(user.pk):
        secret = decrypt(sealed) if sealed else ""
    if not secret or not validate_totp_code(secret, code.replace(" ", "")):
        raise Invalid("This is no code of the secret that was shown.", remedy="POST /session/second-factor shows a new one.")
    with transaction.atomic(), of_user(user.pk):
        _authenticators(user.pk).delete()
        TOTP.activate(user, secret)
        codes: list[str] = RecoveryCodes.activate(user).get_unused_codes()
        del request.session[_PENDING]
        trail.note("user.second_factor", trail.by_request(request), kind="user", key=user.username, after={"enabled": True})
    throttle.forgive_code(user.pk)
    return codes


def remove(request: HttpRequest, code: str) -> None:
    """Give it up, for a code of it. Raises SecondFactorNeeded, SignInLocked."""
    user = _own(request)
    require(request, user, code)
    drop(user, trail.by_request(request))


def drop(user: User, by: Any) -> None:
    """Take the second factor of a person away, who lost it: an administrator's act."""
    with transaction.atomic():
        if _authenticators(user.pk).delete()[0]:
            trail.note("user.second_factor", by, kind="user", key=user.username, after={"enabled": False})
