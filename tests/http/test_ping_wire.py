"""Crash pings on the wire: paths, bodies, replies, what is stored, what happens without a database."""
import gzip
import http.client
import json
import socket
import time
import uuid

import pings
import pytest
import requests


def post(stack, path, body, **headers):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return requests.post(stack.url + path, data=data, timeout=30,
                         headers={"Content-Type": "application/json; charset=utf-8", **headers})


def row(stack, document):
    names = ("product", "channel", "version", "build", "os", "os_version", "arch", "process_type",
             "utility_actor", "reason", "dump_sha256", "crash_time", "body", "app", "dialect")
    rows = stack.query(f"select {', '.join(names)} from crash_ping where document_id = %s",
                       document)
    assert len(rows) == 1, rows
    return dict(zip(names, rows[0]))


def test_glean(stack):
    """Every value of the Glean table is read, the annotation's before the client's."""
    document = str(uuid.uuid4())
    sha = "ab" * 32
    body = pings.glean(strings={"crash.minidump_sha256_hash": sha.upper(),
                                "crash.process_type": "utility"},
                       metrics={"string_list": {"crash.utility_actors_name": ["audio", "jsOracle"]}})
    r = post(stack, pings.glean_path(document.upper()), body)
    assert (r.status_code, r.text) == (200, "OK")
    assert r.headers["Content-Type"].startswith("text/plain")
    assert r.headers["Cache-Control"] == "no-store"
    found = row(stack, document)
    assert found["crash_time"].isoformat().startswith("2026-01-31T09:20:30")
    stored = found.pop("body")
    assert stored["something_new"] == {"kept": [1, 2, 3]}
    assert "client_id" not in stored["client_info"]
    assert "5555-555" not in json.dumps(stored)
    found.pop("crash_time")
    assert found == {"product": "demo-app", "app": "demo-app", "dialect": 0, "channel": "release",
                     "version": "1.2", "build": "20260101000000", "os": "Linux",
                     "os_version": "6.1", "arch": "x86_64", "process_type": "utility",
                     "utility_actor": "audio", "reason": "crash", "dump_sha256": sha}


def test_glean_falls_back_to_the_client(stack):
    document = str(uuid.uuid4())
    body = pings.glean(client={"os": "Windows"}, reason="event_found")
    del body["metrics"]
    assert post(stack, pings.glean_path(document, "firefox-desktop"), body).status_code == 200
    found = row(stack, document)
    assert (found["version"], found["channel"], found["build"]) == ("9.9", "later", "9")
    assert (found["product"], found["os"]) == ("Firefox", "Windows NT")
    assert (found["process_type"], found["reason"]) == ("main", "event_found")
    assert found["dump_sha256"] is None and found["crash_time"] is None


@pytest.mark.parametrize("snake", [False, True])
def test_telemetry(stack, snake):
    document = str(uuid.uuid4())
    sha = "cd" * 32
    body = pings.telemetry(snake=snake, minidumpSha256Hash=sha, processType="content",
                           metadata={"UtilityActorsName": "a,b"})
    r = post(stack, pings.telemetry_path(document), body)
    assert (r.status_code, r.text) == (200, "OK")
    found = row(stack, document)
    stored = found.pop("body")
    assert "clientId" not in stored
    assert not {"sessionId", "session_id"} & set(stored["payload"])
    assert found.pop("crash_time").isoformat().startswith("2026-01-31T10:00:00")
    assert found == {"product": "Demo", "app": "Demo", "dialect": 1, "channel": "release",
                     "version": "1.2", "build": "20260101000000", "os": "Linux",
                     "os_version": "6.1", "arch": "x86-64", "process_type": "content",
                     "utility_actor": "a", "reason": "crash", "dump_sha256": sha}


def test_telemetry_falls_back_to_the_path(stack):
    document = str(uuid.uuid4())
    body = pings.telemetry()
    del body["payload"]["metadata"]
    assert post(stack, pings.telemetry_path(document), body).status_code == 200
    found = row(stack, document)
    assert (found["version"], found["channel"], found["build"]) == ("8.0", "esr", "20250101")


def test_payload_alone(stack):
    """Importers keep the payload without its envelope."""
    document = str(uuid.uuid4())
    body = pings.telemetry(snake=True)["payload"]
    assert post(stack, pings.telemetry_path(document), body).status_code == 200
    assert row(stack, document)["version"] == "1.2"


def test_a_repeat_is_ignored(stack):
    document = str(uuid.uuid4())
    first = pings.glean()
    assert post(stack, pings.glean_path(document), first).text == "OK"
    again = pings.glean(strings={"crash.app_channel": "other"})
    r = post(stack, pings.glean_path(document.upper()), again)
    assert (r.status_code, r.text) == (200, "OK")
    r = post(stack, pings.telemetry_path(document), pings.telemetry())
    assert (r.status_code, r.text) == (200, "OK")
    assert row(stack, document)["channel"] == "release"


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip"])
def test_gzip(stack, encoding):
    document = str(uuid.uuid4())
    data = gzip.compress(json.dumps(pings.glean()).encode())
    r = post(stack, pings.glean_path(document), data, **{"Content-Encoding": encoding})
    assert (r.status_code, r.text) == (200, "OK")
    assert row(stack, document)["version"] == "1.2"


def test_chunks(stack):
    document = str(uuid.uuid4())
    data = json.dumps(pings.glean()).encode()
    r = requests.post(stack.url + pings.glean_path(document), data=iter([data[:7], data[7:]]),
                      timeout=30)
    assert (r.status_code, r.text) == (200, "OK")
    assert row(stack, document)["version"] == "1.2"


BAD_PATHS = ["/submit/demo-app/crash/1", "/submit/demo-app/crash/1/not-a-uuid",
             "/submit/demo-app/baseline/1/{0}", "/submit/demo-app/crash/x/{0}",
             "/submit/demo-app/crash/1/{0}/more", "/submit/telemetry/{0}/main/Demo/1/r/2",
             "/submit/telemetry/{0}/crash/Demo/1/r", "/submit/telemetry/x/crash/Demo/1/r/2",
             "/submit/telemetry/{0}/crash/Demo/1/r/2/3", "/submit/..demo/crash/1/{0}",
             "/submit/de%20mo/crash/1/{0}", "/submit//crash/1/{0}", "/submit/x"]


@pytest.mark.parametrize("path", BAD_PATHS)
def test_bad_paths(stack, path):
    assert post(stack, path.format(uuid.uuid4()), pings.glean()).status_code == 404


BAD_BODIES = [b"", b"junk", b"{", b"[]", b'"x"', b"null", b"{}", b'{"ping_info": {}}',
              b'{"ping_info": [], "client_info": {}}',
              b'{"ping_info": {}, "client_info": {}, "metrics": []}',
              b'{"ping_info": {}, "client_info": {}, "metrics": {"string": 1}}',
              b'{"ping_info": {}, "client_info": {}, "x": "\xff"}',
              b'{"ping_info": {}, "client_info": {}, "x": ' + b"[" * 100 + b"]" * 100 + b"}",
              b"[" * 100000, b'{"ping_info": {}, "client_info": {}, "x": NaN}']


@pytest.mark.parametrize("body", BAD_BODIES, ids=range(len(BAD_BODIES)))
def test_bad_bodies(stack, body):
    r = post(stack, pings.glean_path(), body)
    assert r.status_code == 400


@pytest.mark.parametrize("body", [b"{}", b'{"payload": 1}', b'{"type": "main", "payload": {}}',
                                  b'{"payload": {"metadata": []}}', b'{"type": 7, "payload": {}}'], ids=range(5))
def test_bad_telemetry_bodies(stack, body):
    assert post(stack, pings.telemetry_path(), body).status_code == 400


def test_bad_gzip(stack):
    data = gzip.compress(json.dumps(pings.glean()).encode())
    for broken in (data[:-9], b"junk" * 9, json.dumps(pings.glean()).encode()):
        r = post(stack, pings.glean_path(), broken, **{"Content-Encoding": "gzip"})
        assert r.status_code == 400
    assert post(stack, pings.glean_path(), data, **{"Content-Encoding": "br"}).status_code == 400
    assert post(stack, pings.glean_path(), data).status_code == 400      # gzip that is not told


def test_odd_values_are_kept_or_cut(stack):
    """U+0000 goes, a wrong type is as good as nothing, long texts are cut in the columns."""
    document = str(uuid.uuid4())
    body = pings.glean(strings={"crash.app_channel": "x\u00e9" * 500, "crash.app_build": 7,
                                "crash.minidump_sha256_hash": "zz", "crash.process_type": ["a"],
                                "crash.moz_crash_reason": "a\0b"},
                       metrics={"datetime": {"crash.time": "yesterday"}})
    assert post(stack, pings.glean_path(document), body).status_code == 200
    found = row(stack, document)
    assert found["channel"].startswith("x\u00e9x") and len(found["channel"].encode()) <= 203
    assert (found["build"], found["dump_sha256"], found["process_type"]) == ("9", None, "main")
    assert found["crash_time"] is None
    assert found["body"]["metrics"]["string"]["crash.moz_crash_reason"] == "ab"


def test_size(stack):
    """1 MiB on the wire is taken, a byte more is not; nor what inflates beyond the cap."""
    def sized(n):
        body = pings.glean()
        body["pad"] = ""
        body["pad"] = "x" * (n - len(json.dumps(body)))
        return json.dumps(body).encode()
    for n, status in ((1 << 20, 200), ((1 << 20) + 1, 413)):
        data = sized(n)
        assert len(data) == n
        assert post(stack, pings.glean_path(), data).status_code == status
        r = requests.post(stack.url + pings.glean_path(), data=iter([data]), timeout=30)
        assert r.status_code == status                                  # chunked
    bomb = gzip.compress(sized(9 << 20))
    assert len(bomb) < 1 << 20
    assert post(stack, pings.glean_path(), bomb, **{"Content-Encoding": "gzip"}).status_code == 413


def status_of(stack, text):
    with socket.create_connection(("127.0.0.1", stack.port), timeout=20) as s:
        s.sendall(text.encode())
        r = http.client.HTTPResponse(s)
        r.begin()
        return r.status


def test_lengths(stack):
    head = f"POST {pings.glean_path()} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    assert status_of(stack, head + "\r\n") == 411
    assert status_of(stack, head + "Content-Length: 0\r\n\r\n") == 400
    assert status_of(stack, head + "Content-Length: 2000000\r\n\r\n") == 413   # before the body


def test_methods(stack):
    url = stack.url + pings.glean_path()
    for method in ("GET", "PUT", "DELETE"):
        r = requests.request(method, url, timeout=30)
        assert r.status_code == 405 and "POST" in r.headers["Allow"], method
    assert requests.options(url, timeout=30).status_code == 200


def test_long_paths(stack):
    assert post(stack, "/submit/" + "x" * 1100, pings.glean()).status_code == 414
    assert post(stack, "/submit/" + "x" * 9000, pings.glean()).status_code == 414   # httpd's own


def test_apps(stack):
    """Only pings of apps that are listed; a name may stand for a product."""
    stack.httpd_conf('<Location "/submit">\nCrashPingApps one two-app=Two\n</Location>\n')
    document = str(uuid.uuid4())
    assert post(stack, pings.glean_path(app="other"), pings.glean()).status_code == 404
    assert post(stack, pings.telemetry_path(app="Demo"), pings.telemetry()).status_code == 404
    assert post(stack, pings.glean_path(app="one"), pings.glean()).status_code == 200
    assert post(stack, pings.glean_path(document, app="two-app"), pings.glean()).status_code == 200
    assert row(stack, document)["product"] == "Two"


def test_products(stack):
    """Without a list of apps, the products that may send crashes may send pings."""
    path = stack.dir / "products.txt"
    path.write_text("Firefox\nDemo\n")
    path.chmod(0o644)
    stack.httpd_conf(f'<Location "/submit">\nCrashProducts {path}\n</Location>\n')
    for path, body, status in ((pings.glean_path(app="firefox-desktop"), pings.glean(), 200),
                               (pings.telemetry_path(app="Demo"), pings.telemetry(), 200),
                               (pings.glean_path(app="other"), pings.glean(), 404)):
        assert post(stack, path, body).status_code == status, path


def test_settings(stack):
    stack.httpd_conf('<Location "/submit">\nCrashPingApps any\nCrashPingRemove something_new\n'
                     'CrashPingMaxBody 4k\nCrashPingMaxInflated 8k\n</Location>\n')
    document = str(uuid.uuid4())
    assert post(stack, pings.glean_path(document), pings.glean()).status_code == 200
    stored = row(stack, document)["body"]
    assert "something_new" not in stored and "client_id" in stored["client_info"]
    big = dict(pings.glean(), pad="x" * 9000)
    assert post(stack, pings.glean_path(), big).status_code == 413
    squeezed = gzip.compress(json.dumps(big).encode())
    r = post(stack, pings.glean_path(), squeezed, **{"Content-Encoding": "gzip"})
    assert r.status_code == 413
    stack.httpd_conf('<Location "/submit">\nCrashPingApps none\n</Location>\n')
    assert post(stack, pings.glean_path(), pings.glean()).status_code == 404


def test_without_a_database(stack):
    """No acknowledgement without a row: the client keeps the ping and brings it again."""
    stack.error_log.expect("SAL1051|dbd|DBD|database|SAL9|SAL50")
    document = str(uuid.uuid4())
    stack.stop("postgres")
    try:
        r = post(stack, pings.glean_path(document), pings.glean())
        assert r.status_code == 503 and int(r.headers["Retry-After"]) > 0
    finally:
        stack.start("postgres")
    assert post(stack, pings.glean_path(document), pings.glean()).text == "OK"
    assert row(stack, document)["product"] == "demo-app"


def ledger_rows(stack, n=1, **columns):
    """Rows of the ledger, at least n; they are written a second behind the answers."""
    where = " and ".join(f"{c} = %s" for c in columns)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        found = stack.query("select outcome, reason, status, size, agent, crash_id from "
                            f"intake_ledger where {where} order by id", *columns.values())
        if len(found) >= n:
            return found
        time.sleep(0.2)
    raise AssertionError(f"the ledger has not {n} rows with {columns}")


def test_ledger(stack):
    """A row for each POST, found by document id; nothing of the ping in it."""
    document = str(uuid.uuid4())
    data = json.dumps(pings.glean()).encode()
    agent = {"User-Agent": "Glean/60.0 (Rust on Windows) " + document}
    for _ in range(2):
        assert post(stack, pings.glean_path(document.upper()), data, **agent).text == "OK"
    found = ledger_rows(stack, 2, crash_id=document)
    assert sorted(r[:4] for r in found) == [("accepted", "ping", 200, len(data)),
                                            ("accepted", "ping_duplicate", 200, len(data))]
    assert all(r[5] == document and document not in r[4] for r in found)
    shown = stack.salvage("ledger", document).stdout
    assert shown.count("\taccepted\tping") == 2


@pytest.mark.parametrize("data,headers,status,reason", [
    (b"{", {}, 400, "ping_body"), (b"", {}, 400, "ping_body"),
    (b"x" * ((1 << 20) + 1), {}, 413, "ping_too_large"),
    (b"junk", {"Content-Encoding": "gzip"}, 400, "ping_body")],
    ids=["not JSON", "empty", "too large", "bad gzip"])
def test_ledger_of_refusals(stack, data, headers, status, reason):
    document = str(uuid.uuid4())
    assert post(stack, pings.glean_path(document), data, **headers).status_code == status
    assert ledger_rows(stack, crash_id=document)[0][:3] == ("malformed", reason, status)


def test_ledger_of_unknown_paths(stack):
    before = stack.query("select count(*) from intake_ledger where reason = 'ping_unknown'")[0][0]
    assert post(stack, "/submit/some/where", pings.glean()).status_code == 404
    assert ledger_rows(stack, before + 1, reason="ping_unknown")[-1][5] is None


def test_ledger_of_who_was_sent_away(stack):
    stack.httpd_conf('<Location "/submit">\nCrashIntake off\n</Location>\n')
    document = str(uuid.uuid4())
    r = post(stack, pings.glean_path(document), pings.glean())
    assert r.status_code == 503 and int(r.headers["Retry-After"]) >= 60
    assert ledger_rows(stack, crash_id=document)[0][:3] == ("busy", "ping_intake_off", 503)


def test_a_week_without_a_partition(stack):
    """The collector makes the week's partition if the daemon has not."""
    part = stack.query("select crash_ping_make_partition(now())")[0][0]
    stack.stop("salvaged")
    with stack.conn() as c, c.cursor() as cur:
        cur.execute("begin")
        cur.execute(f"alter table crash_ping detach partition {part}")
        cur.execute(f"alter table {part} rename to crash_ping_kept")
        cur.execute("commit")
    document = str(uuid.uuid4())
    try:
        assert post(stack, pings.glean_path(document), pings.glean()).text == "OK"
        assert row(stack, document)["product"] == "demo-app"
    finally:
        with stack.conn() as c, c.cursor() as cur:
            cur.execute(f"insert into crash_ping select * from crash_ping_kept")
            cur.execute("drop table crash_ping_kept")


def test_the_logs_know_nothing(stack):
    marker = "secret" + uuid.uuid4().hex
    body = pings.glean(strings={"crash.app_channel": marker}, client={"client_id": marker})
    stack.httpd_conf("LogLevel crash_collect:debug\n")
    assert post(stack, pings.glean_path(), body).text == "OK"
    assert post(stack, pings.glean_path(), b'{"' + marker.encode()).status_code == 400
    log = (stack.dir / "logs" / "error_log").read_text()
    assert "SAL1052" in log and "SAL1050" in log and marker not in log
