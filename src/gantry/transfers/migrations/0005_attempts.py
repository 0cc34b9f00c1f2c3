"""What came of attempts that were no success."""

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("catalogue", "0001_initial"),
        ("nodes", "0004_passcode"),
        ("transfers", "0004_reading"),
    ]

    operations = [
        migrations.CreateModel(
            name="Attempt",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("key", models.UUIDField()),
                ("number", models.IntegerField(help_text="Which attempt it was")),
                ("outcome", models.TextField(help_text="refused, failed, damaged, untried, missing or silent")),
                ("dimse_status", models.IntegerField(null=True)),
                ("error", models.TextField()),
                ("count", models.IntegerField(help_text="Instances; of a node as a whole: times")),
                ("dead", models.IntegerField(help_text="Of these were given up")),
                (
                    "delivery_ids",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(), help_text="The first hundred", size=None
                    ),
                ),
                ("began_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField()),
                (
                    "node",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="nodes.node"
                    ),
                ),
                (
                    "study",
                    models.ForeignKey(
                        db_index=False,
                        help_text="Null: the node as a whole",
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="catalogue.study",
                    ),
                ),
            ],
            options={
                "indexes": [
                    django.contrib.postgres.indexes.BrinIndex(
                        autosummarize=True, fields=["ended_at"], name="attempt_ended", pages_per_range=32
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("study", "node", "key"), name="attempt_once", nulls_distinct=False)
                ],
            },
        ),
    ]
