"""The audit: entries, links, and the triggers that chain the first at commit and refuse every change of both."""

from django.db import migrations, models

TABLES = """
CREATE TABLE audit_entry (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    act text NOT NULL,
    who text NOT NULL,
    via text NOT NULL DEFAULT 'system',
    user_id bigint,
    token_id bigint,
    address text NOT NULL DEFAULT '',
    kind text NOT NULL DEFAULT '',
    key text NOT NULL DEFAULT '',
    study_uid text NOT NULL DEFAULT '',
    patient_id text NOT NULL DEFAULT '',
    reason text NOT NULL DEFAULT '',
    before jsonb,
    after jsonb
);
CREATE INDEX audit_entry_at ON audit_entry (at);
CREATE INDEX audit_entry_act ON audit_entry (act text_pattern_ops, id);
CREATE INDEX audit_entry_who ON audit_entry (who, id);
CREATE INDEX audit_entry_thing ON audit_entry (kind, key, id) WHERE key <> '';
CREATE INDEX audit_entry_study ON audit_entry (study_uid, id) WHERE study_uid <> '';
CREATE INDEX audit_entry_patient ON audit_entry (patient_id, id) WHERE patient_id <> '';

CREATE TABLE audit_link (
    chain smallint NOT NULL,
    seq bigint NOT NULL,
    entry_id bigint NOT NULL UNIQUE,
    digest bytea NOT NULL,
    PRIMARY KEY (chain, seq)
);
"""

# The text of an entry must be the same as in sql/verify.sql: what is verified there is what is digested here.
SEAL = """
CREATE FUNCTION audit_seal() RETURNS trigger LANGUAGE plpgsql AS $seal$
DECLARE
    -- 'audi' as the first half of the advisory lock; the second is the chain.
    lock_class CONSTANT integer := 1635083369;
    chains CONSTANT integer := 16;
    mine text := current_setting('gantry.audit_chain', true);
    taken integer;
    last_seq bigint;
    last_digest bytea;
BEGIN
    -- A transaction stays with its chain; a new one takes the first that nobody holds, and waits only when all are held.
    IF mine <> '' AND pg_try_advisory_xact_lock(lock_class, mine::integer) THEN
        taken := mine::integer;
    ELSE
        FOR candidate IN 0 .. chains - 1 LOOP
            IF pg_try_advisory_xact_lock(lock_class, candidate) THEN
                taken := candidate;
                EXIT;
            END IF;
        END LOOP;
        IF taken IS NULL THEN
            taken := pg_backend_pid() % chains;
            PERFORM pg_advisory_xact_lock(lock_class, taken);
        END IF;
        PERFORM set_config('gantry.audit_chain', taken::text, true);
    END IF;
    SELECT link.seq, link.digest INTO last_seq, last_digest
    FROM audit_link AS link WHERE link.chain = taken ORDER BY link.seq DESC LIMIT 1;
    INSERT INTO audit_link (chain, seq, entry_id, digest) VALUES (
        taken, coalesce(last_seq, 0) + 1, NEW.id,
        sha256(coalesce(last_digest, ''::bytea) || convert_to(json_build_array(
            NEW.id, to_char(NEW.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), NEW.act, NEW.who, NEW.via,
            NEW.user_id, NEW.token_id, NEW.address, NEW.kind, NEW.key, NEW.study_uid, NEW.patient_id, NEW.reason,
            NEW.before::text, NEW.after::text
        )::text, 'UTF8'))
    );
    RETURN NULL;
END
$seal$;
CREATE CONSTRAINT TRIGGER audit_entry_seal AFTER INSERT ON audit_entry
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit_seal();
"""

REFUSE = """
CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $refuse$
BEGIN
    RAISE EXCEPTION 'the audit is append-only: % of % is refused', TG_OP, TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END
$refuse$;
CREATE TRIGGER audit_entry_keep BEFORE UPDATE OR DELETE ON audit_entry FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_entry_keep_all BEFORE TRUNCATE ON audit_entry FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_link_keep BEFORE UPDATE OR DELETE ON audit_link FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_link_keep_all BEFORE TRUNCATE ON audit_link FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
-- Also where session_replication_role is replica, which switches ordinary triggers off.
ALTER TABLE audit_entry ENABLE ALWAYS TRIGGER audit_entry_keep;
ALTER TABLE audit_entry ENABLE ALWAYS TRIGGER audit_entry_keep_all;
ALTER TABLE audit_link ENABLE ALWAYS TRIGGER audit_link_keep;
ALTER TABLE audit_link ENABLE ALWAYS TRIGGER audit_link_keep_all;
"""

UNDO = """
DROP TABLE audit_entry, audit_link;
DROP FUNCTION audit_seal();
DROP FUNCTION audit_refuse();
"""


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.RunSQL(TABLES + SEAL + REFUSE, UNDO),
        migrations.CreateModel(
            name="Entry",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("at", models.DateTimeField(help_text="When, by the clock of the database")),
                ("act", models.TextField(help_text="noun.verb")),
                ("who", models.TextField(help_text="User name, AE title, user of the operating system, or system")),
                ("via", models.TextField(help_text="session, token, cli, dicom or system")),
                ("user_id", models.BigIntegerField(null=True)),
                ("token_id", models.BigIntegerField(null=True)),
                ("address", models.TextField(help_text="Where from, an IP address; empty: this machine")),
                ("kind", models.TextField(help_text="What kind of thing was acted on")),
                ("key", models.TextField(help_text="Which of them")),
                ("study_uid", models.TextField()),
                ("patient_id", models.TextField()),
                ("reason", models.TextField()),
                ("before", models.JSONField(null=True)),
                ("after", models.JSONField(null=True)),
            ],
            options={"verbose_name_plural": "entries", "db_table": "audit_entry", "managed": False},
        ),
        migrations.CreateModel(
            name="Link",
            fields=[
                ("pk", models.CompositePrimaryKey("chain", "seq", blank=True, editable=False, primary_key=True, serialize=False)),
                ("chain", models.SmallIntegerField()),
                ("seq", models.BigIntegerField()),
                ("entry_id", models.BigIntegerField()),
                ("digest", models.BinaryField(max_length=32)),
            ],
            options={"db_table": "audit_link", "managed": False},
        ),
    ]
