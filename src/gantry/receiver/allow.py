"""Say who may call and for what; see who was refused. Receivers learn of it at once."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Sequence

from django.db import connection, transaction
from django.utils import timezone

from gantry.audit import By, Json, record
from gantry.nodes.address import check_aet
from gantry.nodes.errors import BadAddress
from gantry.receiver.callers import CHANNEL
from gantry.receiver.errors import BadCaller, CallerMissing
from gantry.receiver.models import Caller, RefusedCaller
from gantry.receiver.policy import ACTIONS

DEFAULT_ACTIONS = ("echo", "store")
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


def allow(
    aet: str,
    *,
    may: Collection[str] = DEFAULT_ACTIONS,
    hosts: Sequence[str] = (),
    certificate: str = "",
    name: str = "",
    by: By | str = "",
) -> Caller:
    """Let the caller of an AE title in, from now on for exactly this; its refusals are forgotten.

    `may`: some of echo, store, find, get, move, commit. `hosts`: addresses or networks (192.0.2.0/24), none for any.
    `certificate`: SHA-256 of the certificate that it must show. Raises BadCaller.
    """
    aet = _checked(aet)
    wrong = sorted(set(may) - set(ACTIONS))
    if wrong or not may:
        raise BadCaller(f"{', '.join(wrong) or 'nothing'} cannot be allowed: use {', '.join(ACTIONS)}")
    values = {
        "name": name,
        "hosts": [check_network(host) for host in hosts],
        "certificate": _check_fingerprint(certificate),
        "enabled": True,
        **{f"may_{action}": action in may for action in ACTIONS},
    }
    return _put("caller.allow", aet, values, by)


def deny(aet: str, *, by: By | str = "") -> Caller:
    """Refuse an AE title whatever the settings say of strangers and nodes; what it might do is kept. Raises BadCaller."""
    return _put("caller.deny", _checked(aet), {"enabled": False}, by)


def remove(aet: str, *, by: By | str = "") -> None:
    """Forget an AE title: it is a stranger again. Raises CallerMissing."""
    with transaction.atomic():
        caller = get(aet)
        _record("caller.remove", by, caller.aet, _shown(caller), None)
        caller.delete()
        _announce()


def get(aet: str) -> Caller:
    """The caller of this AE title. Raises CallerMissing."""
    found = Caller.objects.filter(aet=aet.strip(" ")).first()
    if found is None:
        raise CallerMissing(f"there is no caller {aet[:20]!r}: `gantry caller list` shows those that are")
    return found


def list_callers() -> list[Caller]:
    """All callers by AE title."""
    return list(Caller.objects.order_by("aet"))


def list_refused(limit: int = 1000) -> list[RefusedCaller]:
    """Who was refused, the latest first."""
    return list(RefusedCaller.objects.order_by("-last_seen_at", "-pk")[:limit])


def actions_of(caller: Caller) -> list[str]:
    """What it may do."""
    return [action for action in ACTIONS if getattr(caller, f"may_{action}")]


def check_network(host: str) -> str:
    """An IPv4 or IPv6 address or network. Raises BadCaller: names are not looked up, they can be forged."""
    try:
        network = ipaddress.ip_network(host.strip().strip("[]"), strict=False)
    except ValueError as error:
        raise BadCaller(f"{host[:80]!r} is no address or network: write 192.0.2.7 or 192.0.2.0/24") from error
    return str(network.network_address) if network.num_addresses == 1 else str(network)


def _checked(aet: str) -> str:
    try:
        return check_aet(aet)
    except BadAddress as error:
        raise BadCaller(str(error).partition(": write it as")[0]) from error


def _check_fingerprint(text: str) -> str:
    plain = text.replace(":", "").strip().lower()
    if plain and not _FINGERPRINT.fullmatch(plain):
        raise BadCaller("the certificate is given by its SHA-256 fingerprint, 64 hexadecimal digits")
    return plain


def _put(act: str, aet: str, values: dict[str, object], by: By | str) -> Caller:
    with transaction.atomic():
        before = _shown(Caller.objects.select_for_update().filter(aet=aet).first())
        made_by = by if isinstance(by, str) else by.who
        caller, _ = Caller.objects.update_or_create(
            aet=aet, defaults=values, create_defaults={**values, "created_at": timezone.now(), "created_by": made_by}
        )
        _record(act, by, aet, before, _shown(caller))
        if values["enabled"]:
            RefusedCaller.objects.filter(aet=aet).delete()
        _announce()
    return caller


def _shown(caller: Caller | None) -> Json:
    if caller is None:
        return None
    return {
        "may": actions_of(caller), "hosts": list(caller.hosts), "certificate": caller.certificate, "name": caller.name,
        "enabled": caller.enabled,
    }  # fmt: skip


def _record(act: str, by: By | str, aet: str, before: Json, after: Json) -> None:
    who = By(by or "system") if isinstance(by, str) else by
    with connection.cursor() as cursor:
        record(cursor, act, who, kind="caller", key=aet, before=before, after=after)


def _announce() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"NOTIFY {CHANNEL}")
