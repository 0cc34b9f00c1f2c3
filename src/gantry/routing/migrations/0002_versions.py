"""Rules become versions: what is in routing_rule is version 1, active. routing_rule stays, as a copy for the release before."""

import uuid

from django.db import migrations, models


def first_version(apps, schema_editor):
    Rule, RuleSet = apps.get_model("routing", "Rule"), apps.get_model("routing", "RuleSet")
    rows = list(Rule.objects.order_by("name").prefetch_related("destinations"))
    if not rows or RuleSet.objects.exists():
        return
    from django.utils import timezone

    now = timezone.now()
    RuleSet.objects.create(
        version=1,
        state="active",
        author="migration",
        note="the rules from before there were versions",
        created_at=now,
        updated_at=now,
        activated_at=now,
        activated_by="migration",
        rules=[
            {
                "name": row.name,
                "conditions": row.conditions,
                "trigger": row.trigger,
                "enabled": row.enabled,
                "destinations": sorted(node.name for node in row.destinations.all() if node.removed_at is None),
                "created_at": row.created_at.isoformat(),
                "updated_at": row.updated_at.isoformat(),
            }
            for row in rows
        ],
    )


class Migration(migrations.Migration):
    dependencies = [
        ("routing", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Replay",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                ("days", models.FloatField()),
                ("candidate", models.TextField(help_text="draft, or a version number")),
                ("ordered_by", models.TextField(default="")),
                ("state", models.TextField(default="waiting")),
                ("studies", models.BigIntegerField(null=True)),
                ("done", models.BigIntegerField(default=0)),
                ("result", models.JSONField(null=True)),
                ("error", models.TextField(default="")),
                ("cancel_wanted", models.BooleanField(default=False)),
                ("created_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="Decision",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("study_id", models.BigIntegerField()),
                ("version", models.IntegerField(help_text="Of the rules")),
                ("rule_name", models.TextField()),
                ("trigger", models.TextField()),
                ("conditions", models.JSONField(default=list)),
                ("action", models.JSONField(default=dict)),
                ("deliveries", models.IntegerField(default=0)),
                ("held", models.IntegerField(default=0)),
                ("first_at", models.DateTimeField()),
                ("last_at", models.DateTimeField()),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("study_id", "version", "rule_name", "trigger"), name="routing_decision_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="HeldInstance",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("version_id", models.BigIntegerField()),
                ("study_id", models.BigIntegerField()),
                ("decision_id", models.BigIntegerField(null=True)),
                ("rule_name", models.TextField()),
                ("reason", models.TextField()),
                ("state", models.TextField(default="held")),
                ("held_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                ("ended_by", models.TextField(default="")),
                ("ended_reason", models.TextField(default="")),
            ],
            options={
                "indexes": [
                    models.Index(fields=["study_id"], name="routing_held_study"),
                    models.Index(fields=["state", "id"], name="routing_held_state"),
                ],
                "constraints": [models.UniqueConstraint(fields=("version_id",), name="routing_held_once")],
            },
        ),
        migrations.CreateModel(
            name="RuleProblem",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("version", models.IntegerField()),
                ("rule_name", models.TextField()),
                ("message", models.TextField()),
                ("count", models.IntegerField(default=1)),
                ("first_at", models.DateTimeField()),
                ("last_at", models.DateTimeField()),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("version", "rule_name"), name="routing_problem_once")],
            },
        ),
        migrations.CreateModel(
            name="RuleSet",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("version", models.IntegerField()),
                ("state", models.TextField(default="draft")),
                ("author", models.TextField(default="")),
                ("note", models.TextField(default="")),
                ("based_on", models.IntegerField(help_text="The version it was made from", null=True)),
                ("revision", models.IntegerField(default=1)),
                ("rules", models.JSONField(default=list)),
                ("created_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
                ("activated_at", models.DateTimeField(null=True)),
                ("activated_by", models.TextField(db_default="", default="")),
                ("retired_at", models.DateTimeField(null=True)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("version",), name="rule_set_version"),
                    models.UniqueConstraint(
                        condition=models.Q(("state__in", ["draft", "active"])), fields=("state",), name="rule_set_one"
                    ),
                ],
            },
        ),
        migrations.RunPython(first_version, migrations.RunPython.noop),
    ]
