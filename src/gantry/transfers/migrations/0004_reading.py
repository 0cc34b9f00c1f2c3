"""Indexes by which people read the ledger: by study, status and node; what was confirmed lately."""

import django.contrib.postgres.indexes
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("transfers", "0003_healing"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(fields=["study", "status", "node"], name="delivery_of_study"),
        ),
        migrations.RemoveIndex(model_name="delivery", name="delivery_study"),
        migrations.AddIndex(
            model_name="delivery",
            index=django.contrib.postgres.indexes.BrinIndex(
                autosummarize=True, fields=["confirmed_at"], name="delivery_confirmed", pages_per_range=32
            ),
        ),
    ]
