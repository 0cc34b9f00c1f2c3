"""The change feed: a position that is given after the commit."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("facts", "0001_initial")]

    operations = [
        migrations.AddField("fact", "position", models.BigIntegerField(null=True, unique=True)),
        migrations.AddIndex("fact", models.Index("id", name="fact_not_numbered", condition=models.Q(position__isnull=True))),
        migrations.AddIndex("fact", models.Index("created_at", name="fact_age")),
    ]
