"""The administration commands: salvage db, token, queue. Exit codes, one-line errors, real effects."""
import os
import re
import subprocess

import psycopg2
import pytest
import requests

CRASH = "0f0f0f0f-0000-4000-8000-000000260101"


@pytest.fixture
def fresh(instance, tmp_path):
    """A configuration that names an empty database on the instance's server."""
    with_server = instance.conn()
    name = f"cli_{os.getpid()}"
    with with_server.cursor() as cur:
        cur.execute(f"create database {name}")
    conninfo = re.sub(r"dbname=\S+", f"dbname={name}", instance.env["SALVAGE_DB"])
    conf = tmp_path / "fresh.conf"
    conf.write_text(f"database {conninfo}\n")
    yield conf
    with with_server.cursor() as cur:
        cur.execute(f"drop database {name} with (force)")
    with_server.close()


def one_line(text):
    return text.endswith("\n") and text.count("\n") == 1


def query(conf, sql):
    with psycopg2.connect(conf.read_text().split(" ", 1)[1]) as c, c.cursor() as cur:
        cur.execute(sql)
        return cur.fetchall()


# ---- the dispatcher ----

def test_help_and_version(instance):
    assert re.fullmatch(r"salvage \d+\.\d+\.\d+\n", instance.salvage("--version").stdout)
    text = instance.salvage("--help").stdout
    names = re.findall(r"^  ([a-z0-9-]+) +\S", text, re.M)
    assert names == sorted(names)
    assert {"core2md", "db", "queue", "signature", "stackwalk", "submit", "sweep", "symcache",
            "token", "upload-symbols"} <= set(names)
    for name in names:
        assert instance.salvage(name, "--help").stdout.startswith("usage: salvage " + name), name


@pytest.mark.parametrize("args", [
    [], ["quue"], ["upload_symbol"], ["db"], ["db", "upgrade"], ["db", "migrate", "extra"],
    ["db", "--frobnicate", "status"], ["token", "create"], ["token", "create", "bob"],
    ["token", "create", "bob", "--permission", "everything"],
    ["token", "create", "bob", "-p", "admin", "--expires", "tomorrow"],
    ["token", "create", "bob", "-p", "admin", "--expires", "0"],
    ["token", "create", "bob", "-p", "upload_symbols", "--upload-api", "3"],
    ["token", "set"], ["token", "set", "1"], ["token", "set", "x", "--upload-api", "2"],
    ["token", "set", "1", "--upload-api", ""],
    ["token", "revoke", "x"], ["queue", "shwo"], ["queue", "list"], ["queue", "list", "reddy"],
    ["queue", "retry"], ["queue", "retry", CRASH, "--all"], ["queue", "list", "dead", "-n", "0"],
    ["queue", "put", "-l", "fast", CRASH], ["queue", "kill"], ["queue", "pause", "fast"],
])
def test_wrong_usage_is_2(instance, args):
    done = instance.salvage(*args, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "salvage" in done.stderr


def test_unknown_permission_names_them_all(instance):
    text = instance.salvage("token", "create", "bob", "-p", "upload", check=False).stderr
    assert '"upload"' in text and "upload_symbols" in text and "reprocess_crashes" in text


def test_failures_are_one_line(instance, tmp_path):
    done = instance.salvage("db", "status", "-c", "/no/such.conf", check=False)
    assert done.returncode == 1 and one_line(done.stderr) and "/no/such.conf" in done.stderr
    conf = tmp_path / "salvage.conf"
    conf.write_text("workers 2\n")
    done = instance.salvage("db", "status", "-c", conf, check=False)
    assert done.returncode == 1 and one_line(done.stderr) and "database" in done.stderr
    conf.write_text("\ndatabase host=/no/such/socket dbname=x\n")
    done = instance.salvage("-c", conf, "queue", "stats", check=False)
    assert done.returncode == 1 and one_line(done.stderr) and "cannot connect" in done.stderr
    conf.write_text("databse x\n")
    done = instance.salvage("token", "list", "-c", conf, check=False)
    assert done.returncode == 1 and "line 1" in done.stderr and "database" in done.stderr


def test_full_disk_is_a_failure(instance):
    with open("/dev/full", "w") as full:
        done = subprocess.run([instance.env["SALVAGE_BIN"], "--help"], stdout=full,
                              stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and one_line(done.stderr)


# ---- db ----

def test_migrate_an_empty_database(instance, fresh):
    done = instance.salvage("db", "status", "-c", fresh, check=False)
    assert done.returncode == 1
    assert "missing: 0001_core" in done.stdout and "salvage db migrate" in done.stderr
    first = instance.salvage("db", "migrate", "-c", fresh).stdout
    count = int(re.search(r"(\d+) migrations applied", first)[1])
    assert count == query(fresh, "select count(*) from schema_migration")[0][0] >= 4
    assert ", 0 migrations applied" in instance.salvage("db", "migrate", "-c", fresh).stdout
    assert "missing" not in instance.salvage("db", "status", "-c", fresh).stdout


def test_many_migrate_at_once(instance, fresh):
    runs = [subprocess.Popen([instance.env["SALVAGE_BIN"], "db", "migrate", "-c", fresh],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for _ in range(4)]
    results = [(run.communicate(timeout=60), run.returncode) for run in runs]
    assert [code for _, code in results] == [0] * 4, results
    applied = sum(int(re.search(r"(\d+) migrations? applied", out)[1]) for (out, _), _ in results)
    assert applied == query(fresh, "select count(*) from schema_migration")[0][0]


def test_newer_schema_is_refused(instance, fresh):
    instance.salvage("db", "migrate", "-c", fresh)
    query(fresh, "insert into schema_migration (number, name) values (9000, 'x') returning 1")
    for verb in "migrate", "status":
        done = instance.salvage("db", verb, "-c", fresh, check=False)
        assert done.returncode == 1 and "newer" in done.stderr


# ---- token ----

def test_token_is_shown_once_and_stored_hashed(instance, fresh):
    instance.salvage("db", "migrate", "-c", fresh)
    made = instance.salvage("token", "create", "ann@example.com", "-p", "view_pii", "-p",
                            "view_rawdump", "--expires", "90d", "--notes", "n", "-c", fresh).stdout
    token = made.strip()
    assert re.fullmatch("[0-9a-f]{64}\n", made)
    dump = str(query(fresh, "select t, encode(t.hash, 'hex') from api_token t"))
    assert token not in dump and token[:8] in dump
    (days,), = query(fresh, "select round(extract(epoch from expires - now()) / 86400) "
                            "from api_token")
    assert days == 90
    head, row = instance.salvage("token", "list", "-c", fresh).stdout.splitlines()
    shown = dict(zip(head.split("\t"), row.split("\t")))
    assert token not in row and shown["token"] == token[:8] + "..."
    assert shown["user"] == "ann@example.com" and shown["state"] == "valid"
    assert shown["permissions"] == "view_pii, view_rawdump" and shown["notes"] == "n"
    assert instance.salvage("token", "list", "bob", "-c", fresh).stdout.count("\n") == 1
    assert query(fresh, "select action, target from audit_log") == \
        [("token.create", "ann@example.com")]


def test_token_opens_and_revoked_token_does_not(stack):
    token = stack.salvage("token", "create", "cli@example.com", "-p", "view_pii").stdout.strip()
    number = stack.query("select id from api_token where prefix = %s", token[:8])[0][0]
    assert stack.salvage("token", "revoke", number).stdout == ""
    again = stack.salvage("token", "revoke", number, check=False)
    assert again.returncode == 1 and one_line(again.stderr)
    assert stack.salvage("token", "set", number, "-u", "2", check=False).returncode == 1
    # never used, so httpd has it in no cache: unknown at once
    r = requests.get(stack.url + "/api/ProcessedCrash/", params={"crash_id": CRASH},
                     headers={"Auth-Token": token}, timeout=30)
    assert r.status_code == 403


# ---- queue ----

def test_queue_by_hand(instance, fresh):
    instance.salvage("db", "migrate", "-c", fresh)
    query(fresh, f"insert into crash_job (crash_id, queue, state, last_error, lost, attempts) "
                 f"values ('{CRASH}', 1, 2, 'raw crash not found', 1, 4) returning 1")
    query(fresh, f"insert into crash_job (crash_id, queue) values ('{CRASH[:-1]}2', 0) returning 1")
    stats = dict(x.split() for x in
                 instance.salvage("queue", "stats", "-c", fresh).stdout.splitlines())
    assert (stats["priority"], stats["standard"], stats["dead"]) == ("1", "0", "1")
    head, row = instance.salvage("queue", "list", "dead", "-c", fresh).stdout.splitlines()
    shown = dict(zip(head.split("\t"), row.split("\t")))
    assert shown["crash"] == CRASH and shown["reason"] == "raw crash not found"
    assert (shown["attempts"], shown["lost"]) == ("4", "1")
    done = instance.salvage("queue", "retry", CRASH, CRASH[:-1] + "9", "-c", fresh, check=False)
    assert done.returncode == 1 and one_line(done.stderr) and CRASH[:-1] + "9" in done.stderr
    assert done.stdout == "1 job ready again\n"
    assert query(fresh, f"select state, attempts, lost from crash_job where crash_id = '{CRASH}'") \
        == [(0, 0, 0)]
    assert instance.salvage("queue", "retry", "--all", "-c", fresh).stdout == "0 jobs ready again\n"
