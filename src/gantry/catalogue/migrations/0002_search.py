"""Columns and indexes that queries of DICOM search by."""

import django.contrib.postgres.indexes
from django.db import migrations, models

from gantry.catalogue.names import search_groups, search_text

PAGE = 2000


def fill(apps, editor):
    """What the write path stores for new rows, for those that are there."""
    patient, study = apps.get_model("catalogue", "Patient"), apps.get_model("catalogue", "Study")
    columns = ["name_alphabetic", "name_ideographic", "name_phonetic"]
    for rows in _pages(patient.objects.exclude(patient_name="").only("id", "patient_name")):
        for row in rows:
            row.name_alphabetic, row.name_ideographic, row.name_phonetic = search_groups(row.patient_name)
        patient.objects.bulk_update(rows, columns)
    for rows in _pages(study.objects.exclude(referring_physician_name="").only("id", "referring_physician_name")):
        for row in rows:
            row.referring_physician_search = search_text(row.referring_physician_name)
        study.objects.bulk_update(rows, ["referring_physician_search"])


def _pages(rows):
    last = 0
    while page := list(rows.filter(id__gt=last).order_by("id")[:PAGE]):
        yield page
        last = page[-1].id


class Migration(migrations.Migration):
    dependencies = [("catalogue", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="patient",
            name="name_alphabetic",
            field=models.TextField(db_collation="C", db_default="", help_text="For searches: see names.py"),
        ),
        migrations.AddField(
            model_name="patient", name="name_ideographic", field=models.TextField(db_collation="C", db_default="")
        ),
        migrations.AddField(model_name="patient", name="name_phonetic", field=models.TextField(db_collation="C", db_default="")),
        migrations.AddField(
            model_name="study",
            name="referring_physician_search",
            field=models.TextField(db_collation="C", db_default="", help_text="Groups joined by =: see names.py"),
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
        migrations.AddIndex(
            model_name="patient",
            index=models.Index(fields=["name_alphabetic"], name="patient_name_alphabetic"),
        ),
        migrations.AddIndex(
            model_name="patient",
            index=models.Index(
                condition=models.Q(("name_ideographic", ""), _negated=True),
                fields=["name_ideographic"],
                name="patient_name_ideographic",
            ),
        ),
        migrations.AddIndex(
            model_name="patient",
            index=models.Index(
                condition=models.Q(("name_phonetic", ""), _negated=True), fields=["name_phonetic"], name="patient_name_phonetic"
            ),
        ),
        migrations.AddIndex(
            model_name="patient",
            index=models.Index(fields=["patient_id"], name="patient_id_prefix", opclasses=["text_pattern_ops"]),
        ),
        migrations.AddIndex(
            model_name="study",
            index=django.contrib.postgres.indexes.GinIndex(fields=["modalities"], name="study_modalities"),
        ),
    ]
