"""The vocabulary of permissions: actions, and the roles that are sets of them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

#: Every action there is, with what it lets a person do.
MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        "admin.use": "Use the administration pages",
        "alerts.acknowledge": "Say that somebody looks after an alert",
        "alerts.view": "See alerts",
        "audit.view": "Read and export the audit: who did what, to which patient's data",
        "callers.edit": "Say who may call the DICOM port, and for what",
        "callers.view": "See who may call the DICOM port, and who was refused",
        "changes.view": "Follow what happens, as pages and live",
        "conflicts.view": "See senders that disagree about an instance or a patient",
        "deliveries.hold": "Hold, release, recall and send again the deliveries of a study",
        "deliveries.retry": "Queue failed and dead deliveries again",
        "deliveries.send": "Send studies to nodes",
        "deliveries.view": "See the delivery ledger and receipts",
        "docs.view": "Read the API documentation on this server",
        "metrics.view": "Read the metrics",
        "nodes.echo": "Ask a node for a sign of life (C-ECHO)",
        "nodes.edit": "Add and remove nodes",
        "nodes.fetch": "Fetch studies from nodes into this instance",
        "nodes.query": "Ask nodes what they have and can do (C-FIND, probe)",
        "nodes.view": "See nodes",
        "patients.identify": "See who a patient is: name, Patient ID, whole birth date; search by them",
        "patients.initials": "See of a patient initials and year of birth, nothing more",
        "people.edit": "Add, change, lock people; institutes, groups, memberships, grants; decide registrations",
        "people.view": "See people, institutes, groups, registrations, and what somebody may",
        "quarantine.edit": "Accept, repair and discard objects that could not be indexed",
        "quarantine.view": "See objects that could not be indexed",
        "rules.activate": "Make a draft of the rules decide, go back to an earlier version",
        "rules.edit": "Add, change, remove rules and drafts; try and replay them (shows values of patients)",
        "rules.release": "Let instances go that a rule keeps back, or leave them where they are",
        "rules.view": "See rules",
        "session.own": "See who one is, change the own password, sign out",
        "setup.edit": "Apply a whole set-up from one file (administrators only: it can make administrators)",
        "setup.view": "Export the whole set-up as one file, without secrets (administrators only)",
        "storage.edit": "Add and change volumes, retention rules; start the scrubber",
        "storage.view": "See volumes, holds, retention rules and the scrubber",
        "studies.delete": "Delete studies: put them into the trash",
        "studies.download": "Fetch the stored bytes of instances",
        "studies.hold": "Protect studies, place and lift legal holds",
        "studies.remove": "Remove deleted studies for good before their time",
        "studies.restore": "Take deleted studies out of the trash",
        "studies.view": "Search and see studies, series and instances",
        "system.view": "See the details of the health checks",
        "tokens.own": "List, create and revoke own tokens",
        "webhooks.edit": "Add, change, remove and try webhooks, see what was sent to them",
    }
)
ACTIONS: frozenset[str] = frozenset(MEANINGS)

#: What every role can do: nothing of a patient.
_EVERYBODY = frozenset({"changes.view", "docs.view", "session.own", "tokens.own"})
#: Sees what is there, of patients initials and year of birth; stored bytes name the patient, so they are not for viewers.
VIEWER = _EVERYBODY | {"deliveries.view", "nodes.view", "patients.initials", "rules.view", "studies.view"}
#: Looks for studies by what they are, not by who they are of.
RESEARCHER = _EVERYBODY | {"nodes.view", "studies.view"}
#: Looks after patients: sees who they are, reads their images, fetches earlier studies.
CLINICIAN = VIEWER | {"conflicts.view", "deliveries.send", "nodes.fetch", "nodes.query", "patients.identify", "studies.download"}
#: Keeps things running.
OPERATOR = CLINICIAN | {
    "alerts.acknowledge",
    "alerts.view",
    "callers.view",
    "deliveries.hold",
    "deliveries.retry",
    "metrics.view",
    "nodes.echo",
    "quarantine.edit",
    "quarantine.view",
    "rules.release",
    "storage.view",
    "studies.delete",
    "studies.restore",
    "system.view",
}

#: A role is a set of actions. Groups inside an institute add to it, tokens narrow it.
ROLES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "administrator": ACTIONS,
        "operator": OPERATOR,
        "clinician": CLINICIAN,
        "researcher": RESEARCHER,
        "viewer": VIEWER,
    }
)

#: What everybody may who is signed in, with whatever role or none: see who they are, change the password, sign out.
SIGNED_IN = frozenset({"session.own"})
#: What a person may do before they have replaced the password that was made for them.
BEFORE_PASSWORD_CHANGE = frozenset({"session.own"})
