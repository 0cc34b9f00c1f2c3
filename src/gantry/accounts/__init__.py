"""People, tokens, sign-in, and the one answer to "may they?".

Verbs: `allowed` (may this actor do this?), `sign_in.sign_in`, `tokens.create|look_up|revoke`,
`bootstrap.ensure_administrator|create_token`. What touches tables is imported from its own file, after
Django's setup. `route`, `page` and `errors` are what every room's api.py is made of: who may call a route,
how a list is cut into pages, how a request is refused.
"""

from gantry.accounts.actions import ACTIONS, ROLES
from gantry.accounts.allowed import ANONYMOUS, Actor, Decision, allowed

__all__ = ["ACTIONS", "ANONYMOUS", "ROLES", "Actor", "Decision", "allowed"]
