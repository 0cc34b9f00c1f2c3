"""Places we talk to."""

from __future__ import annotations

import uuid

from django.db import models

import gantry.nodes.passcodes  # noqa: F401  says where they lie


class Node(models.Model):
    """A place we send to: a DIMSE peer, a DICOMweb server (`url`) or a folder (`url`, `path_template`).

    `aet`, `host` and `port` are of DIMSE peers, empty and 0 for the others.
    """

    id = models.BigAutoField(primary_key=True)
    name = models.TextField()
    kind = models.TextField(default="dimse")
    aet = models.TextField(help_text="Its AE title (we call it by this name)")
    host = models.TextField()
    port = models.IntegerField()
    calling_aet = models.TextField(default="", help_text="Our AE title towards it; empty: the instance's own")
    max_associations = models.IntegerField(default=4)
    max_attempts = models.IntegerField(default=12, help_text="Attempts before a delivery is dead")
    connect_seconds = models.FloatField(default=10.0)
    response_seconds = models.FloatField(default=60.0)
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField()
    last_success_at = models.DateTimeField(null=True)
    last_failure_at = models.DateTimeField(null=True)
    last_error = models.TextField(default="", help_text="Why the last connection failed; empty after a success")
    failure_count = models.IntegerField(default=0, help_text="Connections that failed since the last success")
    retry_at = models.DateTimeField(null=True, help_text="Nothing is sent before, because the last connection failed")
    removed_at = models.DateTimeField(null=True, help_text="Removed by a person; kept because receipts name it")

    tls = models.BooleanField(default=False, db_default=False, help_text="Only over TLS, never plain")
    tls_authorities = models.TextField(default="", db_default="", help_text="PEM file of authorities; empty: none, it is pinned")
    tls_fingerprint = models.TextField(default="", db_default="", help_text="SHA-256 of its certificate; empty: not pinned")
    tls_certificate = models.TextField(default="", db_default="", help_text="PEM file of our certificate towards it")
    tls_key = models.TextField(default="", db_default="", help_text="PEM file of the key of our certificate")
    user_name = models.TextField(default="", db_default="", help_text="User identity, told with the passcode")
    passcode = models.TextField(
        default="", db_default="", help_text="Stored form of gantry.sealing: where it is, or sealed; empty: none, or in a file"
    )
    profile = models.JSONField(null=True, help_text="What the last probe found")
    profiled_at = models.DateTimeField(null=True)
    profile_change = models.TextField(default="", db_default="", help_text="What differed from the probe before; empty: nothing")

    url = models.TextField(default="", db_default="", help_text="DICOMweb: its root; folder: the full path")
    path_template = models.TextField(default="", db_default="", help_text="Folder: where a file goes, with {keywords}")
    transcode = models.TextField(default="never", db_default="never", help_text="never, uncompressed, any")
    bandwidth = models.TextField(default="", db_default="", help_text="Calendar of limits; empty: none")
    reconcile = models.TextField(default="auto", db_default="auto", help_text="off, find, commit, auto")
    http_auth = models.TextField(default="", db_default="", help_text="DICOMweb: basic, bearer; empty: none")
    failover_seconds = models.FloatField(
        default=300.0, db_default=300.0, help_text="Unreachable for so long, deliveries go to their next node"
    )
    breaker = models.TextField(default="closed", db_default="closed", help_text="closed, open, half-open")
    breaker_since = models.DateTimeField(null=True, help_text="When it left closed")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["name"], condition=models.Q(removed_at=None), name="node_name"),
        ]

    def __str__(self) -> str:
        return self.name


class Link(models.Model):
    """What all work towards a node shares: the bucket of its bandwidth, and what was seen of its speed."""

    node = models.OneToOneField(Node, models.CASCADE, primary_key=True, related_name="link")
    tokens = models.FloatField(default=0.0, db_default=0.0, help_text="Bytes that may go now; below 0: borrowed by urgent work")
    filled_at = models.DateTimeField(null=True)
    rate = models.FloatField(null=True, help_text="Bytes per second lately")
    rate_at = models.DateTimeField(null=True)
    parallel = models.IntegerField(null=True, help_text="Associations at once that served best lately")

    def __str__(self) -> str:
        return str(self.pk)


class Fetch(models.Model):
    """A fetch that was ordered: waiting -> running -> done or failed; `cancelled` when a person stopped it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    node = models.ForeignKey(Node, models.CASCADE, related_name="fetches")
    uids = models.JSONField(help_text="STUDY, STUDY/SERIES or STUDY/SERIES/INSTANCE")
    how = models.TextField(default="auto")
    state = models.TextField(default="waiting")
    announced = models.IntegerField(null=True)
    received = models.IntegerField(default=0)
    present = models.IntegerField(default=0, help_text="Were here before")
    missing = models.JSONField(default=list, help_text="SOP Instance UIDs that were announced and did not come")
    error = models.TextField(default="")
    cancel_wanted = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "fetches"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(state__in=["waiting", "running", "done", "failed", "cancelled"]), name="fetch_state"
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)


class Commitment(models.Model):
    """A storage commitment that we asked for (PS3.4 annex J). `result` maps SOP Instance UID to its failure reason,
    0 where the node has committed itself; empty until the report came."""

    transaction_uid = models.TextField(primary_key=True)
    node = models.ForeignKey(Node, models.CASCADE, null=True, related_name="commitments")
    instances = models.JSONField(help_text="Pairs of SOP Class UID and SOP Instance UID")
    requested_at = models.DateTimeField()
    reported_at = models.DateTimeField(null=True)
    result = models.JSONField(default=dict)

    def __str__(self) -> str:
        return self.transaction_uid
