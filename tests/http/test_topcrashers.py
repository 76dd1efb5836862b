"""Top crashers, versions side by side, regressions: against the same counts made in plain Python.

Documents go into the search tables by the loader; some tests then have days counted, so that both
sources of numbers - counted days and Super Search - answer the same questions.
"""
import collections
import csv
import datetime
import html
import io
import random
import re
import uuid

import pytest
import requests
from search_loader import SearchLoader, crash_id

NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
DAY = datetime.timedelta(days=1)
MIDNIGHT = NOW.replace(hour=0, minute=0, second=0)
SIGNATURES = ["nl::scene::MeshCache::Evict | nl::scene::TrimTo", "OOM | large", "a<b>&\"c\"",
              "=cmd|' /C calc'!A0", "shutdownhang | nl::jobs::Join", "only::now", "only::before",
              "nl::Ünïcode::f"] + [f"tail::F{n}" for n in range(25)]
KNOWN = ["content", "gpu", "parent", "plugin", "rdd", "socket", "utility"]


def get(stack, path, **params):
    return requests.get(stack.url + path, params=params, timeout=60, allow_redirects=False)


def top(stack, product, **params):
    r = get(stack, "/topcrashers/", product=product, format="json", **params)
    assert r.status_code == 200, r.text
    return r.json()


def where(r):
    return re.sub(r"^https?://[^/]*", "", r.headers["Location"])


def document(product, when, signature, rnd, **more):
    return {"uuid": crash_id(when), "date_processed": when.isoformat(), "product": product,
            "version": rnd.choice(["4.2.1", "4.2.1", "4.2.0", "4.3.0b1", "4.3.0b2"]),
            "signature": signature,
            "os_name": rnd.choices(["Windows", "Mac OS X", "Linux", "Android"], [6, 2, 2, 1])[0],
            "process_type": rnd.choices(["parent", "gpu", "plugin", "sidecar"], [8, 1, 1, 1])[0],
            "report_type": rnd.choices(["crash", "hang"], [5, 1])[0],
            "install_time": rnd.randrange(1700000000, 1700000060),
            "uptime": rnd.choice([3, 59, 60, 4000]),
            "build": (when - rnd.randrange(1, 9) * DAY).strftime("%Y%m%d%H%M%S"),
            "startup_crash": signature == "OOM | large" or rnd.random() < .1,
            "is_garbage_collecting": rnd.random() < .2, **more}


def signature_of(when, rnd):
    age = NOW - when
    if age < 6 * DAY and rnd.random() < .06:
        return "only::now"
    if age > 8 * DAY and rnd.random() < .06:
        return "only::before"
    others = [s for s in SIGNATURES if not s.startswith("only::")]
    return others[min(int(rnd.expovariate(.3)), len(others) - 1)]


@pytest.fixture(scope="module")
def crashes(instance):
    """Crashes of a product of our own, and of one whose name shares a word with it."""
    rnd = random.Random(11)
    product = f"Topper {uuid.uuid4().hex[:8]}"
    docs = []
    for _ in range(900):
        when = NOW - datetime.timedelta(seconds=rnd.randrange(120, 16 * 86400))
        docs.append(document(product, when, signature_of(when, rnd), rnd))
    docs.append(document(product, NOW - datetime.timedelta(hours=1), "", rnd))
    del docs[-1]["signature"]
    noise = [document(product + " Node", NOW - 2 * DAY, "noise::f", rnd) for _ in range(20)]
    SearchLoader(instance).index(docs + noise)
    return product, docs


@pytest.fixture(scope="module")
def counted(instance, crashes):
    """The same, with days counted by the periodic job."""
    instance.salvage("jobs", "run", "rollups")
    return crashes


def date(doc):
    return datetime.datetime.fromisoformat(doc["date_processed"])


def build(doc):
    return datetime.datetime.strptime(doc["build"], "%Y%m%d%H%M%S").replace(
        tzinfo=datetime.timezone.utc)


def matching(docs, start, end, versions=(), process="parent", platform=None, report="crash",
             builds=None):
    """What a reader asked for, one crash after the other."""
    out = []
    for d in docs:
        version = any(d["version"].startswith(v) if v.endswith("b") else d["version"] == v
                      for v in versions)
        if (start <= date(d) < end and (version or not versions)
                and (process == "any" or d["process_type"] == process
                     or (process == "other" and d["process_type"] not in KNOWN))
                and platform in (None, d["os_name"]) and report in ("any", d["report_type"])
                and (builds is None or builds[0] <= build(d) < builds[1])):
            out.append(d)
    return out


def ranked(docs):
    counts = collections.Counter(d["signature"] for d in docs if d.get("signature"))
    return sorted(counts.items(), key=lambda x: (-x[1], x[0].encode()))


def check(answer, now, before):
    """Every number of the answer against the crashes of both windows."""
    order, was = ranked(now), ranked(before)
    old, old_rank = dict(was), {s: i + 1 for i, (s, _) in enumerate(was)}
    assert answer["total"] == len(now) and answer["previous_total"] == len(before)
    assert answer["signatures_total"] == len(order)
    assert answer["installs"] == len({d["install_time"] for d in now})
    assert [(r["signature"], r["count"]) for r in answer["signatures"]] == order[:50]
    for i, row in enumerate(answer["signatures"]):
        mine = [d for d in now if d.get("signature") == row["signature"]]
        assert row["rank"] == i + 1
        assert row["previous_rank"] == old_rank.get(row["signature"])
        assert row["previous_count"] == old.get(row["signature"], 0)
        assert row["percent"] == pytest.approx(100 * len(mine) / len(now))
        assert row["percent_change"] == pytest.approx(
            100 * len(mine) / len(now)
            - (100 * row["previous_count"] / len(before) if before else 0))
        assert row["installs"] == len({d["install_time"] for d in mine})
        assert row["startup_crashes"] == sum(d["startup_crash"] for d in mine)
        assert row["gc_crashes"] == sum(d["is_garbage_collecting"] for d in mine)
        assert row["first_minute_crashes"] == sum(d["uptime"] < 60 for d in mine)
        assert {k: v for k, v in row["platforms"].items() if v} == dict(
            collections.Counter(d["os_name"] for d in mine))


CASES = [{}, {"days": 1}, {"days": 3}, {"version": "4.2.1"}, {"version": ["4.2.1", "4.2.0"]},
         {"version": "4.3.0b"}, {"process_type": "any"}, {"process_type": "plugin"},
         {"process_type": "other"}, {"platform": "Mac OS X"}, {"_report_type": "any"},
         {"_report_type": "hang", "process_type": "any"}, {"_tcbs_mode": "byday"},
         {"_tcbs_mode": "byday", "days": 3, "process_type": "any"}, {"_range_type": "build"}]


def windows(answer):
    return [datetime.datetime.fromisoformat(answer[k])
            for k in ("from", "to", "previous_from", "previous_to")]


def both(docs, answer, case):
    start, end, older, _ = windows(answer)
    versions = case.get("version", ())
    kind = {"versions": [versions] if isinstance(versions, str) else versions,
            "process": case.get("process_type", "parent"), "platform": case.get("platform"),
            "report": case.get("_report_type", "crash")}
    if case.get("_range_type") == "build":
        return (matching(docs, start, end, builds=(start, end), **kind),
                matching(docs, older, end, builds=(older, start), **kind))
    return matching(docs, start, end, **kind), matching(docs, older, start, **kind)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_live_counts(stack, crashes, case):
    product, docs = crashes
    answer = top(stack, product, **{"version": "", **case})
    now, before = both(docs, answer, case)
    assert now and (before or case.get("_range_type"))
    check(answer, now, before)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_counted_days_tell_the_same(stack, counted, case):
    product, docs = counted
    answer = top(stack, product, **{"version": "", **case})
    check(answer, *both(docs, answer, case))


def test_windows(stack, crashes):
    start, end, older, newer = windows(top(stack, crashes[0], version="", days=3))
    assert end - start == start - older == 3 * DAY and newer == start
    assert datetime.timedelta(0) <= datetime.datetime.now(datetime.timezone.utc) - end < DAY / 2
    start, end, _, _ = windows(top(stack, crashes[0], version="", _tcbs_mode="byday"))
    assert (end.hour, end.minute, end.second) == (0, 0, 0) and end - start == 7 * DAY


def test_days_of_a_signature(stack, counted):
    """28 days of all versions, today last, whatever version is looked at."""
    product, docs = counted
    answer = top(stack, product, version="4.2.1", process_type="any", _report_type="any")
    today = datetime.datetime.fromisoformat(answer["to"]).replace(hour=0, minute=0, second=0)
    for row in answer["signatures"][:10]:
        days = collections.Counter((today - date(d).replace(hour=0, minute=0, second=0)).days
                                   for d in docs if d.get("signature") == row["signature"])
        assert row["days"] == [days.get(27 - i, 0) for i in range(28)]


def test_new_only_if_first_seen_inside(stack, counted):
    """A signature that fell out of sight for a while is not new."""
    product, docs = counted
    for signature in {d.get("signature") for d in docs} - {None}:
        first = NOW - 90 * DAY if signature.startswith("tail") else min(
            date(d) for d in docs if d.get("signature") == signature)
        stack.query("INSERT INTO signature (signature, first_seen) VALUES (%s, %s) ON CONFLICT "
                    "((md5(signature)::uuid)) DO UPDATE SET first_seen = excluded.first_seen, "
                    "first_date = NULL, first_build = NULL", signature, first)
    rows = {r["signature"]: r for r in top(stack, product, version="")["signatures"]}
    assert rows["only::now"]["is_new"]
    fell = [r for s, r in rows.items() if s.startswith("tail") and not r["previous_count"]]
    assert [s for s, r in rows.items() if r["is_new"]] == ["only::now"], fell
    assert datetime.datetime.fromisoformat(rows["only::now"]["first_date"]) == min(
        date(d) for d in docs if d.get("signature") == "only::now")


def test_parameters(stack, crashes):
    product = crashes[0]
    for params, text in (({}, "this field is required"),
                         ({"product": product, "days": "x"}, "'days' not a number"),
                         ({"product": product, "days": "5"}, "'days' not a recognized number"),
                         ({"product": product, "days": "1e1"}, "'days' not a number"),
                         ({"product": product, "days": "9" * 30}, "'days' not a number"),
                         ({"product": product, "_report_type": "x"}, "select a valid choice")):
        r = get(stack, "/topcrashers/", **{"version": "", **params})
        assert r.status_code == 400 and text in html.unescape(r.text), params
        bare = requests.get(stack.url + "/topcrashers/", params={"version": "", **params},
                            headers={"X-Requested-With": "XMLHttpRequest"}, timeout=30)
        assert bare.status_code == 400 and bare.text.startswith("<ul><li>")
    assert get(stack, "/topcrashers/", product="No such " + uuid.uuid4().hex).status_code == 404
    assert get(stack, "/topcrashers/", product="\xff\x00").status_code in (400, 404)
    for wrong in ({"process_type": "x"}, {"platform": "BeOS"}, {"_facets_size": "7"},
                  {"_tcbs_mode": "x"}, {"_range_type": "x"}, {"_sort": "'; DROP TABLE crash"}):
        assert top(stack, product, version="", **wrong)["total"] == top(
            stack, product, version="")["total"]
    assert requests.post(stack.url + "/topcrashers/", timeout=30).status_code == 405


def test_a_version_is_chosen(stack, counted):
    """The first featured one; of what nobody has described "auto" features them: of each minor
    version the newest that is no name for all betas."""
    product = counted[0]
    stack.salvage("jobs", "run", "versions")
    r = get(stack, "/topcrashers/", product=product, days=3)
    assert r.status_code == 302 and "days=3" in where(r)
    assert re.search(r"version=4\.3\.0b2(&|$)", where(r))
    stack.salvage("product", "add", product, "--featured", "4.2.0", "--featured", "4.2.1")
    try:
        assert "version=4.2.0" in where(get(stack, "/topcrashers/", product=product))
    finally:
        stack.salvage("product", "remove", product)


def test_sizes_sorts_and_installs(stack, counted):
    product, docs = counted
    full = top(stack, product, version="", process_type="any")["signatures"]
    for sort, key in (("count", lambda r: r["count"]), ("-change", lambda r: -r["percent_change"]),
                      ("-installs", lambda r: -r["installs"]), ("gc", lambda r: r["gc_crashes"])):
        rows = top(stack, product, version="", process_type="any", _sort=sort)["signatures"]
        keys = [key(r) for r in rows]
        assert keys == sorted(keys) and len(rows) == len(full), sort
        assert {r["rank"] for r in rows} == {r["rank"] for r in full}
    several = top(stack, product, version="", process_type="any", _installs="2")["signatures"]
    assert several == [r for r in full if r["installs"] > 1] and several != []


def test_csv(stack, counted):
    product = counted[0]
    r = get(stack, "/topcrashers/", product=product, version="", format="csv")
    assert r.headers["Content-Type"] == "text/csv; charset=UTF-8"
    assert "attachment" in r.headers["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(r.content.decode())))
    same = top(stack, product, version="")["signatures"]
    assert [(x["signature"].removeprefix("'"), int(x["count"])) for x in rows] == [
        (x["signature"], x["count"]) for x in same]
    assert not any(x["signature"][0] in "=+-@" for x in rows)    # no formula
    assert any(x["signature"].startswith("'=cmd") for x in rows)


def test_page(stack, counted):
    product = counted[0]
    r = get(stack, "/topcrashers/", product=product, version="4.2.1")
    text = html.unescape(re.sub(r"<wbr>", "", r.text))
    answer = top(stack, product, version="4.2.1")
    assert r.status_code == 200 and f"{answer['total']:,} crashes from" in text
    for row in answer["signatures"]:
        assert f"<strong>{row['count']:,}</strong>" in text
    assert "a&lt;b&gt;" in r.text and "<b>&" not in r.text
    assert r.text.count('class="spark"') == len(answer["signatures"])
    assert "28 days: lowest" in text and 'aria-sort="descending"' in r.text
    # every choice is a link that keeps the others
    kept = re.findall(r'href="(/topcrashers/\?[^"]*days=3[^"]*)"', r.text)
    assert kept and all("version=4.2.1" in x for x in kept)
    link = html.unescape(re.search(r'data-open href="(/signature/[^"]*)"', r.text).group(1))
    assert "version=4.2.1" in link and "date=%3E%3D" in link
    empty = get(stack, "/topcrashers/", product=product, version="9.9")
    assert empty.status_code == 200 and "No crashing signatures found for the period" in empty.text


def test_bugs_and_states(stack, counted):
    product = counted[0]
    order = top(stack, product, version="")["signatures"]
    first, second = order[0]["signature"], order[1]["signature"]
    stack.query("INSERT INTO bug_association VALUES (99001, %s), (99002, %s)", first, first)
    stack.query("INSERT INTO bug_info VALUES (99001, 'Old one', 'RESOLVED', 'FIXED', now())")
    stack.query("INSERT INTO hint_fixed (signature, product, version) VALUES (%s, %s, '4.2.0')",
                second, product)
    try:
        rows = top(stack, product, version="")["signatures"]
        assert [(b["id"], b["status"]) for b in rows[0]["bugs"]] == [(99002, ""),
                                                                    (99001, "RESOLVED")]
        assert rows[1]["state"] == "fixed" and rows[0]["state"] == "open"
        page = get(stack, "/topcrashers/", product=product, version="").text
        assert "fixed in 4.2.0" in page and re.search(r'class="bug shut"[^>]*>99001<', page)
        assert "RESOLVED FIXED: Old one" in page
    finally:
        stack.query("DELETE FROM bug_association WHERE bug IN (99001, 99002)")
        stack.query("DELETE FROM bug_info WHERE bug = 99001")
        stack.query("DELETE FROM hint_fixed WHERE product = %s", product)


# ---- versions ----

@pytest.fixture(scope="module")
def versions(instance):
    """A branch that is still mended beside a newer one: 4.1.4 came after 4.2.0."""
    rnd = random.Random(5)
    product = f"Branches{uuid.uuid4().hex[:8]}"
    plan = {"4.1.2": {"stays": 30, "came back": 9, "grows": 3},
            "4.1.3": {"stays": 30, "went": 8, "grows": 3},
            "4.1.4": {"stays": 30, "came back": 6, "brand new": 7, "grows": 40, "once": 1},
            "4.2.0": {"stays": 20, "brand new": 5},
            "4.1.5b1": {"brand new": 2, "other": 3}}
    docs = []
    for version, counts in plan.items():
        for signature, n in counts.items():
            for _ in range(n):
                when = NOW - datetime.timedelta(hours=rnd.randrange(1, 60))
                docs.append({**document(product, when, signature, rnd), "version": version,
                             "process_type": "parent", "report_type": "crash"})
    SearchLoader(instance).index(docs)
    for job in ("rollups", "versions"):
        instance.salvage("jobs", "run", job)
    return product, plan


def sections(text):
    """Heading -> the rows below it as cells."""
    text = html.unescape(re.sub(r"<wbr>", "", text))
    out = {}
    for part in text.split("<h2")[1:]:
        heading = re.match(r"[^>]*>([^<]*)", part).group(1)
        out[heading] = [[re.sub(r"<[^>]+>", "", cell).strip() for cell in
                         re.findall(r"<td[^>]*>(.*?)</td>", row)]
                        for row in re.findall(r"<tr>(.*?)</tr>", part, re.S)]
        out[heading] = [x for x in out[heading] if x]
    return out


def test_side_by_side(stack, versions):
    product, plan = versions
    r = get(stack, "/topcrashers/compare/", product=product, a="4.1.3", b="4.1.4")
    assert r.status_code == 200
    found = sections(r.text)
    assert [x[:2] for x in found["Only in 4.1.4"]] == [["brand new", "7"], ["came back", "6"],
                                                       ["once", "1"]]
    assert [x[:2] for x in found["Only in 4.1.3"]] == [["went", "8"]]
    a, b = sum(plan["4.1.3"].values()), sum(plan["4.1.4"].values())
    moved = {s: 100 * plan["4.1.4"][s] / b - 100 * plan["4.1.3"][s] / a
             for s in ("stays", "grows")}
    rows = found["In both"]
    assert [x[0] for x in rows] == sorted(moved, key=lambda s: -abs(moved[s]))
    for row in rows:
        assert row[3:5] == [str(plan["4.1.3"][row[0]]), str(plan["4.1.4"][row[0]])]
        assert row[7] == f"{'▲' if moved[row[0]] > 0 else '▼'} {abs(moved[row[0]]):.2f} pp"
    assert get(stack, "/topcrashers/compare/", product=product, a="4.1.3").status_code == 400


def test_regressions_go_by_version(stack, versions):
    """4.1.4 is compared with 4.1.3, not with 4.2.0, which came out before it."""
    product, plan = versions
    r = get(stack, "/topcrashers/regressions/", product=product, version="4.1.4")
    assert r.status_code == 200 and "against 4.1.3 and 1 earlier version of the branch" in r.text
    found = sections(r.text)
    assert [x[:2] for x in found["New"]] == [["brand new", "7"]]
    assert [x[0] for x in found["Back"]] == ["came back"] and found["Back"][0][3] == "9"
    assert [x[0] for x in found["More frequent"]] == ["grows"]
    first = get(stack, "/topcrashers/regressions/", product=product, version="4.1.2")
    assert "There is no version before 4.1.2" in first.text
    beta = get(stack, "/topcrashers/regressions/", product=product, version="4.1.5b1")
    assert "There is no version before 4.1.5b1" in beta.text    # releases are another branch
    newest = get(stack, "/topcrashers/", product=product, version="4.2.0").text
    assert "Compare with 4.1.4" in newest and "/topcrashers/regressions/?" in newest
