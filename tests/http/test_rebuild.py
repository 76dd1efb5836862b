"""salvage rebuild: what a new database gets out of the crash store is what the old one had."""
import os
import pathlib
import re
import signal
import subprocess
import time
import uuid

import psycopg2
import pytest

from crasher import Build

DUMP = pathlib.Path(__file__).parent.parent / "data/crashes/crasher_cpp.dmp"
FIELDS = pathlib.Path(__file__).parent.parent.parent / "lib/search/fields.def"


def dictionary_columns():
    found = re.findall(r"SAL_FIELD\(\s*\d+,\s*(\w+),\s*\w+,\s*\w+,\s*(TERMS?)\b", FIELDS.read_text())
    assert len(found) > 70
    return dict(found)


def ask(conninfo, sql, *args):
    """Outside any transaction, on a connection that is closed: databases are made and dropped."""
    made = psycopg2.connect(conninfo)
    made.autocommit = True
    try:
        with made.cursor() as cur:
            cur.execute(sql, args)
            return cur.fetchall() if cur.description else None
    finally:
        made.close()


class Other:
    """A second database on the instance's server, with the same store."""

    def __init__(self, stack):
        self.stack = stack
        self.name = "rebuilt_" + uuid.uuid4().hex[:8]
        ask(stack.env["SALVAGE_DB"], f"create database {self.name}")
        text = pathlib.Path(stack.conf).read_text()
        line = re.search(r"^database .*$", text, re.M).group(0)
        self.conninfo = re.sub(r"dbname=\S+", "dbname=" + self.name, line[len("database "):])
        assert self.name in self.conninfo
        self.conf = stack.dir / f"{self.name}.conf"
        self.conf.write_text(text.replace(line, "database " + self.conninfo))
        self.run("db", "migrate")

    def run(self, *args, check=True):
        return self.stack.salvage(*args, "-c", self.conf, check=check)

    def query(self, sql, *args):
        return ask(self.conninfo, sql, *args)

    def drop(self):
        ask(self.stack.env["SALVAGE_DB"], f"drop database {self.name} with (force)")


@pytest.fixture
def other(stack):
    made = Other(stack)
    yield made
    made.drop()


def rows_of(query, ids):
    """Everything that the database knows of some crashes, in the terms of its dictionary."""
    terms = dict(query("select id, value from term"))
    kinds = dictionary_columns()

    def readable(row):
        out = {}
        for name, value in row.items():
            if value is not None and kinds.get(name) == "TERM":
                value = terms[value]
            elif value is not None and kinds.get(name) == "TERMS":
                value = [terms[i] for i in value]
            out[name] = value
        return out

    searched = [readable(r[0]) for r in
                query("select to_jsonb(c) from crash c where uuid::text = any(%s) order by uuid", ids)]
    return {
        "raw_crash": query("select crash_id, submitted from raw_crash where crash_id = any(%s) "
                           "order by 1", ids),
        "processed_crash": query(
            "select crash_id, pass, job_id, fence, blob, success, signature from processed_crash "
            "where crash_id = any(%s) order by 1", ids),
        "crash": searched,
        "missing": query("select crash_id, debug_id, debug_file, date from crash_missing_symbol "
                         "where crash_id = any(%s) order by 1, 2, 3", ids),
        "queue": query("select crash_id, ruleset, queue, state from crash_job "
                       "where crash_id = any(%s) order by 1, 2", ids),
    }


@pytest.fixture(scope="module")
def processed(instance, tmp_path_factory):
    """One that was processed three times, two once, one whose dump is none, one of Java."""
    product = "Lost" + uuid.uuid4().hex[:8]
    lacking = Build(tmp_path_factory.mktemp("lacking")).dump
    ids = [instance.submit({"ProductName": product, "Version": str(n),
                            "BuildID": "20260101000000"}, dump)
           for n, dump in enumerate((DUMP, DUMP, lacking))]
    bad = instance.submit({"ProductName": product}, b"no dump at all")
    java = instance.submit({"ProductName": product, "BuildID": "20260102000000", "JavaStackTrace":
                            f"com.example.{product}: why\n\tat com.example.Main.run(Main.java:1)"})
    for crash_id in ids + [bad, java]:
        instance.wait_processed(crash_id)
    instance.salvage("reprocess", ids[0], "--wait")
    instance.salvage("reprocess", ids[0] + ":regenerate_signature", "--wait")
    return {"product": product, "ids": ids, "all": ids + [bad, java]}


@pytest.fixture
def crashes(stack, processed):
    """Those, and two that still wait."""
    stack.stop("salvaged")
    waiting = [stack.submit({"ProductName": processed["product"]}, DUMP) for _ in range(2)]
    end = time.monotonic() + 20
    while len(stack.query("select 1 from crash_job where crash_id = any(%s)", waiting)) < 2:
        assert time.monotonic() < end
        time.sleep(0.1)
    return dict(processed, waiting=waiting, all=sorted(processed["all"] + waiting))


def test_row_for_row(stack, other, crashes):
    before = rows_of(stack.query, crashes["all"])
    assert len(before["raw_crash"]) == 7 and len(before["processed_crash"]) == 5
    assert len(before["crash"]) == 5 and len(before["queue"]) == 2
    assert {r[0]: r[1] for r in before["processed_crash"]}[crashes["ids"][0]] == 3
    assert before["missing"]

    done = other.run("rebuild", "--jobs", "2")
    assert re.search(r"\d+ folders, \d+ crashes: \d+ documents restored", done.stdout)
    after = rows_of(other.query, crashes["all"])
    for table in before:
        assert after[table] == before[table], table
    # the time of the commit is not in the document; that of its end is, to the second
    late = stack.query("select crash_id, extract(epoch from processed)::float8 from processed_crash "
                       "where crash_id = any(%s) order by 1", crashes["all"])
    again = other.query("select crash_id, extract(epoch from processed)::float8 from processed_crash "
                        "where crash_id = any(%s) order by 1", crashes["all"])
    assert all(0 <= a[1] - b[1] < 5 for a, b in zip(late, again))
    # when signatures were first seen, of a signature that only one of them has
    firsts = "select signature, first_seen, first_date, first_build from signature " \
             "where signature like %s"
    of = f"%{crashes['product']}%"
    assert len(stack.query(firsts, of)) == 1
    assert other.query(firsts, of) == stack.query(firsts, of)
    # numbers of jobs go on behind those that name documents
    top = other.query("select max(job_id) from processed_crash")[0][0]
    assert other.query("insert into crash_job (crash_id, queue) values (%s, 2) returning id",
                       "0bb3ca9e-0000-4000-8000-000000260101")[0][0] > top

    # again: nothing to do, nothing changed
    done = other.run("rebuild")
    assert ": 0 documents restored, 0 queued, 0 damaged" in done.stdout, done.stdout
    assert rows_of(other.query, crashes["all"]) == after


def test_every_crash_of_the_store_comes_back(stack, other, crashes):
    other.run("rebuild", "--jobs", "3")
    stored = {p.stem for p in (stack.store / "crash").glob("*/*/*.zip")}
    assert stored == {r[0] for r in other.query("select crash_id from raw_crash")}
    documents = {p.name[:36] for p in (stack.store / "processed").glob("*/*/*.json.zst")}
    assert documents == {r[0] for r in other.query("select crash_id from processed_crash")}
    waits = {r[0] for r in other.query("select crash_id from crash_job")}
    assert waits == stored - documents


def test_goes_on_where_it_was_killed(stack, other, crashes):
    """kill -9 again and again; then once to the end."""
    env = dict(os.environ, SALVAGE_CONF=str(other.conf))
    done = 0
    for wait in (0.05, 0.1, 0.2, 0.3):
        p = subprocess.Popen([stack.env["SALVAGE_BIN"], "rebuild"], env=env,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(wait)
        p.send_signal(signal.SIGKILL)
        p.wait()
        now = other.query("select count(*) from rebuild_part where part <> '*'")[0][0]
        assert now >= done, "what is done stays done"
        done = now
    other.run("rebuild")
    assert rows_of(other.query, crashes["all"]) == rows_of(stack.query, crashes["all"])


def test_older_backup_and_damage(stack, other, crashes):
    """A row of yesterday names a document that is gone; of another crash the document is damaged."""
    first, second, third = crashes["ids"]
    other.run("rebuild")
    other.query("update processed_crash set blob = 'processed/x', pass = 1 where crash_id = %s", first)
    other.query("update processed_crash set pass = 9 where crash_id = %s", second)
    other.run("rebuild")
    mended = rows_of(other.query, [first])
    assert mended == rows_of(stack.query, [first])
    assert other.query("select pass from processed_crash where crash_id = %s", second) == [(9,)]

    other.query("delete from processed_crash where crash_id = %s", third)
    other.query("delete from raw_crash where crash_id = %s", third)
    blob = stack.store / stack.query("select blob from processed_crash where crash_id = %s",
                                     third)[0][0]
    kept = blob.read_bytes()
    owner = blob.stat()
    blob.write_bytes(kept[:-7])
    try:
        done = other.run("rebuild", check=False)
        assert done.returncode == 1 and "1 queued, 1 damaged" in done.stdout, done.stdout
        assert third in done.stderr
        assert other.query("select state, queue from crash_job where crash_id = %s",
                           third) == [(0, 1)]
    finally:
        blob.write_bytes(kept)
        os.chown(blob, owner.st_uid, owner.st_gid)


def test_says_what_is_wrong(stack, other):
    for args, text in ((["--jobs", "0"], "number from 1"), (["--days", "x", "y"], "two days"),
                       (["--since", "soon"], "not a day"), (["x"], "not an option")):
        done = other.run("rebuild", *args, check=False)
        assert (done.returncode, text in done.stderr) == (2, True), done.stderr
    done = other.run("rebuild", "--days", "2001-01-01", "2001-01-02")
    assert "0 of 0 folders, 0 crashes" in done.stdout
