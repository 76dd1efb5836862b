"""The signature report from outside: every tab beside plain Python over the same crashes, errors,
rights, forms, and hostile values."""
import collections
import datetime
import hashlib
import html
import json
import re

import pytest
import requests

import people
from signature_data import CANARY, MAIN, OTHERS, PRODUCT, RARE, SignatureData, document, midnight

XHR = {"X-Requested-With": "XMLHttpRequest"}


@pytest.fixture(scope="module")
def data(instance):
    return SignatureData(instance)


@pytest.fixture(scope="module")
def token(instance):
    return people.token(instance, "sig-reader", "view_pii")


def get(stack, path="/signature/", signature=MAIN, headers=None, token=None, **params):
    headers = dict(headers or {}, **({"Auth-Token": token} if token else {}))
    params = {"signature": signature, **params} if signature is not None else params
    return requests.get(stack.url + path, params=params, headers=headers, timeout=60,
                        allow_redirects=False)


def page(stack, **params):
    r = get(stack, **params)
    assert r.status_code == 200, r.text[:2000]
    return r.text


def plain(markup):
    return html.unescape(re.sub(r"<[^>]*>", "", markup)).strip()


def figures(text):
    return {plain(n): (plain(v), plain(s)) for n, v, s in
            re.findall(r"<dt>(.*?)</dt><dd>(.*?)<small>(.*?)</small></dd>", text)}


def panel(text, title):
    """{value: (count, share)} of a panel of the summary."""
    found = re.search(rf"<h3>{re.escape(title)}</h3></header><ol[^>]*>(.*?)</ol>", text, re.S)
    assert found, title
    return {plain(v): (int(n.replace(",", "")), share) for v, n, share in re.findall(
        r'<li>(.*?)<span class="num">([\d,]+)</span><span class="num">([\d.]+)%</span>',
        found.group(1), re.S)}


def table(text, title):
    """Rows of a table of the summary or of aggregations as lists of texts."""
    found = re.search(rf"<h3>{re.escape(title)}</h3></header>(?:<div[^>]*>)?<table.*?<tbody>(.*?)</tbody>", text,
                      re.S)
    assert found, title
    return [[plain(c) for c in re.findall(r"<td[^>]*>(.*?)</td>", row, re.S)]
            for row in re.findall(r"<tr>(.*?)</tr>", found.group(1), re.S)]


def shares(counts, total):
    return {k: (n, f"{100 * n / total:.1f}") for k, n in counts.items()}


def count(docs, key):
    return collections.Counter(d[key] for d in docs if d.get(key) is not None)


# ---- the page ----

def test_figures(stack, data):
    seen = figures(page(stack))
    installs = len(count(data.main, "install_time"))
    ours = len(data.main) + len(data.others) + len(data.rare)
    first = min(d["date_processed"] for d in data.main + data.before)[:10]
    assert seen["Crashes, 28 days"] == ("120", "▲ 300 % on the 28 before")  # of 30
    assert seen["Installs"] == (str(installs), f"{120 / installs:.1f} crashes each")
    assert seen["Share of product"] == (f"{100 * 120 / ours:.2f} %", f"of {ours} of {PRODUCT}")
    assert seen["First seen"][0] in (first, "not yet")      # the job of first appearances may wait
    assert seen["Versions"] == ("1.0 to 2.0", "3 versions")
    best = count(data.main, "proto_signature").most_common(1)[0][1]
    assert seen["Distinct stacks"] == ("3", f"the commonest has {int(best * 100 / 120 + 0.5)} %")


def test_summary_panels(stack, data):
    text = page(stack)
    assert panel(text, "Operating system") == shares(count(data.main, "os_pretty_version"), 120)
    assert panel(text, "Process type") == shares(count(data.main, "process_type"), 120)
    assert panel(text, "Architecture") == shares(count(data.main, "cpu_arch"), 120)
    assert panel(text, "Reason") == shares(count(data.main, "reason"), 120)
    assert panel(text, "Address") == shares(count(data.main, "address"), 120)
    ranges = [(60, "under 1 min"), (300, "1 to 5 min"), (900, "5 to 15 min"),
              (3600, "15 to 60 min"), (float("inf"), "over 1 hour")]
    uptimes = collections.Counter(next(name for limit, name in ranges if d["uptime"] < limit)
                                  for d in data.main)
    assert panel(text, "Uptime range") == shares(uptimes, 120)
    assert "some at startup" in text and "plugin" in text


def test_summary_tables(stack, data):
    text = page(stack)
    expected = []
    for version, n in count(data.main, "version").items():
        installs = {d["install_time"] for d in data.main if d["version"] == version}
        expected.append([PRODUCT, version, str(n), f"{100 * n / 120:.1f}",
                         str(min(len(installs), n))])
    assert table(text, "Products and versions") == sorted(expected, key=lambda r: -int(r[2]))
    adapters = collections.Counter((d["adapter_vendor_id"], d["adapter_device_id"])
                                   for d in data.main)
    assert sorted(int(r[3]) for r in table(text, "Graphics adapters")) == sorted(adapters.values())
    mobile = [d for d in data.main if "android_model" in d]
    assert table(text, "Mobile devices") == [
        ["arm64-v8a", "Google", "Pixel 8", "34", str(len(mobile)), f"{100 * len(mobile) / 120:.1f}"]]


def test_adapters_have_names(stack, data):
    stack.query("INSERT INTO graphics_device VALUES ('0x10de', '', 'Signature Cards', ''),"
              " ('0x10de', '0x1c03', 'Signature Cards', 'Model 1c03') ON CONFLICT"
              " (vendor_hex, adapter_hex) DO UPDATE SET vendor_name = excluded.vendor_name,"
              " adapter_name = excluded.adapter_name")
    rows = table(page(stack), "Graphics adapters")
    assert ["Signature Cards", "Model 1c03", "0x10de 0x1c03"] in [r[:3] for r in rows]


def test_trend(stack, data):
    text = page(stack)
    chart = re.search(r"<h2>Crashes a day, by version</h2>.*?</details>", text, re.S).group(0)
    rows = [[plain(c) for c in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S)]
            for row in re.findall(r"<tr>(.*?)</tr>", chart, re.S)]
    assert rows[0][0] == "Day" and len(rows) == 29      # the head and 28 days
    heads = rows[0][1:]
    today = midnight()
    for back, row in enumerate(rows[1:]):
        day = today - datetime.timedelta(days=back)
        assert row[0] == f"{day.day} {day:%b}"
        of_day = [d for d in data.main if d["date_processed"][:10] == f"{day:%Y-%m-%d}"]
        counts = count(of_day, "version")
        assert [int(x) for x in row[1:]] == [counts.get(h, 0) for h in heads], row


def test_stacks(stack, data):
    text = page(stack)
    for proto, n in count(data.main, "proto_signature").items():
        for frame in proto.split(" | "):
            assert frame in plain(text)
        assert f"{n} reports" in plain(text)
    first, second = [next(d["uuid"] for d in sorted(data.main, key=lambda d: d["date_processed"],
                                                    reverse=True)
                          if d["proto_signature"] == proto)[:8]
                     for proto, _ in count(data.main, "proto_signature").most_common(2)]
    # several crashes have the same date: which of them is the newest is not said
    assert re.search(r"/report/diff/[0-9a-f-]{36}/[0-9a-f-]{36}", text)
    assert first and second


def test_bucket_that_holds_many(stack):
    """Sixteen stacks, none with a quarter: the page says that it may be several bugs."""
    from search_loader import SearchLoader
    when = midnight() + datetime.timedelta(seconds=1)
    SearchLoader(stack).index([document(i, "sigworks::Mixed", when, proto_signature=f"a{i} | b")
                               for i in range(16)])
    text = page(stack, signature="sigworks::Mixed")
    assert figures(text)["Distinct stacks"][0] == "16"
    assert "none stands out" in text


def test_filters_narrow_every_part(stack, data):
    params = {"version": "2.0", "platform": "Mac OS X"}
    docs = [d for d in data.main if d["version"] == "2.0" and d["os_name"] == "Mac OS X"]
    assert docs
    text = page(stack, **params)
    assert figures(text)["Crashes, 28 days"][0] == str(len(docs))
    assert panel(text, "Reason") == shares(count(docs, "reason"), len(docs))
    ids = re.findall(r'data-open href="/report/index/([^"]*)"', text)
    assert set(ids) == {d["uuid"] for d in docs}
    chips = re.search(r'<div class="chips">.*?<details', text, re.S).group(0)
    assert "version" in chips and "2.0" in chips and "platform" in chips
    dropped = html.unescape(re.search(
        r'href="([^"]*)" aria-label="Remove the filter version"', chips).group(1))
    r = requests.get(stack.url + dropped, timeout=60)
    assert figures(r.text)["Crashes, 28 days"][0] == str(
        sum(d["os_name"] == "Mac OS X" for d in data.main))


def test_dates(stack, data):
    def crashes(**params):
        seen = figures(page(stack, **params))
        return next(v[0] for k, v in seen.items() if k.startswith("Crashes"))

    text = page(stack)
    links = dict((plain(t), html.unescape(h)) for h, t in re.findall(
        r'<a href="([^"]*)"[^>]*>((?:<b>)?(?:7 days|28 days|3 months)(?:</b>)?)</a>', text))
    week = midnight() - datetime.timedelta(days=6)
    assert f"{week:%Y-%m-%d}" in links["7 days"]
    r = requests.get(stack.url + links["7 days"], timeout=60)
    assert figures(r.text)["Crashes, 7 days"][0] == str(
        sum(d["date_processed"] >= week.isoformat() for d in data.main))
    r = requests.get(stack.url + links["3 months"], timeout=60)
    assert figures(r.text)["Crashes, 91 days"][0] == "150"
    assert crashes(date=[">=" + f"{midnight():%Y-%m-%d}"]) == str(
        sum(d["date_processed"] >= midnight().isoformat() for d in data.main))


def test_added_condition_becomes_the_address(stack, data):
    r = get(stack, f="version", op="=", v="2.0", platform="Linux")
    assert r.status_code == 303
    to = r.headers["Location"]
    # a version is compared as a whole, and needs no operator for it
    assert "version=2.0" in to and "platform=Linux" in to and "&f=" not in to
    assert "reason=%21%3DX" in get(stack, f="reason", op="!=", v="X").headers["Location"]
    assert "startup_crash=__true__" in get(stack, f="startup_crash", op="!=",
                                           v="false").headers["Location"]
    assert "uptime=%3E%3D60" in get(stack, f="uptime", op=">=", v="60").headers["Location"]
    assert get(stack, f="version", op="~", v="2").status_code == 400
    r = get(stack, f="url", op="~", v="x")              # protected
    assert r.status_code == 400
    r = get(stack, f="nonsense", op="", v="x\r\nSet-Cookie: a=b")
    assert r.status_code == 400 and "Set-Cookie" not in r.headers


def test_no_crashes(stack, data):
    text = page(stack, signature="sigworks::Nobody knows this")
    assert "No crashes of this signature in this time." in text
    assert figures(text)["Distinct stacks"] == ("0", "no stacks")


# ---- errors ----

@pytest.mark.parametrize("path", ["/signature/", "/signature/summary/", "/signature/reports/",
                                  "/signature/aggregation/platform/", "/signature/graphs/platform/",
                                  "/signature/bugzilla/", "/signature/correlations/"])
def test_signature_is_needed_once(stack, path):
    cases = [("", '"signature" parameter is mandatory'),
             ("signature=", '"signature" parameter is mandatory'),
             ("signature=a&signature=b",
              'Invalid value for "signature" parameter, only one value is accepted'),
             ("signature=a%00b", '"signature" cannot contain nulls')]
    for query, message in cases:
        r = requests.get(f"{stack.url}{path}?{query}", headers=XHR, timeout=30)
        assert r.status_code == 400, (path, query)
        assert html.unescape(r.text).strip() == f"<ul><li>{message}</li></ul>"
        r = requests.get(f"{stack.url}{path}?{query}", timeout=30)
        assert r.status_code == 400 and "<!doctype html>" in r.text
        assert message in html.unescape(r.text)


def test_fields_that_may_not_be_used(stack, token):
    for field in ("user_comments", "url", "nonsense"):
        r = get(stack, f"/signature/aggregation/{field}/", headers=XHR)
        assert r.status_code == 400
        assert f'You are not allowed to aggregate on the "{field}" field' in html.unescape(r.text)
        r = get(stack, f"/signature/graphs/{field}/", headers=XHR)
        assert r.status_code == 400
        assert f'You are not allowed to group by the "{field}" field' in html.unescape(r.text)
        assert get(stack, agg=field).status_code == 400
        assert get(stack, graph=field).status_code == 400
    assert get(stack, "/signature/aggregation/url/", token=token).status_code == 200


def test_bad_values(stack):
    assert get(stack, "/signature/reports/", page="x").status_code == 400
    assert get(stack, "/signature/reports/", page="-4").status_code == 200
    assert get(stack, date="yesterday").status_code == 400
    assert get(stack, uptime="long").status_code == 400
    assert get(stack, "/signature/reports/", _columns="nonsense").status_code == 400
    assert get(stack, "/signature/nothing/").status_code == 404
    assert get(stack, "/signature/summary").status_code == 301
    assert get(stack, "/signature").status_code == 301
    r = requests.put(stack.url + "/signature/?signature=x", timeout=30)
    assert r.status_code == 405


# ---- tabs ----

@pytest.mark.parametrize("tab", ["summary", "reports", "bugzilla", "correlations", "notes",
                                 "aggregation/platform"])
def test_tabs_answer_scripts_with_their_part(stack, data, tab):
    r = get(stack, f"/signature/{tab}/", headers=XHR)
    assert r.status_code == 200 and "<!doctype" not in r.text and "<nav" not in r.text[:200]
    assert r.headers["Content-Type"] == "text/html; charset=UTF-8"
    whole = get(stack, f"/signature/{tab}/")
    assert whole.status_code == 200 and "<!doctype html>" in whole.text
    assert whole.text.count("<h1>") == 1 and 'aria-current="page"' in whole.text


def test_aggregation(stack, data):
    for field, key in (("platform", "os_name"), ("build_id", "build"),
                       ("install_time", "install_time"), ("reason", "reason")):
        text = get(stack, f"/signature/aggregation/{field}/", headers=XHR).text
        rows = table(text, field.replace("_", " "))
        ranked = sorted(count(data.main, key).items(), key=lambda x: (-x[1], str(x[0])))
        assert rows == [[str(i + 1), str(v), str(n), f"{100 * n / 120:.1f}"]
                        for i, (v, n) in enumerate(ranked)], field
    text = page(stack, agg=["cpu_arch", "reason"])
    assert table(text, "cpu arch") and table(text, "product") and table(text, "reason")


def test_reports(stack, data):
    def ids(**params):
        text = get(stack, "/signature/reports/", headers=XHR, **params).text
        return re.findall(r'data-open href="/report/index/([^"]*)"', text), text

    first, text = ids()
    newest = sorted((d["date_processed"] for d in data.main), reverse=True)
    dates = {d["uuid"]: d["date_processed"] for d in data.main}
    assert len(first) == 50 and [dates[x] for x in first] == newest[:50]
    heads = [plain(h) for h in re.findall(r'<th scope="col"[^>]*>(.*?)</th>', text)]
    assert heads == ["Report", "date", "product", "version", "build id", "platform", "reason",
                     "address", "install time", "startup crash"]
    assert 'aria-sort="descending"><a' in text
    last, _ = ids(page=3)
    assert len(last) == 20 and not set(first) & set(last)
    by_uptime, text = ids(_sort="uptime", _columns=["uptime", "version"])
    uptimes = {d["uuid"]: d["uptime"] for d in data.main}
    assert [uptimes[x] for x in by_uptime] == sorted(uptimes.values())[:50]
    heads = [plain(h) for h in re.findall(r'<th scope="col"[^>]*>(.*?)</th>', text)]
    assert heads == ["Report", "uptime", "version"]
    # protected columns are not there for who may not see them
    assert "url" not in [plain(h) for h in re.findall(
        r'<th scope="col"[^>]*>(.*?)</th>', ids(_columns=["url", "version"])[1])]


def test_graphs(stack, data):
    r = get(stack, "/signature/graphs/platform/")
    assert r.headers["Content-Type"].startswith("application/json")
    doc = r.json()
    assert set(doc) == {"aggregation", "aggregates", "term_counts"}
    assert doc["aggregation"] == "platform"
    assert doc["term_counts"] == dict(count(data.main, "os_name"))
    days = collections.defaultdict(collections.Counter)
    for d in data.main:
        days[d["date_processed"][:10]][d["os_name"]] += 1
    assert {x["term"][:10]: {t["term"]: t["count"] for t in x["facets"]["platform"]}
            for x in doc["aggregates"]} == {k: dict(v) for k, v in days.items()}
    text = page(stack, graph="cpu_arch")
    assert "Crashes a day, by cpu arch" in text


def test_comments_need_their_right(stack, data, token):
    r = get(stack, "/signature/comments/", headers=XHR)
    assert r.status_code == 403 and "<li>" in r.text
    assert get(stack, "/signature/comments/").status_code == 403
    text = page(stack)
    assert "comment 3" not in text and "protected" in text
    r = get(stack, "/signature/comments/", headers=XHR, token=token)
    expected = [d for d in data.main if "user_comments" in d]
    assert set(re.findall(r"comment \d+", r.text)) == {
        d["user_comments"].split(" \"")[0] for d in expected}
    assert r.headers["Cache-Control"] == "private, no-store"
    assert "comment 3 " in get(stack, token=token).text


def test_bugs_and_related_signatures(stack, data):
    bugs = stack.dir / "signature-bugs.csv"
    bugs.write_text(f'bug,signature\n770001,"{MAIN}"\n770001,"{OTHERS[0]}"\n770002,"{OTHERS[0]}"\n')
    stack.salvage("bugs", "import", str(bugs))
    stack.query("INSERT INTO bug_info VALUES (770001, %s, 'RESOLVED', 'FIXED', now())"
                " ON CONFLICT DO NOTHING", "Evicts what is in use " + CANARY)
    text = get(stack, "/signature/bugzilla/", headers=XHR).text
    assert "770001" in text and "770002" not in text
    assert "Evicts what is in use" in text and "<script" not in text
    assert '<span class="tag ok">RESOLVED FIXED</span>' in text
    assert requests.utils.quote(OTHERS[0], safe="") in text
    assert "770001" in re.search(r'<p class="sub">.*?</p>', page(stack), re.S).group(0)


# ---- correlations ----

def test_correlations(stack, data):
    result = {"item": {"platform": "Linux"}, "count_group": 80, "count_reference": 345}
    sha1 = hashlib.sha1(MAIN.encode()).hexdigest()
    for channel, total in (("release", 10000), ("beta", 777)):
        stack.query("WITH r AS (INSERT INTO correlation_run (product, channel, day, days, total,"
                  " share) VALUES (%s, %s, current_date, 7, %s, 1) RETURNING id)"
                  " INSERT INTO correlation_group (run, number, signature, sha1, total, results)"
                  " SELECT id, 1, %s, %s, 100, %s::jsonb FROM r",
                  PRODUCT, channel, total, MAIN, sha1,
                  json.dumps([result] if channel == "release" else []))
    text = get(stack, "/signature/correlations/", headers=XHR).text
    # 80 of 100, 345 of 10000: percentages of four digits
    assert "(80.00% in signature vs 03.45% overall) platform = Linux" in plain(text)
    text = get(stack, "/signature/correlations/", headers=XHR, version=["1.1b2"]).text
    assert "channel beta" in plain(text) and "Nothing tells" in text
    text = get(stack, "/signature/correlations/", headers=XHR, release_channel="nightly").text
    assert "channel nightly" in plain(text) and "There are no correlations" in text
    r = get(stack, "/correlations/all.json.gz", signature=None, product=PRODUCT)
    today = stack.query("SELECT current_date::text")[0][0]
    assert r.json() == {"date": today, "release": 10000, "beta": 777}
    r = get(stack, f"/correlations/release/{sha1}.json.gz", signature=None, product=PRODUCT)
    assert r.json() == {"total": 100, "results": [result]}
    for path in ("release/" + "0" * 40, "release/x", "all.json.gz/x", "nothing", "%2e%2e/all"):
        assert get(stack, f"/correlations/{path}.json.gz", signature=None,
                   product=PRODUCT).status_code == 404


# ---- the life of a signature ----

def change(person, signature, **fields):
    return person.request("POST", "/signature/?signature=" + requests.utils.quote(signature, safe=""),
                          data={"csrf": person.csrf(), **fields})


def history(stack, signature):
    return stack.query("SELECT actor, action, detail FROM audit_log WHERE target = %s"
                     " AND action LIKE 'signature.%%' ORDER BY id", signature)


def test_notes(stack, data):
    ann, bob = people.person(stack, "sig-ann@example.com"), people.person(stack, "sig-bob")
    signature = OTHERS[0]
    r = change(ann, signature, change="note", note="Seen with\nold drivers " + CANARY)
    assert r.status_code == 303 and r.headers["Location"].endswith("#notes")
    text = page(stack, signature=signature)
    assert "Seen with\nold drivers " + CANARY in html.unescape(text)
    assert "<script>canary" not in text
    # who has not signed in sees no address; who has sees it
    assert "sig-ann@example.com" not in text and ">sig-ann<" in text
    text = bob.get("/signature/?signature=" + signature).text
    assert "sig-ann@example.com" in text
    note = re.search(r'id="note-(\d+)"', text).group(1)
    assert 'value="note-remove"' not in text            # not bob's
    assert change(bob, signature, change="note-remove", id=note).status_code == 403
    assert change(ann, OTHERS[1], change="note-remove", id=note).status_code == 404
    assert change(ann, signature, change="note-remove", id=note).status_code == 303
    assert "old drivers" not in page(stack, signature=signature)
    assert [x[:2] for x in history(stack, signature)][-2:] == [
        ("sig-ann@example.com", "signature.note"), ("sig-ann@example.com", "signature.note-remove")]


def test_fixed_in_ignored_and_open(stack, data):
    ann = people.person(stack, "sig-ann@example.com")
    signature = OTHERS[1]
    assert change(ann, signature, change="fix", product=PRODUCT, version="3.0",
                  told="Update to {version}.").status_code == 303
    text = page(stack, signature=signature)
    assert f'<span class="tag ok">fixed in 3.0 of {PRODUCT}</span>' in text
    # one truth: what clients are told of comes out of the same table
    listed = stack.salvage("hint", "fixed", "list").stdout
    assert f"{PRODUCT}\t{signature}\t3.0\tUpdate to {{version}}." in listed
    day = (midnight() + datetime.timedelta(days=9)).strftime("%Y-%m-%d")
    assert change(ann, signature, change="ignore", until=day).status_code == 303
    assert f"ignored until {day}" in page(stack, signature=signature)
    assert change(ann, signature, change="assign", assignee="cache team").status_code == 303
    assert "looked after by cache team" in page(stack, signature=signature)
    assert change(ann, signature, change="open").status_code == 303
    assert '<span class="tag accent">open</span>' in page(stack, signature=signature)
    assert signature not in stack.salvage("hint", "fixed", "list").stdout
    for bad in ({"change": "fix", "version": ""}, {"change": "ignore", "until": "soon"},
                {"change": "ignore", "until": "2020-01-01"}, {"change": "note", "note": " "},
                {"change": "explode"}, {}):
        assert change(ann, signature, **bad).status_code == 400, bad
    assert change(ann, signature, change="unfix", product=PRODUCT).status_code == 404
    assert [x[1] for x in history(stack, signature)][-4:] == [
        "signature.fix", "signature.ignore", "signature.assign", "signature.open"]


def test_a_fixed_signature_comes_back(stack):
    from search_loader import SearchLoader
    loader = SearchLoader(stack)
    stack.salvage("hint", "fixed", "add", "sigworks::Back", "2.0", "-p", PRODUCT)
    now = datetime.datetime.now(datetime.timezone.utc)
    fields = {"product": PRODUCT, "signature": "sigworks::Back"}
    loader.crash(version="1.9", **fields)
    stack.salvage("jobs", "run", "rollups")
    assert "fixed in 2.0" in page(stack, signature="sigworks::Back")
    crash = loader.crash(version="2.0.1", date_processed=(
        now + datetime.timedelta(seconds=30)).isoformat(), **fields)
    stack.salvage("jobs", "run", "rollups")
    text = page(stack, signature="sigworks::Back")
    assert f"came back in 2.0.1, fixed in 2.0 of {PRODUCT}" in text
    assert f"/report/index/{crash}" in text
    stack.salvage("hint", "fixed", "remove", "sigworks::Back", "-p", PRODUCT)


def test_who_may_write(stack, data, token):
    ann = people.person(stack, "sig-ann@example.com")
    url = stack.url + "/signature/?signature=" + OTHERS[0]
    form = {"change": "note", "note": "not to be kept", "csrf": ann.csrf()}
    assert requests.post(url, data=form, timeout=30).status_code == 403
    assert requests.post(url, data=form, timeout=30, headers={"Auth-Token": token}).status_code == 403
    forged = ann.request("POST", "/signature/?signature=" + OTHERS[0],
                         data={"change": "note", "note": "not to be kept", "csrf": "0" * 64})
    assert forged.status_code == 403
    other = ann.request("POST", "/signature/?signature=" + OTHERS[0],
                        data={"change": "note", "note": "not to be kept"},
                        headers={"Origin": "https://evil.example"})
    assert other.status_code == 403
    assert "not to be kept" not in page(stack, signature=OTHERS[0])
    assert 'name="csrf"' not in page(stack) and "Who has signed in may write here." in page(stack)


# ---- hostile values ----

def test_values_of_crashes_are_text(stack, data, token):
    for query in ({}, {"agg": ["reason", "version", "proto_signature"], "graph": "version"}):
        text = page(stack, signature=RARE, token=token, _columns=["reason", "version", "signature"],
                    **query)
        assert "<script>canary" not in text and "<img src=x" not in text
        assert "canary()" in text                       # shown, as text
        scripts = re.findall(r"<script[^>]*>", text)
        assert scripts == ['<script src="/static/salvage.js" defer>']
    r = get(stack, signature=CANARY + "\r\nX-Bad: 1")
    assert r.status_code == 200 and "X-Bad" not in r.headers
    assert "<script>canary" not in r.text
    r = get(stack, **{'"><script>canary()</script>': CANARY})
    assert r.status_code == 200 and "<script>canary" not in r.text
