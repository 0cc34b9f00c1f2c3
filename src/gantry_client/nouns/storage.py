"""Storage life: trash, protection, legal holds, retention, volumes, the scrubber, quarantine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gantry_client.http import with_query
from gantry_client.nouns.asking import Asking, given, part
from gantry_client.records_storage import (
    LegalHold,
    Protection,
    Quarantined,
    Removed,
    Restored,
    RetentionRule,
    Scrub,
    ScrubFinding,
    Trashed,
    Volume,
)


class Storage(Asking):
    """What is kept, for how long, and what was thrown away."""

    def trash(self, *, state: str | None = None) -> Iterator[Trashed]:
        """Studies in the trash, the last first."""
        return self._all(Trashed, "/trash", {"state": state})

    def throw_away(self, study_instance_uid: str, *, reason: str) -> Trashed:
        """Put a study into the trash; it can come back until it expires. Raises ConflictError under a legal hold."""
        return self._one(Trashed, "DELETE", with_query(f"/studies/{part(study_instance_uid)}", {"reason": reason}))

    def restore(self, study_instance_uid: str) -> Restored:
        """Bring it back from the trash."""
        return self._one(Restored, "POST", f"/trash/{part(study_instance_uid)}/restore")

    def remove_for_good(self, study_instance_uid: str, *, reason: str) -> Removed:
        """Empty the trash of this study: it never comes back."""
        return self._one(Removed, "DELETE", with_query(f"/trash/{part(study_instance_uid)}", {"reason": reason}))

    def protect(self, study_instance_uid: str) -> Protection:
        """Recycling and retention pass it by."""
        return self._one(Protection, "PUT", f"/studies/{part(study_instance_uid)}/protection")

    def unprotect(self, study_instance_uid: str) -> Protection:
        """No longer."""
        return self._one(Protection, "DELETE", f"/studies/{part(study_instance_uid)}/protection")

    def legal_holds(self, *, study_instance_uid: str | None = None, ended: bool | None = None) -> Iterator[LegalHold]:
        """Legal holds, the last first."""
        return self._all(LegalHold, "/storage/holds", {"study_instance_uid": study_instance_uid, "ended": ended})

    def place_legal_hold(self, study_instance_uid: str, label: str, *, reason: str) -> LegalHold:
        """Nothing removes the study while it lasts; `label` names the matter."""
        return self._one(LegalHold, "POST", f"/studies/{part(study_instance_uid)}/holds", {"label": label, "reason": reason})

    def lift_legal_hold(self, study_instance_uid: str, label: str, *, reason: str) -> None:
        """End it. Raises NotFound."""
        self._ask("DELETE", with_query(f"/studies/{part(study_instance_uid)}/holds", {"label": label, "reason": reason}))

    def retention(self) -> Iterator[RetentionRule]:
        """How long studies are kept."""
        return self._all(RetentionRule, "/storage/retention", {}, limit=None)

    def set_retention(self, name: str, days: int, **settings: Any) -> RetentionRule:
        """Make or replace a rule; `settings` as in the API (modality, calling_aet, after, enabled)."""
        return self._one(RetentionRule, "PUT", f"/storage/retention/{part(name)}", {"days": days, **settings})

    def remove_retention(self, name: str) -> None:
        """Take a rule away. Raises NotFound."""
        self._ask("DELETE", f"/storage/retention/{part(name)}")

    def volumes(self) -> Iterator[Volume]:
        """The volumes of the store, in the order they fill."""
        return self._all(Volume, "/storage/volumes", {}, limit=None)

    def add_volume(self, name: str, path: str, *, quota_bytes: int | None = None, reserve_bytes: int | None = None) -> Volume:
        """Use a folder of the server as a further volume."""
        body = given(name=name, path=path, quota_bytes=quota_bytes, reserve_bytes=reserve_bytes)
        return self._one(Volume, "POST", "/storage/volumes", body)

    def change_volume(self, name: str, **settings: Any) -> Volume:
        """Change settings as in the API (position, quota_bytes, reserve_bytes, wanted)."""
        return self._one(Volume, "PATCH", f"/storage/volumes/{part(name)}", settings)

    def remove_volume(self, name: str) -> None:
        """Take an empty volume away. Raises NotFound, ConflictError."""
        self._ask("DELETE", f"/storage/volumes/{part(name)}")

    def scrub(self) -> Scrub:
        """How far the comparison of index and disk is."""
        return self._one(Scrub, "GET", "/storage/scrub")

    def start_scrub(self) -> Scrub:
        """Compare again from the beginning."""
        return self._one(Scrub, "POST", "/storage/scrub")

    def scrub_findings(self, *, ended: bool | None = None) -> Iterator[ScrubFinding]:
        """What was found."""
        return self._all(ScrubFinding, "/storage/findings", {"ended": ended})

    def quarantine(self, *, state: str | None = None) -> Iterator[Quarantined]:
        """Objects that were received and not indexed, the last first."""
        return self._all(Quarantined, "/quarantine", {"state": state})

    def quarantined(self, identifier: str) -> Quarantined:
        """One of them. Raises NotFound."""
        return self._one(Quarantined, "GET", f"/quarantine/{part(identifier)}")

    def accept(self, identifier: str, *, reason: str, **settings: Any) -> Quarantined:
        """Take it into the index; `set` as in the API gives what it lacks."""
        return self._one(Quarantined, "POST", f"/quarantine/{part(identifier)}/accept", {"reason": reason, **settings})

    def discard(self, identifier: str, *, reason: str) -> Quarantined:
        """Throw it away."""
        return self._one(Quarantined, "POST", f"/quarantine/{part(identifier)}/discard", {"reason": reason})
