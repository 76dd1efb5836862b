"""Periodic jobs (docs/jobs.md): each may be run twice, killed in the middle and run late, with the
same result (all of them with SALVAGE_TEST_JOBS=all, else some); what each does; the daemon that runs them; the command and the pages that show them.

Every case has worlds of its own: a database copied from a template, and stores copied from a folder.
"""
import datetime
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time
import zipfile

import psycopg2
import pytest
import requests

from people import admin

DUMP = pathlib.Path(__file__).parent.parent / "data" / "crashes" / "crasher_cpp.dmp"
NOW = datetime.datetime.now(datetime.timezone.utc)


def ago(**delta):
    return NOW - datetime.timedelta(**delta)


def crash_id(n, when):
    return f"{n:08x}-0000-4000-8000-000000{when:%y%m%d}"


OLD = [crash_id(n, ago(days=300)) for n in range(20)]
MIXED = [crash_id(0x100 + n, ago(days=290)) for n in range(8)]      # pinned, leased, ready, late
MID = [crash_id(0x200 + n, ago(days=100)) for n in range(3)]        # with dumps; the first pinned
NEW = [crash_id(0x300 + n, ago(days=1)) for n in range(4)]          # good, no file, no row, no search
SWEPT = crash_id(0x400, ago(days=1))                                # stored and unknown
CONF = ("crash-keep 183d\ndump-keep 60d\nledger-keep 30d\nsymcache-size 5M\n"
        "job stuck limit 30s\n")


class World:
    def __init__(self, number, base, sql):
        self.name, self.base, self.sql = f"jobs_{number}", base, sql
        self.dir = base.parent / self.name
        self.conf = self.dir / "salvage.conf"

    def query(self, text, *args):
        conn = psycopg2.connect(f"{self.sql} dbname={self.name}")
        try:
            with conn, conn.cursor() as cur:
                cur.execute(text, args or None)
                return cur.fetchall() if cur.description else None
        finally:
            conn.close()        # or nobody could copy the database

    def write_conf(self, extra=""):
        d = self.dir
        self.conf.write_text(
            f"database {self.sql} dbname={self.name}\ncrash-store {d}/crash\n"
            f"symbol-store {d}/symbols\nsymcache {d}/symcache\npci-ids {d}/pci.ids\n"
            f"store-unsafe-fs on\n{CONF}{extra}")

    def files(self):
        found = {}
        today = f"crash/crash/{datetime.datetime.now(datetime.timezone.utc):%Y%m%d}/"
        for path in sorted(self.dir.rglob("*")):
            name = str(path.relative_to(self.dir))
            # whoever opens a store tries one of today's folders
            if name.startswith(today) and path.is_dir():
                continue
            # whoever is killed while a store is opened leaves what the next one clears
            if path.suffix == ".lock" or path == self.conf or path.name.startswith((".tmp-", ".probe")):
                continue
            if path.suffix == ".zip":
                with zipfile.ZipFile(path) as z:
                    found[name] = sorted(z.namelist())
            else:
                found[name] = path.is_dir() or path.stat().st_size
        return found

    def rows(self):
        """All tables without numbers and times, which differ from run to run; names of partitions."""
        tables = [r[0] for r in self.query(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND "
            "relkind IN ('r', 'p') AND NOT relispartition AND relname NOT IN ('cron_job', 'cron_log', "
            "'schema_migration', 'web_secret')")]
        found = {"partitions": self.query("SELECT relname FROM pg_class WHERE relispartition AND "
                                          "relkind = 'r' ORDER BY 1")}
        for table in tables:
            volatile = [r[0] for r in self.query(
                "SELECT column_name FROM information_schema.columns WHERE table_name = %s AND "
                "(data_type LIKE 'timestamp%%' OR is_identity = 'YES')", table)]
            found[table] = [r[0] for r in self.query(
                f"SELECT (to_jsonb(t) - %s::text[])::text FROM {table} t ORDER BY 1", volatile)]
        return found

    def state(self):
        return self.files(), self.rows()


def old_file(path, content, when):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (when.timestamp(), when.timestamp()))


def make_stores(base, container):
    crash = base / "crash"
    for cid in OLD + MIXED + MID + NEW + [SWEPT]:
        day = "20" + cid[30:]
        path = crash / "crash" / day / cid[:2] / f"{cid}.zip"
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(container, path)
        if cid not in (NEW[1], NEW[2], SWEPT):
            old_file(crash / key_of(cid), b"x" * 30, ago(hours=5))
    for n, when in ((8, ago(days=2)), (9, NOW)):        # nothing names these
        old_file(crash / key_of(NEW[0]).replace(".1.1.", f".{n}.1."), b"x", when)
    name = "ab" * 32
    old_file(base / "symbols" / "blob" / name[:2] / name[2:4] / name, b"loose", ago(days=3))
    for hours in (1, 2, 3):
        old_file(base / "symcache" / "v99" / f"{hours}.symx", bytes(2 << 20), ago(hours=hours))
    (base / "pci.ids").write_text("# list\n10de  NVIDIA\n\t1234  GeForce \xe4\n\t\t0001 0002  sub\n"
                                  "1002  AMD\n\tabcd  Radeon\nC 03  Display\n\t00  VGA\n")


def key_of(cid):
    return f"processed/20{cid[30:]}/{cid[:2]}/{cid}.1.1.json.zst"


def seed(world):
    q = world.query
    q("SELECT crash_make_partition(now())")
    for cid in OLD + MIXED + MID + NEW:
        when = datetime.datetime.strptime(cid[30:] + "+0000", "%y%m%d%z")
        when = ago(days=1) if cid == MIXED[3] else when
        made = ago(hours=20) if cid in NEW else when
        q("INSERT INTO raw_crash (crash_id, submitted, created) VALUES (%s, %s, %s)", cid, when, made)
        if cid != NEW[2]:
            q("INSERT INTO processed_crash (crash_id, fence, job_id, blob, success, signature, "
              "processed) VALUES (%s, 1, 1, %s, true, 's', %s)", cid, key_of(cid), ago(hours=5)
              if cid in NEW else when)
        if cid in NEW[:2]:
            q("INSERT INTO crash (uuid, date) VALUES (%s::uuid, %s)", cid, NOW)
    q("SELECT crash_make_partition(%s), crash_ping_make_partition(%s)", ago(days=300), ago(days=300))
    q("INSERT INTO crash (uuid, date) VALUES (%s::uuid, %s)", OLD[0], ago(days=300))
    q("INSERT INTO crash_pin (crash_id, who) VALUES (%s, 'me'), (%s, 'me')", MIXED[0], MID[0])
    for cid, state, when in ((MIXED[1], 1, NOW), (MIXED[2], 0, NOW), (OLD[3], 2, ago(days=31)),
                             (OLD[4], 2, ago(days=3)), (NEW[0], 0, ago(hours=9))):
        q("INSERT INTO crash_job (crash_id, queue, state, run_after, enqueued_at, leased_at, "
          "lease_until) VALUES (%s, 1, %s, %s, %s, %s, %s)", cid, state, when, when, ago(hours=9),
          ago(hours=-9))
    q("INSERT INTO intake_ledger (received, outcome, reason, status, size, agent) VALUES "
      "(%s, 'a', '', 200, 1, ''), (%s, 'b', '', 200, 1, '')", ago(days=40), ago(days=4))
    q("INSERT INTO hint_fault (client, crash_id, at, signature, module) VALUES ('c', %s, %s, '', '')",
      OLD[0], ago(days=90))
    q("INSERT INTO missing_symbol (hash, debug_file, debug_id, leaf, modified_at) VALUES "
      "('a', 'a', 'a', 'a', %s), ('b', 'b', 'b', 'b', now())", ago(days=100))
    q("INSERT INTO symbol_file (is_try, debug_file, debug_id, leaf, kind, replaced, size, stored_size, "
      "md5, sha256, stored_sha256, created_at) VALUES (true, 'a', 'A', 'a.sym', 'sym', false, 1, 1, "
      "'', '', '', %s)", ago(days=40))
    q("INSERT INTO reprocess_request (kind, query, requester, rate, total, state, finished, created) "
      "VALUES ('ids', '{}', 'me', 1, 1, 'done', %s, %s)", ago(days=100), ago(days=101))
    q("INSERT INTO groups (name, permissions) VALUES ('Readers', 4), ('Others', 1)")
    for name, active, login in (("gone", False, 1), ("away", True, 400), ("token", True, 400),
                                ("here", True, 300)):
        q("INSERT INTO users (name, active, last_login) VALUES (%s, %s, %s)", name, active,
          ago(days=login))
        q("INSERT INTO group_member SELECT g.id, u.id FROM groups g, users u WHERE u.name = %s AND "
          "g.name IN ('Readers', 'Others')", name)
    for n, name, expires in ((1, "token", None), (2, "away", ago(days=1)), (3, "here", ago(days=500))):
        q("INSERT INTO api_token (hash, prefix, user_id, permissions, expires) SELECT %s, %s, id, 5, %s "
          "FROM users WHERE name = %s", bytes([n]) * 32, f"prefix{n}x", expires, name)
    q("INSERT INTO symbol_session (secret, kind, token_id, user_name, is_try, name, expires_at) VALUES "
      "(%s, 'zip', 1, 'x', false, 'x', %s), (%s, 'zip', 1, 'x', false, 'y', %s)", b"a" * 32,
      ago(days=3), b"b" * 32, ago(days=-3))
    for days in (200, 20):
        q("INSERT INTO cron_log (app_name, log_time, run_time, duration, success, runner) VALUES "
          "('crontest', %s, now(), 1, true, %s)", ago(days=days), str(days))


@pytest.fixture(scope="module")
def worlds(instance, tmp_path_factory):
    """A maker of worlds that are all alike."""
    base = tmp_path_factory.mktemp("jobs") / "base"
    base.mkdir()
    sql = " ".join(w for w in instance.env["SALVAGE_DB"].split() if not w.startswith("dbname"))
    admin = psycopg2.connect(f"{sql} dbname=postgres")
    admin.autocommit = True
    made = []
    submitted = instance.submit(dump=DUMP)
    container, = instance.store.glob(f"crash/*/*/{submitted}.zip")

    def create(template):
        world = World(len(made), base, sql)
        admin.cursor().execute(f"DROP DATABASE IF EXISTS {world.name}")
        admin.cursor().execute(f"CREATE DATABASE {world.name} TEMPLATE {template}")
        made.append(world)
        return world

    template = create("template1")
    template.dir.mkdir()
    template.write_conf()
    run(instance, template, "db", "migrate")
    run(instance, template, "sweep", "--pending")       # makes the store
    shutil.copytree(template.dir / "crash", base / "crash")
    make_stores(base, container)
    seed(template)

    def another(extra=""):
        world = create(template.name)
        shutil.copytree(base, world.dir)
        world.write_conf(extra)
        return world
    yield another
    for world in made:
        admin.cursor().execute(f"DROP DATABASE {world.name} WITH (FORCE)")
        shutil.rmtree(world.dir, ignore_errors=True)
    admin.close()


def command(instance, world, *args):
    return [instance.env["SALVAGE_BIN"], *args, "-c", str(world.conf)]


def run(instance, world, *args, check=True):
    done = subprocess.run(command(instance, world, *args), capture_output=True, text=True, timeout=60)
    assert not check or done.returncode == 0, done.stderr + done.stdout
    return done


def at(hours=0):
    return (NOW + datetime.timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")


def run_killed(instance, world, name):
    """Killed ever later, until it comes to its end before that; how often it was killed."""
    kills = 0
    for n in range(200):
        p = subprocess.Popen(command(instance, world, "jobs", "run", name, "--at", at()),
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            _, said = p.communicate(timeout=0.01 * 1.5 ** min(n, 12))
        except subprocess.TimeoutExpired:
            p.send_signal(signal.SIGKILL)
            p.communicate()
            kills += 1
            continue
        if p.returncode == 0:
            return kills
        # the server has not seen yet that the one before is dead
        assert "elsewhere" in said, said
        time.sleep(0.02)
    raise AssertionError(f"{name} never came to its end")


def count(table, where="true"):
    return f"SELECT count(*) FROM {table} WHERE {where}"


KEPT = MIXED[:2] + [MIXED[3]]
def week(table, when):
    """Whether a table has its partition of a week."""
    year, number, _ = when.isocalendar()
    return f"SELECT to_regclass('{table}_{year}w{number:02}') IS NOT NULL"


# What a job leaves: questions to the database with their answers, files that are (not) there.
EXPECT = {
    "crontest": [(count("cron_log", "note IS NULL AND done = 1 AND runner NOT IN ('200', '20')"), 2)],
    "partitions": [(week(t, ago(weeks=-3)), True) for t in ("crash", "crash_ping")],
    "days": [(f"crash/crash/{ago(days=-1):%Y%m%d}/ff", True)],
    "sweepdays": [(count("crash_job", f"crash_id = '{SWEPT}'"), 1)],
    "verifyprocessed": [
        (count("crash_job", f"queue = 2 AND state = 0 AND crash_id IN {tuple(NEW[1:])}"), 3),
        (count("missing_processed_crash", "NOT is_processed"), 3)],
    "stuck": [(count("cron_log", "done = 2 AND note LIKE '%wait for too long%worked on%'"), 2)],
    "deadletter": [(count("crash_job", "state = 2"), 1)],
    "retention": [
        (count("raw_crash", f"crash_id IN {tuple(OLD + MIXED + MID + NEW)}"), len(KEPT + MID + NEW)),
        (count("raw_crash", f"crash_id IN {tuple(KEPT)}"), 3),
        (count("processed_crash", f"crash_id IN {tuple(OLD)}"), 0),
        (count("crash_job", f"crash_id IN {tuple(OLD + MIXED)}"), 1),
        (count("crash", f"uuid = '{OLD[0]}'"), 0),
        (f"crash/crash/20{OLD[0][30:]}", False), (f"crash/processed/20{OLD[0][30:]}", False),
        *((f"crash/crash/20{c[30:]}/{c[:2]}/{c}.zip", c in KEPT) for c in MIXED),
        *(("crash/" + key_of(c), c in KEPT) for c in MIXED)],
    "searchexpiry": [(week("crash", ago(days=300)), False), (week("crash", NOW), True)],
    "orphans": [("crash/" + key_of(NEW[0]).replace(".1.1.", ".8.1."), False),
                ("crash/" + key_of(NEW[0]).replace(".1.1.", ".9.1."), True),
                ("crash/" + key_of(NEW[0]), True)],
    "pings": [(week("crash_ping", ago(days=300)), False), (week("crash_ping", NOW), True)],
    "hints": [(count("hint_fault"), 0)],
    "ledger": [("SELECT string_agg(outcome, '') FROM intake_ledger", "b")],
    "reprocessings": [(count("reprocess_request"), 0)],
    "symbolexpiry": [(count("symbol_file"), 0)],
    "missingsymbols": [("SELECT string_agg(debug_file, '') FROM missing_symbol", "b")],
    "symcache": [("symcache/v99/3.symx", False), ("symcache/v99/2.symx", True)],
    "auditgroups": [
        ("SELECT string_agg(u.name, ' ' ORDER BY u.name) FROM group_member JOIN groups g ON g.id = "
         "group_id JOIN users u ON u.id = user_id WHERE g.name = 'Readers'", "here token"),
        (count("group_member"), 6),
        ("SELECT string_agg(target || ': ' || detail, '; ' ORDER BY target) FROM audit_log WHERE "
         "actor = 'job auditgroups'", "away: Readers: not here for a year; gone: Readers: inactive")],
    "clearsessions": [("SELECT string_agg(name, '') FROM symbol_session", "y"),
                      (count("api_token"), 2)],
    "update_graphics_pci": [
        ("SELECT string_agg(vendor_hex || adapter_hex || adapter_name, ' ' ORDER BY 1) FROM "
         "(SELECT * FROM graphics_device WHERE adapter_hex <> '' ORDER BY vendor_hex) d",
         "0x10020xabcdRadeon 0x10de0x1234GeForce \xe4"), (count("graphics_device"), 4)],
    "cleanse_cronlog": [(count("cron_log", "runner = '200'"), 0), (count("cron_log", "runner = '20'"), 1)],
}


def all_jobs():
    text = (pathlib.Path(__file__).parents[2] / "lib/jobs/jobs.def").read_text()
    return [line[5:].split(",")[0] for line in text.splitlines() if line.startswith("CRON(")]


@pytest.fixture(scope="module")
def trio(worlds):
    """Where jobs run plainly and twice, late, and killed: after each job all three are alike."""
    return worlds(), worlds(), worlds()


# The whole table takes minutes on a busy machine.
SOME = ["crontest", "sweepdays", "verifyprocessed", "retention"]
CHOSEN = all_jobs() if os.environ.get("SALVAGE_TEST_JOBS") == "all" else SOME


@pytest.mark.parametrize("name", CHOSEN)
def test_twice_killed_late(stack, trio, name):
    plain, late, killed = trio
    before = plain.state()
    run(stack, plain, "jobs", "run", name, "--at", at())
    once = plain.state()
    run(stack, plain, "jobs", "run", name, "--at", at())
    # what is made ahead depends on the day
    run(stack, late, "jobs", "run", name, "--at", at(0 if name in ("days", "partitions") else 5))
    kills = run_killed(stack, killed, name)
    assert plain.state() == once, "twice"
    assert late.state() == once, "late"
    assert kills > 0
    differ = [(k, v, once[i].get(k)) for i, part in enumerate(killed.state())
              for k, v in part.items() if once[i].get(k) != v]
    assert killed.state() == once, f"killed {kills} times: {differ}"
    if name in EXPECT and name not in ("crontest", "stuck", "cleanse_cronlog"):
        assert once != before, "it has to do something here"
    for question, answer in EXPECT.get(name, []):
        if question.startswith("SELECT"):
            assert plain.query(question)[0][0] == answer, question
        else:
            assert (plain.dir / question).exists() == answer, question


def test_dumps_go_before_documents(stack, worlds):
    w = worlds()
    run(stack, w, "jobs", "run", "retention")
    for cid in MID:
        with zipfile.ZipFile(w.dir / f"crash/crash/20{cid[30:]}/{cid[:2]}/{cid}.zip") as z:
            dumps = [n for n in z.namelist() if n.endswith(".zst")]
            raw = json.loads(z.read("raw_crash.json"))
        assert bool(dumps) == (cid == MID[0])       # the pinned one has kept its own
        assert raw["ProductName"] == "Demo"
    with zipfile.ZipFile(w.dir / f"crash/crash/20{NEW[0][30:]}/{NEW[0][:2]}/{NEW[0]}.zip") as z:
        assert "upload_file_minidump.zst" in z.namelist()
    w.query("DELETE FROM crash_pin")
    run(stack, w, "jobs", "run", "retention")
    with zipfile.ZipFile(w.dir / f"crash/crash/20{MID[0][30:]}/{MID[0][:2]}/{MID[0]}.zip") as z:
        assert not [n for n in z.namelist() if n.endswith(".zst")]
    assert w.query(count("raw_crash", f"crash_id = '{MIXED[0]}'")) == [(0,)]


def test_first_and_newest_of_a_signature_stay(stack, worlds):
    w = worlds("keep-first 2\nkeep-newest 1\n")
    w.query("UPDATE processed_crash SET signature = 't' WHERE crash_id = ANY(%s)", OLD[10:])
    run(stack, w, "jobs", "run", "retention")
    left = {r[0] for r in w.query("SELECT crash_id FROM raw_crash")}
    # of "s" the newest is a new one; of "t" none is
    assert left & set(OLD) == {OLD[0], OLD[1], OLD[10], OLD[11], OLD[19]}


def wait_for(found, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found():
            return True
        time.sleep(0.05)
    return False


def test_daemons_share_jobs(stack, worlds):
    """Two daemons: each due job runs once; one that is killed leaves nothing locked."""
    w = worlds("job crontest every 1m\n")
    daemons = [subprocess.Popen([stack.env["SALVAGED_BIN"], "-c", w.conf, "--workers", "1"],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
               for _ in range(2)]
    try:
        assert wait_for(lambda: w.query(count("cron_job", "last_success IS NOT NULL AND ongoing IS NULL"
                                              " AND app_name IN ('crontest', 'hints', 'partitions')"))
                        == [(3,)])
        assert w.query(count("cron_log", "app_name = 'partitions' AND success")) == [(1,)]
        assert w.query(count("cron_log", "app_name = 'crontest' AND done = 1")) == [(1,)]
        daemons[0].kill()
        daemons[0].wait()
        w.query("UPDATE cron_job SET next_run = now() - interval '1 s' WHERE app_name = 'crontest'")
        assert wait_for(lambda: w.query(count("cron_log", "app_name = 'crontest' AND done = 1"))
                        == [(2,)])
    finally:
        for d in daemons:
            d.terminate()
            d.wait(30)
    assert w.query(count("cron_job", "ongoing IS NOT NULL")) == [(0,)]


def test_command(stack, worlds):
    w = worlds()
    listed = json.loads(run(stack, w, "jobs", "--json").stdout)
    assert [j["job"].split("@")[0] for j in listed] == all_jobs()
    run(stack, w, "jobs", "disable", "hints")
    run(stack, w, "jobs", "schedule", "hints", "2d", "03:00")
    hints, = [j for j in json.loads(run(stack, w, "jobs", "-j").stdout) if j["job"] == "hints"]
    assert (hints["enabled"], hints["every"], hints["at"], hints["state"]) == \
        (False, "2d", "03:00", "off")
    assert "not due" in run(stack, w, "jobs", "run", "hints", "--if-due").stdout
    run(stack, w, "jobs", "run", "hints", "--force")
    assert w.query(count("cron_log", "app_name = 'hints'")) == [(0,)]
    run(stack, w, "jobs", "run", "hints")
    log = json.loads(run(stack, w, "jobs", "log", "hints", "--json").stdout)
    assert len(log) == 1 and log[0]["success"] is True
    run(stack, w, "jobs", "schedule", "hints", "default")
    run(stack, w, "jobs", "mark", "hints")
    assert "not due" in run(stack, w, "jobs", "run", "hints", "--if-due").stdout
    run(stack, w, "jobs", "reset", "hints")
    assert "not due" not in run(stack, w, "jobs", "run", "hints", "--if-due").stdout
    metrics = run(stack, w, "jobs", "metrics").stdout
    assert 'salvage_cron_failures{job="hints"} 0\n' in metrics
    (w.dir / "pci.ids").unlink()
    failed = run(stack, w, "jobs", "run", "update_graphics_pci", check=False)
    assert failed.returncode == 1 and "pci.ids" in failed.stderr
    log = json.loads(run(stack, w, "jobs", "log", "--failed", "--json").stdout)
    assert [e["job"] for e in log] == ["update_graphics_pci"] and log[0]["error_kind"]


@pytest.mark.parametrize("args, code", [
    (("run",), 2), (("run", "nonesuch"), 1), (("nonesuch",), 2), (("list", "x"), 2),
    (("log", "-n", "0"), 2), (("schedule", "hints"), 2), (("schedule", "hints", "2w"), 1),
    (("run", "hints", "--at", "noon"), 2), (("run", "hints", "--force", "--if-due"), 2),
    (("reset", "nonesuch"), 1)])
def test_command_refuses(stack, args, code):
    done = stack.salvage("jobs", *args, check=False)
    assert done.returncode == code and done.stderr.startswith("salvage jobs: ")


def test_mistakes_in_the_configuration_are_found_at_the_start(stack, worlds):
    w = worlds("job nonesuch off\n")
    done = subprocess.run([stack.env["SALVAGED_BIN"], "-c", w.conf, "--once"], capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 1 and "nonesuch" in done.stderr


# ---- pages ----

def test_monitoring(stack):
    url = stack.url + "/monitoring/cron/"
    assert wait_for(lambda: requests.get(url, timeout=30).json()["status"] == "ALLGOOD")
    stack.query("INSERT INTO cron_job (app_name, error_count, last_error) VALUES "
                "('symcache@nowhere', 2, '{\"value\": \"it <b>broke</b>\"}')")
    try:
        doc = requests.get(url, timeout=30).json()
        assert doc["status"] == "Broken" and "symcache@nowhere" in doc["broken"]
        r = requests.get(stack.url + "/status/", timeout=30)
        assert r.status_code == 200 and "broke" not in r.text      # errors are for staff
        r = admin(stack).get("/status/cron/?job=crontest")
        assert r.status_code == 200, r.text
        assert "it &lt;b&gt;broke&lt;/b&gt;" in r.text and "failed 2 times" in r.text
    finally:
        stack.query("DELETE FROM cron_job WHERE app_name = 'symcache@nowhere'")
