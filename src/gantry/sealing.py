"""Secrets that the product must be able to read again: by reference, or sealed with a key outside the database.

A stored secret is text of one of these forms:

* `env:GANTRY_SECRET_NAME`: a variable of the process that needs it; others are refused, so that whoever may edit a node
  cannot have our database password sent to it;
* `file:/path`: the first line (at most 64 KB) of a file in `/run/secrets`, in `$CREDENTIALS_DIRECTORY` (systemd) or in
  `HOME/secrets/given`; others are refused for the same reason;
* `sealed:v1:KEY:DATA`: AES-256-GCM (NIST SP 800-38D) with key number KEY of `HOME/secrets/seal.keys`, bound to
  its purpose: what was sealed as the secret of one row cannot be opened as that of another.

Rooms declare where theirs lie with `declare()`, and forms of earlier releases with `declare_older()`; `reseal()` brings
them all under a new key.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

if TYPE_CHECKING:
    import psycopg
    from psycopg import sql

_PREFIX = "sealed:v1:"
_NONCE_BYTES = 12
_LIMIT = 65536
_VARIABLE = "GANTRY_SECRET_"


class SecretUnavailable(Exception):
    """A secret cannot be had; the message says which kind and what to do, never the secret."""


@dataclass(frozen=True, slots=True)
class Column:
    """Where sealed secrets lie: `purpose` is what `seal` was called with, `{key}` in it stands for the row's key.

    `member`: the column is jsonb, and the secret is this member of it.
    """

    table: str
    column: str
    key: str
    purpose: str
    member: str = ""


@dataclass(frozen=True, slots=True)
class Older:
    """Secrets as an earlier release kept them; `words` say how, for people.

    `count` gives how many there are. `take_over` seals them with the newest key in the transaction it is called in, and
    gives how many those were and what is to be done after the commit: until then nothing else may be lost.
    """

    table: str
    column: str
    words: str
    count: Callable[[psycopg.Connection[Any], Path], int]
    take_over: Callable[[psycopg.Connection[Any], Path], tuple[int, Callable[[], None]]]


_columns: dict[tuple[str, str, str], Column] = {}
_older: dict[tuple[str, str, str], Older] = {}


def declare(table: str, column: str, *, key: str = "id", purpose: str, member: str = "") -> Column:
    """Say once, where the table is defined, that a text column, or a member of a jsonb column, holds secrets.

    >>> declare("alerts_webhook", "secret", purpose="webhook:{key}").purpose
    'webhook:{key}'
    """
    found = _columns[table, column, member] = Column(table, column, key, purpose, member)
    return found


def declare_older(older: Older) -> None:
    """Say once what an earlier release kept in its own way: `secrets list` counts it, `secrets rotate` takes it over."""
    _older[older.table, older.column, older.words] = older


class KeyRing:
    """The keys in `HOME/secrets/seal.keys` (0600): the last seals, all open. Made at the first use."""

    def __init__(self, home: Path) -> None:
        self.path = home / "secrets" / "seal.keys"

    def keys(self) -> dict[str, bytes]:
        """Number to key, oldest first. Raises SecretUnavailable for a file that cannot be understood."""
        try:
            entries = json.loads(self.path.read_text(encoding="ascii"))
            found = {str(entry["key"]): base64.b64decode(entry["bytes"], validate=True) for entry in entries}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SecretUnavailable(f"{self.path} cannot be read: restore it from the backup of the keys") from error
        if any(len(key) != 32 for key in found.values()):
            raise SecretUnavailable(f"{self.path} holds a damaged key: restore it from the backup of the keys")
        return found

    def newest(self) -> tuple[str, bytes]:
        """The key that seals."""
        keys = self.keys()
        if not keys:
            self._write({"1": secrets.token_bytes(32)}, exclusive=True)
            keys = self.keys()
        return list(keys.items())[-1]

    def add(self) -> str:
        """Make a new key that seals from now on; gives its number."""
        keys = self.keys()
        number = str(max((int(name) for name in keys), default=0) + 1)
        self._write({**keys, number: secrets.token_bytes(32)})
        return number

    def forget_others(self, number: str) -> None:
        """Keep this key alone: what was sealed with the others can never be opened again."""
        self._write({number: self.keys()[number]})

    def _write(self, keys: Mapping[str, bytes], *, exclusive: bool = False) -> None:
        made = datetime.now(UTC).isoformat(timespec="seconds")
        text = json.dumps(
            [{"key": name, "bytes": base64.b64encode(key).decode("ascii"), "written": made} for name, key in keys.items()]
        )
        draft = self.path.with_name(f".{self.path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(text + "\n")
                file.flush()
                os.fsync(file.fileno())
            if exclusive:
                try:
                    os.link(draft, self.path)
                except FileExistsError:
                    return
            else:
                os.replace(draft, self.path)
            _sync_folder(self.path.parent)
        finally:
            draft.unlink(missing_ok=True)


def _sync_folder(path: Path) -> None:
    """The name of a new key must last as long as what is sealed with it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def seal(home: Path, secret: str, purpose: str) -> str:
    """The sealed form of a secret. `purpose` names the row it belongs to, as in `webhook:7`."""
    number, key = KeyRing(home).newest()
    nonce = secrets.token_bytes(_NONCE_BYTES)
    data = nonce + AESGCM(key).encrypt(nonce, secret.encode("utf-8"), purpose.encode("utf-8"))
    return f"{_PREFIX}{number}:{base64.urlsafe_b64encode(data).decode('ascii')}"


def is_reference(text: str) -> bool:
    """Whether a text is one of the stored forms and not a secret itself."""
    return text.startswith((_PREFIX, "env:", "file:/"))


def stored_form(home: Path, given: str, purpose: str) -> str:
    """What to keep for what a person gave: a reference as it is, anything else sealed; nothing stays nothing."""
    return given if not given or is_reference(given) else seal(home, given, purpose)


def reveal(home: Path, stored: str, purpose: str, environ: Mapping[str, str] | None = None) -> str:
    """The secret behind a stored form; empty for empty. Raises SecretUnavailable."""
    if not stored:
        return ""
    kind, _, rest = stored.partition(":")
    if kind == "env":
        value = (os.environ if environ is None else environ).get(rest)
        if not rest.startswith(_VARIABLE):
            raise SecretUnavailable(f"only variables that begin with {_VARIABLE} can be secrets")
        if value is None:
            raise SecretUnavailable(f"the variable {rest} is not set in the environment of this process")
        return value
    if kind == "file":
        return _from_file(home, rest)
    if stored.startswith(_PREFIX):
        return _unseal(home, stored, purpose)
    raise SecretUnavailable("a secret in the database is neither sealed nor a reference: set it anew")


def _from_file(home: Path, path: str) -> str:
    folders = [home / "secrets" / "given", Path("/run/secrets")]
    if credentials := os.environ.get("CREDENTIALS_DIRECTORY"):
        folders.append(Path(credentials))
    real = Path(os.path.realpath(path))
    if not any(Path(os.path.realpath(folder)) in real.parents for folder in folders):
        raise SecretUnavailable(f"the file of a secret must lie in one of {', '.join(map(str, folders))}")
    try:
        with open(path, encoding="utf-8") as file:
            return file.read(_LIMIT).partition("\n")[0].rstrip("\r")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SecretUnavailable(f"the file {path} of a secret cannot be read: {reason}") from error


def _unseal(home: Path, stored: str, purpose: str) -> str:
    number, _, text = stored.removeprefix(_PREFIX).partition(":")
    key = KeyRing(home).keys().get(number)
    if key is None:
        raise SecretUnavailable(
            f"a secret was sealed with key {number[:12]}, which is not in {home / 'secrets' / 'seal.keys'}: "
            "restore the keys from their backup, or set the secret anew"
        )
    try:
        data = base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
        plain = AESGCM(key).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], purpose.encode("utf-8"))
    except (InvalidTag, ValueError) as error:
        raise SecretUnavailable("a sealed secret was damaged or belongs to another row: set it anew") from error
    return plain.decode("utf-8")


def reseal(
    connection: psycopg.Connection[Any],
    home: Path,
    *,
    note: Callable[[int], None] = lambda _: None,
    grace_seconds: float = 2.0,
) -> int:
    """Make a new key and bring every declared secret under it, then forget the old keys; gives how many.

    `connection` is in autocommit; `note` is called with the number inside the transaction (for the audit). All or
    nothing: when one cannot be opened nothing changes but an unused key, and SecretUnavailable names the table.
    After a crash both keys are there: run it again. Who had sealed with the old key just before, and writes just
    after, is found by a second pass `grace_seconds` later.
    """
    ring = KeyRing(home)
    ring.newest()
    number = ring.add()
    with connection.transaction():
        taken = [older.take_over(connection, home) for older in _older.values()]
        count = sum(found for found, _ in taken)
        count += sum(_reseal_column(connection, home, place, number) for place in _columns.values())
        note(count)
    for _, forget in taken:
        forget()
    time.sleep(grace_seconds)
    with connection.transaction():
        count += sum(_reseal_column(connection, home, place, number) for place in _columns.values())
    ring.forget_others(number)
    return count


def overview(connection: psycopg.Connection[Any], home: Path) -> list[tuple[str, str, str, int]]:
    """Table, column, how it is kept (key, env, file, or the way of an earlier release), number of secrets: for people."""
    from psycopg import sql

    found = []
    for place in _columns.values():
        query = sql.SQL(
            "SELECT CASE WHEN starts_with({value}, %(prefix)s) THEN 'key ' || split_part({value}, ':', 3) "
            "ELSE split_part({value}, ':', 1) END AS kind, count(*) FROM {table} "
            "WHERE {value} <> '' AND {value} ~ '^(sealed|env|file):' GROUP BY 1 ORDER BY 1"
        ).format(table=sql.Identifier(place.table), value=_value(place))
        rows = connection.execute(query, {"prefix": _PREFIX}).fetchall()
        found += [(place.table, _name(place), str(kind), int(count)) for kind, count in rows]
    for older in _older.values():
        if count := older.count(connection, home):
            found.append((older.table, older.column, older.words, count))
    return found


def _name(place: Column) -> str:
    return f"{place.column}.{place.member}" if place.member else place.column


def _value(place: Column) -> sql.Composable:
    from psycopg import sql

    column = sql.Identifier(place.column)
    return sql.SQL("({} ->> {})").format(column, sql.Literal(place.member)) if place.member else column


def _assignment(place: Column) -> sql.Composable:
    from psycopg import sql

    column = sql.Identifier(place.column)
    if not place.member:
        return sql.SQL("{} = %(sealed)s").format(column)
    return sql.SQL("{0} = jsonb_set({0}, ARRAY[{1}], to_jsonb(%(sealed)s::text))").format(column, sql.Literal(place.member))


def _reseal_column(connection: psycopg.Connection[Any], home: Path, place: Column, number: str) -> int:
    from psycopg import sql

    names = {"table": sql.Identifier(place.table), "value": _value(place), "key": sql.Identifier(place.key)}
    # Writers wait, and so does who has locked a row to write it: one that sealed with the old key just now would be lost.
    connection.execute(sql.SQL("LOCK TABLE {table} IN EXCLUSIVE MODE").format(**names))
    rows = connection.execute(
        sql.SQL(
            "SELECT {key}, {value} FROM {table} WHERE starts_with({value}, %(prefix)s) AND NOT starts_with({value}, %(done)s)"
        ).format(**names),
        {"prefix": _PREFIX, "done": f"{_PREFIX}{number}:"},
    ).fetchall()
    for key, stored in rows:
        purpose = place.purpose.format(key=key)
        try:
            secret = _unseal(home, stored, purpose)
        except SecretUnavailable as error:
            raise SecretUnavailable(f"{place.table} {key}: {error}") from error
        connection.execute(
            sql.SQL("UPDATE {table} SET {assignment} WHERE {key} = %(key)s AND {value} = %(stored)s").format(
                assignment=_assignment(place), **names
            ),
            {"sealed": seal(home, secret, purpose), "key": key, "stored": stored},
        )
    return len(rows)
