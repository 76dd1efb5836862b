"""The collector under fire: limits on clients and products, keys, the switch, smuggling, the ledger,
and logs that tell nothing of a report.

Expectations: the collector's specification, sections 2.1, 10.2, 13 and 14.
"""
import gzip
import re
import time

import pytest
import requests

import reports
from reports import BOUNDARY, END, FORM, part, raw_request


def body_of(product):
    return part("ProductName", product) + part("Version", "1.0") + END


BODY = body_of("Demo")

CONF = """
LoadModule remoteip_module "{modules}/mod_remoteip.so"
RemoteIPHeader X-Forwarded-For
RemoteIPInternalProxy 127.0.0.1
LogLevel crash_collect:info
<Location "/rate">
    SetHandler crash-collect
    CrashTokenOptional off
    CrashAddressRate 1/h 3
</Location>
<Location "/reject">
    SetHandler crash-collect
    CrashTokenOptional off
    CrashAddressRate 1/h 1
    CrashRateAction reject
</Location>
<Location "/products">
    SetHandler crash-collect
    CrashTokenOptional off
    CrashProductRate Slow 1/h 2
    CrashProductRate Free none
    CrashProductRate * 1/h 4
    CrashProductDaily Capped 3
    CrashProductRate Capped none
</Location>
<Location "/keys">
    SetHandler crash-collect
    CrashTokenOptional off
    CrashIngestKey Locked key-of-locked
    CrashIngestKey Locked second-key-of-locked
</Location>
<Location "/allkeys">
    SetHandler crash-collect
    CrashTokenOptional off
    CrashIngestKey * key-of-the-rest
    CrashIngestKey Locked key-of-locked
</Location>
<Location "/off">
    SetHandler crash-collect
    CrashTokenOptional off
    CrashIntake off
</Location>
<Location "/switch">
    SetHandler crash-collect
    CrashTokenOptional off
    CrashIntakeSwitch "{dir}/intake-off"
</Location>
"""


@pytest.fixture(scope="module", autouse=True)
def shared_conf(instance):
    modules = re.search(r'LoadModule alias_module "([^"]*)/mod_alias.so"',
                        (instance.dir / "httpd.conf").read_text()).group(1)
    instance.shared_conf(CONF.format(modules=modules, dir=instance.dir))
    yield
    instance.shared_conf("")


def post(stack, path="/submit", body=BODY, address=None, **headers):
    if address:
        headers["X_Forwarded_For"] = address
    return reports.post(stack, body, path=path, **headers)


def is_busy(r):
    return r.status_code == 503 and int(r.headers["Retry-After"]) >= 1 and r.text == ""


# ---- rates ----

def test_address_rate(stack):
    for _ in range(3):
        assert post(stack, "/rate", address="203.0.113.1").status_code == 200
    for _ in range(3):
        assert is_busy(post(stack, "/rate", address="203.0.113.1"))
    assert post(stack, "/rate", address="203.0.113.2").status_code == 200
    # What is no crash report costs as much: it is counted before anything is read.
    for _ in range(3):
        assert post(stack, "/rate", b"junk", address="203.0.113.3").status_code == 400
    assert is_busy(post(stack, "/rate", address="203.0.113.3"))


def test_address_rate_of_a_network(stack):
    """One /64 is one client; its neighbour is another."""
    for i in range(3):
        assert post(stack, "/rate", address=f"2001:db8:1:1::{i}").status_code == 200
    assert is_busy(post(stack, "/rate", address="2001:db8:1:1:ffff::9"))
    assert post(stack, "/rate", address="2001:db8:1:2::1").status_code == 200
    # An IPv4 address in IPv6's clothes is the same client.
    for _ in range(3):
        assert post(stack, "/rate", address="203.0.113.9").status_code == 200
    assert is_busy(post(stack, "/rate", address="::ffff:203.0.113.9"))


def test_forged_address(stack):
    """Whoever is no trusted proxy gains nothing by naming another address: mod_remoteip believes the
    last of the list alone, and what stands before it was the client's to write."""
    for i in range(3):
        assert post(stack, "/rate", address=f"198.51.100.{i}, 203.0.113.50").status_code == 200
    assert is_busy(post(stack, "/rate", address="198.51.100.77, 203.0.113.50"))


def test_rate_as_a_rule(stack):
    assert post(stack, "/reject", address="203.0.113.20").status_code == 200
    r = post(stack, "/reject", address="203.0.113.20")
    assert (r.status_code, r.text) == (200, "Discarded=rule_rate_limited")


def test_product_rates(stack):
    for product, passes in (("Slow", 2), ("Other", 4), ("Third", 4), ("Capped", 3), ("", 4)):
        got = [post(stack, "/products", body_of(product)).status_code for _ in range(passes + 2)]
        assert got == [200] * passes + [503] * 2, product
    assert all(post(stack, "/products", body_of("Free")).status_code == 200 for _ in range(8))
    assert int(post(stack, "/products", body_of("Slow")).headers["Retry-After"]) > 600


# ---- keys ----

def test_keys(stack):
    locked = body_of("Locked")
    r = post(stack, "/keys", locked)
    assert (r.status_code, r.text) == (401, "Discarded=unauthorized_key")
    assert post(stack, "/keys?key=wrong-key", locked).status_code == 401
    assert post(stack, "/keys?key=", locked).status_code == 401
    assert post(stack, "/keys?key=key-of-locked", locked).status_code == 200
    assert post(stack, "/keys", locked, X_Crash_Key="second-key-of-locked").status_code == 200
    # Others are open there.
    assert post(stack, "/keys", body_of("Open")).status_code == 200


def test_keys_for_all(stack):
    locked = body_of("Locked")
    assert post(stack, "/allkeys", BODY).status_code == 401
    assert post(stack, "/allkeys?key=key-of-the-rest", BODY).status_code == 200
    # A product with keys of its own opens with these alone.
    assert post(stack, "/allkeys?key=key-of-the-rest", locked).status_code == 401
    assert post(stack, "/allkeys?key=key-of-locked", locked).status_code == 200
    assert post(stack, "/allkeys?key=key-of-locked", BODY).status_code == 401


def test_wrong_key_saves_the_upload(stack):
    """Where every product is locked, a client that shows no key is not told to send."""
    answer = raw_request(stack, "POST /allkeys HTTP/1.1\nHost: x\n"
                         f"Content-Type: {FORM}\nContent-Length: 20000000\n"
                         "Expect: 100-continue\nConnection: close\n")
    assert answer.startswith(b"HTTP/1.1 401 ") and b"100 Continue" not in answer


# ---- the switch ----

def test_intake_off(stack):
    r = post(stack, "/off")
    assert is_busy(r) and int(r.headers["Retry-After"]) >= 300
    answer = raw_request(stack, f"POST /off HTTP/1.1\nHost: x\nContent-Type: {FORM}\n"
                         "Content-Length: 20000000\nExpect: 100-continue\nConnection: close\n")
    assert answer.startswith(b"HTTP/1.1 503 ") and b"100 Continue" not in answer


def test_intake_switch(stack):
    """Without a restart, there and back; crash pings too."""
    switch = stack.dir / "intake-off"
    ping = "/switch/firefox-desktop/crash/1/11111111-2222-4333-8444-555555555555"
    assert post(stack, "/switch").status_code == 200
    switch.touch()
    try:
        assert is_busy(post(stack, "/switch"))
        assert requests.post(stack.url + ping, data=b"{}", timeout=20).status_code == 503
    finally:
        switch.unlink()
    assert post(stack, "/switch").status_code == 200


# ---- framing and headers ----

def test_both_lengths(stack):
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
    answer = raw_request(stack, f"POST /submit HTTP/1.1\nHost: x\nContent-Type: {FORM}\n"
                         f"Content-Length: {len(BODY)}\nTransfer-Encoding: chunked\n", chunked)
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    # The chunks alone are welcome, with a connection that is to be closed as well.
    for connection in ("close", "keep-alive, close"):
        answer = raw_request(stack, f"POST /submit HTTP/1.1\nHost: x\nContent-Type: {FORM}\n"
                             f"Transfer-Encoding: chunked\nConnection: {connection}\n", chunked)
        assert answer.startswith(b"HTTP/1.1 200 "), answer


def test_two_lengths(stack):
    answer = raw_request(stack, f"POST /submit HTTP/1.1\nHost: x\nContent-Type: {FORM}\n"
                         f"Content-Length: {len(BODY)}\nContent-Length: 5\nConnection: close\n", BODY)
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_no_cookies_no_cors(stack):
    for r in (post(stack, Origin="https://evil.example"),
              requests.options(stack.url + "/submit", timeout=20,
                               headers={"Origin": "https://evil.example",
                                        "Access-Control-Request-Method": "POST"})):
        assert "Set-Cookie" not in r.headers
        assert not [h for h in r.headers if h.lower().startswith("access-control")]


def test_names_split_no_headers_and_no_paths(stack):
    """Line breaks and paths in names reach neither headers nor files."""
    before = {p for p in stack.store.rglob("*") if "evil" in p.name}
    tricks = (part("ProductName", "Demo\r\nX-Evil: 1")
              + part("Version", "../../../../evil") + part("Notes\r\nX-Evil: 1", "x")
              + part("../../evil", "MDMP", "../../evil.dmp")
              + part("..%2f..%2fevil", "MDMP", "/etc/evil") + END)
    r = post(stack, body=tricks)
    assert r.status_code in (200, 400) and "X-Evil" not in r.headers
    assert re.fullmatch(r"CrashID=bp-[0-9a-f-]{36}\n|Discarded=malformed_[a-z_]+", r.text)
    assert {p for p in stack.store.rglob("*") if "evil" in p.name} == before


def test_duplicate_fields(stack):
    """Of two equal fields the last counts, for limits as for all else."""
    twice = part("ProductName", "Free") + body_of("Slow2")
    got = [post(stack, "/products", twice).status_code for _ in range(6)]
    assert got == [200] * 4 + [503] * 2


# ---- logs ----

CANARY = "Kanarienvogel"


def canary(n):
    return f"{CANARY}{n:03d}"


def test_logs_tell_nothing(stack):
    """At trace8 no annotation, header or file name of a report is in any log of ours; what httpd's
    own core dumps at trace levels is not asked for."""
    fields = b"".join(part(name, canary(i)) for i, name in enumerate(
        ("ProductName", "Version", "Email", "URL", "Comments", "uuid", "BuildID", "ReleaseChannel",
         "UserID", "TelemetryEnvironment", "Breadcrumbs", canary(90))))
    dump = part("upload_file_minidump", canary(20), f"{canary(21)}.dmp")
    stack.error_log.expect("trace")
    stack.httpd_conf(stack.plain.replace("crash_collect:info", "crash_collect:trace8")
                     + 'ErrorLogFormat "[%{u}t] [%-m:%l] [pid %P:tid %T] %M"\n'   # no client, no referer
                       'LogFormat "%>s %{CRASH_ID}n %{CRASH_RULE}n" canary\n'
                       "CustomLog logs/canary_log canary\n")
    headers = {"User_Agent": canary(30), "Referer": canary(31), "Cookie": canary(32),
               "X_Crash_Key": canary(33), "Authorization": "Bearer " + canary(34)}
    marks = {p: p.stat().st_size for p in (stack.dir / "logs").iterdir()}
    good = post(stack, body=fields.replace(b'name="uuid"', b'name="uid2"') + dump + END,
                address="203.0.113.200", **headers)
    assert good.status_code == 200, good.text
    assert post(stack, body=fields + END, **headers).status_code == 401
    for bad in (fields, fields.replace(b"form-data", b"\xff\xfe") + END,
                part("dump", canary(40), "x") + END):
        assert post(stack, body=bad, **headers).status_code == 400
    assert post(stack, body=gzip.compress(fields)[:-9], Content_Encoding="gzip",
                **headers).status_code == 400
    json = (f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="extra"\r\n'
            f'Content-Type: application/json\r\n\r\n{{"{canary(50)}": {canary(51)}}}\r\n').encode()
    assert post(stack, body=json + END, **headers).status_code == 400
    ping = f"/submit/firefox-desktop/crash/1/11111111-2222-4333-8444-{int(time.time()):012d}"
    requests.post(stack.url + ping, data=f'{{"{canary(60)}": "{canary(61)}"}}', timeout=20,
                  headers={"User-Agent": canary(62)})
    time.sleep(0.5)
    text = ""
    for log in (stack.dir / "logs").iterdir():
        with open(log, "rb") as f:
            f.seek(marks.get(log, 0))
            text += f.read().decode(errors="replace")
    assert CANARY not in text
    assert "203.0.113.200" not in (stack.dir / "logs" / "canary_log").read_text()
    lines = (stack.dir / "logs" / "canary_log").read_text().splitlines()
    assert f"200 {good.text.strip()[len('CrashID=bp-'):]} accept_everything" in lines


def test_refusals_do_not_fill_the_log(stack):
    def lines():
        return sum("SAL1011" in line for _, line in stack.error_log.new_lines())

    def held():
        page = requests.get(stack.url + "/metrics", timeout=20).text
        return int(re.search(r"^salvage_collector_log_suppressed_total (\d+)$", page, re.M).group(1))

    before, held_before = lines(), held()
    with requests.Session() as s:
        for _ in range(300):
            assert s.post(stack.url + "/submit", data=b"x", timeout=20,
                          headers={"Content-Type": "multipart/form-data"}).status_code == 400
    # Ten at once, one in ten seconds; all of them are accounted for.
    assert lines() - before <= 20
    assert (lines() - before) + (held() - held_before) >= 300


# ---- the ledger ----

def ledger(stack, *args, check=True):
    done = stack.salvage("ledger", *args, check=check)
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    return [dict(zip(rows[0], r)) for r in rows[1:]]


def wait(check):
    end = time.monotonic() + 20
    while time.monotonic() < end:
        found = check()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError("it did not come to pass")


def test_ledger(stack):
    crash_id = post(stack, User_Agent="Crashpad/1.0 " + CANARY).text.strip()[len("CrashID="):]
    row, = wait(lambda: ledger(stack, crash_id, check=False))
    assert (row["outcome"], row["reason"], row["status"]) == ("accepted", "accept_everything", "200")
    assert int(row["size"]) == len(BODY)
    assert (row["agent"], "bp-" + row["crash"]) == ("crashpad", crash_id)
    # And of those that got no id.
    post(stack, body=b"junk", User_Agent="curl/8.1")
    post(stack, "/off", User_Agent="curl/8.2")
    post(stack, body=part("uuid", "x") + BODY, User_Agent=CANARY)
    wanted = {("malformed", "invalid_payload_structure", "400", "curl"),
              ("busy", "intake_off", "503", "curl"), ("unauthorized", "uuid", "401", "other")}
    columns = ("outcome", "reason", "status", "agent")
    wait(lambda: wanted <= {tuple(r[c] for c in columns)
                            for r in ledger(stack, "--refused", "--since", "1h", "-n", "10000")})
    sums = ledger(stack, "--sum", "--outcome", "busy")
    assert any(r["reason"] == "intake_off" and int(r["count"]) >= 1 for r in sums)
    assert CANARY not in stack.salvage("ledger", "-n", "10000").stdout
    columns = {c for c, in stack.query("select column_name from information_schema.columns"
                                       " where table_name = 'intake_ledger'")}
    assert columns == {"id", "received", "outcome", "reason", "status", "size", "agent", "crash_id"}


def test_ledger_command(stack):
    unknown = stack.salvage("ledger", "0f0e0d0c-1111-4222-8333-444455260131", check=False)
    assert unknown.returncode == 1 and "no POST" in unknown.stderr
    for wrong in (["--since", "yesterday"], ["-n", "0"], ["a", "b"], ["--nonsense"]):
        assert stack.salvage("ledger", *wrong, check=False).returncode == 2


def test_intake_page(stack):
    """The ledger for people; not for everybody."""
    page = stack.url + "/about/intake/"
    known = {"Auth-Token": stack.api_token}
    crash_id = post(stack).text.strip()[len("CrashID="):]
    post(stack, body=b"junk", User_Agent="curl/8.1")
    wait(lambda: ledger(stack, crash_id, check=False))
    assert requests.get(page, timeout=20).status_code == 403
    text = requests.get(page, timeout=20, headers=known).text
    assert "malformed" in text and "invalid_payload_structure" in text
    assert crash_id[3:] not in text         # it was no refusal
    found = requests.get(page, timeout=20, headers=known, params={"id": crash_id}).text
    assert crash_id[3:] in found and "accept_everything" in found
    odd = requests.get(page, timeout=20, headers=known, params={"id": '"><b>\xff'}).text
    assert "<b>" not in odd and "None." in odd


# ---- configuration ----

@pytest.mark.parametrize("line", ["CrashAddressRate fast", "CrashAddressRate 10/s 0",
                                  "CrashProductRate Demo", "CrashProductDaily Demo -1",
                                  "CrashRateAction maybe", "CrashIngestKey Demo short",
                                  "CrashStatsd 8125", "CrashLedgerKeep 1s", "CrashPendingAge never"])
def test_wrong_directives(stack, line):
    """httpd -t says which directive, and what it wants."""
    accepted, said = stack.judge_conf(line)
    assert not accepted and line.split()[0] in said, said
