"""Why may I, why may I not: the answer of `allowed` and `visible` for one action and one study, in words."""

from __future__ import annotations

from django.db import connection

from gantry.accounts.allowed import Actor, Decision, allowed, allowed_node
from gantry.accounts.visible import visible

_STUDY = "SELECT id FROM catalogue_study WHERE study_instance_uid = %(uid)s"
_WHY = """
SELECT 'it belongs to ' || i.name FROM accounts_belonging b JOIN accounts_institute i ON i.id = b.institute_id
WHERE b.study_id = %(study)s AND b.institute_id = ANY(%(institutes)s::bigint[])
UNION ALL
SELECT 'it was granted' || CASE WHEN user_id IS NOT NULL THEN ' to you' WHEN group_id IS NOT NULL THEN ' to a group of yours'
                                ELSE ' to your institute' END
FROM accounts_grant
WHERE study_id = %(study)s AND (until IS NULL OR until > now())
  AND (user_id = %(user)s OR group_id = ANY(%(groups)s::bigint[]) OR institute_id = ANY(%(institutes)s::bigint[]))
LIMIT 1
"""


def explain(actor: Actor, action: str, study_uid: str | None = None, node: str = "") -> Decision:
    """Whether `actor` may do `action`, with this study and this node when given, and why.

    A study that is not seen and one that does not exist get the same answer.
    """
    decision = allowed(actor, action)
    if decision and node:
        there = allowed_node(actor, node)
        decision = decision if there else there
    if not decision or not study_uid:
        return decision
    seen = visible(actor, action)
    with connection.cursor() as cursor:
        cursor.execute(_STUDY, {"uid": study_uid})
        row = cursor.fetchone()
        if seen.everything:
            return Decision(True, f"{decision.reason}, for all studies")
        found = None
        if row is not None and not seen.nothing:
            named = {key.removeprefix(f"{seen.name}_"): value for key, value in seen.params.items()}
            cursor.execute(_WHY, {"study": row[0], **named})
            found = cursor.fetchone()
    if found is None:
        places = ", ".join(place.institute for place in actor.places) or "none"
        return Decision(
            False, f"there is no such study, or it does not belong to your institutes ({places}) nor was granted to you"
        )
    return Decision(True, f"{decision.reason}, and {found[0]}")
