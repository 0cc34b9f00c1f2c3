"""The whole set-up as one file: read, compared, applied in one piece, exported again."""

from __future__ import annotations

import json
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.gantry.accounts.people import bearer, person

from gantry import config
from gantry.audit.record import SYSTEM
from gantry.main.home import Home
from gantry.main.one_file import text
from gantry.main.one_file.errors import FileRefused


@pytest.fixture
def place(home: Home) -> Iterator[Path]:
    """A home, and this process runs on it."""
    before = config._current
    config.use(config.Config(home=home.path))
    yield home.path
    config._current = before


def apply(content: Any, home: Path, **options: Any) -> Any:
    from gantry.main.one_file.apply import Options
    from gantry.main.one_file.apply import apply as carry_out

    raw = (
        content
        if isinstance(content, bytes)
        else content.encode()
        if isinstance(content, str)
        else yaml.safe_dump(content).encode()
    )
    return carry_out(raw, home, SYSTEM, Options(**options), name="site.yaml")


def exported(home: Path) -> dict[str, Any]:
    from gantry.main.one_file import export

    return export.collect(home)


def problems(content: Any, home: Path, **options: Any) -> list[str]:
    with pytest.raises(FileRefused) as refused:
        apply(content, home, **options)
    return refused.value.lines


def words(result: Any) -> list[str]:
    return [f"{one.change} {one.section} {one.key}" for one in result.changes]


#: Every section, every kind of thing.
EVERYTHING = """\
gantry: 1
settings:
  trash_days: 12.5
  webhook_private: [10.1.0.0/16]
users:
  - name: alice
    email: alice@example.org
    role: operator
    department: "0815"
  - name: bob
    role: none
    locked: true
institutes:
  - name: Radiology
    description: "yes"
  - {name: Cardiology, all_studies: true}
sources:
  - {institute: Radiology, kind: calling_aet, pattern: "CT*"}
members:
  - {institute: Radiology, user: alice, role: clinician}
  - {institute: Radiology, user: bob, role: viewer}
groups:
  - institute: Radiology
    name: readers
    actions: [studies.download, audit.view]
    members: [bob]
nodes:
  - name: archive
    address: ARCHIVE@192.0.2.7:104
    max_associations: 2
    bandwidth: Mon-Fri 07:00-19:00  20 Mbit/s; * 0
    failover_seconds: 60
    reconcile: find
  - name: secure
    address: "SAFE@[fd00::5]:2762"
    tls: true
    fingerprint: "FINGERPRINT"
    user: gantry
    passcode: file:FOLDER/home/secrets/given/pacs
  - name: web
    address: https://pacs.example.org/dicom-web
    http_auth: bearer
    passcode: file:FOLDER/home/secrets/given/pacs
  - name: drop
    address: folder:FOLDER/drop
    path_template: "{StudyInstanceUID}/{SOPInstanceUID}.dcm"
callers:
  - aet: CT1
    may: [store, echo]
    hosts: [192.0.2.0/24, "::1"]
  - aet: "NO"
    enabled: false
rules:
  - name: urgent
    when: ["CallingAET=CT* and not (StationName=X* or time 22:00-06:00)"]
    destinations: [archive, secure]
    mode: failover
    priority: 100
  - name: all
    trigger: settled
    quiet_seconds: 30
    destinations: [drop]
    edits:
      - {op: set, tag: InstitutionName, value: General}
  - name: bad
    when: [Modality=OT]
    quarantine: what is this
retention:
  - {name: quick, days: 30, modality: CT}
  - {name: off, days: 365, after: received, enabled: false}
volumes:
  - name: home
    quota_bytes: 1000000000000
  - name: second
    path: FOLDER/volume
    reserve_bytes: 1000000
    wanted: readonly
webhooks:
  - name: tickets
    url: https://tickets.example.org/hook
    kinds: [RulesChanged, AlertChanged]
    secret: env:GANTRY_SECRET_TICKETS
  - name: everything
    url: https://tickets.example.org/all
    enabled: false
    secret: env:GANTRY_SECRET_TICKETS
"""


def everything(folder: Path) -> str:
    """EVERYTHING, with its folders."""
    (folder / "drop").mkdir(exist_ok=True)
    (folder / "volume").mkdir(exist_ok=True)
    return EVERYTHING.replace("FOLDER", str(folder)).replace("FINGERPRINT", ":".join(["AB"] * 32))


def give_passcode(home: Path) -> None:
    (home / "secrets" / "given").mkdir(mode=0o700, exist_ok=True)
    (home / "secrets" / "given" / "pacs").write_text("swordfish\n")


def forget_everything(home: Path) -> None:
    """As on an empty home; the volume is another folder then."""
    from django.db import connection

    tables = (
        "storage_volume", "catalogue_retentionrule", "alerts_webhook", "routing_ruleset", "routing_rule", "receiver_caller",
        "nodes_node", "accounts_group", "accounts_membership", "accounts_source", "accounts_institute", "accounts_user",
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(f"TRUNCATE {', '.join(tables)} RESTART IDENTITY CASCADE")
    for path in (home / "secrets").glob("node-*"):
        path.unlink()


@pytest.mark.django_db
class TestApply:
    def test_every_section_round_trip(self, place: Path, tmp_path: Path) -> None:
        give_passcode(place)
        file = everything(tmp_path)
        first = apply(file, place, prune=True)
        assert first.changed
        assert not [one for one in first.changes if one.change == "unmanaged"]
        there = exported(place)
        assert not [name for name, items in there.items() if name != "settings" and not items], "a section is empty"
        assert [rule["name"] for rule in there["rules"]] == ["urgent", "all", "bad"]
        assert there["nodes"][0] == {
            "name": "archive", "address": "ARCHIVE@192.0.2.7:104", "max_associations": 2, "failover_seconds": 60.0,
            "bandwidth": "Mon-Fri 07:00-19:00 20 Mbit/s; * 0", "reconcile": "find",
        }  # fmt: skip
        assert "swordfish" not in json.dumps(there)
        again = apply(file, place, prune=True)
        assert not again.changed, words(again)

        from gantry.main.one_file import export

        written = export.as_yaml(there)
        assert export.as_yaml(exported(place)) == written
        assert text.read(written.encode()).value == there
        assert not apply(written, place, prune=True).changed

        forget_everything(place)
        (tmp_path / "volume" / ".gantry-volume").unlink()
        (tmp_path / "volume" / "objects").rmdir()
        assert exported(place)["nodes"] == []
        made = apply(
            written.replace("sealed: kept", f"file:{place}/secrets/given/pacs") if "sealed" in written else written, place
        )
        assert made.changed
        assert exported(place) == there

    def test_a_dry_run_changes_nothing_and_says_the_same(self, place: Path, tmp_path: Path) -> None:
        give_passcode(place)
        before = exported(place)
        rehearsed = apply(everything(tmp_path), place, dry_run=True)
        assert rehearsed.changed
        assert rehearsed.dry_run
        assert exported(place) == before
        assert not list((place / "secrets").glob("node-*"))
        assert not (tmp_path / "volume" / ".gantry-volume").exists()
        assert list((tmp_path / "volume").iterdir()) == []
        assert apply(everything(tmp_path), place).changes == rehearsed.changes

    def test_all_or_nothing(self, place: Path, tmp_path: Path) -> None:
        """The last volume is refused: nodes, callers, passcodes and the volume before it go again."""
        give_passcode(place)
        before = exported(place)
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / "somebody's").write_text("x")
        file = everything(tmp_path).replace("webhooks:", f"  - name: third\n    path: {tmp_path}/full\nwebhooks:")
        line = file[: file.index("name: third")].count("\n") + 1
        found = problems(file, place)
        assert found == [f"site.yaml:{line}: volumes[2]: {found[0].partition(': ')[2].partition(': ')[2]}"]
        assert "not empty" in found[0]
        assert exported(place) == before
        assert not list((place / "secrets").glob("node-*"))
        assert list((tmp_path / "volume").iterdir()) == []

    def test_fields_before_and_after_and_the_audit(self, place: Path) -> None:
        from gantry.audit.models import Entry

        apply({"gantry": 1, "callers": [{"aet": "CT1"}], "nodes": [{"name": "a", "address": "A@h:104"}]}, place)
        result = apply({"gantry": 1, "nodes": [{"name": "a", "address": "A@h:105", "enabled": False}]}, place)
        assert [(one.change, one.key, one.fields) for one in result.changes] == [
            ("changed", "a", {"address": ("A@h:104", "A@h:105"), "enabled": (True, False)})
        ]
        entry = Entry.objects.filter(act="file.apply").order_by("-pk")[0]
        assert entry.key == "site.yaml"
        assert entry.after == {"changes": ["nodes a: changed: address A@h:104 -> A@h:105; enabled yes -> no"], "count": 1}
        assert Entry.objects.filter(act="node.edit", key="a").exists()
        count = Entry.objects.filter(act="file.apply").count()
        assert not apply({"gantry": 1, "nodes": [{"name": "a", "address": "A@h:105", "enabled": False}]}, place).changed
        assert Entry.objects.filter(act="file.apply").count() == count

    def test_what_the_file_does_not_name_goes_only_with_prune(self, place: Path) -> None:
        both = {"gantry": 1, "nodes": [{"name": "a", "address": "A@h:1"}, {"name": "b", "address": "B@h:1"}],
                "rules": [{"name": "x", "destinations": ["a"]}, {"name": "y", "destinations": ["b"]}]}  # fmt: skip
        apply(both, place)
        one = {"gantry": 1, "nodes": both["nodes"][1:], "rules": both["rules"][1:]}  # type: ignore[index]
        result = apply(one, place)
        assert words(result)[:2] == ["unmanaged nodes a", "unmanaged rules x"]
        assert [rule["name"] for rule in exported(place)["rules"]] == ["y", "x"]
        assert not apply(one, place).changed
        dangling = {"gantry": 1, "nodes": one["nodes"], "rules": both["rules"]}
        assert problems(dangling, place, prune=True)[0].partition(": ")[2].startswith("rules[0]: rule x leads to node a, which")
        assert problems({"gantry": 1, "nodes": one["nodes"]}, place, prune=True)[0].partition(": ")[2].startswith("nodes: rule x")
        assert words(apply(one, place, prune=True)) == ["removed rules x", "removed nodes a"]
        after = exported(place)
        assert ([rule["name"] for rule in after["rules"]], [node["name"] for node in after["nodes"]]) == (["y"], ["b"])

    def test_rules_make_one_version_and_one_fact_and_keep_the_order(self, place: Path) -> None:
        from gantry.facts.models import Fact
        from gantry.routing import versions

        node = [{"name": "a", "address": "A@h:1"}]
        rules = [{"name": name, "destinations": ["a"]} for name in ("one", "two", "three")]
        apply({"gantry": 1, "nodes": node, "rules": rules}, place)
        active = versions.active()
        assert active is not None
        facts = Fact.objects.filter(kind="RulesChanged").count()
        result = apply({"gantry": 1, "rules": rules[::-1]}, place)
        assert {one.key: one.fields for one in result.changes} == {"three": {"order": (3, 1)}, "one": {"order": (1, 3)}}
        moved = versions.active()
        assert moved is not None
        assert moved.version == active.version + 1
        assert Fact.objects.filter(kind="RulesChanged").count() == facts + 1
        assert not apply({"gantry": 1, "rules": rules[::-1]}, place).changed

    def test_people_have_no_password_and_users_stay(self, place: Path) -> None:
        from gantry.accounts.models import MailOrder, User

        person("administrator", username="root")
        file = {"gantry": 1, "users": [{"name": "carol", "email": "carol@example.org", "role": "viewer"}, {"name": "robot"}]}
        result = apply(file, place, prune=True)
        assert words(result) == ["added users carol", "added users robot", "unmanaged users root"]
        assert not User.objects.get(username="carol").is_active
        assert not User.objects.get(username="carol").has_usable_password()
        assert not apply(file, place).changed
        result = apply({"gantry": 1, "users": [{"name": "dave", "email": "dave@example.org"}]}, place, invite=True)
        assert User.objects.get(username="dave").is_active
        assert MailOrder.objects.filter(kind="invitation", address="dave@example.org").exists()
        apply({"gantry": 1, "users": [{"name": "DAVE", "email": "dave@example.org", "locked": True}]}, place)
        assert not User.objects.get(username="dave").is_active
        with pytest.raises(FileRefused, match=r"users\[0\].*last administrator"):
            apply({"gantry": 1, "users": [{"name": "root", "role": "viewer"}]}, place)

    def test_the_first_administrator_of_an_empty_home(self, place: Path) -> None:
        """Not locked, for somebody must be able to let people in; `gantry up` or `gantry user password` give a password."""
        from gantry.accounts.bootstrap import ensure_administrator
        from gantry.accounts.models import User

        file = {"gantry": 1, "users": [{"name": "admin", "role": "administrator"}, {"name": "second", "role": "administrator"}]}
        apply(file, place)
        assert User.objects.get(username="admin").is_active
        assert not User.objects.get(username="admin").has_usable_password()
        assert not User.objects.get(username="second").is_active
        assert not apply(file, place).changed
        assert ensure_administrator()
        assert not apply(file, place).changed

    def test_groups_cannot_give_everything(self, place: Path) -> None:
        base = {"gantry": 1, "institutes": [{"name": "R"}]}
        group = {"institute": "R", "name": "g", "actions": ["people.edit"]}
        assert "groups[0]" in problems({**base, "groups": [group]}, place)[0]
        assert exported(place)["institutes"] == []


@pytest.mark.django_db
class TestSecrets:
    HOOK = "gantry: 1\nwebhooks:\n  - name: t\n    url: https://t.example.org/\n    secret: {secret}\n"

    def stored(self) -> str:
        from gantry.alerts import webhooks

        return webhooks.get("t").secret

    def test_in_clear_it_is_refused_with_its_line_and_never_shown(self, place: Path) -> None:
        found = problems(self.HOOK.format(secret="hunter2hunter2"), place)
        assert found[0].startswith("site.yaml:5: webhooks[0].secret: a secret does not stand in the file")
        assert "hunter2" not in found[0]
        for wrong in ("env:PATH", "sealed:v1:1:AAAA"):
            assert problems(self.HOOK.format(secret=wrong), place)[0].startswith("site.yaml:5: webhooks[0].secret:")

    def test_sealed_on_request(self, place: Path) -> None:
        from gantry.alerts import webhooks

        file = self.HOOK.format(secret="hunter2hunter2")
        result = apply(file, place, seal=True)
        assert "hunter2" not in json.dumps(result.as_dict())
        assert self.stored().startswith("sealed:v1:")
        assert webhooks.reveal(webhooks.get("t")) == "hunter2hunter2"
        assert not apply(file, place, seal=True).changed
        assert exported(place)["webhooks"][0]["secret"] == {"sealed": "kept"}
        assert not apply(self.HOOK.format(secret="{sealed: kept}"), place).changed
        result = apply(self.HOOK.format(secret="env:GANTRY_SECRET_T"), place)
        assert result.changes[0].fields == {"secret": ("sealed", "env:GANTRY_SECRET_T")}
        assert self.stored() == "env:GANTRY_SECRET_T"

    def test_passcodes_of_nodes(self, place: Path) -> None:
        from gantry.nodes import registry

        give_passcode(place)
        node = "gantry: 1\nnodes:\n  - {{name: n, address: A@h:1, user: u, passcode: {passcode}}}\n"
        assert "nodes[0].passcode" in problems(node.format(passcode="swordfish"), place)[0]
        reference = f"file:{place}/secrets/given/pacs"
        apply(node.format(passcode=reference), place)
        assert registry.security_of(registry.get("n")).passcode == "swordfish"
        assert not apply(node.format(passcode=reference), place).changed
        result = apply("gantry: 1\nnodes:\n  - {name: n, address: A@h:1, user: other}\n", place)
        assert result.changes[0].fields == {"user": ("u", "other")}
        assert registry.security_of(registry.get("n")).passcode == "swordfish"
        apply(node.format(passcode="tuna").replace("user: u", "user: other"), place, seal=True)
        assert registry.security_of(registry.get("n")).passcode == "tuna"
        with pytest.raises(FileRefused):
            apply(node.format(passcode="bass") + "  - {name: m, address: A@h:1, tls: true}\n", place, seal=True)
        assert registry.security_of(registry.get("n")).passcode == "tuna"
        apply(node.format(passcode='""'), place)
        assert registry.security_of(registry.get("n")).passcode == ""

    def test_no_export_holds_a_secret_or_the_database(self, place: Path) -> None:
        config.use(config.Config(home=place, database_url="postgresql://u:sesame@h/d", mail_password="env:GANTRY_SECRET_M"))
        found = exported(place)
        assert "sesame" not in json.dumps(found)
        assert found["settings"] == {"mail_password": "env:GANTRY_SECRET_M"}


@pytest.mark.django_db
class TestLines:
    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            ("gantry: 2\n", "site.yaml:1: gantry: must be 1"),
            ("nodes: []\n", "site.yaml:1: gantry: is missing"),
            ("gantry: 1\n\nnodes:\n  - name: a\n", "site.yaml:4: nodes[0].address: is missing"),
            ("gantry: 1\nnodes:\n  - name: a\n    address: nowhere\n", "site.yaml:4: nodes[0].address: 'nowhere' is no DICOM address"),
            ("gantry: 1\nnodes:\n  - name: a\n    address: A@h:1\n    colour: red\n", "site.yaml:5: nodes[0].colour: is not known here"),
            ("gantry: 1\nnodes:\n  - name: 7\n    address: A@h:1\n", "site.yaml:3: nodes[0].name: must be text"),
            ("gantry: 1\nnodes:\n  - name: a\n    address: A@h:1\n    bandwidth: often\n", "site.yaml:5: nodes[0].bandwidth: "),
            ("gantry: 1\nnodes:\n  - name: a\n    address: A@h:1\n    max_associations: 900\n", "site.yaml:5: nodes[0].max_associations: is 900"),
            ("gantry: 1\ncallers:\n- aet: A\n- aet: 'A '\n", "site.yaml:4: callers[1]: A stands here twice, the first time in line 3"),
            ("gantry: 1\ncallers:\n- aet: A\n  hosts: [pacs.local]\n", "site.yaml:4: callers[0].hosts: "),
            ("gantry: 1\ncallers:\n- aet: A\n  may: [fly]\n", "site.yaml:3: callers[0]: fly cannot be allowed"),
            ("gantry: 1\nrules:\n- name: r\n  destinations: [none]\n", "site.yaml:3: rules[0]: there is no node 'none'"),
            ("gantry: 1\nrules:\n- name: r\n  when: [Moon=full]\n  quarantine: x\n", "site.yaml:3: rules[0]: "),
            ("gantry: 1\nmembers:\n- institute: X\n  user: y\n  role: viewer\n", "site.yaml:3: members[0]: There is no such institute."),
            ("gantry: 1\nretention:\n- name: r\n  days: -1\n", "site.yaml:4: retention[0].days: days is -1"),
            ("gantry: 1\nsettings:\n  trash_days: soon\n", "site.yaml:3: settings.trash_days: "),
            ("gantry: 1\nsettings:\n  colour: red\n", "site.yaml:3: settings.colour: is not a setting"),
            ("gantry: 1\nsettings:\n  database_url: x\n", "site.yaml:3: settings.database_url: belongs to the machine"),
            ("gantry: 1\nwebhooks:\n- name: w\n  url: https://127.0.0.1/\n", "site.yaml:4: webhooks[0].url: "),
            ("gantry: 1\nvolumes:\n- name: v\n", "site.yaml:3: volumes[0].path: "),
            ("gantry: 1\nusers:\n- name: u\n  password: x\n", "site.yaml:4: users[0].password: is not known here"),
            ("- 1\n", "site.yaml:1: "),
        ],
    )  # fmt: skip
    def test_every_mistake_has_its_line(self, place: Path, content: str, expected: str) -> None:
        before = exported(place)
        found = problems(content, place)
        assert len(found) == 1, found
        assert found[0].startswith(expected), found
        assert exported(place) == before

    def test_all_mistakes_at_once(self, place: Path) -> None:
        found = problems(
            "gantry: 1\nnodes:\n- {name: a, address: x}\n- {name: -b, address: A@h:1}\ncallers:\n- {aet: A, hosts: [x]}\n", place
        )
        assert [line.split(": ")[0] for line in found] == ["site.yaml:3", "site.yaml:4", "site.yaml:6"]


class TestText:
    def lines(self, content: str | bytes) -> str:
        with pytest.raises(FileRefused) as refused:
            text.read(content.encode() if isinstance(content, str) else content, "f.yaml")
        assert len(refused.value.lines) == 1
        return refused.value.lines[0]

    def test_keys_twice(self) -> None:
        assert self.lines("a: 1\nb:\n  c: 1\n  c: 2\n") == "f.yaml:4: b.c: stands here twice, the first time in line 3"

    def test_an_alias_bomb_is_a_problem_and_not_an_outage(self) -> None:
        bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True):
            bomb += f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
        assert "values, aliases counted" in self.lines(bomb)
        assert "levels deep" in self.lines("a: &a [*a]\n")

    @pytest.mark.parametrize(
        "content", ["[" * 100_000, "- " * 50_000, "{a: " * 5000, "a: !!python/object:os.system x\n", "a: !ruby x\n", "<<: {a: 1}\n",
                    "? [a]\n: 1\n", "a: 1\n---\nb: 1\n", "a: 'x\n", b"\xff\xfe", b"a: \x07\n", "", "# nothing\n", "a: !!binary eA==\n",
                    "&" * 1000, "a: &x 1\nb: *y\n", "%YAML 3.0\n---\na: 1\n", "\t- a"],
    )  # fmt: skip
    def test_hostile(self, content: str | bytes) -> None:
        assert self.lines(content).startswith("f.yaml:")

    def test_too_large(self) -> None:
        assert "bytes" in self.lines(b"#" * (text.MAX_BYTES + 1))

    def test_words_are_text(self) -> None:
        content = "a: [no, on, 22:30, 0x10, 007, 1e5, 2026-11-21, ~, true, 10, -1.5, '10', NO]\n"
        assert text.read(content.encode()).value == {
            "a": ["no", "on", "22:30", "0x10", "007", "1e5", "2026-11-21", None, True, 10, -1.5, "10", "NO"]
        }

    @settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
    @given(st.one_of(st.binary(max_size=200), st.text(alphabet="ab01:-[]{}&*!|>'\"#%@`,? \n\t<~.", max_size=120).map(str.encode)))
    def test_garbage_is_read_or_refused(self, raw: bytes) -> None:
        from gantry.main.one_file.apply import parsed

        refusal = None
        try:
            parsed(text.read(raw, "f.yaml"))
        except FileRefused as error:
            refusal = error
        # Nothing that short and random is a set-up, and nothing else is raised.
        assert refusal is not None
        assert refusal.lines
        assert all(line.startswith("f.yaml:") for line in refusal.lines)

    @settings(deadline=None, max_examples=150)
    @given(
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers(-(10**15), 10**15)
            | st.floats(allow_nan=False, allow_infinity=False)
            | st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t"), max_size=20),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8), inner, max_size=3)
            ),
            max_leaves=10,
        )
    )
    def test_what_is_written_is_read_as_it_was(self, value: Any) -> None:
        from gantry.main.one_file import export

        assert text.read(export.as_yaml({"a": value}).encode()).value == {"a": value}


@pytest.mark.django_db
class TestSettings:
    def test_named_only_unless_asked_for(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = place / "gantry.yaml"
        path.write_text("# ours\naet: OLD  # said in 2019\nallowed_hosts:\n  - a\n  - b\n# end\n")
        config.use(config.load(place, environ={}))
        file = {"gantry": 1, "settings": {"aet": "NEW", "allowed_hosts": ["c"], "trash_days": 5}}
        result = apply(file, place)
        assert not result.changed
        assert [(one.change, one.key, one.fields["value"]) for one in result.changes] == [
            ("named", "aet", ("OLD", "NEW")), ("named", "allowed_hosts", (["a", "b"], ["c"])), ("named", "trash_days", (30.0, 5.0)),
        ]  # fmt: skip
        assert apply(file, place, settings=True, dry_run=True).changed
        assert "OLD" in path.read_text()
        assert apply(file, place, settings=True).changed
        assert path.read_text() == "# ours\naet: NEW\nallowed_hosts: [c]\n# end\ntrash_days: 5.0\n"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        config.use(config.load(place, environ={}))
        assert not apply(file, place, settings=True).changes

    def test_a_file_of_settings_that_was_not_there(self, place: Path) -> None:
        with pytest.raises(FileRefused):
            apply({"gantry": 1, "settings": {"dicom_tls_address": "127.0.0.1:2762"}}, place, settings=True)
        assert not (place / "gantry.yaml").exists()
        apply({"gantry": 1, "settings": {"aet": "NEW"}}, place, settings=True, dry_run=True)
        assert not (place / "gantry.yaml").exists()

    def test_from_afar_only_what_is_not_the_machines(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = place / "gantry.yaml"
        path.write_text("aet: SITE\ntrash_days: 9\n")
        config.use(config.load(place, environ={"GANTRY_SCRUB_DAYS": "3"}))
        known = {"aet": "gantry.yaml:1", "trash_days": "gantry.yaml:2", "scrub_days": "GANTRY_SCRUB_DAYS"}
        monkeypatch.setenv("GANTRY_ORIGINS", json.dumps(known))
        client = bearer()

        def send(query: str = "", **wanted: Any) -> tuple[int, Any]:
            body = {"gantry": 1, "settings": wanted}
            answer = client.post(f"/api/v1/setup?settings=true{query}", body, content_type="application/json")
            return answer.status_code, answer.json()

        for name, value, words in (
            ("mail_password", "file:/etc/passwd", "on the machine only"), ("webhook_private", ["0.0.0.0/0"], "on the machine only"),
            ("scrub_days", 4, "GANTRY_SCRUB_DAYS, which wins"),
        ):  # fmt: skip
            status, found = send(**{name: value})
            assert (status, found["error"]["details"][0]["where"]) == (422, f"settings.{name}")
            assert words in found["error"]["message"]
        status, looked = send("&dry_run=true", trash_days=5)
        assert (status, looked["changed"], looked["changes"][0]["fields"]) == (200, True, {"value": [9.0, 5.0]})
        assert path.read_text() == "aet: SITE\ntrash_days: 9\n"
        # Somebody else is faster: what was looked at is not what would be done now.
        client.post("/api/v1/setup", {"gantry": 1, "callers": [{"aet": "CT9"}]}, content_type="application/json")
        status, refused = send(f"&expected={looked['state']}", trash_days=5)
        assert (status, refused["error"]["code"]) == (409, "conflict")
        state = send("&dry_run=true", trash_days=5)[1]["state"]
        assert send(f"&expected={state}", trash_days=5)[0] == 200
        assert path.read_text() == "aet: SITE\ntrash_days: 5.0\n"
        # It waits for a restart, can be looked at, and taken back before that.
        row = next(one for one in client.get("/api/v1/settings").json()["items"] if one["name"] == "trash_days")
        assert (row["value"], row["after_restart"], row["waiting"], row["unit"], row["fixed"]) == (9.0, 5.0, True, "days", "")
        assert send(trash_days=5)[1]["changed"] is False
        assert send(trash_days=9)[1]["changed"] is True
        path.write_text("aet: [\n")
        assert send(trash_days=7)[0] == 409


@pytest.mark.django_db(transaction=True)
def test_two_at_once_wait_for_each_other(place: Path) -> None:
    from django.db import connection

    nodes = [{"name": f"n{number}", "address": f"A{number}@h:1"} for number in range(20)]
    results: list[Any] = []

    def one() -> None:
        try:
            results.append(apply({"gantry": 1, "nodes": nodes, "rules": [{"name": "r", "destinations": ["n1"]}]}, place))
        finally:
            connection.close()

    threads = [threading.Thread(target=one) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(len([one for one in result.changes if one.real]) for result in results) == [0, 0, 21]


@pytest.mark.django_db
class TestRest:
    def test_export_and_apply(self, place: Path) -> None:
        client = bearer()
        answer = client.post(
            "/api/v1/setup?dry_run=true", b"gantry: 1\ncallers:\n  - aet: CT9\n", content_type="application/yaml"
        )
        assert answer.status_code == 200, answer.content
        assert answer.json()["changed"]
        assert answer.json()["changes"] == [{"section": "callers", "key": "CT9", "change": "added", "line": 3, "fields": {}}]
        assert client.get("/api/v1/setup").json()["callers"] == []
        client.post("/api/v1/setup", {"gantry": 1, "callers": [{"aet": "CT9"}]}, content_type="application/json")
        answer = client.get("/api/v1/setup?format=yaml")
        assert answer["Content-Type"].startswith("application/yaml")
        assert yaml.safe_load(answer.content)["callers"] == [{"aet": "CT9"}]
        same = client.post("/api/v1/setup?prune=true", answer.content, content_type="application/yaml")
        assert (same.status_code, same.json()["changed"]) == (200, False), same.content

    def test_refused_with_lines(self, place: Path) -> None:
        answer = bearer().post(
            "/api/v1/setup", b"gantry: 1\nnodes:\n  - {name: a, address: x}\n", content_type="application/yaml"
        )
        assert answer.status_code == 422
        assert answer.json()["error"]["details"][0]["line"] == 3
        assert answer.json()["error"]["details"][0]["where"] == "nodes[0].address"

    def test_for_administrators_only(self, place: Path) -> None:
        for role in ("operator", "clinician", "viewer", "researcher"):
            assert bearer(role).get("/api/v1/setup").status_code == 403
            assert bearer(role).post("/api/v1/setup", b"gantry: 1\n", content_type="application/yaml").status_code == 403
        assert bearer().post("/api/v1/setup", b"gantry: 1\n", content_type="text/plain").status_code == 415

    def test_no_narrowed_token_can(self, place: Path) -> None:
        client = bearer(nodes=["archive"])
        assert client.post("/api/v1/setup", b"gantry: 1\n", content_type="application/yaml").status_code == 403
        client = bearer(actions=["nodes.edit"])
        assert client.get("/api/v1/setup").status_code == 403

    def test_no_group_can_give_it(self, place: Path) -> None:
        from django.test import Client

        from gantry.accounts import institutes, tokens
        from gantry.accounts.models import Group

        user = person("none", username="mallory")
        institutes.add("R", SYSTEM)
        institutes.set_member("R", "mallory", "viewer", SYSTEM)
        row = Group.objects.create(institute=institutes.find("R"), name="g", actions=["setup.edit", "setup.view"])
        row.members.set(user.memberships.all())
        asking = Client(headers={"authorization": f"Bearer {tokens.create(user, 'test')[1]}"})
        assert asking.post("/api/v1/setup", b"gantry: 1\n", content_type="application/yaml").status_code == 403
        assert asking.get("/api/v1/setup").status_code == 403


def test_every_setting_of_a_node_is_in_the_file() -> None:
    from gantry.main.one_file.schema import Node, Retention, Rule
    from gantry.nodes.settings import CHECKS
    from gantry.routing.spec import RuleSpec

    assert set(CHECKS) <= set(Node.model_fields)
    named = set(RuleSpec.__dataclass_fields__) - {"conditions", "created_at", "updated_at"} | {"when"}
    assert named == set(Rule.model_fields)
    assert "days" in Retention.model_fields


def test_the_schema_is_the_one_in_the_reference() -> None:
    from gantry.main.one_file.schema import json_schema

    path = Path(__file__).resolve().parents[3] / "docs" / "reference" / "one-file.schema.json"
    assert path.read_text(encoding="utf-8") == json_schema(), "run `make docs`"


@pytest.fixture
def gantry(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], transactional_db: None) -> Any:
    """gantry(*arguments) runs a command on `place`: its exit status, stdout, stderr."""
    from gantry.main import cli, cli_context

    monkeypatch.setattr(cli_context, "_home", None)
    monkeypatch.setenv("GANTRY_HOME", str(place))

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = cli.run(arguments)
        return (status, *capsys.readouterr())

    return run


def test_the_command(gantry: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    file, out = tmp_path / "site.yaml", tmp_path / "out.yaml"
    file.write_text(
        "gantry: 1\nnodes:\n  - {name: archive, address: ARCHIVE@192.0.2.7:104}\nrules:\n  - {name: all, destinations: [archive]}\n"
    )
    status, shown, _ = gantry("apply", str(file), "--dry-run")
    assert (status, shown) == (3, "+ nodes archive\n    address: ARCHIVE@192.0.2.7:104\n+ rules all\n    destinations: archive\n")
    assert gantry("apply", str(file))[0] == 0
    status, shown, said = gantry("apply", str(file), "--dry-run")
    assert (status, shown) == (0, "")
    assert "Nothing to do." in said
    assert gantry("export", "-o", str(out))[0] == 0
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert gantry("export")[1] == out.read_text()
    assert json.loads(gantry("apply", str(out), "--json")[1])["changed"] is False
    file.write_text("gantry: 1\nrules: []\nnodes:\n  - name: archive\n    address: nowhere\n")
    status, _, said = gantry("apply", str(file))
    assert status == 2
    assert f"{file}:5: nodes[0].address: 'nowhere' is no DICOM address" in said
    assert json.loads(gantry("apply", str(file), "--json")[1])["problems"][0]["line"] == 5
    file.write_text("gantry: 1\nrules: []\n")
    status, _, said = gantry("apply", str(file), "--prune")
    assert status == 2
    assert "rules all: removed" in said
    assert gantry("apply", str(file), "--prune", "--yes")[:2] == (0, "- rules all\n")
    assert gantry("apply", str(tmp_path / "nothing.yaml"))[0] == 1
