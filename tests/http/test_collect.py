"""Crash reports over HTTP: bodies, transports, limits, replies, and what they leave in the store.

Expectations: the collector's specification, sections 2 and 4 (compatible with Mozilla's Antenna).
"""
import gzip
import hashlib
import json
import re
import socket
import subprocess
import threading
import time
import urllib.parse

import pytest
import requests

from reports import (BODY, BOUNDARY, CRASH_ID, END, FORM, TOKEN, accepted, container, dump, part, post,
                     raw_crash, raw_request, refused, stored)

# ---- accepted ----

def test_reply_is_exact(stack):
    r = post(stack)
    accepted(r)
    assert r.headers["Content-Type"].split(";")[0] == "text/plain"
    assert int(r.headers["Content-Length"]) == len(r.content) == 48
    assert r.headers["Cache-Control"] == "no-store"
    assert r.headers["X-Content-Type-Options"] == "nosniff"
    assert "Content-Encoding" not in r.headers


def test_id_carries_the_day(stack):
    crash_id = accepted(post(stack))
    today = {time.strftime("%y%m%d", time.gmtime(time.time() - s)) for s in (0, 60)}
    assert crash_id[-6:] in today and crash_id[-7] == "0"


def test_raw_crash_document(stack):
    r = post(stack, User_Agent="crashreporter/1")
    crash_id = accepted(r)
    text = container(stack, crash_id).read("raw_crash.json").decode("ascii")
    raw = json.loads(text)
    assert text == json.dumps(raw, sort_keys=True)
    submitted = raw.pop("submitted_timestamp")
    assert submitted[2:10].replace("-", "") == crash_id[-6:]    # one moment fixes both
    assert re.match(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?\+00:00$", submitted)
    assert raw == {
        "ProductName": "Demo", "Version": "1.0", "uuid": crash_id, "version": 2,
        "metadata": {
            "payload": "multipart", "payload_compressed": "0", "payload_size": len(BODY),
            "collector_notes": [], "user_agent": "crashreporter/1",
            "throttle_rule": "accept_everything",
            "dump_checksums": {
                "upload_file_minidump": hashlib.sha256(b"MDMP1234").hexdigest()}}}
    assert json.loads(container(stack, crash_id).read("dump_names.json")) == [
        "upload_file_minidump"]
    assert dump(stack, crash_id) == b"MDMP1234"


def test_row_and_job_follow(stack):
    stack.stop("salvaged")
    crash_id = accepted(post(stack))
    for _ in range(100):
        if stack.query("select 1 from crash_job where crash_id = %s", crash_id):
            break
        time.sleep(0.05)
    assert stack.query("select crash_id, queue, state from crash_job where crash_id = %s",
                       crash_id) == [(crash_id, 1, 0)]
    iso = stack.query("select to_char(submitted at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US')"
                      " from raw_crash where crash_id = %s", crash_id)[0][0]
    assert raw_crash(stack, crash_id)["submitted_timestamp"].startswith(iso)
    for _ in range(100):
        if not (stack.store / "pending" / crash_id).exists():
            break
        time.sleep(0.05)
    assert not (stack.store / "pending" / crash_id).exists()


@pytest.mark.parametrize("how", ["length", "chunked", "gzip", "x-gzip", "GZIP", "gzip chunked"])
def test_transports(stack, how):
    packed = "zip" in how.lower()
    body = gzip.compress(BODY) if packed else BODY
    size = len(body)
    headers = {"Content-Encoding": how.split()[0]} if packed else {}
    if "chunked" in how:
        body = iter([body[:7], body[7:8], body[8:]])
    crash_id = accepted(post(stack, body, **headers))
    meta = raw_crash(stack, crash_id)["metadata"]
    assert meta["payload_size"] == size
    assert meta["payload_compressed"] == ("1" if packed else "0")
    assert dump(stack, crash_id) == b"MDMP1234"


def test_gzip_members_and_junk(stack):
    half = len(BODY) // 2
    body = gzip.compress(BODY[:half]) + gzip.compress(BODY[half:]) + b"junk"
    assert dump(stack, accepted(post(stack, body, Content_Encoding="gzip"))) == b"MDMP1234"


def test_no_filter_inflates_before_us(stack):
    """With an inflating input filter on the location the collector still sees the gzip body."""
    stack.httpd_conf('<Location "/submit">\nSetInputFilter DEFLATE\n</Location>')
    crash_id = accepted(post(stack, gzip.compress(BODY), Content_Encoding="gzip"))
    assert raw_crash(stack, crash_id)["metadata"]["payload_compressed"] == "1"


@pytest.mark.parametrize("ctype", [
    f'multipart/form-data; boundary="{BOUNDARY}"', f"Multipart/Form-Data;Boundary={BOUNDARY}",
    f"multipart/mixed; boundary={BOUNDARY}", f"multipart/form-data; boundary={BOUNDARY}  ",
    f"multipart/form-data; charset=utf-8; boundary={BOUNDARY}",
    f'multipart/form-data; x="; boundary=no"; boundary={BOUNDARY}',
])
def test_content_types(stack, ctype):
    accepted(post(stack, ctype=ctype))


def test_http_1_0_and_trailing_slash(stack):
    answer = raw_request(stack, f"POST /submit/ HTTP/1.0\nContent-Type: {FORM}\n"
                         f"Content-Length: {len(BODY)}\n", BODY)
    assert answer.startswith(b"HTTP/1.1 200") and b"\r\n\r\nCrashID=bp-" in answer


def test_expect_100_is_answered(stack):
    out = subprocess.run(["curl", "-s", "-H", "Expect: 100-continue", "-H", f"Content-Type: {FORM}",
                          "--data-binary", "@-", stack.url + "/submit"], input=BODY,
                         capture_output=True)
    assert CRASH_ID.match(out.stdout.decode())


def test_firefox_json(stack):
    extra = {"ProductName": "Firefox", "Version": "1", "Number": 7, "List": [1, {"a": None}]}
    body = (part("extra", json.dumps(extra), "extra.json", "application/json")
            + part("upload_file_minidump", b"abcd1234", "x", "application/octet-stream") + END)
    raw = raw_crash(stack, accepted(post(stack, body)))
    assert raw["metadata"]["payload"] == "json"
    assert raw["Number"] == "7" and raw["List"] == '[1,{"a":null}]'
    assert raw["metadata"]["collector_notes"] == [
        "dump without minidump magic: upload_file_minidump"]


def test_query_fills_in(stack):
    body = part("guid", "x") + END
    raw = raw_crash(stack, accepted(post(stack, body, path="/submit?product=A%20b&product=c&ver=2")))
    assert (raw["ProductName"], raw["Version"]) == ("A b", "2")
    assert raw["metadata"]["collector_notes"] == ["dialect: query"]


def test_personal_annotations_are_removed(stack):
    body = part("a", "1") + part("Email", "me@example.com") + part("TelemetryClientId", "c") + END
    crash_id = accepted(post(stack, body))
    raw = raw_crash(stack, crash_id)
    assert "Email" not in raw and "TelemetryClientId" not in raw
    assert raw["metadata"]["collector_notes"] == [
        "Removed Email from raw crash.", "Removed TelemetryClientId from raw crash."]
    log = (stack.dir / "logs" / "error_log").read_text(errors="replace")
    assert "me@example.com" not in log


def test_many_annotations(stack):
    fields = {f"key{i}": str(i) for i in range(210)}
    raw = raw_crash(stack, accepted(post(stack, b"".join(part(*kv) for kv in fields.items()) + END)))
    assert fields.items() <= raw.items()


# ---- refused ----

@pytest.mark.parametrize("name,body,ctype,headers,status,reason", [
    ("no type", BODY, None, {}, 400, "no_content_type"),
    ("other type", BODY, "application/json", {}, 400, "wrong_content_type"),
    ("raw dump", b"MDMP", "application/octet-stream", {}, 400, "wrong_content_type"),
    ("raw x-dmp", b"MDMP", "application/x-dmp", {}, 400, "wrong_content_type"),
    ("no parameter name", BODY, "multipart/form-data; charset=utf-8", {}, 400, "no_boundary"),
    ("other boundary", BODY, f"multipart/form-data; boundary={BOUNDARY}x", {}, 400,
     "invalid_payload_structure"),
    ("no boundary", BODY, "multipart/form-data", {}, 400, "no_boundary"),
    ("empty boundary", BODY, 'multipart/form-data; boundary=""', {}, 400, "no_boundary"),
    ("long boundary", BODY, "multipart/form-data; boundary=" + 71 * "b", {}, 400, "no_boundary"),
    ("empty body", b"", FORM, {}, 400, "no_content_length"),
    ("empty chunked", iter([]), FORM, {}, 400, "no_content_length"),
    ("gzip without header", gzip.compress(BODY), FORM, {}, 400, "invalid_payload_structure"),
    ("header without gzip", BODY, FORM, {"Content-Encoding": "gzip"}, 400, "bad_gzip"),
    ("gzip cut off", gzip.compress(BODY)[:-9], FORM, {"Content-Encoding": "gzip"}, 400, "bad_gzip"),
    ("gzip CRC", gzip.compress(BODY)[:-8] + bytes(8), FORM, {"Content-Encoding": "gzip"}, 400,
     "bad_gzip"),
    ("brotli", BODY, FORM, {"Content-Encoding": "br"}, 415, "unsupported_encoding"),
    ("junk", b"junk", FORM, {}, 400, "invalid_payload_structure"),
    ("no end", BODY[:-len(END)], FORM, {}, 400, "invalid_payload_structure"),
    ("LF only", BODY.replace(b"\r\n", b"\n"), FORM, {}, 400, "invalid_payload_structure"),
    ("only the end", END, FORM, {}, 400, "no_annotations"),
    ("only a dump", part("d", "x", "d", "application/octet-stream") + END, FORM, {}, 400,
     "no_annotations"),
    ("bad JSON", part("extra", "{", "e", "application/json") + END, FORM, {}, 400, "invalid_json"),
    ("JSON list", part("extra", "[]", "e", "application/json") + END, FORM, {}, 400,
     "invalid_json_value"),
    ("reserved name", part("a", "1") + part("raw_crash", "x", "d", "application/octet-stream")
     + END, FORM, {}, 400, "invalid_dump_name"),
], ids=lambda v: v if isinstance(v, str) and len(v) < 22 else "")
def test_malformed(stack, name, body, ctype, headers, status, reason):
    before = stored(stack)
    refused(post(stack, body, ctype, **headers), status, f"Discarded=malformed_{reason}")
    assert stored(stack) == before


def test_no_length_at_all(stack):
    answer = raw_request(stack, f"POST /submit HTTP/1.0\nContent-Type: {FORM}\n")
    assert answer.endswith(b"\r\n\r\nDiscarded=malformed_no_content_length")


def test_length_shorter_than_body(stack):
    answer = raw_request(stack, f"POST /submit HTTP/1.1\nHost: x\nConnection: close\n"
                         f"Content-Type: {FORM}\nContent-Length: 20\n", BODY)
    assert b" 400 " in answer.split(b"\r\n")[0]
    assert answer.endswith(b"Discarded=malformed_invalid_payload_structure")


@pytest.mark.parametrize("length", ["foo", "-1"])
def test_length_is_no_number(stack, length):
    answer = raw_request(stack, f"POST /submit HTTP/1.1\nHost: x\nConnection: close\n"
                         f"Content-Type: {FORM}\nContent-Length: {length}\n", BODY)
    assert b" 400 " in answer.split(b"\r\n")[0]


def test_client_that_goes_away_leaves_nothing(stack):
    before = stored(stack)
    url = urllib.parse.urlsplit(stack.url)
    with socket.create_connection((url.hostname, url.port)) as s:
        s.sendall(f"POST /submit HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\n"
                  f"Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY[:-20])
    time.sleep(0.5)
    assert stored(stack) == before
    assert not [p for p in (stack.store / "pending").iterdir() if p.name.startswith(".")]


def test_late_body_is_408(stack):
    stack.httpd_conf("RequestReadTimeout body=1")
    answer = raw_request(stack, f"POST /submit HTTP/1.1\nHost: x\nContent-Type: {FORM}\n"
                         f"Content-Length: {len(BODY)}\n", BODY[:-20])
    assert answer == b"" or b" 408 " in answer.split(b"\r\n")[0]


@pytest.mark.parametrize("method,status,allow", [
    ("GET", 405, "POST, OPTIONS"), ("HEAD", 405, "POST, OPTIONS"), ("PUT", 405, "POST, OPTIONS"),
    ("DELETE", 405, "POST, OPTIONS"), ("OPTIONS", 200, "POST")])
def test_other_methods(stack, method, status, allow):
    r = requests.request(method, stack.url + "/submit", timeout=30)
    assert (r.status_code, r.headers["Allow"]) == (status, allow)
    assert "CrashID" not in r.text


def test_deeper_paths_are_not_ours(stack):
    assert post(stack, path="/submit/firefox-desktop/crash/1/x").status_code == 404


# ---- limits ----

def body_of(size):
    head = part("ProductName", "Firefox") + part("Version", "1")
    mid = part("upload_file_minidump", b"", "x.dmp", "application/octet-stream")[:-2]
    return head + mid + b"m" * (size - len(head) - len(mid) - len(END) - 2) + b"\r\n" + END


@pytest.mark.parametrize("over,chunked", [(-1, False), (0, False), (1, False), (0, True),
                                          (1, True)])
def test_25_mib(stack, over, chunked):
    body = body_of(25 * 1024 * 1024 + over)
    assert len(body) == 26214400 + over
    data = (body[i:i + 65536] for i in range(0, len(body), 65536)) if chunked else body
    r = post(stack, data)
    if over > 0:
        refused(r, 413, "Discarded=malformed_too_large")
    else:
        crash_id = accepted(r)
        assert raw_crash(stack, crash_id)["metadata"]["payload_size"] == len(body)


def test_too_long_a_length_saves_the_upload(stack):
    """413 comes instead of 100 Continue: nothing of the body is sent."""
    answer = raw_request(stack, f"POST /submit HTTP/1.1\nHost: x\nContent-Type: {FORM}\n"
                         "Expect: 100-continue\nContent-Length: 26214401\n")
    assert b" 413 " in answer.split(b"\r\n")[0] and b"100 Continue" not in answer


def memory(pids):
    """Largest peak of resident memory of these processes, in KiB."""
    peak = 0
    for pid in pids:
        with open(f"/proc/{pid}/status") as f:
            peak = max(peak, int(re.search(r"VmHWM:\s+(\d+)", f.read()).group(1)))
    return peak


def test_bomb_is_bounded(stack):
    """256 MiB of zeros in 256 KiB: refused, and memory does not grow with it."""
    stack.httpd_conf("")
    accepted(post(stack))
    before = memory(stack.children("httpd"))
    packed = gzip.compress(part("a", "1") + part("f", b"", "f", "application/octet-stream")[:-2])
    packed += gzip.compress(bytes(64 << 20)) * 4
    r = post(stack, packed, Content_Encoding="gzip")
    refused(r, 413, "Discarded=malformed_too_large")
    assert memory(stack.children("httpd")) - before < 8 * 1024


def test_memory_does_not_grow_with_the_body(stack):
    stack.httpd_conf("")
    accepted(post(stack))
    before = memory(stack.children("httpd"))
    accepted(post(stack, body_of(25 * 1024 * 1024)))
    assert memory(stack.children("httpd")) - before < 8 * 1024


def test_limits_per_location(stack):
    stack.httpd_conf('<Location "/submit">\nCrashMaxBody 2k\nCrashMaxInflated 4k\nCrashMaxDump 100'
                     '\nCrashMaxAnnotation 10\n</Location>')
    for body, coding, limit in ((body_of(2049), None, "body over 2048 bytes"),
                                (gzip.compress(part("a", "x" * 5000) + END), "gzip",
                                 "inflated body is over 4096 bytes"),
                                (body_of(1000), None, "dump over 100 bytes")):
        r = post(stack, body, **({"Content_Encoding": coding} if coding else {}))
        refused(r, 413, "Discarded=malformed_too_large")
        assert r.headers["X-Crash-Reason"] == f"malformed_too_large; {limit}"
    raw = raw_crash(stack, accepted(post(stack, part("a", "1") + part("b", 11 * "x") + END)))
    assert "b" not in raw and raw["metadata"]["collector_notes"] == [
        "extract payload text part exception: body part is too large"]


def test_in_flight_limit(stack):
    """One report hangs in each child; another one is sent away before its body is read."""
    stack.httpd_conf("CrashMaxInFlight 1")
    url = urllib.parse.urlsplit(stack.url)
    hanging = []
    try:
        busy = None
        for _ in range(12):
            s = socket.create_connection((url.hostname, url.port), timeout=10)
            hanging.append(s)
            s.sendall(f"POST /submit HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\n"
                      f"Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY[:10])
            s.settimeout(0.5)
            try:
                busy = s.recv(4096)
                break
            except socket.timeout:
                continue
        assert busy and b" 503 " in busy.split(b"\r\n")[0]
        assert re.search(rb"\r\nRetry-After: (6\d|7\d|8\d|90)\r\n", busy)
    finally:
        for s in hanging:
            s.close()
    time.sleep(0.5)
    accepted(post(stack))


def test_full_disk_watermark(stack):
    stack.error_log.expect("SAL9603|SAL1013")
    stack.httpd_conf("CrashMinFree 1000000G")
    r = post(stack)
    assert r.status_code == 503 and int(r.headers["Retry-After"]) >= 300
    assert requests.get(stack.url + "/__heartbeat__", timeout=30).status_code == 503


def test_long_annotations(stack):
    """1 MiB for any, 20 MiB for those that Firefox makes long; names of 255 bytes."""
    mib = 1 << 20
    body = (part("a", "1") + part("Long", "x" * mib) + part("Longer", "x" * (mib + 1))
            + part("TelemetryEnvironment", "x" * (3 * mib)) + part("n" * 255, "y")
            + part("n" * 256, "z") + END)
    raw = raw_crash(stack, accepted(post(stack, body)))
    assert len(raw["Long"]) == mib and len(raw["TelemetryEnvironment"]) == 3 * mib
    assert "Longer" not in raw and raw["n" * 255] == "y" and "n" * 256 not in raw
    notes = raw["metadata"]["collector_notes"]
    assert notes[0] == "extract payload text part exception: body part is too large"
    assert len(notes) == 2 and "255" in notes[1]


def test_over_20_mib_of_one_annotation(stack):
    most = 20 << 20
    for size, kept in ((most, True), (most + 1, False)):
        body = part("a", "1") + part("StackTraces", b"x" * size) + END
        raw = raw_crash(stack, accepted(post(stack, body)))
        assert ("StackTraces" in raw) == kept


def test_over_20_mib_of_json(stack):
    def sized(n):
        text = '{"a": "1", "StackTraces": ""}'
        return (part("extra", text[:-2] + "x" * (n - len(text)) + text[-2:], "extra.json",
                     "application/json") + END)
    assert raw_crash(stack, accepted(post(stack, sized(20 << 20))))["a"] == "1"
    refused(post(stack, sized((20 << 20) + 1)), 413, "Discarded=malformed_too_large")


def test_a_report_that_cannot_be_saved(stack):
    """500 and nothing else: the client tries again."""
    stack.error_log.expect("SAL1004|SAL1013|SAL96")
    pending = stack.store / "pending"
    mode = pending.stat().st_mode
    pending.chmod(0o500)
    try:
        r = post(stack)
        assert (r.status_code, r.text, r.headers["Cache-Control"]) == (500, "", "no-store")
    finally:
        pending.chmod(mode)
    end = time.monotonic() + 20
    while post(stack).status_code != 200 and time.monotonic() < end:
        time.sleep(0.2)
    accepted(post(stack))


# ---- throttling and ids ----

def test_reject(stack):
    stack.httpd_conf("CrashThrottleDefault reject")
    before = stored(stack)
    refused(post(stack), 200, "Discarded=rule_NO_MATCH")
    assert stored(stack) == before


def test_fake_accept(stack):
    stack.httpd_conf("CrashThrottleDefault fakeaccept")
    before = stored(stack)
    assert accepted(post(stack))[-7] == "3"
    assert stored(stack) == before


def test_defer(stack):
    stack.httpd_conf("CrashThrottleDefault defer")
    crash_id = accepted(post(stack))
    assert crash_id[-7] == "1"
    for _ in range(100):
        if stack.query("select 1 from raw_crash where crash_id = %s", crash_id):
            break
        time.sleep(0.05)
    assert stack.query("select 1 from raw_crash where crash_id = %s", crash_id)
    assert not stack.query("select 1 from crash_job where crash_id = %s and state <> 3", crash_id)


UUID = "de1bb258-cbbf-4589-a673-34f800160918"


def with_uuid(uuid, extra=b""):
    return part("a", "1") + part("uuid", uuid) + extra + END


def test_uuid_needs_a_token(stack):
    refused(post(stack, with_uuid(UUID)), 401, "Discarded=unauthorized_uuid")
    refused(post(stack, with_uuid(UUID), Authorization="Bearer "), 401,
            "Discarded=unauthorized_uuid")
    stack.httpd_conf(f"CrashSubmitToken {TOKEN}")
    for header in (f"Basic {TOKEN}", "Bearer x", f"Bearer {TOKEN}x", TOKEN, ""):
        refused(post(stack, with_uuid(UUID), Authorization=header), 401,
                "Discarded=unauthorized_uuid")


def test_own_uuid(stack):
    stack.httpd_conf(f"CrashSubmitToken {TOKEN}")
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    for bad in ("x", UUID.upper(), UUID[:-1], UUID.replace("160918", "161399"), "../" + UUID):
        refused(post(stack, with_uuid(bad), **bearer), 400, "Discarded=malformed_invalid_uuid")
    assert accepted(post(stack, with_uuid(UUID), **bearer)) == UUID
    # Again: the same answer, and nothing is overwritten.
    assert accepted(post(stack, with_uuid(UUID, part("second", "1")), **bearer)) == UUID
    assert "second" not in raw_crash(stack, UUID)


# ---- the database is not needed ----

def test_database_down(stack):
    stack.error_log.expect("SAL1025|SAL9621|dbd|DBD|AH0|SAL4|SAL9")
    stack.stop("salvaged", "postgres")
    began = time.monotonic()
    crash_id = accepted(post(stack))
    assert time.monotonic() - began < 2
    assert (stack.store / "pending" / crash_id).exists()
    stack.start("postgres")
    stack.salvage("sweep", "--pending")
    assert stack.query("select 1 from raw_crash where crash_id = %s", crash_id)
    assert not (stack.store / "pending" / crash_id).exists()


def test_graceful_restart_under_load(stack):
    """No report is refused or lost while children come and go."""
    ids, errors, stop = [], [], threading.Event()

    def send():
        while not stop.is_set():
            try:
                ids.append(accepted(post(stack)))
            except (AssertionError, requests.RequestException) as e:
                errors.append(repr(e))

    threads = [threading.Thread(target=send) for _ in range(4)]
    for t in threads:
        t.start()
    for _ in range(3):
        time.sleep(0.7)
        assert stack.apache("-k", "graceful").returncode == 0
    time.sleep(0.7)
    stop.set()
    for t in threads:
        t.join()
    assert not errors, errors[:3]
    assert len(ids) > 20 and set(ids) <= stored(stack)
    stack.salvage("sweep", "--pending")
    known = {r[0] for r in stack.query("select crash_id from raw_crash where crash_id = any(%s)",
                                       ids)}
    assert known == set(ids)


# ---- health ----

def test_health(stack):
    r = requests.get(stack.url + "/__lbheartbeat__", timeout=30)
    assert (r.status_code, r.text) == (200, "")
    r = requests.get(stack.url + "/__heartbeat__", timeout=30)
    assert (r.status_code, r.text) == (200, '{"errors": []}')
    r = requests.get(stack.url + "/__version__", timeout=30)
    assert r.status_code == 200
    assert set(r.json()) == {"source", "version", "commit", "build"}


def test_heartbeat_without_database(stack):
    stack.error_log.expect("SAL1014|SAL9|dbd|DBD|AH0")
    stack.stop("salvaged", "postgres")
    r = requests.get(stack.url + "/__heartbeat__", timeout=30)
    assert r.status_code == 503
    assert [e["name"] for e in r.json()["errors"]] == ["database"]
    assert requests.get(stack.url + "/__lbheartbeat__", timeout=30).status_code == 200


# ---- configuration ----

@pytest.mark.parametrize("line,words", [
    ("CrashMaxBody 12x", "not a size; expected e.g. 25M"),
    ("CrashMaxBody 5G", "not a size; expected e.g. 25M (1k..4G)"),
    ("CrashMaxInFlight 0", "not a number in 1..10000"),
    ("CrashThrottleDefault maybe", "none of accept, defer, reject, fakeaccept"),
    ("CrashSubmitToken short", "at least 16 characters"),
])
def test_wrong_directives_are_named(stack, line, words):
    accepted_it, said = stack.judge_conf(line)
    assert not accepted_it and line.split()[0] in said and words in said


# ---- the tool ----

@pytest.mark.parametrize("options", [[], ["--gzip"], ["--chunked"], ["--json"],
                                     ["--gzip", "--chunked", "--json"]])
def test_salvage_submit(stack, tmp_path, options):
    (tmp_path / "a=b.dmp").write_bytes(b"MDMP" + bytes(range(256)))
    done = stack.salvage("submit", "--server", stack.url, "--annotation", "ProductName=Demo",
                         "--annotation", "Note=a=b \u00e4", "--dump", tmp_path / "a=b.dmp", "--dump",
                         f"log={tmp_path / 'a=b.dmp'}", *options)
    crash_id = accepted(type("R", (), {"status_code": 200, "text": done.stdout}))
    raw = raw_crash(stack, crash_id)
    assert raw["Note"] == "a=b \u00e4"
    assert raw["metadata"]["payload"] == ("json" if "--json" in options else "multipart")
    assert dump(stack, crash_id) == dump(stack, crash_id, "log") == b"MDMP" + bytes(range(256))


def test_salvage_submit_fails_with_a_word(stack):
    done = stack.salvage("submit", "--server", stack.url, "--annotation", "uuid=x", check=False)
    assert done.returncode == 1 and "401 Discarded=unauthorized_uuid" in done.stderr
    assert done.stdout == "" and done.stderr.count("\n") == 1
    done = stack.salvage("submit", "--server", stack.url, check=False)
    assert done.returncode == 2


def test_salvage_sweep_since(stack):
    """A database that forgot a crash gets it back from the store."""
    crash_id = accepted(post(stack))
    stack.wait_processed(crash_id)
    stack.query("delete from raw_crash where crash_id = %s", crash_id)
    stack.salvage("sweep", "--pending")
    assert not stack.query("select 1 from raw_crash where crash_id = %s", crash_id)
    done = stack.salvage("sweep", "--since", "1d")
    assert re.search(r": [1-9]\d* queued", done.stdout)
    assert stack.query("select 1 from raw_crash where crash_id = %s", crash_id)
