"""What the search box looks in: a table beside the studies that triggers keep, and searches that people keep.

Triggers and not the indexer: so the release before this one, which knows nothing of it, keeps it too, and whoever
changes a patient's name in whatever way cannot forget it.
"""

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.contrib.postgres.search
import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

# As names.fold does for Latin letters; names in the index are folded already.
_FROM = "ÀÁÂÃÄÅàáâãäåÈÉÊËèéêëÌÍÎÏìíîïÒÓÔÕÖØòóôõöøÙÚÛÜùúûüÇçÑñÝýÿŠšŽžČčĆćŁłĐđŘřŇňĚěŮůŐőŰűĄąĘęŚśŹźŻżŞşĞğİıȚțȘșĂă"
_TO = "aaaaaaaaaaaaeeeeeeeeiiiiiiiioooooooooooouuuuuuuuccnnyyysszzccccllddrrnneeuuoouuaaeesszzzzssggiittssaa"
assert len(_FROM) == len(_TO)

WORDS = """
CREATE FUNCTION catalogue_folded(written text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT replace(replace(lower(translate(written, 'FROM', 'TO')), 'ß', 'ss'), 'æ', 'ae')
$$;

CREATE FUNCTION catalogue_words(letter text, folded text) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(array_agg(letter || left(piece, 200)), '{}')
    FROM regexp_split_to_table(folded, '[[:space:]^=,;:./()\\[\\]_+*"''\\\\-]+') AS piece WHERE piece <> ''
$$;

CREATE FUNCTION catalogue_put_search(studies bigint[]) RETURNS void LANGUAGE sql AS $$
    INSERT INTO catalogue_studysearch AS known (study_id, words, sort_date, sort_name, sort_accession, calling, called)
    SELECT s.id,
           array_to_tsvector(
               catalogue_words('n', CASE WHEN p.name_alphabetic || p.name_ideographic || p.name_phonetic = ''
                   THEN catalogue_folded(p.patient_name)
                   ELSE p.name_alphabetic || ' ' || p.name_ideographic || ' ' || p.name_phonetic END)
               || catalogue_words('d', catalogue_folded(s.study_description))
               || CASE WHEN p.patient_id <> '' THEN ARRAY['i' || left(catalogue_folded(p.patient_id), 200)] ELSE '{}' END
               || CASE WHEN s.accession_number <> '' THEN ARRAY['a' || left(catalogue_folded(s.accession_number), 200)] ELSE '{}' END),
           coalesce(s.study_date, DATE '0001-01-01'), left(p.name_alphabetic, 200), left(s.accession_number, 200), '{}', '{}'
    FROM catalogue_study s JOIN catalogue_patient p ON p.id = s.patient_id
    WHERE s.id = ANY (studies)
    ORDER BY s.id
    ON CONFLICT (study_id) DO UPDATE SET words = excluded.words, sort_date = excluded.sort_date,
        sort_name = excluded.sort_name, sort_accession = excluded.sort_accession
$$;
""".replace("'FROM', 'TO'", f"'{_FROM}', '{_TO}'")

TRIGGERS = """
CREATE FUNCTION catalogue_search_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM catalogue_put_search(ARRAY(SELECT id FROM added));
    RETURN NULL;
END $$;
CREATE TRIGGER study_search_added AFTER INSERT ON catalogue_study REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION catalogue_search_added();

CREATE FUNCTION catalogue_search_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM catalogue_put_search(ARRAY[NEW.id]);
    RETURN NULL;
END $$;
CREATE TRIGGER study_search_changed AFTER UPDATE ON catalogue_study FOR EACH ROW
    WHEN (OLD.patient_id <> NEW.patient_id OR OLD.study_date IS DISTINCT FROM NEW.study_date
          OR OLD.accession_number <> NEW.accession_number OR OLD.study_description <> NEW.study_description)
    EXECUTE FUNCTION catalogue_search_changed();

CREATE FUNCTION catalogue_search_renamed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM catalogue_put_search(ARRAY(SELECT id FROM catalogue_study WHERE patient_id = NEW.id));
    RETURN NULL;
END $$;
CREATE TRIGGER study_search_renamed AFTER UPDATE ON catalogue_patient FOR EACH ROW
    WHEN (OLD.patient_id <> NEW.patient_id OR OLD.name_alphabetic <> NEW.name_alphabetic
          OR OLD.name_ideographic <> NEW.name_ideographic OR OLD.name_phonetic <> NEW.name_phonetic)
    EXECUTE FUNCTION catalogue_search_renamed();
"""

FOREIGN = """
ALTER TABLE catalogue_studysearch ADD CONSTRAINT study_search_of_study
    FOREIGN KEY (study_id) REFERENCES catalogue_study (id) ON DELETE CASCADE;
"""

FILL = """
SELECT catalogue_put_search(ARRAY(SELECT id FROM catalogue_study));
UPDATE catalogue_studysearch x SET calling = came.calling, called = came.called
FROM (
    SELECT se.study_id, coalesce((array_agg(DISTINCT v.calling_aet) FILTER (WHERE v.calling_aet <> ''))[:64], '{}') AS calling,
           coalesce((array_agg(DISTINCT v.called_aet) FILTER (WHERE v.called_aet <> ''))[:64], '{}') AS called
    FROM catalogue_version v
    JOIN catalogue_instance i ON i.id = v.instance_id
    JOIN catalogue_series se ON se.id = i.series_id
    GROUP BY se.study_id
) came
WHERE x.study_id = came.study_id AND (came.calling <> '{}' OR came.called <> '{}');
"""

UNDO = """
DROP TRIGGER study_search_renamed ON catalogue_patient;
DROP TRIGGER study_search_changed ON catalogue_study;
DROP TRIGGER study_search_added ON catalogue_study;
DROP FUNCTION catalogue_search_renamed(), catalogue_search_changed(), catalogue_search_added(), catalogue_put_search(bigint[]),
    catalogue_words(text, text), catalogue_folded(text);
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_people"),
        ("catalogue", "0005_originator"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="StudySearch",
            fields=[
                (
                    "study",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="catalogue.study",
                    ),
                ),
                ("words", django.contrib.postgres.search.SearchVectorField()),
                ("sort_date", models.DateField(help_text="Of the study; the year 1 where there is none")),
                ("sort_name", models.TextField(db_collation="C")),
                ("sort_accession", models.TextField(db_collation="C")),
                (
                    "calling",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.TextField(), db_default=[], default=list, size=None
                    ),
                ),
                (
                    "called",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.TextField(), db_default=[], default=list, size=None
                    ),
                ),
            ],
            options={"verbose_name_plural": "study search"},
        ),
        migrations.CreateModel(
            name="SavedSearch",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("name", models.TextField()),
                ("search", models.JSONField(default=dict, help_text="Parameter to value, as in the address of the page")),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "user",
                    models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL),
                ),
                (
                    "institute",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="accounts.institute"
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "saved searches",
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("institute", None)), fields=("user", "name"), name="saved_search_own"
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("institute", None), _negated=True),
                        fields=("institute", "name"),
                        name="saved_search_shared",
                    ),
                ],
            },
        ),
        migrations.RunSQL(WORDS + FILL, migrations.RunSQL.noop),
        migrations.AddIndex(
            model_name="studysearch",
            index=django.contrib.postgres.indexes.GinIndex(fields=["words"], name="study_search_words"),
        ),
        migrations.AddIndex(
            model_name="studysearch",
            index=django.contrib.postgres.indexes.GinIndex(fields=["calling", "called"], name="study_search_ae"),
        ),
        migrations.AddIndex(
            model_name="studysearch", index=models.Index(fields=["sort_date", "study"], name="study_search_date")
        ),
        migrations.AddIndex(
            model_name="studysearch", index=models.Index(fields=["sort_name", "study"], name="study_search_name")
        ),
        migrations.AddIndex(
            model_name="studysearch", index=models.Index(fields=["sort_accession", "study"], name="study_search_accession")
        ),
        migrations.RunSQL(FOREIGN + TRIGGERS, UNDO),
    ]
