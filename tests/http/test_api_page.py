"""The page of the API: what it lists for whom, and its forms, which work without script."""
import html.parser
import re

import pytest
import requests

from people import admin, person, token

NAMES = ["ProcessedCrash", "RawCrash", "CrashVerify", "MissingProcessedCrash", "SuperSearch",
         "SuperSearchFields", "Bugs", "SignaturesByBugs", "SignatureFirstDate", "VersionString",
         "CrashSignature", "CrashPings", "CrashPingSignatures", "NoOp"]
HIDDEN = {"Reprocessing": "reprocess_crashes", "SuperSearchUnredacted": "view_pii"}


class Page(html.parser.HTMLParser):
    """Sections by id: text, forms as (method, action, fields)."""

    def __init__(self, text):
        super().__init__()
        self.sections, self.at, self.ids = {}, None, []
        self.feed(text)
        assert len(self.ids) == len(set(self.ids))

    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        if "id" in a:
            self.ids.append(a["id"])
        if tag == "section" and "id" in a:
            self.at = self.sections.setdefault(a["id"], {"text": "", "fields": {}, "labels": []})
        elif self.at is not None and tag == "form":
            self.at["form"] = (a["method"], a["action"])
        elif self.at is not None and tag in ("input", "textarea"):
            self.at["fields"][a["name"]] = a.get("value", "")
        elif self.at is not None and tag == "label":
            self.at["labels"].append(a["for"])

    def handle_endtag(self, tag):
        if tag == "section":
            self.at = None

    def handle_data(self, data):
        if self.at is not None:
            self.at["text"] += data


def page(stack, auth=None, who=None, **given):
    if who:
        r = who.get("/api/", params=given)
    else:
        r = requests.get(stack.url + "/api/", params=given, timeout=30,
                         headers={"Auth-Token": auth} if auth else {})
    assert r.status_code == 200 and r.headers["Content-Type"].startswith("text/html")
    return Page(r.text).sections


def test_every_endpoint_and_its_parameters(stack):
    shown = page(stack)
    assert [x for x in shown if x != "errors"] == NAMES
    for name in NAMES:
        s = shown[name]
        assert f"/api/{name}/" in s["text"]
        assert s["form"] == ("post" if name == "CrashSignature" else "get", f"/api/#{name}")
        assert s["fields"]["call"] == name
        assert len(s["labels"]) == len([x for x in s["fields"] if x not in ("call", "csrf")])
    assert {"crash_id", "format", "name"} <= set(shown["RawCrash"]["fields"])
    assert {"_facets", "_columns", "date", "signature"} <= set(shown["SuperSearch"]["fields"])


def test_what_needs_a_right_is_hidden(stack):
    for name, right in HIDDEN.items():
        assert name not in page(stack)
        assert name not in page(stack, stack.upload_token)
        assert name in page(stack, token(stack, f"api-page-{right}@example.com", right))
    nobody, boss = person(stack, "page-reader"), admin(stack)
    assert not set(HIDDEN) & set(page(stack, who=nobody))
    assert set(HIDDEN) <= set(page(stack, who=boss))


def test_calls(stack):
    def call(call, auth=None, **given):
        return page(stack, auth, call=call, **given)[call]["text"]

    assert '"hits": [],\n  "total": 0' in call("NoOp", product="x") and "200," in call(
        "NoOp", product="x")
    assert "Bad product" in call("NoOp", product="bad")
    empty = call("NoOp", product="")
    assert "This field is required." in empty and "400," in empty
    assert stack.sample_id in call("RawCrash", crash_id=stack.sample_id, format="", name="")
    assert "View Raw Dumps" in call("RawCrash", crash_id=stack.sample_id, format="raw")
    assert " bytes" in call("RawCrash", stack.api_token, crash_id=stack.sample_id, format="raw")
    assert "requires the" in page(stack, call="SuperSearchUnredacted")["errors"]["text"] or \
        "SuperSearchUnredacted" not in page(stack, call="SuperSearchUnredacted")
    s = page(stack, call="SuperSearch", _results_number="many", signature="~x")["SuperSearch"]
    assert "Enter a whole number." in s["text"] and s["fields"]["signature"] == "~x"
    assert page(stack, call="Nobody")["NoOp"]["text"]


def test_canaries_stay_text(stack):
    bad = "\"'><script>canary()</script>{{{x}}}"
    for given in ({"call": bad}, {"call": "NoOp", "product": bad},
                  {"call": "SignaturesByBugs", "bug_ids": bad},
                  {"call": "SuperSearch", "signature": bad, "_facets_size": bad, bad: bad}):
        r = requests.get(stack.url + "/api/", params=given, timeout=30)
        assert r.status_code == 200 and "<script>canary" not in r.text, given
        assert len(re.findall("<script", r.text)) == 1


def test_posted_calls(stack, top):
    r = requests.post(stack.url + "/api/", timeout=30, data={
        "call": "CrashSignature", "jobs": '{"jobs": [{"os": "Linux", "crashing_thread": 0, '
        '"threads": [{"frames": [{"frame": 0, "function": "MineAlone"}]}]}]}'})
    assert '"signature": "MineAlone"' in Page(r.text).sections["CrashSignature"]["text"]
    crash_id = stack.sample_id
    boss = admin(stack)
    fields = page(stack, who=boss)["Reprocessing"]["fields"]
    assert len(fields["csrf"]) == 64
    jobs = ("select coalesce(sum((query->>'ids')::int), 0) from reprocess_request "
            "where requester = %s")
    before = stack.query(jobs, boss.name)
    for forged in ({}, {"csrf": "0" * 64}):
        r = boss.request("POST", "/api/", data={"call": "Reprocessing", "crash_ids": crash_id,
                                                **forged})
        assert "CSRF verification failed" in r.text
    # a change is no link
    boss.get("/api/", params={"call": "Reprocessing", "crash_ids": crash_id, "csrf": fields["csrf"]})
    assert stack.query(jobs, boss.name) == before
    r = boss.request("POST", "/api/", data={"call": "Reprocessing", "crash_ids": crash_id,
                                            "csrf": fields["csrf"]})
    assert "true" in Page(r.text).sections["Reprocessing"]["text"]
    assert stack.query(jobs, boss.name)[0][0] == before[0][0] + 1
    r = requests.post(stack.url + "/api/", timeout=30, data={"call": "Reprocessing",
                                                             "crash_ids": crash_id})
    assert "Reprocessing" not in Page(r.text).sections


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_other_methods(stack, method):
    assert requests.request(method, stack.url + "/api/", timeout=30).status_code == 405
