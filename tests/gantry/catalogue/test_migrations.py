"""The migrations of catalogue, intake and facts are the models, and can be taken back."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection

ROOMS = ("catalogue", "intake", "facts")


@pytest.mark.django_db
def test_models_and_migrations_are_equal() -> None:
    call_command("makemigrations", *ROOMS, check=True, dry_run=True, stdout=StringIO())


@pytest.mark.django_db(transaction=True)
def test_backward_and_forward() -> None:
    def tables() -> set[str]:
        return {name for name in connection.introspection.table_names() if name.split("_")[0] in ROOMS}

    before = tables()
    assert len(before) > 8
    try:
        for room in ROOMS:
            call_command("migrate", room, "zero", verbosity=0)
        assert tables() == set()
    finally:
        call_command("migrate", verbosity=0)
    assert tables() == before


@pytest.mark.django_db
def test_a_uid_has_one_index() -> None:
    """unique=True would have made a second one for LIKE; each costs at every instance."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_indexes WHERE tablename = 'catalogue_instance'")
        assert cursor.fetchone() == (3,), "key, UID, series"
        cursor.execute("SELECT count(*) FROM pg_indexes WHERE tablename = 'catalogue_version'")
        assert cursor.fetchone() == (6,), "key, digest, current, path, batch, and one of none but other volumes"
