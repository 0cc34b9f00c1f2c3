"""Secrets of second factors in the database: sealed with the keys of the home (`gantry.sealing`), each for its person.

An earlier release sealed them with a key made from that of Django in HOME/secrets. Those still open, and stay as they
are for the sake of a way back, until `gantry secrets rotate` takes them over.
"""

from __future__ import annotations

import base64
import contextlib
import logging
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from gantry import config, sealing

if TYPE_CHECKING:
    import psycopg

_log = logging.getLogger("gantry.accounts")
_TABLE, _COLUMN = "mfa_authenticator", "data"
#: Where allauth keeps the secret of an authenticator app, and that of the recovery codes.
_MEMBERS = ("secret", "seed")
_PURPOSE = "second-factor:{key}"
_OLDER = "v1:"
_NONCE_BYTES = 12
_whose: ContextVar[int] = ContextVar("whose")


@contextlib.contextmanager
def of_user(user_id: int) -> Iterator[None]:
    """What is sealed and opened in this block belongs to this person: allauth does not say whose secret it hands us."""
    token = _whose.set(user_id)
    try:
        yield
    finally:
        _whose.reset(token)


def seal(text: str) -> str:
    """The text, sealed for the person of `of_user()`."""
    return sealing.seal(Path(config.current().home), text, _PURPOSE.format(key=_whose.get()))


def unseal(stored: str) -> str:
    """The text again; empty when it cannot be opened: then no code fits, and the log says why."""
    if stored.startswith(_OLDER):
        return _open_older(stored)
    try:
        return sealing.reveal(Path(config.current().home), stored, _PURPOSE.format(key=_whose.get()))
    except sealing.SecretUnavailable as error:
        _log.error("the second factor of user %s cannot be opened: %s", _whose.get(), error)
        return ""


def _box() -> AESGCM:
    kdf = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"gantry second factor v1")
    return AESGCM(kdf.derive(settings.SECRET_KEY.encode("utf-8")))


def _open_older(stored: str) -> str:
    try:
        raw = base64.b64decode(stored.removeprefix(_OLDER), validate=True)
        return _box().decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], None).decode("utf-8")
    except (InvalidTag, ValueError):
        return ""


_OLDER_ROWS = """
SELECT a.id, a.user_id, m.name, a.data ->> m.name FROM mfa_authenticator a, unnest(%s::text[]) AS m(name)
WHERE starts_with(a.data ->> m.name, 'v1:')
"""
_TAKE = "UPDATE mfa_authenticator SET data = jsonb_set(data, ARRAY[%s], to_jsonb(%s::text)) WHERE id = %s"


def _count_older(connection: psycopg.Connection[Any], home: Path) -> int:
    return len(connection.execute(_OLDER_ROWS, [list(_MEMBERS)]).fetchall())


def _take_older(connection: psycopg.Connection[Any], home: Path) -> tuple[int, Callable[[], None]]:
    """Raises SecretUnavailable for one that the key of Django does not open."""
    connection.execute("LOCK TABLE mfa_authenticator IN EXCLUSIVE MODE")
    rows = connection.execute(_OLDER_ROWS, [list(_MEMBERS)]).fetchall()
    for row_id, user_id, member, stored in rows:
        text = _open_older(stored)
        if not text:
            raise sealing.SecretUnavailable(
                f"{_TABLE} {row_id}: HOME/secrets/django.key is not the one it was sealed with: restore it from the backup of "
                "the keys, or take the second factor of this person away (DELETE /api/v1/users/NAME/second-factor)"
            )
        connection.execute(_TAKE, [member, sealing.seal(home, text, _PURPOSE.format(key=user_id)), row_id])
    return len(rows), lambda: None


for _member in _MEMBERS:
    sealing.declare(_TABLE, _COLUMN, key="user_id", purpose=_PURPOSE, member=_member)
sealing.declare_older(sealing.Older(_TABLE, _COLUMN, "key of Django (earlier release)", _count_older, _take_older))
