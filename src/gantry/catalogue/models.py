"""The index: patients, studies, series, instances, and where the bytes of each version lie.

Rows are written in batches by named SQL (`sql/`), never by `save()`; these classes own the schema
and serve reading. Names follow the keywords of PS3.6 in snake case.
"""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower, Now


class Patient(models.Model):
    """A patient as a sender named them: Patient ID and its issuer (PS3.3 C.2.1).

    Where Patient ID is empty, `anchor` holds the Study Instance UID, so that two people without
    an ID are never taken for one.
    """

    id = models.BigAutoField(primary_key=True)
    patient_id = models.TextField(default="")
    issuer_of_patient_id = models.TextField(default="")
    anchor = models.TextField(default="")
    patient_name = models.TextField(default="", help_text="All component groups, as sent, decoded")
    patient_birth_date = models.DateField(null=True)
    patient_sex = models.TextField(default="")
    name_alphabetic = models.TextField(db_collation="C", db_default="", help_text="For searches: see names.py")
    name_ideographic = models.TextField(db_collation="C", db_default="")
    name_phonetic = models.TextField(db_collation="C", db_default="")
    study_count = models.IntegerField(default=0)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["patient_id", "issuer_of_patient_id", "anchor"], name="patient_identity"),
        ]
        indexes = [
            models.Index(OpClass(Lower("patient_name"), name="text_pattern_ops"), name="patient_name"),
            models.Index(fields=["name_alphabetic"], name="patient_name_alphabetic"),
            models.Index(fields=["name_ideographic"], name="patient_name_ideographic", condition=~Q(name_ideographic="")),
            models.Index(fields=["name_phonetic"], name="patient_name_phonetic", condition=~Q(name_phonetic="")),
            models.Index(fields=["patient_id"], name="patient_id_prefix", opclasses=["text_pattern_ops"]),
        ]

    def __str__(self) -> str:
        return self.patient_id or self.anchor


class Study(models.Model):
    """A study. Counts are of current versions, `size_bytes` is of their data sets.

    `settled_at` is empty while more may come.
    """

    id = models.BigAutoField(primary_key=True)
    patient = models.ForeignKey(Patient, models.PROTECT, related_name="studies")
    study_instance_uid = models.TextField(db_collation="C")
    study_date = models.DateField(null=True)
    study_time = models.TextField(default="")
    accession_number = models.TextField(default="")
    study_id = models.TextField(default="")
    study_description = models.TextField(default="")
    referring_physician_name = models.TextField(default="")
    referring_physician_search = models.TextField(db_collation="C", db_default="", help_text="Groups joined by =: see names.py")
    institution_name = models.TextField(default="")
    modalities = ArrayField(models.TextField(), default=list)
    series_count = models.IntegerField(default=0)
    instance_count = models.IntegerField(default=0)
    size_bytes = models.BigIntegerField(default=0)
    conflict_count = models.IntegerField(default=0)
    first_received_at = models.DateTimeField()
    last_received_at = models.DateTimeField()
    last_indexed_at = models.DateTimeField(db_default=Now(), help_text="What the quiet time of a study is counted from")
    settled_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "studies"
        # A constraint and not unique=True: Django would add a second index for LIKE to each of these.
        constraints = [models.UniqueConstraint(fields=["study_instance_uid"], name="study_uid")]
        indexes = [
            models.Index(fields=["study_date"], name="study_date"),
            GinIndex(fields=["modalities"], name="study_modalities"),
            models.Index(fields=["accession_number"], name="study_accession", opclasses=["text_pattern_ops"]),
            models.Index(F("last_received_at").desc(), F("id").desc(), name="study_newest"),
            models.Index(fields=["last_indexed_at"], condition=Q(settled_at=None), name="study_unsettled"),
        ]

    def __str__(self) -> str:
        return self.study_instance_uid


class Series(models.Model):
    """A series inside one study. One that lost all its instances to another keeps its row with a count of 0."""

    id = models.BigAutoField(primary_key=True)
    study = models.ForeignKey(Study, models.CASCADE, related_name="series", db_index=False)
    series_instance_uid = models.TextField(db_collation="C")
    modality = models.TextField(default="")
    series_number = models.BigIntegerField(null=True)
    series_description = models.TextField(default="")
    body_part_examined = models.TextField(default="")
    protocol_name = models.TextField(default="")
    manufacturer = models.TextField(default="")
    manufacturer_model_name = models.TextField(default="")
    station_name = models.TextField(default="")
    series_date = models.DateField(null=True)
    series_time = models.TextField(default="")
    instance_count = models.IntegerField(default=0)
    size_bytes = models.BigIntegerField(default=0)
    first_received_at = models.DateTimeField()
    last_received_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "series"
        constraints = [models.UniqueConstraint(fields=["study", "series_instance_uid"], name="series_in_study")]
        indexes = [models.Index(fields=["series_instance_uid"], name="series_uid")]

    def __str__(self) -> str:
        return self.series_instance_uid


class Instance(models.Model):
    """One SOP instance. Its bytes are its versions; the newest is the current one."""

    id = models.BigAutoField(primary_key=True)
    series = models.ForeignKey(Series, models.CASCADE, related_name="instances")
    sop_instance_uid = models.TextField(db_collation="C")
    sop_class_uid = models.TextField()
    instance_number = models.BigIntegerField(null=True)
    number_of_frames = models.BigIntegerField(null=True)
    rows = models.IntegerField(null=True)
    columns = models.IntegerField(null=True)
    version_count = models.IntegerField(default=1)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["sop_instance_uid"], name="instance_uid")]

    def __str__(self) -> str:
        return self.sop_instance_uid


class Version(models.Model):
    """The bytes of an instance as they once arrived: digest, syntax, source, place on disk.

    `sha256` is of the data set alone, as on the wire (without preamble and group 0002). `header`
    holds the scanned attributes, keyword to decoded value. Exactly one version of an instance is current.
    """

    id = models.BigAutoField(primary_key=True)
    instance = models.ForeignKey(Instance, models.CASCADE, related_name="versions", db_index=False)
    sha256 = models.BinaryField(max_length=32)
    dataset_offset = models.BigIntegerField(help_text="Where the data set begins in the file, bytes")
    dataset_bytes = models.BigIntegerField()
    file_path = models.TextField(db_collation="C", help_text="Relative to the home")
    file_bytes = models.BigIntegerField()
    transfer_syntax_uid = models.TextField()
    origin = models.TextField(help_text="dimse or import")
    calling_aet = models.TextField(default="")
    called_aet = models.TextField(default="")
    remote_address = models.TextField(default="")
    association_id = models.UUIDField(null=True)
    batch_id = models.UUIDField(db_index=True)
    received_at = models.DateTimeField()
    indexed_at = models.DateTimeField()
    current = models.BooleanField(default=True)
    header = models.JSONField(default=dict)
    warnings = ArrayField(models.TextField(), default=list)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["instance", "sha256"], name="version_bytes_once"),
            models.UniqueConstraint(fields=["instance"], condition=Q(current=True), name="version_one_current"),
            models.UniqueConstraint(fields=["file_path"], name="version_path"),
        ]

    def __str__(self) -> str:
        return self.file_path


class Conflict(models.Model):
    """Two senders who disagree: shown to people, never resolved by overwriting.

    kind: `identity` (one study, two patients), `demographics` (one Patient ID, other name or birth date),
    `bytes` (one SOP Instance UID, different data sets), `hierarchy` (an instance that moved to another
    series or study).
    """

    id = models.BigAutoField(primary_key=True)
    kind = models.TextField()
    key = models.TextField(help_text="What makes this conflict this one, for counting repeats")
    study = models.ForeignKey(Study, models.CASCADE, null=True, related_name="conflicts")
    instance = models.ForeignKey(Instance, models.CASCADE, null=True, related_name="conflicts")
    details = models.JSONField(default=dict)
    seen_count = models.IntegerField(default=1)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["kind", "key"], name="conflict_once")]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


class OpenAssociation(models.Model):
    """An association that is still open and has brought instances of a study: the study is not settled."""

    id = models.BigAutoField(primary_key=True)
    association_id = models.UUIDField()
    study = models.ForeignKey(Study, models.CASCADE, related_name="open_associations")
    slot = models.TextField(help_text="The receiver slot that holds the association")
    since = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["association_id", "study"], name="open_association_once")]
        indexes = [models.Index(fields=["slot"], name="open_association_slot")]
