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
    trashed_at = models.DateTimeField(null=True, help_text="In the trash since: counts are 0, no version is current")
    protected_at = models.DateTimeField(null=True, help_text="Neither recycled nor deleted while this is set")
    protected_by = models.TextField(default="", db_default="")

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
    holds the scanned attributes, keyword to decoded value. Exactly one version of an instance is current,
    and none while its study is in the trash. `file_path` leads to the file whatever the volume:
    `volumes/<id>` in the home is a link to the volume of that id.
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
    volume = models.ForeignKey(
        "Volume", models.PROTECT, null=True, related_name="+", db_index=False, db_constraint=False,
        help_text="Empty: the home's own objects/",
    )  # fmt: skip  # no constraint: a volume with versions is never deleted, and each row that is indexed would pay for it
    move_originator_aet = models.TextField(null=True, help_text="(0000,1030): who asked the sender for it")
    move_originator_id = models.IntegerField(null=True, help_text="(0000,1031): the message id of that C-MOVE")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["instance", "sha256"], name="version_bytes_once"),
            models.UniqueConstraint(fields=["instance"], condition=Q(current=True), name="version_one_current"),
            models.UniqueConstraint(fields=["file_path"], name="version_path"),
        ]
        indexes = [models.Index(fields=["volume"], condition=Q(volume__isnull=False), name="version_volume")]

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


class Volume(models.Model):
    """A place for objects: the home itself (`is_home`) or a folder on another file system, of one home.

    The folder holds a mark that names `mark`; without it the volume is missing (not mounted), and nothing is
    written there. `wanted` is what a person wants of it (writing, readonly), `state` what was seen: writing, full,
    readonly or missing. Objects go to the first volume, by `position`, that is writing.
    """

    id = models.BigAutoField(primary_key=True)
    home_id = models.UUIDField(help_text="The home that writes here (home.json)")
    host = models.TextField(default="", help_text="The host of that home, for people")
    name = models.TextField()
    path = models.TextField()
    mark = models.UUIDField(help_text="What the file .gantry-volume on it says")
    is_home = models.BooleanField(default=False)
    position = models.IntegerField(default=0)
    wanted = models.TextField(default="writing")
    state = models.TextField(default="writing")
    note = models.TextField(default="", help_text="Why it is in this state")
    quota_bytes = models.BigIntegerField(null=True, help_text="Of stored files; above it the oldest that was delivered goes")
    reserve_bytes = models.BigIntegerField(default=0, help_text="Free space to keep on its file system")
    used_bytes = models.BigIntegerField(default=0, help_text="Of stored files; counted anew by each pass of the scrubber")
    created_at = models.DateTimeField()
    checked_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "storage_volume"
        constraints = [
            models.UniqueConstraint(fields=["home_id", "name"], name="volume_name"),
            models.UniqueConstraint(fields=["home_id"], condition=Q(is_home=True), name="volume_one_home"),
        ]

    def __str__(self) -> str:
        return self.name


class Hold(models.Model):
    """A legal hold: while one is not lifted, nothing deletes the study."""

    id = models.BigAutoField(primary_key=True)
    study = models.ForeignKey(Study, models.PROTECT, related_name="holds")
    label = models.TextField()
    reason = models.TextField()
    placed_by = models.TextField()
    placed_at = models.DateTimeField()
    lifted_by = models.TextField(default="")
    lifted_at = models.DateTimeField(null=True)
    lift_reason = models.TextField(default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["study", "label"], condition=Q(lifted_at=None), name="hold_once"),
        ]

    def __str__(self) -> str:
        return self.label


class RetentionRule(models.Model):
    """Studies of this kind go to the trash some days after they were delivered (or received)."""

    id = models.BigAutoField(primary_key=True)
    name = models.TextField()
    calling_aet = models.TextField(default="", help_text="Empty: any")
    modality = models.TextField(default="", help_text="Empty: any")
    days = models.IntegerField()
    after = models.TextField(default="delivered", help_text="delivered: to every destination; received: last instance")
    enabled = models.BooleanField(default=True)
    created_by = models.TextField(default="")
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["name"], name="retention_rule_name")]

    def __str__(self) -> str:
        return self.name


class Trash(models.Model):
    """A study that was deleted: in the trash, restored from it, or removed for good.

    Not bound to the study's row, which it outlives; without patient data. `receipt` is the proof of delivery as it
    was when the study was removed.
    """

    id = models.BigAutoField(primary_key=True)
    study_id = models.BigIntegerField()
    study_instance_uid = models.TextField(db_collation="C")
    state = models.TextField(default="trash", help_text="trash, restored or removed")
    reason = models.TextField()
    trashed_by = models.TextField()
    trashed_at = models.DateTimeField()
    expires_at = models.DateTimeField(help_text="When it is removed for good")
    instance_count = models.IntegerField(default=0)
    size_bytes = models.BigIntegerField(default=0)
    ended_by = models.TextField(default="")
    ended_at = models.DateTimeField(null=True)
    receipt = models.JSONField(null=True)

    class Meta:
        verbose_name_plural = "trash"
        constraints = [models.UniqueConstraint(fields=["study_id"], condition=Q(state="trash"), name="trash_once")]
        indexes = [
            models.Index(fields=["expires_at"], condition=Q(state="trash"), name="trash_expiry"),
            models.Index(fields=["study_instance_uid"], name="trash_study"),
        ]

    def __str__(self) -> str:
        return self.study_instance_uid


class DoomedFile(models.Model):
    """A file whose rows are gone and that is to be unlinked: written with the removal of the rows, deleted after it."""

    file_path = models.TextField(primary_key=True, db_collation="C")
    volume = models.ForeignKey(Volume, models.CASCADE, null=True, related_name="+", db_index=False)
    file_bytes = models.BigIntegerField(default=0)
    doomed_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.file_path


class AwaitedMove(models.Model):
    """A C-MOVE of ours into our own receiver that is under way: what names it as its originator is noted in `Moved`."""

    id = models.BigAutoField(primary_key=True)
    aet = models.TextField(help_text="The AE title under which we asked")
    message_id = models.IntegerField()
    began_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["aet", "message_id"], name="awaited_move_once")]

    def __str__(self) -> str:
        return f"{self.aet} {self.message_id}"


class Moved(models.Model):
    """An instance that came with an awaited C-MOVE, also one whose bytes were here already. Goes with its `AwaitedMove`."""

    id = models.BigAutoField(primary_key=True)
    move = models.ForeignKey(AwaitedMove, models.CASCADE, related_name="+", db_index=False)
    study_instance_uid = models.TextField(db_collation="C")
    sop_instance_uid = models.TextField(db_collation="C")
    sha256 = models.BinaryField(max_length=32)

    class Meta:
        verbose_name_plural = "moved"
        constraints = [models.UniqueConstraint(fields=["move", "sop_instance_uid", "sha256"], name="moved_once")]

    def __str__(self) -> str:
        return self.sop_instance_uid


from gantry.catalogue.search_models import SavedSearch, StudySearch  # noqa: E402, F401  Django looks for models here
