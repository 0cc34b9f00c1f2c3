"""Which C-MOVE an instance came with (PS3.7 9.3.1.1), and the moves of ours that are awaited."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("catalogue", "0003_life"),
    ]

    operations = [
        migrations.AddField(
            model_name="version",
            name="move_originator_aet",
            field=models.TextField(help_text="(0000,1030): who asked the sender for it", null=True),
        ),
        migrations.AddField(
            model_name="version",
            name="move_originator_id",
            field=models.IntegerField(help_text="(0000,1031): the message id of that C-MOVE", null=True),
        ),
        migrations.CreateModel(
            name="AwaitedMove",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("aet", models.TextField(help_text="The AE title under which we asked")),
                ("message_id", models.IntegerField()),
                ("began_at", models.DateTimeField()),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("aet", "message_id"), name="awaited_move_once")],
            },
        ),
        migrations.CreateModel(
            name="Moved",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("study_instance_uid", models.TextField(db_collation="C")),
                ("sop_instance_uid", models.TextField(db_collation="C")),
                ("sha256", models.BinaryField(max_length=32)),
                (
                    "move",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="catalogue.awaitedmove",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "moved",
                "constraints": [models.UniqueConstraint(fields=("move", "sop_instance_uid", "sha256"), name="moved_once")],
            },
        ),
    ]
