"""Write one act into the audit, in the transaction of the act: both are there after its commit, or neither."""

from __future__ import annotations

import hashlib
import json
import os
import pwd
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from gantry import database

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]

#: What does not fit is cut (text) or replaced by its size and digest (before, after): an act must not fail for it.
MAX_TEXT = 500
MAX_REASON = 4000
MAX_JSON = 64 * 1024


class Executes(Protocol):
    """A psycopg connection or cursor, or Django's `connection.cursor()`."""

    def execute(self, query: Any, params: Any = ..., /) -> Any:
        """Run one statement."""


class Acts(Protocol):
    """What we read of an `accounts.Actor`; that room stands above this one."""

    @property
    def user_id(self) -> int | None:
        """Row of the user."""

    @property
    def username(self) -> str:
        """Name of the user."""

    @property
    def via(self) -> str:
        """nobody, session or token."""

    @property
    def token_id(self) -> int | None:
        """Row of the token that spoke."""


@dataclass(frozen=True, slots=True)
class By:
    """Who acts. `via`: session, token, cli, dicom or system; `address`: where from, without port."""

    who: str
    via: str = "system"
    user_id: int | None = None
    address: str = ""
    token_id: int | None = None


SYSTEM = By("system")


def by_actor(actor: Acts, address: str = "") -> By:
    """The person or token of a request; `address` as `accounts.sign_in.address_of(request)` gives it."""
    return By(actor.username or "nobody", actor.via, actor.user_id, address, actor.token_id)


def by_cli() -> By:
    """The user of the operating system who runs this command; behind sudo also the one who called it."""
    uid = os.getuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = f"uid {uid}"
    sudo = os.environ.get("SUDO_USER", "")
    return By(f"{name} (sudo by {sudo})" if sudo and sudo != name else name, "cli")


def record(  # noqa: PLR0913  what an audit entry holds
    on: Executes,
    act: str,
    by: By,
    *,
    kind: str = "",
    key: str = "",
    study_uid: str = "",
    patient_id: str = "",
    reason: str = "",
    before: Json = None,
    after: Json = None,
) -> None:
    """Write that `by` did `act` (noun.verb) to the thing `kind` `key`.

    `on` is in the transaction of the act; in autocommit the entry stands alone. Never a secret in `before` and
    `after`. The entry is sealed into a chain when the transaction commits. Raises ValueError for an act that is
    not noun.verb, and what the database raises.
    """
    noun, dot, verb = act.partition(".")
    if not (dot and noun and verb):
        raise ValueError(f"an act is named noun.verb, not {act!r}")
    on.execute(
        database.statements("gantry.audit")["insert_entry"],
        {
            "act": _text(act), "who": _text(by.who), "via": _text(by.via), "user_id": by.user_id, "token_id": by.token_id,
            "address": _text(by.address), "kind": _text(kind), "key": _text(key), "study_uid": _text(study_uid),
            "patient_id": _text(patient_id), "reason": _text(reason, MAX_REASON), "before": _json(before), "after": _json(after),
        },
    )  # fmt: skip


def _text(value: str, limit: int = MAX_TEXT) -> str:
    """What PostgreSQL takes as text: no NUL, no lone surrogates, not endless."""
    clean = str(value).replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
    return clean if len(clean) <= limit else clean[: limit - 1] + "\u2026"


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return _text(value, MAX_JSON)
    if isinstance(value, Mapping):
        return {_text(str(name)): _clean(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_clean(item) for item in value]
    return value


def _json(value: Json) -> str | None:
    if value is None:
        return None
    # Dates, UUIDs, paths: as their text. allow_nan: jsonb knows no NaN.
    content = json.dumps(_clean(value), default=str, ensure_ascii=False)
    if "NaN" in content or "Infinity" in content:
        content = json.dumps(json.loads(content, parse_constant=str), ensure_ascii=False)
    if len(content) > MAX_JSON:
        whole = content.encode("utf-8")
        content = json.dumps({"too_large": len(whole), "sha256": hashlib.sha256(whole).hexdigest()})
    return content
