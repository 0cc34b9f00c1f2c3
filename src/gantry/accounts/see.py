"""One study, for verbs of other rooms: it is theirs, or it is not there."""

from __future__ import annotations

from django.db import connection

from gantry.accounts.allowed import Actor
from gantry.accounts.errors import NotFound
from gantry.accounts.visible import visible


def study(actor: Actor, action: str, study_uid: str) -> None:
    """Return when `actor` may do `action` with this study, or sees all and it does not exist (the verb will say so).

    Raises NotFound otherwise: a study of others and none look the same. At most one query.
    """
    seen = visible(actor, action)
    if seen.everything:
        return
    with connection.cursor() as cursor:
        sql = f"SELECT FROM catalogue_study AS s WHERE s.study_instance_uid = %(uid)s AND {seen.mark('s.id')}"
        cursor.execute(sql, {"uid": study_uid, **seen.params})
        if cursor.fetchone() is None:
            raise NotFound("There is no such study.")
