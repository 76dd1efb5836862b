"""Counters of the collector: /metrics as Prometheus reads it, StatsD as upstream sends it, health.

Expectations: the collector's specification, sections 9 and 10, and Prometheus' text format.
"""
import gzip
import os
import re
import signal
import socket
import time

import pytest
import requests

BOUNDARY = "0123456789abcdef0123"
FORM = f"multipart/form-data; boundary={BOUNDARY}"


def field(name, value):
    return (f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            ).encode()


END = f"--{BOUNDARY}--\r\n".encode()
BODY = field("ProductName", "Demo") + field("Version", "1.0") + END


def post(stack, body=BODY, ctype=FORM, **headers):
    given = {} if ctype is None else {"Content-Type": ctype}
    given.update({k.replace("_", "-"): v for k, v in headers.items()})
    return requests.post(stack.url + "/submit", data=body, headers=given, timeout=60)


@pytest.fixture(scope="module", autouse=True)
def shared_conf(instance):
    """One restart for all: a StatsD to listen for, mod_status, a heartbeat that is easily worried."""
    modules = re.search(r'LoadModule alias_module "([^"]*)/mod_alias.so"',
                        (instance.dir / "httpd.conf").read_text()).group(1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        s.settimeout(10)
        instance.statsd = s
        instance.shared_conf(f"""
LoadModule status_module "{modules}/mod_status.so"
<Location "/status">
    SetHandler server-status
    CrashTokenOptional off
</Location>
<Location "/refused">
    SetHandler salvage-metrics
    Require ip 192.0.2.1
</Location>
CrashStatsd 127.0.0.1:{s.getsockname()[1]}
CrashBroken on
CrashPendingAge 2s
""")
        yield
    instance.shared_conf("")


# ---- Prometheus' text format, strictly ----

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? "
                    r"(\+Inf|-Inf|NaN|-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?)")


def parse(text):
    """{(name, labels): value} and {family: type}; asserts all that the format demands."""
    assert text.endswith("\n")
    values, types, helped, done, family = {}, {}, set(), set(), None
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name = line.split(" ", 3)[2]
            assert name not in helped
            helped.add(name)
            continue
        if line.startswith("# TYPE "):
            name, kind = line.split(" ")[2:]
            assert kind in ("counter", "gauge", "histogram", "untyped", "summary")
            assert name not in types and name in helped
            types[name] = kind
            done.add(family)
            family = name
            continue
        found = SAMPLE.fullmatch(line)
        assert found, line
        name, labels, value = found.groups()
        base = name
        if types.get(family) == "histogram":
            base = re.sub(r"_(bucket|sum|count)$", "", name)
        assert base == family and family not in done, f"{name} stands in {family}"
        key = (name, labels or "")
        assert key not in values
        values[key] = float(value)
    check_histograms(values, types)
    return values, types


def check_histograms(values, types):
    for family in (n for n, t in types.items() if t == "histogram"):
        series = {}
        for (name, labels), value in values.items():
            if name == family + "_bucket":
                le = re.search(r'le="([^"]*)"', labels).group(1)
                rest = re.sub(r',?le="[^"]*"', "", labels)
                series.setdefault(rest, []).append((float(le.replace("+Inf", "inf")), value))
        for rest, buckets in series.items():
            for column in zip(*buckets):
                assert list(column) == sorted(column), "bounds and counts grow"
            assert buckets[-1][0] == float("inf")
            assert values[family + "_count", rest] == buckets[-1][1]
            assert (family + "_sum", rest) in values


def read(stack):
    r = requests.get(stack.url + "/metrics", timeout=20)
    assert r.status_code == 200
    assert r.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return parse(r.text)[0]


def growth(before, after, name, labels=""):
    key = ("salvage_collector_" + name, labels)
    return after.get(key, 0) - before.get(key, 0)


def test_strict_parser_is_strict():
    for bad in ("x 1", "x 1\n", "# HELP x y\n# TYPE x counter\nx{a=b} 1\n",
                "# HELP x y\n# TYPE x counter\ny 1\n", "# HELP x y\n# TYPE x counter\nx 1\nx 2\n",
                '# HELP x y\n# TYPE x histogram\nx_bucket{le="1"} 2\nx_bucket{le="+Inf"} 1\n'
                "x_sum 1\nx_count 1\n"):
        with pytest.raises((AssertionError, KeyError)):
            parse(bad)
    parse("# HELP x y\n# TYPE x counter\nx{a=\"b\"} 1\nx{a=\"c\"} 2.5\n")


# ---- what is counted ----

def quiet(stack):
    """The time of a POST is counted behind its answer: counters, once they stand still."""
    last = read(stack)
    while True:
        time.sleep(0.3)
        now = read(stack)
        if growth(last, now, "on_post_seconds_count") == 0:
            return now
        last = now


def test_counters(stack):
    before = quiet(stack)
    assert post(stack).status_code == 200
    packed = gzip.compress(BODY)
    assert post(stack, packed, Content_Encoding="gzip").status_code == 200
    assert post(stack, b"junk", Content_Encoding="gzip").status_code == 400
    assert post(stack, ctype="multipart/form-data").status_code == 400
    assert post(stack, ctype=None).status_code == 400
    assert post(stack, b"no form at all").status_code == 400
    assert post(stack, field("uuid", "x") + BODY).status_code == 401
    after = quiet(stack)
    assert growth(before, after, "incoming_crash_total") == 3
    assert growth(before, after, "gzipped_crash_total") == 2
    assert growth(before, after, "unauthorized_uuid_total") == 1
    for reason in ("bad_gzip", "no_boundary", "no_content_type", "invalid_payload_structure"):
        assert growth(before, after, "malformed_total", f'reason="{reason}"') == 1, reason
    # No decision is counted where the id was refused.
    assert growth(before, after, "throttle_total", 'result="accept"') == 2
    assert growth(before, after, "throttle_rule_total", 'rule="accept_everything"') == 2
    assert growth(before, after, "save_crash_total") == 2
    # The two payloads are of one size, once inflated.
    for payload, n in (("compressed", 1), ("uncompressed", 2)):
        assert growth(before, after, "crash_size_bytes_count", f'payload="{payload}"') == n
    assert growth(before, after, "crash_size_bytes_sum", 'payload="compressed"') == len(BODY)
    assert growth(before, after, "gzip_decompress_seconds_count", 'result="success"') == 1
    assert growth(before, after, "gzip_decompress_seconds_count", 'result="fail"') == 1
    assert growth(before, after, "on_post_seconds_count") == 7
    assert growth(before, after, "crash_save_seconds_count") == 2
    assert growth(before, after, "crash_handling_seconds_count") == 3


def wait(check, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = check()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError("it did not come to pass")


def test_rows_are_counted(stack):
    before = read(stack)
    post(stack)
    wait(lambda: growth(before, read(stack), "publish_crash_total") >= 1)
    wait(lambda: growth(before, read(stack), "crash_publish_seconds_count") >= 1)
    now = read(stack)
    assert 0 < growth(before, now, "crash_publish_seconds_sum") < 60


def test_repeated_writes_are_counted(stack):
    stack.error_log.expect("SAL1014|SAL9621|SAL1030|SAL5010|SAL5022")
    before = read(stack)
    stack.stop("postgres")
    assert post(stack).status_code == 200
    wait(lambda: growth(before, read(stack), "retry_total",
                        'count="publish_crash_exception.count"') >= 1)
    stack.start("postgres")
    wait(lambda: growth(before, read(stack), "publish_crash_total") >= 1, 60)


def test_gauges(stack):
    now = read(stack)
    for name in ("in_flight", "rows_waiting", "rows_database_away", "store_sick",
                 "ledger_waiting", "pending", "pending_oldest_seconds"):
        assert now["salvage_collector_" + name, ""] >= 0
    assert now["salvage_collector_store_sick", ""] == 0
    assert now["salvage_collector_store_free_bytes", ""] > 0
    assert now["salvage_collector_store_free_inodes", ""] > 0
    assert now["salvage_collector_children", ""] >= 1


def test_page_has_all_modules(stack):
    now = read(stack)
    assert ("salvage_symbols_downloads_total", 'result="found"') in now
    assert ("http_requests_total", 'type="debuginfo"') in now


def test_methods_and_access(stack):
    assert requests.post(stack.url + "/metrics", timeout=20).status_code == 405
    head = requests.head(stack.url + "/metrics", timeout=20)
    assert head.status_code == 200 and not head.content
    stack.error_log.expect("AH01630")
    assert requests.get(stack.url + "/refused", timeout=20).status_code == 403


def test_graceful_restart_keeps_counts(stack):
    post(stack)
    before = read(stack)
    os.kill(stack.pid("httpd"), signal.SIGUSR1)
    post(stack)
    wait(lambda: growth(before, read(stack), "save_crash_total") >= 1)
    assert growth(before, read(stack), "save_crash_total") == 1


def test_killed_child_takes_its_gauges(stack):
    """A child that dies with a report in flight: the gauge forgets it."""
    stack.error_log.expect("exit signal|AH00052")
    with socket.create_connection(("127.0.0.1", stack.port)) as s:
        s.sendall(f"POST /submit HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\n"
                  "Content-Length: 1000\r\n\r\n".encode() + BODY[:50])
        wait(lambda: read(stack)["salvage_collector_in_flight", ""] == 1)
        for pid in stack.children("httpd"):
            os.kill(pid, signal.SIGKILL)
    wait(lambda: read_or_none(stack) == 0)


def read_or_none(stack):
    try:
        return read(stack)["salvage_collector_in_flight", ""]
    except requests.ConnectionError:
        return None


# ---- StatsD ----

@pytest.fixture
def statsd(stack):
    """The socket, without what earlier tests left in it."""
    s = stack.statsd
    time.sleep(1.2)         # the keeper of each child speaks once a second
    s.setblocking(False)
    try:
        while s.recv(65536):
            pass
    except BlockingIOError:
        pass
    s.settimeout(10)
    return s


LINE = re.compile(r"(socorro\.[a-z_.]+):([0-9.]+)\|(c|h|ms|g)\|#([a-z]+:[^,|#]+(?:,[a-z]+:[^,|#]+)*)")


def gather(s, names):
    """Lines until all of names came: {name: [(value, type, tags)]}."""
    lines = {}
    end = time.monotonic() + 10
    while time.monotonic() < end and not names <= set(lines):
        for line in s.recv(65536).decode().split("\n"):
            found = LINE.fullmatch(line)
            assert found, line
            tags = dict(t.split(":", 1) for t in found.group(4).split(","))
            assert tags.pop("host") == socket.gethostname()
            lines.setdefault(found.group(1), []).append(
                (float(found.group(2)), found.group(3), tags))
    assert names <= set(lines), names - set(lines)
    return lines


def test_statsd(stack, statsd):
    resource, mover = "socorro.collector.breakpad_resource.", "socorro.collector.crashmover."
    post(stack, gzip.compress(BODY), Content_Encoding="gzip")
    lines = gather(statsd, {resource + n for n in ("incoming_crash", "gzipped_crash", "crash_size",
                                                   "gzipped_crash_decompress", "throttle",
                                                   "throttle_rule", "on_post.time")}
                   | {mover + n for n in ("save_crash.count", "crash_save.time",
                                          "crash_handling.time")})
    assert lines[resource + "incoming_crash"] == [(1, "c", {})]
    assert lines[resource + "gzipped_crash"] == [(1, "c", {})]
    assert lines[resource + "throttle"] == [(1, "c", {"result": "accept"})]
    assert lines[resource + "throttle_rule"] == [(1, "c", {"rule": "accept_everything"})]
    assert lines[resource + "crash_size"] == [(len(BODY), "h", {"payload": "compressed"})]
    (_, kind, tags), = lines[resource + "gzipped_crash_decompress"]
    assert (kind, tags) == ("h", {"result": "success"})
    assert lines[mover + "save_crash.count"] == [(1, "c", {})]
    for name in (resource + "on_post.time", mover + "crash_save.time"):
        (value, kind, tags), = lines[name]
        assert kind == "ms" and tags == {} and 0 <= value < 60000
    post(stack, b"x", ctype=None)
    lines = gather(statsd, {resource + "malformed"})
    assert lines[resource + "malformed"] == [(1, "c", {"reason": "no_content_type"})]


def test_statsd_that_is_full(stack, statsd):
    """A listener that never reads: reports are taken in as ever."""
    statsd.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    for _ in range(60):
        assert post(stack).status_code == 200


# ---- health ----

def heartbeat(stack):
    return requests.get(stack.url + "/__heartbeat__", timeout=30)


def test_heartbeat(stack):
    r = heartbeat(stack)
    assert (r.status_code, r.text) == (200, '{"errors": []}')
    assert r.headers["Content-Type"] == "application/json; charset=utf-8"
    r = requests.get(stack.url + "/__lbheartbeat__", timeout=20)
    assert (r.status_code, r.text) == (200, "")
    version = requests.get(stack.url + "/__version__", timeout=20)
    assert set(version.json()) in (set(), {"source", "version", "commit", "build"})


def failing(stack):
    r = heartbeat(stack)
    assert r.status_code == 503
    for e in r.json()["errors"]:
        assert set(e) == {"name", "msg"}
    return {e["name"] for e in r.json()["errors"]}


def failing_or_none(stack):
    r = heartbeat(stack)
    return {e["name"] for e in r.json()["errors"]}


def names(stack):
    return {e["name"] for e in heartbeat(stack).json()["errors"]}


def test_heartbeat_without_database(stack):
    """Its absence is told, crashes are taken in all the same, and those that wait are told too."""
    stack.error_log.expect("SAL1014|SAL9621|SAL9622|SAL1025|SAL1026|salvaged")
    stack.stop("salvaged", "postgres")
    wait(lambda: names(stack) == {"database"})
    assert post(stack).status_code == 200
    wait(lambda: names(stack) == {"database", "pending"})
    stack.start("postgres")
    stack.start("salvaged")
    wait(lambda: heartbeat(stack).status_code == 200, 60)


def test_heartbeat_of_a_stopped_database(stack):
    """The server accepts and says nothing: the heartbeat ends all the same, and says so."""
    stack.error_log.expect("SAL1014|SAL9621|SAL9622|SAL1025|SAL1026|salvaged")
    heartbeat(stack)        # it holds a connection now
    time.sleep(1.1)         # what it said is old
    backends = [stack.pid("postgres"), *stack.children("postgres")]
    for pid in backends:
        os.kill(pid, signal.SIGSTOP)
    try:
        begun = time.monotonic()
        assert failing(stack) == {"database"}
        assert time.monotonic() - begun < 20
    finally:
        for pid in backends:
            os.kill(pid, signal.SIGCONT)
    wait(lambda: heartbeat(stack).status_code == 200)


def test_heartbeat_of_a_full_disk(stack):
    stack.error_log.expect("SAL9603|SAL1013")
    stack.httpd_conf("CrashMinFree 1000T")
    assert failing(stack) == {"disk"}
    r = post(stack)
    assert r.status_code == 503 and 300 <= int(r.headers["Retry-After"]) <= 450
    assert read(stack)["salvage_collector_busy_total", 'why="store_full"'] >= 1


def test_heartbeat_of_an_unwritable_store(stack):
    """It really tries: a folder of the store that takes no names is found out."""
    stack.error_log.expect("SAL1013|SAL96|SAL4002")    # other modules of a child that starts
    wait(lambda: read(stack)["salvage_collector_children", ""] >= 2)
    pending = stack.store / "pending"
    mode = pending.stat().st_mode
    pending.chmod(0o500)
    try:
        assert failing(stack) == {"store"}
    finally:
        pending.chmod(mode)
    wait(lambda: heartbeat(stack).status_code == 200)


def test_broken(stack):
    stack.error_log.expect("SAL1029")
    assert requests.get(stack.url + "/__broken__", timeout=20).status_code == 500
    stack.httpd_conf("")
    assert requests.get(stack.url + "/__broken__", timeout=20).status_code == 404


def test_status_section(stack):
    post(stack)
    page = requests.get(stack.url + "/status", timeout=20).text
    assert "Crash collector" in page
    short = requests.get(stack.url + "/status?auto", timeout=20).text
    assert int(re.search(r"^CrashSaved: (\d+)$", short, re.M).group(1)) >= 1
