"""salvage throttle and salvage product: what they print, and with a draw that is given, the
throttler's percentages to the boundary (collector specification, section 6)."""
import json
import re

import pytest

MOZILLA = 'Include "${SALVAGE_SHARE}/throttle-mozilla.conf"'


def one_line(text):
    return text.endswith("\n") and text.count("\n") == 1


@pytest.fixture
def configured(instance, tmp_path):
    """The instance's configuration with other last lines; nothing of it runs."""
    def make(lines):
        path = tmp_path / "trial.conf"
        text = (instance.dir / "httpd.conf").read_text()
        path.write_text(text.replace(f'IncludeOptional "{instance.extra}"', lines))
        return path
    return make


def decide(instance, conf, *args, **fields):
    done = instance.salvage("throttle", "test", "--json", "--config", conf, *args,
                            *(f"{k}={v}" for k, v in fields.items()))
    return json.loads(done.stdout)


# ---- chances ----

RELEASE = {"ProductName": "Firefox", "ReleaseChannel": "release"}
SHUTDOWN = {"ProductName": "Thunderbird", "ipc_channel_error": "ShutDownKill"}
ESR = {"ProductName": "Firefox", "ReleaseChannel": "esr", "TelemetryEnvironment":
       '{"system": {"os": {"name": "Windows_NT", "windowsBuildNumber": 9600}}}'}


@pytest.mark.parametrize("fields,draw,rule,result,percent", [
    (RELEASE, "0", "is_firefox_desktop", "ACCEPT", 10),
    (RELEASE, "10", "is_firefox_desktop", "ACCEPT", 10),        # r <= percent
    (RELEASE, "10.000001", "is_firefox_desktop", "REJECT", 10),
    (RELEASE, "99.9", "is_firefox_desktop", "REJECT", 10),
    (SHUTDOWN, "10", "accept_everything", "ACCEPT", 100),
    (SHUTDOWN, "10.1", "is_shutdownkill", "REJECT", 10),
    (ESR, "25", "is_alpha_beta_esr", "ACCEPT", 100),
    (ESR, "25.1", "is_firefox_esr_unsupported_windows", "REJECT", 25),
])
def test_boundaries(instance, configured, fields, draw, rule, result, percent):
    out = decide(instance, configured(MOZILLA), "--draw", draw, **fields)
    assert (out["rule"], out["result"], out["percent"]) == (rule, result, percent)


# system.os of TelemetryEnvironment; whether rule 12 matches
@pytest.mark.parametrize("os,matches", [
    ('{"name": "Windows_NT", "windowsBuildNumber": 9600}', True),
    ('{"name": "Windows_NT", "windowsBuildNumber": 7601}', True),
    ('{"name": "Windows_NT", "windowsBuildNumber": 9601}', False),
    ('{"name": "Windows_NT", "windowsBuildNumber": 0}', False),
    ('{"name": "Windows_NT", "windowsBuildNumber": "9600"}', False),
    ('{"name": "Windows_NT", "windowsBuildNumber": 9600.0}', False),
    ('{"name": "Windows_NT"}', False),
    ('{"name": "Darwin", "windowsBuildNumber": 9600}', False),
    ('[]', False), ('"Windows_NT"', False), ('null', False), ('{', False),
])
def test_rule_12(instance, configured, os, matches):
    fields = dict(ESR, TelemetryEnvironment='{"system": {"os": %s}}' % os)
    out = decide(instance, configured(MOZILLA), "--draw", "100", **fields)
    assert (out["rule"] == "is_firefox_esr_unsupported_windows") == matches
    assert out["rule"] in ("is_firefox_esr_unsupported_windows", "is_alpha_beta_esr")


def test_mozilla_set_is_the_table(instance, configured):
    """Names, results and percentages of the sixteen rules, in their order."""
    rules = json.loads(instance.salvage("throttle", "list", "--json", "--config",
                                        configured(MOZILLA)).stdout)
    table = [(r["name"], r["result"] if r["percent"] == 100 else
              (r["percent"], r["result"], r["otherwise"])) for r in rules]
    assert table == [
        ("has_old_buildid", "REJECT"), ("has_hangid_and_browser", "REJECT"),
        ("infobar_is_true", "REJECT"), ("b2g", "FAKEACCEPT"), ("unsupported_product", "REJECT"),
        ("unsupported_packagename", "REJECT"), ("throttleable_0", "ACCEPT"),
        ("has_comments", "ACCEPT"), ("has_phc", "ACCEPT"), ("is_background", "ACCEPT"),
        ("is_shutdownkill", (10, "CONTINUE", "REJECT")),
        ("is_firefox_esr_unsupported_windows", (25, "CONTINUE", "REJECT")),
        ("is_alpha_beta_esr", "ACCEPT"), ("is_nightly", "ACCEPT"),
        ("is_firefox_desktop", (10, "ACCEPT", "REJECT")), ("accept_everything", "ACCEPT")]


# ---- what is printed ----

def test_text(instance, configured):
    conf = configured(MOZILLA)
    out = instance.salvage("throttle", "test", "--config", conf, "--draw", "60.5",
                           "ProductName=Firefox", "ReleaseChannel=release").stdout.splitlines()
    assert out[0] == "/submit of 127.0.0.1; 7 products"
    assert out[1].split() == ["no", "has_old_buildid"]
    assert "yes          is_firefox_desktop: 10 % ACCEPT, else REJECT; drew 60.5: REJECT" in out
    assert out[-2].split(maxsplit=2) == ["not", "asked", "accept_everything"]
    assert out[-1] == "REJECT by is_firefox_desktop, 10 %"
    assert any(re.search(r"throttle-mozilla\.conf line \d+$", line) for line in out)
    assert sum(line.startswith(("no ", "yes ", "not asked ")) for line in out) == 16


def test_annotations_from_files(instance, configured, tmp_path):
    """A file is what a client would send; NAME=VALUE behind it changes it."""
    conf = configured(MOZILLA)
    raw = tmp_path / "raw.json"
    raw.write_text(json.dumps({"ProductName": "Thunderbird", "Comments": None, "Throttleable": 0,
                               "metadata": {"a": [1]}}))
    assert decide(instance, conf, raw)["rule"] == "throttleable_0"
    assert decide(instance, conf, raw, "Throttleable=1")["rule"] == "has_comments"
    assert decide(instance, conf, "prod=Thunderbird")["rule"] == "accept_everything"    # dialects


def test_places(instance, configured):
    lines = """
<Location "/other">
    SetHandler crash-collect
    CrashThrottleRules none
    CrashThrottleRule tiny accept:0.001:defer true
</Location>
<LocationMatch "^/m[0-9]/">
    SetHandler crash-collect
    CrashThrottleRules none
    CrashThrottleDefault reject
</LocationMatch>
<VirtualHost 127.0.0.1:1>
    ServerName second.example
    CrashThrottleRule second reject true
</VirtualHost>
"""
    conf = configured(lines)
    assert decide(instance, conf, "a=b")["rule"] == "accept_everything"
    out = decide(instance, conf, "--location", "/other", "--draw", "0.0011", "a=b")
    assert (out["rule"], out["result"], out["path"]) == ("tiny", "DEFER", "/other")
    out = decide(instance, conf, "--location", "^/m[0-9]/", "a=b")
    assert (out["rule"], out["percent"]) == ("NO_MATCH", 0)
    out = decide(instance, conf, "--server", "second.example", "--location", "/submit", "a=b")
    assert (out["rule"], out["server"]) == ("second", "second.example")


def test_products_of_the_database(instance, configured):
    conf = configured("CrashProducts listed")
    instance.salvage("product", "add", "Trial only")
    try:
        assert decide(instance, conf, "ProductName=x")["rule"] == "unsupported_product"
        assert decide(instance, conf, "ProductName=Trial only")["rule"] == "accept_everything"
    finally:
        instance.salvage("product", "remove", "Trial only")


@pytest.mark.parametrize("args", [
    [], ["tset", "a=b"], ["test"], ["list", "a=b"], ["test", "--draw", "101", "a=b"],
    ["test", "--draw", "x", "a=b"], ["test", "--frobnicate", "a=b"],
])
def test_usage(instance, args):
    done = instance.salvage("throttle", *args, check=False)
    assert done.returncode == 2 and done.stderr.startswith("salvage throttle: ")


def test_failures(instance, configured, tmp_path):
    conf = configured(MOZILLA)
    broken = tmp_path / "broken.conf"
    broken.write_text(conf.read_text() + "CrashThrottleRule x accept \"nonsense(\"\n")
    text = tmp_path / "text.json"
    text.write_text("[1]")
    for args, what in (
            (["--config", tmp_path / "none", "a=b"], "none: No such file"),
            (["--config", broken, "a=b"], "CrashThrottleRule x: "),
            (["--config", conf, tmp_path / "none"], "none"),
            (["--config", conf, text], "not a JSON object"),
            (["--config", conf, "--location", "/nowhere", "a=b"], "no such place"),
            (["--config", conf, "--httpd", "/bin/true", "a=b"], "loads no mod_crash_collect"),
            (["--config", conf, "--httpd", "/nonexistent", "a=b"], "/nonexistent")):
        done = instance.salvage("throttle", "test", *args, check=False)
        assert done.returncode == 1 and one_line(done.stderr) and what in done.stderr, done.stderr
        assert not done.stdout


# ---- products ----

def test_product_command(instance, tmp_path):
    def rows():
        out = instance.salvage("product", "list").stdout.splitlines()
        assert out[0] == "product\tpackages\tversions"
        return [line for line in out if line.startswith("Cli ")]

    listed = tmp_path / "products.txt"
    listed.write_text("Cli two\n  version 1.*\nCli three\n  package a.b\n  package c\n")
    try:
        instance.salvage("product", "add", "Cli one", "--package", "x", "--package", "y z",
                         "--version", "7")
        assert rows() == ["Cli one\tx y z\t7"]
        instance.salvage("product", "add", "Cli one")           # says anew what it has
        assert rows() == ["Cli one\t\t"]
        assert instance.salvage("product", "import", listed).stdout == "2 products\n"
        assert rows() == ["Cli one\t\t", "Cli three\ta.b c\t", "Cli two\t\t1.*"]
    finally:
        instance.salvage("product", "remove", "Cli one", "Cli two", "Cli three", check=False)
    assert rows() == []
    done = instance.salvage("product", "remove", "Cli one", check=False)
    assert done.returncode == 1 and one_line(done.stderr) and '"Cli one"' in done.stderr
    listed.write_text("Cli four\nCli four\n")
    done = instance.salvage("product", "import", listed, check=False)
    assert done.returncode == 1 and "line 2" in done.stderr and rows() == []
    done = instance.salvage("product", "add", "Cli\n", check=False)
    assert done.returncode == 1 and one_line(done.stderr)
    for args in ([], ["add"], ["add", "a", "b"], ["list", "x"], ["remove"], ["import"], ["drop", "x"],
                 ["list", "--package", "x"]):
        assert instance.salvage("product", *args, check=False).returncode == 2, args
