"""Passcodes of nodes are sealed in the database, or kept by reference; before they were files in HOME/secrets.

Expand only: the earlier release goes on with its files, and this one reads them until `gantry secrets rotate`.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("nodes", "0003_links_and_kinds")]

    operations = [
        migrations.AddField(
            model_name="node",
            name="passcode",
            field=models.TextField(
                db_default="",
                default="",
                help_text="Stored form of gantry.sealing: where it is, or sealed; empty: none, or in a file",
            ),
        ),
        migrations.AlterField(
            model_name="node",
            name="user_name",
            field=models.TextField(db_default="", default="", help_text="User identity, told with the passcode"),
        ),
    ]
