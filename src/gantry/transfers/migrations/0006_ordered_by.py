"""Who ordered a delivery by hand, for the receipt."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("transfers", "0005_attempts")]

    operations = [
        migrations.AddField(
            model_name="delivery",
            name="ordered_by",
            field=models.TextField(db_default="", default="", help_text="The person who ordered it; empty: a rule"),
        ),
    ]
