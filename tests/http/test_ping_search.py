"""Crash pings signed by the daemon and searched beside reports: one story told by our own test
crashes, whose addresses stand in the pings."""
import hashlib
import html
import json
import re
import time
import urllib.parse
import uuid

import pings
import pytest
import requests

DUMPS = ("crasher", "crasher_cpp", "crasher_abort")


@pytest.fixture(scope="session")
def crashes(instance, top):
    """Of each of our dumps: its bytes, its hash and what walking it says."""
    made = {}
    for name in DUMPS:
        path = top / "tests" / "data" / "crashes" / f"{name}.dmp"
        made[name] = {"path": path, "sha": hashlib.sha256(path.read_bytes()).hexdigest(),
                      "doc": pings.walk(instance.env["SALVAGE_BIN"], path)}
    instance.upload_symbols(top / "tests" / "data" / "symbols")
    return made


def send(stack, path, body):
    r = requests.post(stack.url + path, data=json.dumps(body).encode(), timeout=30)
    assert (r.status_code, r.text) == (200, "OK")


def api(stack, token=True, status=200, name="CrashPings", **params):
    headers = {"Auth-Token": stack.api_token} if token else {}
    r = requests.get(f"{stack.url}/api/{name}/", params=params, headers=headers, timeout=30)
    assert r.status_code == status, r.text
    return r.json()


def signed(stack, *documents, timeout=40):
    stack.query("notify crash_job")     # or they are found at the next look at the queue
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        rows = stack.query("select document_id, state, signature, stack, note, proto_signature "
                           "from crash_ping where document_id = any(%s::uuid[]) and state > 1",
                           list(documents))
        if len(rows) == len(documents):
            return {r[0]: r[1:] for r in rows}
        time.sleep(0.2)
    raise AssertionError("not signed: " + str(stack.query(
        "select document_id, state, attempts, note from crash_ping where document_id = any("
        "%s::uuid[])", list(documents))))


def shape(stack):
    """What the signature and the stack of the C++ crasher are known to be, from its report."""
    return stack.processed(stack.sample_id)


def test_a_ping_gets_the_signature_of_its_report(stack, crashes):
    """All dialects and spellings, threads counted or not: names and signature as the report's."""
    report = shape(stack)
    doc = crashes["crasher_cpp"]["doc"]
    ids = [str(uuid.uuid4()) for _ in range(5)]
    send(stack, pings.glean_path(ids[0]), pings.glean(pings.traces(doc)))
    send(stack, pings.glean_path(ids[1]), pings.glean(pings.traces(doc, thread=2)))
    missing = pings.traces(doc)
    del missing["crash_thread"]
    send(stack, pings.glean_path(ids[2]), pings.glean(missing))
    send(stack, pings.telemetry_path(ids[3]), pings.telemetry(pings.traces(doc, glean=False)))
    send(stack, pings.telemetry_path(ids[4]),
         pings.telemetry(pings.traces(doc, glean=False, thread=1), snake=True))
    found = signed(stack, *ids)
    walked = doc["threads"][doc["crash_info"]["crashing_thread"]]["frames"]
    for number, document in enumerate(ids):
        state, signature, stack_of, note, proto = found[document]
        assert (state, signature, note) == (2, report["signature"], None), number
        assert proto == report["proto_signature"], number
        assert stack_of["crashing_thread"] == (0, 2, 0, 0, 1)[number]
        assert stack_of["main_module"] == "crasher_cpp"
        assert stack_of["crash_type"] == "SIGSEGV / SEGV_MAPERR"
        assert [f.get("function") for f in stack_of["frames"]] == [f["function"] for f in walked]
        assert [f.get("line") for f in stack_of["frames"]] == [f["line"] for f in walked]
        assert stack_of["frames"][0]["trust"] == "context"
        assert [i["function"] for i in stack_of["frames"][0]["inlines"]] == \
            [i["function"] for i in walked[0]["inlines"]]


def test_frames_without_modules_or_symbols(stack, crashes):
    doc = crashes["crasher_cpp"]["doc"]
    traces = pings.traces(doc)
    traces["threads"][0]["frames"] = [{"ip": "0xdeadbeef00", "trust": "context"}]
    bare, unknown, path = (str(uuid.uuid4()) for _ in range(3))
    send(stack, pings.glean_path(bare), pings.glean(traces))
    traces = pings.traces(doc)
    for m in traces["modules"]:
        m["debug_id"] = "0" * 33
    send(stack, pings.glean_path(unknown), pings.glean(traces))
    for m in traces["modules"]:
        m["filename"] = "C:\\Users\\somebody\\" + m["filename"]
    send(stack, pings.glean_path(path), pings.glean(traces))
    found = signed(stack, bare, unknown, path)
    assert found[bare][1] == "@0xdeadbeef00"
    assert found[bare][2]["frames"] == [{"frame": 0, "offset": "0xdeadbeef00", "trust": "context"}]
    assert found[unknown][1].startswith("crasher_cpp")
    assert found[path][1] == found[unknown][1]
    assert found[path][2]["frames"][0]["module"] == "crasher_cpp"
    assert "somebody" not in json.dumps(found[path][2])


def test_annotations_decide_as_in_reports(stack, crashes):
    """Each input of the signature that is no stack."""
    doc = crashes["crasher_cpp"]["doc"]
    base = shape(stack)["signature"]
    java = {"messages": ["x"], "throwables": [{"type_name": "java.lang.IllegalStateException",
            "stack": [{"class_name": "org.demo.Main", "method_name": "run", "file": "Main.java",
                       "line": 12}]}]}
    timeout = {"phase": "profile-change", "conditions": json.dumps([{"name": "Demo: stop"}]),
               "broken_add_blockers": []}
    cases = {
        "oom": (pings.glean(pings.traces(doc), metrics={"quantity": {
            "memory.oom_allocation_size": 1000000}}), f"OOM | large | {base}"),
        "hang": (pings.glean(pings.traces(doc), strings={"crash.hang": "ui"}), None),
        "ipc": (pings.glean(pings.traces(doc), strings={
            "crash.ipc_channel_error": "ShutDownKill"}), "IPCError-content | ShutDownKill"),
        "js": (pings.glean(pings.traces(doc), strings={
            "memory.js_large_allocation_failure": "Reporting"}), None),
        "reason": (pings.glean(pings.traces(doc), strings={
            "crash.moz_crash_reason": "MOZ_RELEASE_ASSERT(false)"}), base),
        "shutdown": (pings.glean(pings.traces(doc), metrics={"object": {
            "crash.async_shutdown_timeout": timeout}}),
            "AsyncShutdownTimeout | profile-change | Demo: stop"),
        "java": (pings.glean(metrics={"object": {"crash.java_exception": java}},
                             client={"os": "Android"}),
                 "java.lang.IllegalStateException: at org.demo.Main.run(Main.java)"),
        "nothing": (pings.glean(), None),
    }
    ids = {name: str(uuid.uuid4()) for name in cases}
    for name, (body, _) in cases.items():
        send(stack, pings.glean_path(ids[name]), body)
    found = signed(stack, *ids.values())
    for name, (_, want) in cases.items():
        got = found[ids[name]]
        assert got[0] == 2 and got[1], name
        if want:
            assert got[1] == want, name
    assert found[ids["nothing"]][1].startswith("EMPTY")
    assert found[ids["nothing"]][3] and found[ids["nothing"]][2] is None


def test_hostile_stacks(stack, crashes):
    """Values of any type in any place cost nobody anything."""
    doc = crashes["crasher_cpp"]["doc"]
    odd = [None, True, -1, 1 << 62, 1.5, "x", [], {}, [[]], {"frames": 7}, "0x", "-0x1", "\u00e9"]
    ids = []
    for value in odd:
        for key in ("threads", "modules", "crash_thread", "main_module", "crash_type"):
            traces = pings.traces(doc)
            traces[key] = value
            ids.append(str(uuid.uuid4()))
            send(stack, pings.glean_path(ids[-1]), pings.glean(traces))
        for key in ("ip", "module_index", "trust"):
            traces = pings.traces(doc)
            traces["threads"][0]["frames"][0][key] = value
            ids.append(str(uuid.uuid4()))
            send(stack, pings.glean_path(ids[-1]), pings.glean(traces))
    found = signed(stack, *ids)
    assert all(f[0] == 2 and f[1] for f in found.values())


def test_many_frames(stack, crashes):
    doc = crashes["crasher_cpp"]["doc"]
    traces = pings.traces(doc)
    traces["threads"][0]["frames"] *= 1000
    document = str(uuid.uuid4())
    send(stack, pings.glean_path(document), pings.glean(traces))
    assert 100 <= len(signed(stack, document)[document][2]["frames"]) <= 1000


def test_search(stack, crashes):
    """Filters with every operator, counts, hits, paging, order."""
    product = "Search" + uuid.uuid4().hex[:8]
    doc = crashes["crasher_cpp"]["doc"]
    base = shape(stack)["signature"]
    ids = []
    for n in range(6):
        ids.append(str(uuid.uuid4()))
        body = pings.glean(pings.traces(doc) if n < 4 else None, strings={
            "crash.app_display_version": f"{n % 2}.0", "crash.app_channel":
            ("release", "beta", "nightly")[n % 3], "crash.process_type":
            "main" if n < 5 else "gpu"}, client={"os": "Windows" if n == 3 else "Linux"})
        send(stack, pings.glean_path(ids[-1], product), body)
    signed(stack, *ids)

    def total(**filters):
        return api(stack, product=product, _results_number=0, **filters)["total"]
    assert total() == 6
    assert total(version="1.0") == total(version="=1.0") == 3
    assert total(version="!1.0") == 3
    assert total(version=["1.0", "0.0"]) == 6
    assert total(version=["!1.0", "!0.0"]) == 0
    assert total(channel="beta") == 2 and total(channel="~et") == 2 and total(channel="^night") == 2
    assert total(channel="$ease") == 2 and total(channel="@n.*y|beta") == 4
    assert total(channel="!~e") == 2
    assert total(os="Windows NT") == 1 and total(process_type="gpu") == 1
    assert total(signature=base) == 4 and total(signature="~" + base[3:9]) == 4
    assert total(signature="^EMPTY") == 2 and total(signature="!^EMPTY") == 4
    assert total(utility_actor="__null__") == 6 and total(minidump_sha256_hash="!__null__") == 0
    assert total(state="signed") == 6 and total(dialect="telemetry") == 0
    today = time.strftime("%Y-%m-%d", time.gmtime())
    assert total(date=">=" + today) + total(date="<" + today) == 6
    assert total(crash_time="<2026-01-31T09:20:30Z") == 0
    assert total(crash_time=">=2026-01-31T09:20:30Z") == 6
    assert total(document_id=ids[2]) == 1

    answer = api(stack, product=product, _facets=["version", "channel", "signature", "os", "day"],
                 _facets_size=2)
    assert [h["document_id"] for h in answer["hits"]] == ids[::-1]
    assert set(answer["hits"][0]) == {"date", "document_id", "product", "version", "channel", "os",
                                      "process_type", "signature", "crash_id"}
    assert answer["facets"]["version"] == [{"term": "0.0", "count": 3}, {"term": "1.0", "count": 3}]
    assert [f["term"] for f in answer["facets"]["channel"]] == ["beta", "nightly"]
    assert answer["facets"]["signature"][0] == {"term": base, "count": 4}
    assert sum(f["count"] for f in answer["facets"]["day"]) == 6
    page = api(stack, product=product, _results_number=2, _results_offset=2, _sort="date",
               _columns=["document_id", "stack"])
    assert [h["document_id"] for h in page["hits"]] == ids[2:4] and page["total"] == 6
    assert page["hits"][0]["stack"]["frames"][0]["module"] == "crasher_cpp"
    order = api(stack, product=product, _sort="-version", _columns="version")
    assert [h["version"] for h in order["hits"]] == ["1.0"] * 3 + ["0.0"] * 3


def test_bad_questions(stack):
    for params in ({"nonsense": "1"}, {"date": "=2026-01-01"}, {"date": ">=never"}, {"report": "2"},
                   {"version": "@("}, {"_columns": "nonsense"}, {"_facets": "stack"},
                   {"_facets": "date"}, {"_sort": "stack"}, {"_results_number": "x"},
                   {"_results_number": 1001}, {"_results_offset": -1}, {"_facets_size": 0},
                   {"date": ">=2020-01-01"}, {"body": "x"}, {"report": "!1"}):
        assert {"error", "errors"} & set(api(stack, status=400, **params)), params
    assert api(stack, status=400, name="CrashPingSignatures", _days="x")["errors"]["_days"]
    injected = "x' OR '1'='1"
    assert api(stack, product=injected, version="~" + injected, signature="@" + injected,
               os="$" + injected)["total"] == 0


def test_protected_fields(stack, crashes):
    document = str(uuid.uuid4())
    send(stack, pings.glean_path(document), pings.glean(strings={"crash.moz_crash_reason": "why"}))
    for params in ({"_columns": "body"}, {"moz_crash_reason": "why"}, {"_facets":
                   "moz_crash_reason"}, {"_sort": "moz_crash_reason"}):
        assert "permissions" in api(stack, token=False, status=403, **params)["error"]
    answer = api(stack, document_id=document, moz_crash_reason="why",
                 _columns=["body", "moz_crash_reason"], _facets="moz_crash_reason")
    assert answer["hits"][0]["moz_crash_reason"] == "why"
    assert answer["hits"][0]["body"]["something_new"] == {"kept": [1, 2, 3]}
    assert answer["facets"]["moz_crash_reason"] == [{"term": "why", "count": 1}]
    r = api(stack, token=False, document_id=document)
    assert r["total"] == 1 and "body" not in r["hits"][0]


def test_reports_and_pings_find_each_other(stack, crashes):
    """By the minidump's hash, whichever came first."""
    product = "Both" + uuid.uuid4().hex[:8]
    fields = {"ProductName": product, "Version": "1.2", "ReleaseChannel": "release"}
    dumps = {n: crashes["crasher_abort"]["path"].read_bytes() + n.encode() for n in "abc"}
    sha = {n: hashlib.sha256(d).hexdigest() for n, d in dumps.items()}
    traces = pings.traces(crashes["crasher_abort"]["doc"])

    def ping(n):
        document = str(uuid.uuid4())
        send(stack, pings.glean_path(document, product), pings.glean(
            traces, strings={"crash.minidump_sha256_hash": sha[n]}))
        return document
    early = stack.submit(fields, dumps["a"])
    stack.wait_processed(early)
    documents = {"a": ping("a"), "b": ping("b"), "c": ping("c")}
    signed(stack, *documents.values())
    assert api(stack, product=product, report="1")["total"] == 1
    late = stack.submit(fields, dumps["b"])
    stack.wait_processed(late)
    with_report = api(stack, product=product, report="1")
    assert {h["document_id"]: h["crash_id"] for h in with_report["hits"]} == {
        documents["a"]: early, documents["b"]: late}
    without = api(stack, product=product, report="0")
    assert [h["document_id"] for h in without["hits"]] == [documents["c"]]
    assert without["hits"][0]["crash_id"] is None
    assert api(stack, crash_id=late)["hits"][0]["document_id"] == documents["b"]
    report = stack.processed(late)
    assert report["minidump_sha256_hash"] == sha["b"]
    assert api(stack, minidump_sha256_hash=report["minidump_sha256_hash"])["total"] == 1
    assert with_report["hits"][0]["signature"] == report["signature"]


def page(stack, path, status=200):
    r = requests.get(stack.url + path, timeout=30)
    assert r.status_code == status, path
    return r.text


def test_pages_of_a_report_and_its_ping_lead_to_each_other(stack, crashes):
    """And to another report of the same minidump, which a client sent again."""
    product = "Kin" + uuid.uuid4().hex[:8]
    fields = {"ProductName": product, "Version": "1.2", "ReleaseChannel": "release"}
    data = crashes["crasher_cpp"]["path"].read_bytes() + product.encode()
    sha, document = hashlib.sha256(data).hexdigest(), str(uuid.uuid4())
    send(stack, pings.glean_path(document, product), pings.glean(
        pings.traces(crashes["crasher_cpp"]["doc"]),
        strings={"crash.minidump_sha256_hash": sha, "crash.moz_crash_reason": "<b>not for all"}))
    signed(stack, document)
    alone = page(stack, f"/ping/{document}")
    assert "No processed report has the minidump" in alone and sha in alone
    reports = [stack.submit(fields, data) for _ in range(2)]
    for crash_id in reports:
        stack.wait_processed(crash_id)
    shown = page(stack, f"/ping/{document}")
    for crash_id, other in (reports, reversed(reports)):
        assert f'href="/report/index/{crash_id}"' in shown
        text = page(stack, f"/report/index/{crash_id}")
        kin = text[text.index('id="kin"'):]
        kin = kin[:kin.index("</dl>")]
        assert f'href="/ping/{document}"' in kin and f'href="/report/index/{other}"' in kin
        assert crash_id not in kin
    one = api(stack, document_id=document, _columns=["stack", "signature"])["hits"][0]
    files = {f["file"] for f in one["stack"]["frames"] if "file" in f}
    assert files and all(f.split(":")[-1] in shown or f in shown for f in files)
    for words in (product, "crasher_cpp", "date=%3E%3D"):
        assert words in shown, words
    assert "not for all" not in shown       # a protected field
    own = requests.get(f"{stack.url}/ping/{document}", timeout=30,
                       headers={"Auth-Token": stack.api_token}).text
    assert "&lt;b&gt;not for all" in own


def test_list_of_pings(stack, crashes):
    """Counts, rows, facets that narrow, chips that drop, pages, and what has no reports."""
    product = "List" + uuid.uuid4().hex[:8]
    trace = pings.traces(crashes["crasher_cpp"]["doc"])
    ids = []
    for n in range(52):
        ids.append(str(uuid.uuid4()))
        send(stack, pings.glean_path(ids[-1], product), pings.glean(
            trace if n < 11 else None,
            strings={"crash.app_channel": "beta" if n % 2 else "release"}))
    signed(stack, *ids)
    quoted = urllib.parse.quote(product)
    text = page(stack, f"/pings/?product={quoted}")
    assert "<span>52 pings</span>" in text and "1 to 50 of 52" in text
    assert text.count("<tr><td") >= 50
    assert f'href="/ping/{ids[-1]}"' in text and f'href="/ping/{ids[0]}"' not in text
    last = page(stack, f"/pings/?product={quoted}&page=2")
    assert "51 to 52 of 52" in last and f'href="/ping/{ids[0]}"' in last
    narrow = re.search(r'href="(/pings/\?product=[^"]*channel=%3Dbeta)"', text).group(1)
    beta = page(stack, html.unescape(narrow))
    assert "<span>26 pings</span>" in beta
    assert re.findall(r'href="(/pings/\?[^"]*)" aria-label="Remove (\w+)"', beta) == [
        ("/pings/?channel=%3Dbeta&amp;", "product"), (f"/pings/?product={quoted}&amp;", "channel")]
    gap = text[text.index("Pings without reports"):]
    signature = shape(stack)["signature"]
    assert urllib.parse.quote(signature, safe="") in gap and '<td class="num">11</td>' in gap
    assert "There are no such pings" in page(stack, "/pings/?product=Nobody")
    assert "<script>x" not in page(stack, "/pings/?product=%3Cscript%3Ex&version=!%3Cscript%3Ex")
    for bad in ("nonsense=1", "page=x", "date=never", "version=@("):
        assert "The query was not run" in page(stack, f"/pings/?{bad}", 400), bad
    assert "moz_crash_reason" in page(stack, "/pings/?moz_crash_reason=x", 403)


def test_pages_that_are_none(stack):
    assert "expired" in page(stack, f"/ping/{uuid.uuid4()}", 404)
    for bad in ("", "x", str(uuid.uuid4()).upper(), f"{uuid.uuid4()}/", f"{uuid.uuid4()}x"):
        page(stack, f"/ping/{bad}", 404)
    assert requests.post(f"{stack.url}/ping/{uuid.uuid4()}", timeout=30).status_code == 405


def test_a_report_without_kin_has_no_card(stack):
    other = stack.submit({"ProductName": "Alone"}, b"MDMP" + uuid.uuid4().bytes * 9)
    stack.wait_processed(other)
    assert 'id="kin"' not in page(stack, f"/report/index/{other}")


def test_many_pings_and_few_reports(stack, crashes):
    product = "Gap" + uuid.uuid4().hex[:8]
    cpp, abort = (pings.traces(crashes[n]["doc"]) for n in ("crasher_cpp", "crasher_abort"))
    ids = []
    for n in range(7):
        ids.append(str(uuid.uuid4()))
        send(stack, pings.glean_path(ids[-1], product), pings.glean(cpp if n < 4 else abort))
    signed(stack, *ids)
    report = stack.submit({"ProductName": product, "Version": "1.2"}, crashes["crasher_abort"]["path"])
    abort_signature = stack.wait_processed(report)["signature"]
    cpp_signature = shape(stack)["signature"]

    def gaps(**params):
        found = api(stack, name="CrashPingSignatures", product=product, **params)
        assert found["total"] == len(found["hits"])
        return [(h["signature"], h["pings"], h["reports"]) for h in found["hits"]]
    everything = [(cpp_signature, 4, 0), (abort_signature, 3, 1)]
    assert gaps(_min_pings=1) == everything
    assert gaps(_min_pings=4) == everything[:1]
    assert gaps(_min_pings=1, _max_reports=0) == everything[:1]
    assert gaps() == []
    assert gaps(_min_pings=1, os="Linux", channel="release", version="1.2",
                process_type="main") == everything
    assert gaps(_min_pings=1, os="Mac OS X") == []
    out = stack.salvage("ping", "signatures", "--min-pings", 1, f"product={product}").stdout
    assert out.splitlines()[1:] == [f"4\t0\t{cpp_signature}", f"3\t1\t{abort_signature}"]


def test_again(stack, crashes):
    """Pings that were signed without symbols get their names when these have come; counts follow."""
    product = "Again" + uuid.uuid4().hex[:8]
    documents = [str(uuid.uuid4()) for _ in range(2)]
    for document in documents:
        send(stack, pings.glean_path(document, product),
             pings.glean(pings.traces(crashes["crasher_cpp"]["doc"])))
    signed(stack, *documents)
    stack.query("with u as (update crash_ping set signature = 'before' where product = %s) "
                "update ping_day set signature = 'before' where product = %s", product, product)
    out = stack.salvage("ping", "again", "before").stdout
    assert out == "2 pings will be signed again\n"
    found = signed(stack, *documents)
    name = shape(stack)["signature"]
    assert {f[1] for f in found.values()} == {name}
    assert stack.query("select signature, n from ping_day where product = %s and n > 0",
                       product) == [(name, 2)]


def test_command(stack, crashes):
    document = str(uuid.uuid4())
    send(stack, pings.glean_path(document), pings.glean(pings.traces(
        crashes["crasher_cpp"]["doc"])))
    signed(stack, document)
    found = json.loads(stack.salvage("ping", "search", f"document_id={document}",
                                     "_columns=signature", "_columns=body",
                                     "_facets=product").stdout)
    assert found["total"] == 1 and found["hits"][0]["body"]["ping_info"]["seq"] == 3
    assert found["facets"] == {"product": [{"term": "demo-app", "count": 1}]}
    states = stack.salvage("ping", "stats").stdout
    assert "signed" in states and "demo-app" not in states
    for args, code in ((["ping"], 2), (["ping", "search", "nonsense"], 2),
                       (["ping", "search", "nonsense=1"], 1), (["ping", "again"], 2),
                       (["ping", "search", "date=>=x"], 1), (["ping", "signatures", "x=y"], 2)):
        assert stack.salvage(*args, check=False).returncode == code, args
