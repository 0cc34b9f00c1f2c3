"""The sections of the file, in the order in which they are applied; what goes, goes in the opposite order."""

from __future__ import annotations

from typing import Any

from gantry.main.one_file.callers import Callers
from gantry.main.one_file.nodes import Nodes
from gantry.main.one_file.people import Groups, Institutes, Members, Sources, Users
from gantry.main.one_file.plan import Section
from gantry.main.one_file.rules import Rules
from gantry.main.one_file.stores import RetentionRules, Volumes
from gantry.main.one_file.webhooks import Webhooks

#: Volumes last: they leave marks in folders, which a transaction does not take back.
SECTIONS: tuple[Section[Any], ...] = (
    Users(), Institutes(), Sources(), Members(), Groups(), Nodes(), Callers(), Rules(), RetentionRules(), Webhooks(), Volumes(),
)  # fmt: skip
