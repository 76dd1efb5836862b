"""Triage: first appearances, counts by day, versions, bugs, correlations. The jobs run over crashes
that come, go and change; what they leave is compared with what plain Python makes of the same
crashes. A job that is run twice, killed in the middle or late leaves the same."""
import collections
import datetime
import http.server
import json
import math
import os
import pathlib
import random
import re
import signal
import subprocess
import threading
import time
import urllib.parse

import psycopg2
import psycopg2.extras
import pytest

UTC = datetime.timezone.utc
DAY = datetime.timedelta(days=1)
START = datetime.datetime(2026, 11, 2, tzinfo=UTC)      # a Monday
FIELDS = pathlib.Path(__file__).parents[2] / "lib" / "search" / "fields.def"


class Desk:
    """A database of one test, with crashes in it."""

    def __init__(self, instance, folder, like=None):
        """like: a desk without connections whose database is copied."""
        self.instance = instance
        self.name = f"triage_{os.getpid()}_{time.monotonic_ns()}"
        self.server = instance.conn()
        self.run_sql(self.server, f"create database {self.name}" +
                     (f" template {like.name}" if like else ""))
        self.conninfo = re.sub(r"dbname=\S+", f"dbname={self.name}", instance.env["SALVAGE_DB"])
        self.file = folder / "salvage.conf"
        self.conf()
        self.db = None
        if not like:
            self.salvage("db", "migrate")
            return
        self.db = psycopg2.connect(self.conninfo)
        self.db.autocommit = True
        self.fields = {name: int(n) for n, name in
                       re.findall(r"^SAL_FIELD\((\d+), (\w+),", FIELDS.read_text(), re.M)}
        self.terms, self.crashes, self.weeks = {}, {}, set()

    def conf(self, *lines):
        self.file.write_text("\n".join((f"database {self.conninfo}",) + lines) + "\n")

    def close(self):
        if self.db:
            self.db.close()
        self.run_sql(self.server, f"drop database {self.name} with (force)")
        self.server.close()

    @staticmethod
    def run_sql(conn, sql, *args):
        with conn.cursor() as cur:
            cur.execute(sql, args)
            return cur.fetchall() if cur.description else None

    def sql(self, sql, *args):
        return self.run_sql(self.db, sql, *args)

    def salvage(self, *args, check=True, input=None):
        return self.instance.salvage(*args, "-c", self.file, check=check, input=input)

    def job(self, name, at=None):
        """Runs a job; at: for which time."""
        self.salvage("jobs", "run", name, *(["--at", at.isoformat()] if at else []))

    def start_job(self, name):
        return subprocess.Popen([self.instance.env["SALVAGE_BIN"], "jobs", "run", name, "-c",
                                 self.file], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    # ---- crashes ----

    def term(self, field, value):
        if value is None:
            return None
        key = self.fields[field], value
        if key not in self.terms:
            self.terms[key] = self.sql("insert into term (field, value) values (%s, %s) "
                                       "returning id", *key)[0][0]
        return self.terms[key]

    def put(self, uuid, crash):
        """A crash in place of the one that was there; None: there is none any more."""
        if uuid in self.crashes:
            self.sql("delete from crash where uuid = %s", uuid)
            del self.crashes[uuid]
        if crash is None:
            return
        week = crash["date"].isocalendar()[:2]
        if week not in self.weeks:
            self.sql("select crash_make_partition(%s)", crash["date"])
            self.weeks.add(week)
        row = {"uuid": uuid, "date": crash["date"]}
        for name, value in crash.items():
            if isinstance(value, list):
                row[name] = [self.term(name, v) for v in value]
            elif isinstance(value, str):
                row[name] = self.term(name, value)
            else:
                row[name] = value
        names = ", ".join(row)
        self.sql(f"insert into crash ({names}) values ({', '.join(['%s'] * len(row))})",
                 *row.values())
        self.crashes[uuid] = crash

    # ---- what the jobs leave ----

    def tables(self):
        """All that jobs make, without ids and times of the runs."""
        return {name: self.sql(f"select {columns} from {name} order by {columns}") for name, columns
                in (("signature", "signature, first_seen, first_date, first_build"),
                    ("sig_day", "day, product, signature, version, release_channel, platform, "
                     "process_type, report_type, n, n_startup, n_gc, n_early"),
                    ("ver_day", "day, product, version, release_channel, platform, process_type, "
                     "report_type, n"),
                    ("build_day", "day, product, version, release_channel, build, n, first, last"),
                    ("rollup_day", "day, n"), ("day_touched", "day"),
                    ("version_seen", "product, version, channel, build, first_seen, last_seen, n"),
                    ("active_version", "product, position, version, n"),
                    ("correlation_run", "product, channel, day, days, total, share"),
                    ("correlation_group", "number, signature, sha1, total, results"),
                    ("bug_association", "bug, signature"),
                    ("product_version", "product, channel, build, version, release, major, url"))}


@pytest.fixture(scope="module")
def empty(instance, tmp_path_factory):
    """A fresh schema to copy."""
    made = Desk(instance, tmp_path_factory.mktemp("empty"))
    yield made
    made.close()


@pytest.fixture
def desk(instance, tmp_path, empty):
    made = Desk(instance, tmp_path, empty)
    yield made
    made.close()


def uuid_of(r):
    return f"{r.getrandbits(32):08x}-0000-4000-8000-{r.getrandbits(48):012x}"


def some_crash(r, days=4):
    pick = lambda *values: r.choice(values)
    return {"date": START + r.random() * days * DAY, "signature": pick("a", "b", "b", "c::d", None),
            "product": pick("Fox", "Fox", "Bird", None), "version": pick("1.0", "1.1b2", "2.0", None),
            "release_channel": pick("release", "beta", None), "platform": pick("Linux", "Windows"),
            "process_type": pick("parent", "content"), "report_type": pick("crash", "hang"),
            "build_id": pick(20260101000000, 20261101000000, None),
            "startup_crash": pick(True, False, None), "is_garbage_collecting": pick(True, None),
            "uptime": pick(None, 0, 59, 60, 4000)}


# ---- plain Python ----

DIMENSIONS = ("product", "signature", "version", "release_channel", "platform", "process_type",
              "report_type")


def naive_days(crashes):
    """{(day, dimension...): [n, startup, gc, early]}"""
    found = collections.defaultdict(lambda: [0, 0, 0, 0])
    for c in crashes:
        counts = found[(c["date"].date(), *(c[d] for d in DIMENSIONS))]
        counts[0] += 1
        counts[1] += c["startup_crash"] is True
        counts[2] += c["is_garbage_collecting"] is True
        counts[3] += c["uptime"] is not None and c["uptime"] < 60
    return dict(found)


def counted_days(desk):
    joins = " ".join(f"left join term t_{d} on t_{d}.id = s.{d}" for d in DIMENSIONS)
    texts = ", ".join(f"t_{d}.value" for d in DIMENSIONS)
    return {tuple(row[:8]): list(row[8:]) for row in
            desk.sql(f"select s.day, {texts}, n, n_startup, n_gc, n_early from sig_day s {joins}")}


def naive_first(crashes):
    found = {}
    for c in crashes:
        if c["signature"] is None:
            continue
        seen, date, build = found.get(c["signature"], (None, None, None))
        seen = min(x for x in (seen, c["date"]) if x)
        if c["build_id"] is not None:
            date = min(x for x in (date, c["date"]) if x)
            build = min(x for x in (build, c["build_id"]) if x is not None)
        found[c["signature"]] = seen, date, build
    return found


def check_days(desk):
    crashes = list(desk.crashes.values())
    assert counted_days(desk) == naive_days(crashes)
    totals = collections.Counter(c["date"].date() for c in crashes)
    assert dict(desk.sql("select day, n from rollup_day")) == dict(totals)
    assert dict(desk.sql("select day, sum(n)::int from ver_day group by 1")) == dict(totals)
    builds = collections.defaultdict(list)
    for c in crashes:
        builds[c["date"].date(), c["product"], c["version"], c["release_channel"],
               c["build_id"] or 0].append(c["date"])
    assert {row[:5]: row[5:] for row in desk.sql(
        "select day, p.value, v.value, c.value, build, n, first, last from build_day b "
        "left join term p on p.id = product left join term v on v.id = version "
        "left join term c on c.id = release_channel")} == {
            key: (len(dates), min(dates), max(dates)) for key, dates in builds.items()}
    assert desk.sql("select * from day_touched") == []


def wait_for(desk, sql, found):
    for _ in range(1000):
        if bool(desk.sql(sql)) == found:
            return
        time.sleep(0.02)
    raise AssertionError(f"waited for in vain: {sql}")


# ---- counts by day and first appearances ----

def test_counts_follow_what_happens(desk):
    """Crashes come in any order, get other signatures, move and go, while the jobs run."""
    r = random.Random(4)
    ids = [uuid_of(r) for _ in range(300)]
    for step in range(5):
        for _ in range(120):
            uuid = r.choice(ids)
            gone = uuid in desk.crashes and r.random() < 0.2
            desk.put(uuid, None if gone else some_crash(r))
        desk.job("rollups")
        check_days(desk)
    for uuid in list(desk.crashes):
        if desk.crashes[uuid]["date"].date() == START.date():
            desk.put(uuid, None)
    desk.job("rollups")
    check_days(desk)                        # a day of which nothing is left


def test_a_crash_that_has_not_committed_yet(desk):
    """It is counted by the next run: its day stays noted until then."""
    r = random.Random(1)
    desk.put(uuid_of(r), some_crash(r, 1))
    for field in ("signature", "product"):
        desk.term(field, "x")
    with psycopg2.connect(desk.conninfo) as slow:
        uuid, crash = uuid_of(r), {**some_crash(r, 1), "signature": "x", "product": "x",
                                   "version": None, "release_channel": None, "platform": None,
                                   "process_type": None, "report_type": None}
        desk.run_sql(slow, "insert into crash (uuid, date, signature, product, build_id, "
                     "startup_crash, is_garbage_collecting, uptime) values "
                     "(%s, %s, %s, %s, %s, %s, %s, %s)", uuid, crash["date"],
                     desk.term("signature", "x"), desk.term("product", "x"), crash["build_id"],
                     crash["startup_crash"], crash["is_garbage_collecting"], crash["uptime"])
        desk.job("rollups")
        check_days(desk)
    slow.close()
    desk.crashes[uuid] = crash
    desk.job("rollups")
    check_days(desk)


def test_killed_while_a_day_is_counted(desk):
    """Whatever step it had come to, the day is as it was, and is counted by the next run."""
    r = random.Random(2)
    for locked in ("sig_day", "ver_day", "build_day", "rollup_day"):
        for _ in range(30):
            desk.put(uuid_of(r), some_crash(r, 2))
        before = desk.tables()
        with psycopg2.connect(desk.conninfo) as lock:
            desk.run_sql(lock, f"lock table {locked} in share mode")
            job = desk.start_job("rollups")
            wait_for(desk, "select 1 from pg_locks where not granted and relation = "
                     f"'{locked}'::regclass", True)
            job.kill()
            job.wait()
        lock.close()
        wait_for(desk, "select 1 from pg_locks l join pg_stat_activity a using (pid) where "
                 "l.locktype = 'advisory' and a.datname = current_database()", False)
        after = desk.tables()
        assert len(after.pop("day_touched")) >= 1       # that day is still noted
        del before["day_touched"]
        assert after == before
        desk.job("rollups")
        check_days(desk)


def test_first_appearances_are_mended(desk):
    r = random.Random(3)
    for _ in range(200):
        desk.put(uuid_of(r), some_crash(r, 30))
    expected = naive_first(desk.crashes.values())
    desk.sql("insert into signature values ('b', '2026-11-20', '2026-11-20', 20261120000000), "
             "('gone', '2026-01-01', '2026-01-01', 1)")
    desk.job("signatures")
    rows = {row[0]: row[1:] for row in desk.tables()["signature"]}
    assert rows.pop("gone")[2] == 1         # rows only move earlier; they do not go
    assert rows == expected
    early = START - 3 * DAY
    desk.put(uuid_of(r), {**some_crash(r), "date": early, "signature": "a", "build_id": None})
    desk.sql("update cron_job set last_success = null where app_name = 'signatures'")
    desk.job("signatures")
    rows = {row[0]: row[1:] for row in desk.tables()["signature"]}
    assert rows["a"] == (early, *expected["a"][1:])     # a crash without a build has no first_date


def test_long_and_odd_signatures(desk):
    """What the dictionary refuses has a first appearance, too."""
    long = "x" * 3000
    desk.put("00000001-0000-4000-8000-000000000001",
             {"date": START, "signature": None, "build_id": 5,
              "overflow": psycopg2.extras.Json({"signature": [long]})})
    desk.job("signatures")
    assert desk.tables()["signature"] == [(long, START, START, 5)]


# ---- versions ----

def version_key(v):
    """As the specification orders versions; None: not one."""
    m = re.fullmatch(r"(\d+)(?:\.(\d+))?(?:\.(\d+))?(a\d*|b\d*|esr)?(?:rc(\d+))?", v)
    if not m:
        return None
    kind = (m[4] or "r")[0]
    beta = int(m[4][1:]) if kind == "b" and m[4][1:] else math.inf
    return (*(int(m[i] or 0) for i in (1, 2, 3)), "abre".index(kind), beta, int(m[5] or 999))


def naive_active(crashes, product, now):
    counts = collections.Counter(
        c["version"] for c in crashes if c["product"] == product and
        now.date() - 60 * DAY < c["date"].date() <= now.date())
    kept = {v: n for v, n in counts.items()
            if n >= 50 and not v.startswith("1024") and version_key(v)}
    for v in list(kept):
        if "b" in v and not v.endswith("b"):
            name = v[:v.index("b") + 1]
            kept[name] = kept.get(name, 0) + kept[v]
    return sorted(kept.items(), key=lambda item: version_key(item[0]), reverse=True)


def test_active_and_featured_versions(desk):
    r = random.Random(5)
    now = START + 70 * DAY
    counts = {"108.0b3": 60, "108.0b4": 55, "108.0b10": 51, "107.0": 80, "107.0.1": 70,
              "107.0.2": 49, "102.6.0esr": 90, "106.0.5": 50, "105.0": 52, "109.0a1": 64,
              "1024.1": 99, "nonsense": 77}
    rows = []
    for version, n in counts.items():
        rows += [{**some_crash(r), "product": "Fox", "version": version, "date":
                  now - r.random() * 50 * DAY} for _ in range(n)]
    rows += [{**some_crash(r), "product": "Fox", "version": "104.0", "date": now - 61 * DAY}
             for _ in range(60)]
    rows += [{**some_crash(r), "product": "Bird", "version": "1.0", "date": now - DAY}
             for _ in range(50)]
    for crash in rows:
        desk.put(uuid_of(r), crash)
    desk.job("versions", now)
    found = [(v, n) for p, _, v, n in desk.tables()["active_version"] if p == "Fox"]
    assert found == naive_active(desk.crashes.values(), "Fox", now)
    assert [v for v, _ in found] == ["109.0a1", "108.0b", "108.0b10", "108.0b4", "108.0b3",
                                     "107.0.1", "107.0", "106.0.5", "105.0", "102.6.0esr"]
    shown = [line.split("\t") for line in
             desk.salvage("product", "versions", "active", "Fox").stdout.splitlines()[1:]]
    assert [v for v, _, featured in shown if featured] == ["109.0a1", "108.0b10", "107.0.1"]
    assert [p for p, *_ in desk.tables()["active_version"] if p == "Bird"] == ["Bird"]

    seen = {}
    for c in desk.crashes.values():
        key = c["product"], c["version"], c["release_channel"] or "", c["build_id"] or 0
        dates = seen.setdefault(key, [])
        dates.append(c["date"])
    assert {row[:4]: row[4:] for row in desk.tables()["version_seen"]} == {
        key: (min(d), max(d), len(d)) for key, d in seen.items()}
    for uuid in [u for u, c in desk.crashes.items() if c["product"] == "Bird"]:
        desk.put(uuid, None)
    desk.job("versions", now)
    left = [row for row in desk.tables()["version_seen"] if row[0] == "Bird"]
    assert left and all(row[6] == 0 for row in left)    # seen remains, counts do not
    assert not [row for row in desk.tables()["active_version"] if row[0] == "Bird"]


def test_versions_of_builds_by_command(desk, tmp_path):
    table = tmp_path / "versions.csv"
    table.write_text("product_name,release_channel,major_version,release_version,version_string,"
                     "build_id,archive_url\n"
                     "Firefox,beta,64,64.0,64.0b8,20181108,http://a/1\n"
                     "Firefox,BETA,64,64.0,64.0b8rc1,20181108,http://a/1\n"
                     "Firefox,beta,64,64.0,64.0rc1,20181110,\n"
                     "Firefox,beta,64,64.0,64.0,20181110,\n"
                     "Firefox,release,64,64.0,64.0,20181110,\n"
                     "Firefox,release,64,64.0,64.0rc9,20181110,\n"
                     "DevEdition,aurora,64,64.0,64.0b1,20181108,\n")
    assert desk.salvage("product", "versions", "import", table).stdout == "7 builds, 7 new\n"
    assert desk.salvage("product", "versions", "import", "-",
                        input=table.read_text()).stdout == "7 builds, 0 new\n"

    def lookup(*args):
        done = desk.salvage("product", "versions", "lookup", *args, check=False)
        return done.stdout.split() if done.returncode == 0 else done.returncode

    assert lookup("Firefox", "beta", "20181108") == ["64.0b8"]          # a "b": without rc
    assert lookup("Firefox", "Beta", "20181108") == ["64.0b8"]
    assert lookup("Firefox", "beta", "20181110") == ["64.0rc1"]         # else only rc
    assert lookup("Firefox", "release", "20181110") == ["64.0", "64.0rc9"]
    assert lookup("DevEdition", "aurora", "20181108") == ["64.0b1"]
    assert lookup("firefox", "beta", "20181108") == 1                   # products are exact
    assert lookup("Firefox", "beta", "2018110") == 1
    listed = desk.salvage("product", "versions", "list", "DevEdition").stdout.splitlines()
    assert listed[1:] == ["DevEdition\taurora\t64\t64.0\t64.0b1\t20181108\t"]
    for args in (["import"], ["lookup", "a", "b"], ["list", "a", "b"], ["x"], []):
        assert desk.salvage("product", "versions", *args, check=False).returncode == 2
    bad = desk.salvage("product", "versions", "import", "-", check=False, input="a,b\n")
    assert bad.returncode == 1 and "line 1 has no" in bad.stderr
    assert len(desk.tables()["product_version"]) == 7


# ---- a server for the jobs that ask others ----

class Server:
    """Answers GETs as the test says: {path: (status, body)}; keeps what was asked."""

    def __init__(self):
        outer = self
        self.answers, self.asked = {}, []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                url = urllib.parse.urlsplit(self.path)
                outer.asked.append((url.path, urllib.parse.parse_qsl(url.query),
                                    dict(self.headers)))
                status, body = outer.answers.get(url.path, (404, "none"))
                body = body if isinstance(body, str) else json.dumps(body)
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", body)
                self.send_header("Content-Length", str(len(body.encode())))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *args):
                pass

        self.httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.httpd.server_port}"
        threading.Thread(target=self.httpd.serve_forever, daemon=True).start()

    def close(self):
        self.httpd.shutdown()
        self.httpd.server_close()


@pytest.fixture
def server():
    made = Server()
    yield made
    made.close()


def test_builds_are_fetched(desk, server):
    place = "/pub/firefox/candidates/66.0b3-candidates/build{}/linux-x86_64/en-US/buildhub.json"
    hub = {"build": {"id": "20190128143734"}, "source": {"product": "firefox"},
           "target": {"channel": "beta", "version": "66.0"}}
    server.answers = {place.format(2): (200, hub), place.format(1): (200, "{"),
                      "/own.json": (200, [{"product": "Demo", "channel": "beta", "build": "7",
                                           "version": "1.0b2"}]),
                      "/moved": (302, "/own.json")}
    lines = [f"product-version-url {server.url}{place.format(2)} final",
             f"product-version-url {server.url}/moved"]
    desk.conf(*lines)
    for _ in range(2):
        desk.job("productversions")
    rows = [row[:5] for row in desk.tables()["product_version"]]
    assert rows == [("Demo", "beta", "7", "1.0b2", ""),
                    ("Firefox", "beta", "20190128143734", "66.0b3", "66.0"),
                    ("Firefox", "beta", "20190128143734", "66.0b3rc2", "66.0")]
    # a file that is broken or gone is an error, and the others are taken all the same
    server.answers["/own.json"] = (200, [{"product": "Demo", "channel": "beta", "build": "8",
                                          "version": "1.0b3"}])
    desk.conf(f"product-version-url {server.url}{place.format(1)}", *lines,
              f"product-version-url {server.url}/none")
    done = desk.salvage("jobs", "run", "productversions", check=False)
    assert done.returncode == 1 and "build1" in done.stderr + done.stdout
    assert len(desk.tables()["product_version"]) == 4


# ---- bugs ----

def naive_signatures(text):
    found = set()
    for part in text.split("[@")[1:]:
        if "]" in part and part[:part.rindex("]")].strip():
            found.add(part[:part.rindex("]")].strip())
    return found


def test_bugs_follow_the_tracker(desk, server, tmp_path):
    (tmp_path / "key").write_text("sesame\n")
    desk.conf(f"bugzilla-url {server.url}/rest", f"bugzilla-key-file {tmp_path / 'key'}")
    desk.salvage("bugs", "import", "-", input="bug,signature\n1,kept by nobody\n77,other tracker\n")
    rounds = [{1: "[@ a] [@b::c ]", 2: "[@ x[0]] and [@ a]", 3: "", 4: None, 5: "[@ open"},
              {1: "[@ b::c]\r\n[@ new | one]", 2: "", 5: "[@ d]"},
              {1: "[@ b::c]\r\n[@ new | one]"}]
    expected = {77: {"other tracker"}}
    for answer in rounds:
        server.answers["/rest/bug"] = (200, {"bugs": [
            {"id": k, **({} if v is None else {"cf_crash_signature": v})}
            for k, v in answer.items()]})
        for k, v in answer.items():
            expected[k] = naive_signatures(v or "")
        for _ in range(2):
            desk.job("bugassociations")
            assert desk.tables()["bug_association"] == sorted(
                (k, s) for k, all_of in expected.items() for s in all_of)
    path, query, headers = server.asked[0]
    assert path == "/rest/bug" and {k.lower(): v for k, v in headers.items()}[
        "x-bugzilla-api-key"] == "sesame"
    assert sorted(query) == sorted([
        ("chfieldfrom", (datetime.datetime.now(UTC) - DAY).date().isoformat()),
        ("chfieldto", "Now"), ("chfield", "[Bug creation]"), ("chfield", "cf_crash_signature"),
        ("include_fields", "id,cf_crash_signature")])
    # from then on since the day of the last good run
    # and what it says of bugs that signatures name, which is not asked again within a day
    details = [dict(query) for _, query, _ in server.asked if "chfield" not in dict(query)]
    assert details[0] == {"id": "77,2,1", "include_fields": "id,summary,status,resolution"}
    asked = [x for each in details for x in each["id"].split(",")]
    assert sorted(asked) == sorted(set(asked))
    changes = [query for _, query, _ in server.asked if "chfield" in dict(query)]
    assert ("chfieldfrom", datetime.datetime.now(UTC).date().isoformat()) in changes[1]


def test_a_tracker_that_fails_changes_nothing(desk, server):
    desk.salvage("bugs", "import", "-", input="1,a\n")
    (desk.file.parent / "key").write_text("sesame")
    desk.conf(f"bugzilla-url {server.url}/rest", f"bugzilla-key-file {desk.file.parent / 'key'}")
    for answer in [(500, "x"), (200, "{"), (200, "{}"), (200, {"bugs": [{}]}),
                   (302, "/rest/elsewhere"), (401, "no")]:
        server.answers = {"/rest/bug": answer,
                          "/rest/elsewhere": (200, {"bugs": [{"id": 1,
                                                              "cf_crash_signature": ""}]})}
        done = desk.salvage("jobs", "run", "bugassociations", check=False)
        said = done.stderr + done.stdout
        assert done.returncode == 1 and server.url in said and "sesame" not in said, answer
        assert desk.tables()["bug_association"] == [(1, "a")]
    assert {path for path, *_ in server.asked} == {"/rest/bug"}         # the key goes nowhere else
    assert desk.sql("select last_success from cron_job where app_name = 'bugassociations'") == [
        (None,)]


def test_bugs_by_command(desk):
    text = json.dumps([{"id": 2, "signature": "a"}, {"id": 1, "signature": "b"},
                       {"id": 2, "signature": "c"}])
    assert desk.salvage("bugs", "import", "-", input=text).stdout == "3 added, 0 removed\n"
    assert desk.salvage("bugs", "import", "-", input=text).stdout == "0 added, 0 removed\n"
    assert desk.salvage("bugs", "list").stdout == "bug\tsignature\n1\tb\n2\ta\n2\tc\n"
    assert desk.salvage("bugs", "list", "c").stdout == "bug\tsignature\n2\ta\n2\tc\n"
    assert desk.salvage("bugs", "import", "--replace", "-",
                        input="bug,signature\n2,d\n1,\n").stdout == "1 added, 3 removed\n"
    assert desk.salvage("bugs", "list").stdout == "bug\tsignature\n2\td\n"
    assert desk.salvage("bugs", "import", "-", input="x,y\n", check=False).returncode == 1
    for args in ([], ["list", "--replace"], ["import"], ["import", "a", "b"]):
        assert desk.salvage("bugs", *args, check=False).returncode == 2


# ---- correlations ----

TRUTHS = ("startup_crash", "is_garbage_collecting", "dom_fission_enabled", "safe_mode",
          "accessibility")


def items_of(crash):
    found = set()
    for name, value in crash.items():
        if name == "addons":
            found |= {(f'Addon "{v.rpartition(":")[0]}"', True) for v in value or []}
        elif name == "modules_in_stack":
            found |= {(f'Module "{v.rpartition("/")[0]}"', True) for v in value or []}
        elif name in TRUTHS:
            found |= {(name, True)} if value else set()
        elif isinstance(value, str) and name not in ("signature", "product", "release_channel",
                                                     "platform"):
            found.add((name, value))
    return found


def low(a, n, b, m):
    p, q = a / n, b / m
    return p - q - 1.96 * math.sqrt(p * (1 - p) / n + q * (1 - q) / m) - 0.5 * (1 / n + 1 / m)


def naive_correlations(crashes, signature):
    """The results for a signature among the crashes of its product and channel, in order."""
    every = [items_of(c) for c in crashes]
    group = [items_of(c) for c in crashes if c["signature"] == signature]
    n, m = len(group), len(every)
    count = collections.Counter(i for items in group for i in items)
    reference = collections.Counter(i for items in every for i in items)
    enough = lambda k: k >= 5 and k * 100 >= n * 10
    text = lambda i: (i[0], "" if i[1] is True else i[1])
    singles = sorted((i for i in count if enough(count[i])),
                     key=lambda i: (-low(count[i], n, reference[i], m), text(i)))
    found = [{"item": dict([i]), "count_group": count[i], "count_reference": reference[i]}
             for i in singles if low(count[i], n, reference[i], m) * 100 >= 5][:50]
    pairs = []
    for k, a in enumerate(singles[:24]):
        for b in singles[k + 1:24]:
            g = sum({a, b} <= items for items in group)
            e = sum({a, b} <= items for items in every)
            if enough(g) and low(g, n, e, m) * 100 >= 5 and \
                    low(g, count[a], e, reference[a]) * 100 >= 5 and \
                    low(g, count[b], e, reference[b]) * 100 >= 5:
                pairs.append((-low(g, count[a], e, reference[a]), text(a), text(b), {
                    "item": dict([a, b]), "count_group": g, "count_reference": e,
                    "prior": {"item": dict([a]), "count_group": g, "total_group": count[a],
                              "count_reference": e, "total_reference": reference[a]}}))
    return (found + [p[3] for p in sorted(pairs, key=lambda p: p[:3])])[:100]


def correlated_crash(r, signature):
    """Signature s0 likes module bad.dll on Windows 11 with add-on x; others do not."""
    mine = signature == "s0"
    windows = r.random() < (0.8 if mine else 0.5)
    bad = r.random() < (0.9 if mine and windows else 0.1)
    return {"date": START + r.random() * 7 * DAY, "signature": signature, "product": "Fox",
            "release_channel": "beta", "version": r.choice(["1.0b1", "1.0b2"]),
            "platform_pretty_version": "Windows 11" if windows else r.choice(["Linux", "macOS 14"]),
            "cpu_arch": r.choice(["amd64", "amd64", "arm64"]),
            "startup_crash": r.random() < (0.6 if mine else 0.2),
            "addons": [f"x@y:{r.randrange(3)}"] * (r.random() < (0.7 if mine else 0.3)) +
                      ["z@y:1"] * (r.random() < 0.5),
            "modules_in_stack": ["xul.dll/AA1", f"xul.dll/BB{r.randrange(2)}"] +
                                ["bad.dll/CC1"] * bad}


def test_correlations(desk):
    r = random.Random(6)
    for _ in range(700):
        desk.put(uuid_of(r), correlated_crash(r, r.choice(["s0", "s1", "s1", "s2", "s2"])))
    for _ in range(9):                      # too few to say anything of
        desk.put(uuid_of(r), correlated_crash(r, "rare"))
    desk.put(uuid_of(r), {**correlated_crash(r, "s0"), "date": START + 7 * DAY})    # not yet
    desk.put(uuid_of(r), {**correlated_crash(r, "s0"), "release_channel": "nightly"})
    at = START + 7 * DAY + DAY / 12
    desk.job("correlations", at)
    crashes = [c for c in desk.crashes.values()
               if c["date"] < START + 7 * DAY and c["release_channel"] == "beta"]
    runs = desk.sql("select product, channel, day, days, total, share from correlation_run")
    assert runs == [("Fox", "beta", at.date(), 7, len(crashes), 1.0)]
    groups = desk.sql("select signature, total, results from correlation_group order by number")
    assert {s: n for s, n, _ in groups} == collections.Counter(
        c["signature"] for c in crashes if c["signature"] != "rare")
    for signature, _, results in groups:
        assert results == naive_correlations(crashes, signature), signature
    best = groups[[g[0] for g in groups].index("s0")][2]
    assert best[0]["item"] == {'Module "bad.dll"': True}
    assert any(len(x["item"]) == 2 for x in best)


# ---- every job: twice, late, killed ----

JOBS = ("signatures", "rollups", "versions", "correlations")


def test_jobs_twice_late_and_killed(desk, instance, empty, tmp_path_factory):
    """Killed at any moment and run again, run twice, run late: the same tables."""
    r = random.Random(7)
    for _ in range(250):
        desk.put(uuid_of(r), {**some_crash(r, 7), "platform_pretty_version": "Linux"})
    at = START + 8 * DAY
    for name in JOBS:
        for _ in range(4):
            job = desk.start_job(name)
            try:
                job.wait(r.random() * 0.08)
            except subprocess.TimeoutExpired:
                job.send_signal(signal.SIGKILL)
                job.wait()
    desk.sql("select pg_terminate_backend(pid) from pg_stat_activity where datname = "
             "current_database() and pid <> pg_backend_pid()")
    for name in JOBS:
        desk.job(name, at)
    first = desk.tables()
    other = Desk(instance, tmp_path_factory.mktemp("other"), empty)
    try:
        for uuid, crash in desk.crashes.items():
            other.put(uuid, crash)
        for name in JOBS:
            other.job(name, at)
        texts = ("signature", "version_seen", "active_version", "correlation_run",
                 "correlation_group", "rollup_day")
        assert {t: other.tables()[t] for t in texts} == {t: first[t] for t in texts}
        assert counted_days(other) == counted_days(desk) == naive_days(desk.crashes.values())
    finally:
        other.close()
    for name in JOBS:
        desk.job(name, at)
    assert desk.tables() == first


def test_what_is_over_is_forgotten(desk):
    r = random.Random(8)
    for _ in range(60):
        desk.put(uuid_of(r), {**some_crash(r, 1), "product": "Fox", "version": "1.0",
                              "release_channel": "beta"})
    young = START + 20 * DAY
    desk.put(uuid_of(r), {**some_crash(r, 1), "date": young, "product": "Fox", "version": "2.0"})
    for name in JOBS:
        desk.job(name, young + DAY)
    desk.job("correlations", START + DAY)
    assert len(desk.sql("select 1 from correlation_run")) == 1
    desk.conf("search-keep 14d")
    for _ in range(2):
        desk.job("triageexpiry", START + 31 * DAY + DAY)
        tables = desk.tables()
        assert {row[0] for row in tables["sig_day"]} == {young.date()}
        assert {row[0] for row in tables["ver_day"]} == {young.date()}
        assert {row[0] for row in tables["build_day"]} == {young.date()}
        assert [row[0] for row in tables["rollup_day"]] == [young.date()]
        assert [row[1] for row in tables["version_seen"]] == ["2.0"]
        assert tables["correlation_run"] == tables["correlation_group"] == []
        assert tables["signature"]                      # these are kept for ever


# ---- the daemon ----

def test_a_processed_crash(stack):
    """Its version is looked up, its signature noted, in one go with its search row."""
    build = "20181108123456"
    stack.salvage("product", "versions", "import", "-",
                  input=f"Firefox,beta,{build},64.0b8\nDevEdition,aurora,{build},64.0b9\n")
    fields = {"ProductName": "Firefox", "Version": "64.0", "BuildID": build}
    beta = stack.submit({**fields, "ReleaseChannel": "beta"})
    aurora = stack.submit({**fields, "ReleaseChannel": "aurora"})
    unknown = stack.submit({**fields, "ReleaseChannel": "beta", "BuildID": "1"})
    assert stack.wait_processed(beta)["version"] == "64.0b8"
    assert stack.wait_processed(aurora)["version"] == "64.0b9"
    assert stack.wait_processed(unknown)["version"] == "64.0b0"
    document = stack.wait_processed(beta)
    first = stack.query("select s.first_build, s.first_date <= c.date, s.first_seen <= c.date "
                        "from signature s, crash c where s.signature = %s and c.uuid = %s",
                        document["signature"], beta)
    assert len(first) == 1 and first[0][0] <= int(build) and first[0][1:] == (True, True)
