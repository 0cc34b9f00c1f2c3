"""What the administration pages show of each table, and of people what they may change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.admin import ModelAdmin, action, display
from django.contrib.auth.admin import UserAdmin
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from gantry.accounts import tokens, trail
from gantry.accounts.actors import actor_of_user
from gantry.accounts.models import Token, User
from gantry.catalogue.models import Conflict, Instance, Patient, Series, Study, Version
from gantry.facts.models import Fact
from gantry.intake.models import QuarantinedObject
from gantry.main.admin_site import GantrySite
from gantry.nodes.models import Node
from gantry.routing.models import Decision, HeldInstance, RuleSet
from gantry.transfers.models import Delivery

if TYPE_CHECKING:  # these are generic for the type checker only
    _Page = ModelAdmin[Model]
    _PeoplePage = UserAdmin[User]
else:
    _Page, _PeoplePage = ModelAdmin, UserAdmin


class ReadOnly(_Page):
    """To look at: verbs change these rows. The site has asked already whether the person may be here."""

    show_full_result_count = False
    list_per_page = 50

    def has_module_permission(self, request: HttpRequest) -> bool:
        """In the menu."""
        return self.admin_site.has_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Everything may be seen."""
        return self.admin_site.has_permission(request)

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nothing may be added."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nothing may be changed."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nothing may be deleted."""
        return False


def _digest(value: Any) -> str:
    return bytes(value).hex() if value is not None else ""


class StudyPage(ReadOnly):
    """Studies."""

    list_display = (
        "study_date", "patient_id", "patient_name", "accession_number", "modalities", "study_description",
        "series_count", "instance_count", "conflict_count", "last_received_at", "settled_at",
    )  # fmt: skip
    list_display_links = ("study_date", "patient_id", "patient_name")
    list_select_related = ("patient",)
    ordering = ("-last_received_at", "-id")
    search_fields = (
        "study_instance_uid__exact", "accession_number__startswith", "patient__patient_id__exact",
        "patient__patient_name__istartswith",
    )  # fmt: skip
    search_help_text = "Study Instance UID, patient ID (whole), accession number or patient name (beginning)"

    @display(description="Patient ID")
    def patient_id(self, study: Study) -> str:
        """Of its patient."""
        return study.patient.patient_id

    @display(description="Patient name")
    def patient_name(self, study: Study) -> str:
        """Of its patient."""
        return study.patient.patient_name


class SeriesPage(ReadOnly):
    """Series."""

    list_display = (
        "series_instance_uid",
        "modality",
        "series_number",
        "series_description",
        "instance_count",
        "last_received_at",
    )
    ordering = ("-id",)
    raw_id_fields = ("study",)
    search_fields = ("series_instance_uid__exact", "study__study_instance_uid__exact")


class InstancePage(ReadOnly):
    """Instances."""

    list_display = ("sop_instance_uid", "sop_class_uid", "instance_number", "version_count", "created_at")
    ordering = ("-id",)
    search_fields = ("sop_instance_uid__exact", "series__series_instance_uid__exact")


class VersionPage(ReadOnly):
    """Versions of instances."""

    list_display = ("file_path", "sha256_hex", "transfer_syntax_uid", "calling_aet", "origin", "current", "received_at")
    ordering = ("-id",)
    exclude = ("sha256",)
    readonly_fields = ("sha256_hex",)
    search_fields = ("instance__sop_instance_uid__exact",)

    @display(description="SHA-256 of the data set")
    def sha256_hex(self, version: Version) -> str:
        """As text."""
        return _digest(version.sha256)


class PatientPage(ReadOnly):
    """Patients."""

    list_display = ("patient_id", "issuer_of_patient_id", "patient_name", "patient_birth_date", "study_count")
    ordering = ("-id",)
    search_fields = ("patient_id__exact", "patient_name__istartswith")


class ConflictPage(ReadOnly):
    """Conflicts."""

    list_display = ("kind", "study", "instance", "seen_count", "first_seen_at", "last_seen_at", "resolved_at")
    list_filter = ("kind",)
    list_select_related = ("study", "instance")
    ordering = ("-id",)


class DeliveryPage(ReadOnly):
    """The delivery ledger."""

    list_display = ("id", "node", "study", "rule_name", "status", "attempts", "next_attempt_at", "confirmed_at", "error")
    list_filter = ("status", "node")
    list_select_related = ("node", "study")
    ordering = ("-id",)
    exclude = ("sha256",)
    readonly_fields = ("sha256_hex",)
    search_fields = ("study__study_instance_uid__exact", "version__instance__sop_instance_uid__exact")

    @display(description="SHA-256 of the data set as sent")
    def sha256_hex(self, delivery: Delivery) -> str:
        """As text."""
        return _digest(delivery.sha256)


class NodePage(ReadOnly):
    """Nodes."""

    list_display = ("name", "aet", "host", "port", "enabled", "last_success_at", "last_failure_at", "last_error")
    ordering = ("name",)


class RuleSetPage(ReadOnly):
    """Versions of the rules."""

    list_display = ("version", "state", "author", "note", "created_at", "activated_at", "retired_at")
    list_filter = ("state",)
    ordering = ("-version",)


class DecisionPage(ReadOnly):
    """Why studies went where they went."""

    list_display = ("id", "study_id", "version", "rule_name", "trigger", "deliveries", "held", "first_at", "last_at")
    ordering = ("-id",)
    search_fields = ("rule_name__exact",)


class HeldPage(ReadOnly):
    """Instances that rules keep back."""

    list_display = ("id", "study_id", "rule_name", "reason", "state", "held_at", "ended_at", "ended_by")
    list_filter = ("state",)
    ordering = ("-id",)


class QuarantinePage(ReadOnly):
    """The quarantine."""

    list_display = ("quarantined_at", "reason", "explanation", "calling_aet", "state", "file_bytes")
    list_filter = ("state",)
    ordering = ("-quarantined_at", "-id")
    exclude = ("sha256",)


class FactPage(ReadOnly):
    """Facts."""

    list_display = ("id", "kind", "payload", "created_at")
    ordering = ("-id",)


class TokenPage(ReadOnly):
    """Tokens of everybody; an administrator may end them."""

    list_display = ("prefix", "name", "user", "created_at", "expires_at", "last_used_at", "revoked_at")
    list_select_related = ("user",)
    ordering = ("-id",)
    exclude = ("digest",)
    actions = ("revoke",)

    @action(description="Revoke the selected tokens")
    def revoke(self, request: HttpRequest, chosen: QuerySet[Token]) -> None:
        """End them, for good."""
        for token in chosen.filter(revoked_at=None):
            tokens.end(token, trail.by_request(request, actor_of_user(request.user)))


class PersonPage(_PeoplePage):
    """People: add, change, switch off. Deleting would take their tokens' history along, so it is not offered."""

    list_display = ("username", "role", "is_active", "is_staff", "last_login", "must_change_password")
    list_filter = ("role", "is_active")
    ordering = ("username",)
    filter_horizontal = ()
    fieldsets = (
        (None, {"fields": ("username", "password", "must_change_password")}),
        ("Person", {"fields": ("first_name", "last_name", "email")}),
        ("What they may", {"fields": ("role", "is_active", "is_superuser")}),
        ("When", {"fields": ("last_login", "date_joined")}),
    )
    readonly_fields = ("last_login", "date_joined")

    def has_module_permission(self, request: HttpRequest) -> bool:
        """In the menu."""
        return self.admin_site.has_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Who is here may look after people."""
        return self.admin_site.has_permission(request)

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """As above."""
        return self.admin_site.has_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """As above."""
        return self.admin_site.has_permission(request)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Switch them off instead."""
        return False

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Keep it, with an entry in the audit that says which fields changed."""
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            by = trail.by_request(request, actor_of_user(request.user))
            trail.note(
                "user.edit" if change else "user.add", by, kind="user", key=obj.username,
                after={"role": obj.role, "active": obj.is_active, "changed": list(form.changed_data)},
            )  # fmt: skip


def register(site: GantrySite) -> None:
    """Put all of them on the site."""
    pages: dict[type[Model], type[ModelAdmin[Any]]] = {
        Study: StudyPage, Series: SeriesPage, Instance: InstancePage, Version: VersionPage, Patient: PatientPage,
        Conflict: ConflictPage, Delivery: DeliveryPage, Node: NodePage,
        RuleSet: RuleSetPage,
        Decision: DecisionPage, HeldInstance: HeldPage,
        QuarantinedObject: QuarantinePage, Fact: FactPage, Token: TokenPage, User: PersonPage,
    }  # fmt: skip
    for model, page in pages.items():
        site.register(model, page)
