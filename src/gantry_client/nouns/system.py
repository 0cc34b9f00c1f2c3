"""Who we are at the server, the whole set-up, settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gantry_client.http import with_query
from gantry_client.nouns.asking import Asking, part
from gantry_client.records_people import May
from gantry_client.records_system import About, Session, Setting, SetupResult, SignIn


class System(Asking):
    """Ourselves and the server. To sign in is for browsers: a program has a token."""

    def session(self) -> Session:
        """Who we are and what we may."""
        return self._one(Session, "GET", "/session")

    def may_i(self, action: str, *, study: str | None = None, node: str | None = None) -> May:
        """Whether we may, and why or why not."""
        return self._one(May, "GET", with_query("/session/may", {"action": action, "study": study, "node": node}))

    def choose_institute(self, name: str) -> Session:
        """Make another of our institutes the active one: for our browsers, tokens stay as they are."""
        return self._one(Session, "PUT", "/session/institute", {"name": name})

    def sessions(self) -> Iterator[SignIn]:
        """Where we are signed in."""
        return self._all(SignIn, "/sessions", {}, limit=None)

    def end_session(self, session_id: str) -> None:
        """Sign out there. Raises NotFound."""
        self._ask("DELETE", f"/sessions/{part(session_id)}")

    def end_other_sessions(self) -> int:
        """Sign out everywhere else; gives the number of sessions."""
        return int(self._ask("DELETE", "/sessions")["ended"])

    def setup(self) -> dict[str, Any]:
        """The whole set-up as one document, without secrets; `apply_setup` takes it again. For administrators."""
        return dict(self._ask("GET", "/setup"))

    def apply_setup(
        self,
        document: Mapping[str, Any],
        *,
        dry_run: bool = False,
        prune: bool = False,
        seal: bool = False,
        invite: bool = False,
        settings: bool = False,
        expected: str | None = None,
    ) -> SetupResult:
        """Bring the server to what a document says: all of it or nothing. `dry_run` only says what would change.

        `prune` removes what its sections do not name; `seal` takes secrets that stand in it in clear; `invite` writes
        to new users; `settings` writes the settings, which hold after a restart. `expected` is the `state` of the dry run
        that was looked at: ConflictError when the set-up is another by now. Raises InvalidRequest with the lines.
        """
        where = with_query("/setup", {
            "dry_run": dry_run, "prune": prune, "seal": seal, "invite": invite, "settings": settings, "expected": expected,
        })  # fmt: skip
        return self._one(SetupResult, "POST", where, dict(document))

    def settings(self) -> Iterator[Setting]:
        """Every setting, its value, and where that comes from."""
        return self._all(Setting, "/settings", {}, limit=None)

    def about(self) -> About:
        """What runs there: version, database, home."""
        return self._one(About, "GET", "/about")
