"""What the search box looks in, and searches that people keep."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class StudySearch(models.Model):
    """The words and sort keys of a study, kept by triggers of the database (migration 0006).

    A table of its own: a study is written anew with each batch that arrives, this only when a word of it changes.
    `words` are lexemes with a letter before them: n name, i Patient ID, a accession number, d description, folded as
    `names.fold` does. `calling` and `called` are the AE titles it came from and to (a queue function adds them).
    """

    # The database removes the row with the study (a foreign key of the migration, with ON DELETE CASCADE).
    study = models.OneToOneField("Study", models.DO_NOTHING, primary_key=True, related_name="+", db_constraint=False)
    words = SearchVectorField()
    sort_date = models.DateField(help_text="Of the study; the year 1 where there is none")
    sort_name = models.TextField(db_collation="C")
    sort_accession = models.TextField(db_collation="C")
    calling = ArrayField(models.TextField(), default=list, db_default=[])
    called = ArrayField(models.TextField(), default=list, db_default=[])

    class Meta:
        verbose_name_plural = "study search"
        indexes = [
            GinIndex(fields=["words"], name="study_search_words"),
            GinIndex(fields=["calling", "called"], name="study_search_ae"),
            models.Index(fields=["sort_date", "study"], name="study_search_date"),
            models.Index(fields=["sort_name", "study"], name="study_search_name"),
            models.Index(fields=["sort_accession", "study"], name="study_search_accession"),
        ]


class SavedSearch(models.Model):
    """A search that somebody keeps: the parameters of the page. With an institute it is shown to all of that institute."""

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey("accounts.User", models.CASCADE, related_name="+")
    institute = models.ForeignKey("accounts.Institute", models.CASCADE, null=True, related_name="+")
    name = models.TextField()
    search = models.JSONField(default=dict, help_text="Parameter to value, as in the address of the page")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name_plural = "saved searches"
        constraints = [
            models.UniqueConstraint(fields=["user", "name"], name="saved_search_own", condition=Q(institute=None)),
            models.UniqueConstraint(fields=["institute", "name"], name="saved_search_shared", condition=~Q(institute=None)),
        ]

    def __str__(self) -> str:
        return self.name
