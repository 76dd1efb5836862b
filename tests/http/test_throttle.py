"""Throttling through httpd: Mozilla's rules, sections, products, deferred crashes, the page.

Expectations: the collector's specification, section 6. Percentages are decided by chance over
HTTP; where a test needs a certain draw it is in tests/cli/test_throttle_command.py.
"""
import html
import json
import re
import time
import zipfile

import pytest
import requests

MOZILLA = 'Include "${SALVAGE_SHARE}/throttle-mozilla.conf"\n'


def post(stack, fields, path="/submit", **more):
    """A report with text annotations; (what became of it, crash id or None)."""
    r = requests.post(stack.url + path, timeout=30, **more,
                      files={name: (None, value) for name, value in fields.items()})
    return outcome(r)


def post_json(stack, text, path="/submit"):
    """A report whose annotations are one JSON part."""
    text = text if isinstance(text, str) else json.dumps(text)
    return outcome(requests.post(stack.url + path, timeout=30,
                                 files={"extra": ("extra.json", text, "application/json")}))


def outcome(r):
    assert r.status_code == 200, (r.status_code, r.text)
    if r.text.startswith("Discarded=rule_"):
        return r.text[len("Discarded=rule_"):], None
    assert r.text.startswith("CrashID=bp-"), r.text
    return "kept", r.text.strip()[len("CrashID=bp-"):]


def rule_of(stack, crash_id):
    found = list(stack.store.glob(f"crash/20{crash_id[-6:]}/{crash_id[:2]}/{crash_id}.zip"))
    assert len(found) == 1
    raw = json.loads(zipfile.ZipFile(found[0]).read("raw_crash.json"))
    return raw["metadata"]["throttle_rule"]


def decided(stack, fields):
    """The rule that decided, from the reply or, of an accepted crash, from the store."""
    became, crash_id = post_json(stack, fields) if isinstance(fields, str) else post(stack, fields)
    if became != "kept":
        return became
    return "(faked)" if crash_id[-7] == "3" else rule_of(stack, crash_id)


@pytest.fixture(scope="module")
def mozilla_instance(instance):
    instance.shared_conf(MOZILLA)
    yield instance
    instance.shared_conf("")


@pytest.fixture
def mozilla(mozilla_instance, stack):
    return stack


# ---- Mozilla's rules: one row each at least ----

FENIX = {"ProductName": "Fenix", "Android_PackageName": "org.mozilla.fenix"}
OLD_WINDOWS = json.dumps({"system": {"os": {"name": "Windows_NT", "windowsBuildNumber": 9600}}})

MOZILLA_CASES = [
    ("1 old", {"ProductName": "Thunderbird", "BuildID": "20120105123456"}, "has_old_buildid"),
    ("1 no date", {"ProductName": "Thunderbird", "BuildID": "20120231123456"},
     "accept_everything"),
    ("1 short", {"ProductName": "Thunderbird", "BuildID": "2012010512345"}, "accept_everything"),
    ("1 century", {"ProductName": "Thunderbird", "BuildID": "19120105123456"},
     "accept_everything"),
    ("1 before others", {"ProductName": "B2G", "BuildID": "20120105123456"}, "has_old_buildid"),
    ("2 default", {"ProductName": "Firefox", "HangID": "x"}, "has_hangid_and_browser"),
    ("2 empty", {"ProductName": "Firefox", "HangID": ""}, "has_hangid_and_browser"),
    ("2 browser", {"ProductName": "Firefox", "HangID": "x", "ProcessType": "browser"},
     "has_hangid_and_browser"),
    ("2 other", {"ProductName": "Firefox", "HangID": "x", "ProcessType": "gpu"}, "is_background"),
    ("2 empty type", {"ProductName": "Thunderbird", "HangID": "x", "ProcessType": ""},
     "accept_everything"),
    ("3", {"ProductName": "Firefox", "SubmittedFromInfobar": "true", "Version": "52.0",
           "BuildID": "20171225"}, "infobar_is_true"),
    ("3 last", {"ProductName": "Firefox", "SubmittedFromInfobar": "true", "Version": "59.9.1",
                "BuildID": "1"}, "infobar_is_true"),
    ("3 mended", {"ProductName": "Firefox", "SubmittedFromInfobar": "true", "Version": "59.0",
                  "BuildID": "20171226", "ReleaseChannel": "beta"}, "is_alpha_beta_esr"),
    ("3 version", {"ProductName": "Firefox", "SubmittedFromInfobar": "true", "Version": "60.0",
                   "BuildID": "20171225", "ReleaseChannel": "beta"}, "is_alpha_beta_esr"),
    ("3 no dot", {"ProductName": "Firefox", "SubmittedFromInfobar": "true", "Version": "52",
                  "BuildID": "20171225", "ReleaseChannel": "beta"}, "is_alpha_beta_esr"),
    ("3 no build", {"ProductName": "Firefox", "SubmittedFromInfobar": "true", "Version": "52.0",
                    "ReleaseChannel": "beta"}, "is_alpha_beta_esr"),
    ("4", {"ProductName": "B2G"}, "(faked)"),
    ("4 case", {"ProductName": "b2g"}, "(faked)"),
    ("5", {"ProductName": "testproduct"}, "unsupported_product"),
    ("5 case", {"ProductName": "firefox"}, "unsupported_product"),
    ("5 none", {"Version": "1"}, "unsupported_product"),
    ("5 blank", {"ProductName": "Firefox Enterprise"}, "accept_everything"),
    ("5 before 7", {"ProductName": "x", "Throttleable": "0"}, "unsupported_product"),
    ("6 missing", {"ProductName": "Fenix"}, "unsupported_packagename"),
    ("6 other", {"ProductName": "Fenix", "Android_PackageName": "org.mozilla.focus"},
     "unsupported_packagename"),
    ("6 Focus", {"ProductName": "Focus", "Android_PackageName": "org.mozilla.klar"},
     "accept_everything"),
    ("6 ReferenceBrowser", {"ProductName": "ReferenceBrowser",
                            "Android_PackageName": "org.mozilla.reference.browser"},
     "accept_everything"),
    ("6 fine", FENIX, "accept_everything"),
    ("6 no list", {"ProductName": "Thunderbird", "Android_PackageName": "whatever"},
     "accept_everything"),
    ("7", dict(FENIX, Throttleable="0"), "throttleable_0"),
    ("7 other", dict(FENIX, Throttleable="1"), "accept_everything"),
    ("8", dict(FENIX, Comments="it broke"), "has_comments"),
    ("8 empty", dict(FENIX, Comments=""), "has_comments"),
    ("9", dict(FENIX, PHCKind="FreedPage"), "has_phc"),
    *[(f"10 {kind}", dict(FENIX, ProcessType=kind), "is_background")
      for kind in ("gpu", "plugin", "rdd", "socket", "utility")],
    ("10 other", dict(FENIX, ProcessType="content"), "accept_everything"),
    ("13 aurora", dict(FENIX, ReleaseChannel="aurora"), "is_alpha_beta_esr"),
    ("13 beta", dict(FENIX, ReleaseChannel="beta"), "is_alpha_beta_esr"),
    ("13 esr", dict(FENIX, ReleaseChannel="esr"), "is_alpha_beta_esr"),
    ("12 other product", dict(FENIX, ReleaseChannel="esr", TelemetryEnvironment=OLD_WINDOWS),
     "is_alpha_beta_esr"),
    ("12 no JSON", {"ProductName": "Firefox", "ReleaseChannel": "esr",
                    "TelemetryEnvironment": "[]"}, "is_alpha_beta_esr"),
    ("14", dict(FENIX, ReleaseChannel="nightly"), "is_nightly"),
    ("14 longer", dict(FENIX, ReleaseChannel="nightly-oak"), "is_nightly"),
    ("14 not in front", dict(FENIX, ReleaseChannel="a nightly"), "accept_everything"),
    ("15 needs Firefox", dict(FENIX, ReleaseChannel="release"), "accept_everything"),
    # What JSON values look like to rules: as Python prints them.
    ("null is there", '{"ProductName": "Thunderbird", "Comments": null}', "has_comments"),
    ("null is None", '{"ProductName": "Thunderbird", "Throttleable": null}', "accept_everything"),
    ("0 is 0", '{"ProductName": "Thunderbird", "Throttleable": 0}', "throttleable_0"),
    ("0.0 is not", '{"ProductName": "Thunderbird", "Throttleable": 0.0}', "accept_everything"),
    ("true is True", '{"ProductName": "Firefox", "SubmittedFromInfobar": true, "Version": "52.0",'
     ' "BuildID": "1", "ReleaseChannel": "beta"}', "is_alpha_beta_esr"),
    ("an object is no text", '{"ProductName": "Firefox", "ReleaseChannel": "esr",'
     f'"TelemetryEnvironment": {OLD_WINDOWS}}}', "is_alpha_beta_esr"),
]


@pytest.mark.parametrize("fields,rule", [pytest.param(c[1], c[2], id=c[0]) for c in MOZILLA_CASES])
def test_mozilla(mozilla, fields, rule):
    assert decided(mozilla, fields) == rule


def test_boundary_of_age(mozilla):
    """Midnight of the day 730 days ago lies more than 730 days back; a day later does not."""
    now = time.time()
    days = [time.strftime("%Y%m%d", time.localtime(now - d * 86400)) + "120000"
            for d in (731, 729)]
    assert decided(mozilla, dict(FENIX, BuildID=days[0])) == "has_old_buildid"
    assert decided(mozilla, dict(FENIX, BuildID=days[1])) == "accept_everything"


def test_chances(mozilla):
    """Of 60 reports one in ten is kept: neither all nor none but once in 10**20 or 500 runs."""
    release = {"ProductName": "Firefox", "ReleaseChannel": "release"}
    became = [post(mozilla, release)[0] for _ in range(60)]
    assert set(became) <= {"kept", "is_firefox_desktop"} and became.count("kept") < 40
    kept = "kept" in became or any(post(mozilla, release)[0] == "kept" for _ in range(200))
    assert kept
    for fields, rule, below in (
            (dict(FENIX, ipc_channel_error="ShutDownKill"), "is_shutdownkill",
             "accept_everything"),
            ({"ProductName": "Firefox", "ReleaseChannel": "esr",
              "TelemetryEnvironment": OLD_WINDOWS}, "is_firefox_esr_unsupported_windows",
             "is_alpha_beta_esr")):
        seen = {decided(mozilla, fields) for _ in range(60)}
        assert rule in seen and seen <= {rule, below}


def test_a_rejected_report_leaves_nothing(mozilla):
    def files():
        return {p.name for p in mozilla.store.rglob("*") if p.is_file()}

    before = files()
    r = requests.post(mozilla.url + "/submit", timeout=30, files={
        "ProductName": (None, "nobody's"),
        "upload_file_minidump": ("x.dmp", b"MDMP" + bytes(300_000), "application/octet-stream")})
    assert r.text == "Discarded=rule_unsupported_product"
    assert r.headers["Content-Type"].startswith("text/plain")
    assert not {n for n in files() - before if n.endswith(".zip") or n.startswith(".")}


# ---- lines and numbers ----

def test_log_counts_and_notes(stack):
    stack.httpd_conf(MOZILLA + "LogLevel crash_collect:info\n"
                     'CustomLog logs/rules.log "%{CRASH_RULE}n %{crash-throttle}n"\n'
                     'CustomLog logs/gone.log "%{CRASH_RULE}n" '
                     "\"expr=annotation('ProductName') =~ /^Own/\"\n")

    def counted():
        text = requests.get(stack.url + "/metrics", timeout=30).text
        return {m[0]: int(m[1]) for m in re.findall(
            r'throttle(?:_rule)?_total\{(?:rule|result)="(\w+)"\} (\d+)', text)}

    before = counted()
    assert decided(stack, {"ProductName": "Own\r\n[x] \u2603 'thing" + "y" * 100,
                           "Secret": "hush"}) == "unsupported_product"
    assert decided(stack, {"ProductName": "Fenix", "Android_PackageName": "a/b"}) == \
        "unsupported_packagename"
    assert decided(stack, {"ProductName": "Fenix"}) == "unsupported_packagename"
    assert decided(stack, {"ProductName": "B2G"}) == "(faked)"
    after = counted()
    for name, n in (("unsupported_product", 1), ("unsupported_packagename", 2), ("b2g", 1),
                    ("reject", 3), ("fakeaccept", 1)):
        assert after.get(name, 0) - before.get(name, 0) == n, (name, before, after)
    log = "\n".join(line for _, line in stack.error_log.new_lines())
    shown = "Own??[x] ".replace("[", "?").replace("]", "?")
    product = re.search(r"SAL1044: ProductName rejected: '([^']*)'", log).group(1)
    assert product.startswith(shown) and len(product) == 60 and "y" * 20 in product
    assert "SAL1045: Android_PackageName rejected: Fenix 'a?b'" in log
    assert "SAL1045: Android_PackageName rejected: Fenix no Android_PackageName" in log
    assert "SAL1043: ProductName B2G: fake accept" in log
    assert re.search(r"SAL1042: [0-9a-f-]{28,29}2\d{6}: matched by unsupported_product; "
                     r"returned REJECT", log)
    assert re.search(r"SAL1042: \S+3\d{6}: matched by b2g; returned FAKEACCEPT", log)
    assert "hush" not in log
    rules = (stack.dir / "logs" / "rules.log").read_text()
    assert "unsupported_product REJECT\n" in rules and "b2g FAKEACCEPT\n" in rules
    assert (stack.dir / "logs" / "gone.log").read_text() == "unsupported_product\n"


# ---- sections ----

SECTIONS = """
CrashThrottleRule outer reject "annotation('Kind') == 'outer'"
CrashThrottleRule both reject "annotation('Kind') == 'both'"
CrashThrottleRule last accept "annotation('Kind') == 'last'"
<Location "/in">
    SetHandler crash-collect
    CrashThrottleRule first fakeaccept "-P 'First'"
    CrashThrottleRule BOTH fakeaccept "annotation('Kind') == 'both'"
</Location>
<Location "/own">
    SetHandler crash-collect
    CrashThrottleRules none
    CrashThrottleRule mine reject "annotation('Kind') == 'mine'"
    CrashThrottleDefault reject
</Location>
<Location "/bare">
    SetHandler crash-collect
    CrashThrottleRules none
    CrashThrottleDefault accept
</Location>
"""


def test_sections(stack):
    """The inner section's rules come first; one that has an inherited name takes its place."""
    stack.httpd_conf("CrashThrottleRules none\nCrashThrottleDefault reject\n" + SECTIONS)
    assert decided(stack, {"Kind": "outer"}) == "outer"
    assert decided(stack, {"Kind": "both"}) == "both"
    assert decided(stack, {"Kind": "last"}) == "last"
    assert decided(stack, {"Kind": "?"}) == "NO_MATCH"
    assert post(stack, {"Kind": "outer"}, "/in")[0] == "outer"
    assert post(stack, {"Kind": "both"}, "/in")[1][-7] == "3"
    assert post(stack, {"Kind": "outer", "First": ""}, "/in")[1][-7] == "3"
    assert post(stack, {"Kind": "outer"}, "/own")[0] == "NO_MATCH"
    assert post(stack, {"Kind": "mine"}, "/own")[0] == "mine"
    became, crash_id = post(stack, {"Kind": "outer"}, "/bare")
    assert rule_of(stack, crash_id) == "accept_everything"


@pytest.mark.parametrize("line,what", [
    ("CrashThrottleRule a accept", "takes three arguments"),
    ("CrashThrottleRule a-b accept true", "cannot be a name"),
    ("CrashThrottleRule NO_MATCH accept true", "cannot be a name"),
    ("CrashThrottleRule a perhaps true", '"perhaps" is none of accept, defer, reject'),
    ("CrashThrottleRule a accept:10:no true", '"no" is none of accept'),
    ("CrashThrottleRule a accept:101 true", '"101" is not a percentage'),
    ("CrashThrottleRule a accept:-1 true", '"-1" is not a percentage'),
    ("CrashThrottleRule a accept:1e1 true", '"1e1" is not a percentage'),
    ("CrashThrottleRule a accept \"annotation('x'\"", "syntax error"),
    ("CrashThrottleRule a accept \"annotations('x') == 'y'\"", "annotations"),
    ("CrashThrottleRule a accept \"annotation('x') =~ /(/\"", "regular expression"),
    ("CrashThrottleRule a accept \"annotation('x') -older_than_days 'old'\"",
     "-older_than_days needs a number"),
    ("CrashThrottleRule a accept true\nCrashThrottleRule A reject true", "there is a rule A"),
    ("CrashThrottleRules some", 'only "none" is known'),
    ("CrashProducts /nonexistent/products", "/nonexistent/products"),
    ("CrashProductsRefresh 0", "CrashProductsRefresh"),
])
def test_mistakes_are_told_with_their_line(instance, tmp_path, line, what):
    conf = tmp_path / "httpd.conf"
    text = (instance.dir / "httpd.conf").read_text()
    conf.write_text(text.replace(f'IncludeOptional "{instance.extra}"', line))
    number = conf.read_text().count("\n", 0, conf.read_text().index(line)) + 1
    done = instance.apache("-t", conf=conf)
    assert done.returncode != 0
    assert what in done.stderr, done.stderr
    assert f"line {number + line.count(chr(10))} of {conf}" in done.stderr


# ---- products ----

def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.1)


def test_products_of_the_database(stack):
    """A change is seen without a restart; without the database the last list stays."""
    for name in ("Listed", "Droid", "Versioned"):
        stack.salvage("product", "remove", name, check=False)
    try:
        stack.httpd_conf("CrashProducts listed\nCrashProductsRefresh 1\n")
        assert decided(stack, {"ProductName": "Anything"}) == "accept_everything"
        stack.salvage("product", "add", "Listed")
        stack.salvage("product", "add", "Droid", "--package", "org.a", "-p", "org.b")
        stack.salvage("product", "add", "Versioned", "--version", "115.*", "-V", "9")
        children = 4        # one that has seen the change does not speak for the others

        def is_refused(fields, rule):
            return all(post(stack, fields)[0] == rule for _ in range(3 * children))

        until(lambda: is_refused({"ProductName": "Anything"}, "unsupported_product"))
        assert decided(stack, {"ProductName": "Listed"}) == "accept_everything"
        assert decided(stack, {"ProductName": "Droid"}) == "unsupported_packagename"
        assert decided(stack, {"ProductName": "Droid", "Android_PackageName": "org.b"}) == \
            "accept_everything"
        for version, rule in (("115.0.1", "accept_everything"), ("9", "accept_everything"),
                              ("91", "unsupported_version"), ("", "unsupported_version")):
            assert decided(stack, {"ProductName": "Versioned", "Version": version}) == rule
        stack.error_log.expect("SAL9631|SAL9621|SAL1014|SAL1030|SAL5010")
        stack.stop("postgres")
        until(lambda: any("SAL9631" in line for _, line in stack.error_log.new_lines()))
        assert is_refused({"ProductName": "Anything"}, "unsupported_product")
        assert decided(stack, {"ProductName": "Listed"}) == "accept_everything"
        stack.httpd_conf("CrashProducts listed\nCrashProductsRefresh 1\n#\n")
        assert decided(stack, {"ProductName": "Anything"}) == "accept_everything"
        stack.start("postgres")
        until(lambda: is_refused({"ProductName": "Anything"}, "unsupported_product"))
    finally:
        stack.start("postgres")
        for name in ("Listed", "Droid", "Versioned"):
            stack.salvage("product", "remove", name, check=False)


# ---- deferred crashes ----

def test_deferred_until_somebody_looks(stack, top):
    stack.httpd_conf('CrashThrottleRule later defer "annotation(\'Kind\') == \'later\'"\n')
    crash_id = stack.submit({"ProductName": "Demo", "Version": "1", "Kind": "later"},
                            top / "tests/data/crashes/crasher_cpp.dmp")
    assert crash_id[-7] == "1" and rule_of(stack, crash_id) == "later"
    until(lambda: stack.query("select state from crash_job where crash_id = %s", crash_id))
    time.sleep(2)           # the daemon would have had it by now
    assert stack.query("select queue, state from crash_job where crash_id = %s",
                       crash_id) == [(1, 3)]
    stats = dict(line.split() for line in stack.salvage("queue", "stats").stdout.splitlines())
    assert int(stats["deferred"]) >= 1
    stack.stop("salvaged")  # to see where it is put
    page = requests.get(f"{stack.url}/report/index/{crash_id}", timeout=30)
    assert page.status_code == 200 and "being processed" in page.text
    assert stack.query("select queue, state from crash_job where crash_id = %s",
                       crash_id) == [(0, 0)]
    stack.start("salvaged")
    assert stack.wait_processed(crash_id)["product"] == "Demo"


# ---- the page ----

def cells(text):
    return [[html.unescape(re.sub(r"<[^>]*>", "", c)) for c in re.findall(
        r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S)]
            for row in re.findall(r"<tr>(.*?)</tr>", text, re.S)]


def test_page(mozilla):
    def rows():
        r = requests.get(mozilla.url + "/about/throttling/", timeout=30)
        assert r.status_code == 200 and "Content-Security-Policy" in r.headers
        return [row for row in cells(r.text) if row and row[0].isdigit()], r.text

    before, text = rows()
    names = ["has_old_buildid", "has_hangid_and_browser", "infobar_is_true", "b2g",
             "unsupported_product", "unsupported_packagename", "throttleable_0", "has_comments",
             "has_phc", "is_background", "is_shutdownkill", "is_firefox_esr_unsupported_windows",
             "is_alpha_beta_esr", "is_nightly", "is_firefox_desktop", "accept_everything"]
    here = [row for row in before if row[1] in names][:16]
    assert [row[1] for row in here] == names
    assert [int(row[0]) for row in here] == list(range(1, 17))
    by_name = {row[1]: row for row in here}
    assert by_name["is_firefox_desktop"][2] == "10 % accepted, the others rejected"
    assert by_name["is_shutdownkill"][2] == "10 % left to the rules below, the others rejected"
    assert "told that it was accepted" in by_name["b2g"][2]
    assert by_name["has_comments"][3] == "-P 'Comments'"
    assert "A report that no rule decides is rejected" in html.unescape(
        re.sub(r"<[^>]*>", "", text))
    assert post(mozilla, {"ProductName": "nobody's"})[0] == "unsupported_product"
    after = {row[1]: row for row in rows()[0]}
    assert int(after["unsupported_product"][4].replace(",", "").replace("\u202f", "")) > 0
    assert requests.get(mozilla.url + "/about/throttling", timeout=30,
                        allow_redirects=False).status_code == 301
    assert requests.get(mozilla.url + "/report/index/00000000-0000-4000-8000-000000261122",
                        timeout=30).text.count("/about/throttling/") == 1


def test_page_escapes_and_shows_sections(stack):
    stack.httpd_conf("CrashThrottleRules none\nCrashThrottleDefault reject\n" + SECTIONS +
                     "CrashThrottleRule odd reject \"annotation('<script>') == '&lt;'\"\n")
    text = requests.get(stack.url + "/about/throttling/", timeout=30).text
    assert "<script>'" not in text and "annotation('<script>') == '&lt;'" in html.unescape(text)
    for path in ("/submit", "/in", "/own", "/bare"):
        assert f"<code>{path}</code>" in text
