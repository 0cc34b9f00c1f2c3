"""Which studies? One SQL condition for lists, so that they cost one query whatever a person may see.

A role that holds everywhere sees everything its actions reach. A role in an institute sees the studies that belong
to the institute and those granted to it, to one of its groups, or to the person.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, LiteralString, TypeVar

from django.db import connection
from django.db.models import Model, QuerySet
from django.db.models.expressions import RawSQL

from gantry.accounts.actions import ROLES
from gantry.accounts.allowed import Actor, allowed

#: Up to so many studies are fetched and sorted; with more, the list is walked in its order and each row looked up.
#: The walk visits (page x all / visible) rows: at 100 000 studies both cost about the same here.
FEW = 4000
_COUNT: LiteralString = (
    "SELECT count(*) FROM (SELECT FROM accounts_belonging WHERE institute_id = ANY(%s::bigint[]) LIMIT %s) AS few"
)
Row = TypeVar("Row", bound=Model)
_PLACEHOLDER = re.compile(r"%\((\w+)\)s")
_STUDIES: LiteralString = """\
SELECT study_id FROM accounts_belonging WHERE institute_id = ANY(%({0}_institutes)s::bigint[])
UNION ALL
SELECT study_id FROM accounts_grant
WHERE (user_id = %({0}_user)s::bigint OR group_id = ANY(%({0}_groups)s::bigint[])
       OR institute_id = ANY(%({0}_institutes)s::bigint[]))
  AND (until IS NULL OR until > now())"""
# Scalar queries, not EXISTS: PostgreSQL would hash all of an institute's studies for the hundred that a page needs.
_ONE: LiteralString = """\
coalesce(
 (SELECT TRUE FROM accounts_belonging AS b WHERE b.study_id = {1} AND b.institute_id = ANY(%({0}_institutes)s::bigint[]) LIMIT 1),
 (SELECT TRUE FROM accounts_grant AS g
  WHERE g.study_id = {1}
    AND (g.user_id = %({0}_user)s::bigint OR g.group_id = ANY(%({0}_groups)s::bigint[])
         OR g.institute_id = ANY(%({0}_institutes)s::bigint[]))
    AND (g.until IS NULL OR g.until > now()) LIMIT 1),
 FALSE)"""


@dataclass(frozen=True, slots=True)
class Visible:
    """The studies on which an actor may do something.

    `everything`: all of them; `nothing`: none. Otherwise `condition` says which, with named parameters from `params`
    (their names begin with `name`, so that several answers fit into one statement).
    """

    name: LiteralString
    everything: bool = False
    nothing: bool = False
    params: Mapping[str, Any] = field(default_factory=dict)

    def condition(self, column: LiteralString) -> LiteralString:
        """For WHERE: `column` (a study's id) is one of them. Counts first whether these are few: one short query."""
        if self.everything or self.nothing:
            return "TRUE" if self.everything else "FALSE"
        if self._few():
            return f"{column} = ANY(ARRAY({_STUDIES.format(self.name)}))"
        return self.mark(column)

    def _few(self) -> bool:
        with connection.cursor() as cursor:
            cursor.execute(_COUNT, [self.params[f"{self.name}_institutes"], FEW + 1])
            row = cursor.fetchone()
        return row is not None and row[0] <= FEW

    def among(self, column: LiteralString) -> LiteralString:
        """For WHERE of what looks at many: `column` is one of them, as a set that the database may join by its own plan."""
        if self.everything or self.nothing:
            return "TRUE" if self.everything else "FALSE"
        return column + " IN (" + _STUDIES.format(self.name) + ")"

    def mark(self, column: LiteralString) -> LiteralString:
        """For SELECT: whether `column` is one of them, looked up row by row."""
        if self.everything or self.nothing:
            return "TRUE" if self.everything else "FALSE"
        return _ONE.format(self.name, column)

    def narrow(self, rows: QuerySet[Row], attribute: str) -> QuerySet[Row]:
        """The rows of Django's ORM whose `attribute` (a study's id) is one of them."""
        if self.everything:
            return rows
        if self.nothing:
            return rows.none()
        names = _PLACEHOLDER.findall(sql := _STUDIES.format(self.name))
        plain = RawSQL(_PLACEHOLDER.sub("%s", sql), [self.params[name] for name in names])  # noqa: S611  fixed text, values are parameters
        return rows.filter(**{f"{attribute}__in": plain})


def visible(actor: Actor, action: str) -> Visible:
    """On which studies `actor` may do `action`; deny by default."""
    name = "seen_" + action.replace(".", "_")
    if not allowed(actor, action):
        return Visible(name, nothing=True)
    if action in ROLES.get(actor.role, frozenset()):
        return Visible(name, everything=True)
    places = [place for place in actor.places if place.gives(action)]
    if any(place.all_studies for place in places):
        return Visible(name, everything=True)
    return Visible(
        name,
        params={
            f"{name}_institutes": [place.institute_id for place in places],
            f"{name}_groups": [group for place in places for group in place.groups],
            f"{name}_user": actor.user_id,
        },
    )
