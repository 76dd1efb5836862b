"""/documentation/: its pages, and the reference of fields against the lists it is made of."""
import csv
import datetime
import html
import re
import urllib.parse

import pytest
import requests
from search_loader import SearchLoader, crash_id

PAGES = ["/documentation/", "/documentation/supersearch/", "/documentation/supersearch/examples/",
         "/documentation/supersearch/api/", "/documentation/datadictionary/",
         "/documentation/protected_data_access/", "/documentation/whatsnew/"]


def get(stack, path, token=None):
    return requests.get(stack.url + path, headers={"Auth-Token": token} if token else {}, timeout=30,
                        allow_redirects=False)


def field(stack, dataset, name, token=None):
    path = name.replace("[]", ".[]").replace(".", "/")
    return get(stack, f"/documentation/datadictionary/dataset/{dataset}/field/{path}", token)


def words(text):
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", text)))


def table(top, name):
    """Rows of a field list: {name: (type, is public, annotation, meaning)}."""
    rows = {}
    for row in csv.reader((top / "conf/schema" / name).open(), delimiter="\t", quoting=csv.QUOTE_NONE):
        if row and not row[0].startswith("#"):
            rows[row[0]] = (row[1], row[2] == "public", row[3], row[6])
    return rows


@pytest.fixture(scope="module")
def lists(top):
    return {"annotation": table(top, "raw_crash.tsv"), "processed": table(top, "processed_crash.tsv")}


def test_pages_and_their_links(stack):
    """Every link of every page leads somewhere."""
    seen = set()
    for path in PAGES:
        r = get(stack, path)
        assert r.status_code == 200 and "<h1>" in r.text, path
        assert get(stack, path.rstrip("/")).status_code == 301
        main = r.text[r.text.index("<main"):r.text.index("</main>")]
        for link in re.findall(r'href="(/[^"#]*)', main):
            seen.add(html.unescape(link))
    fields = sorted(x for x in seen if "/dataset/" in x)
    assert len(fields) > 200
    for link in sorted(seen - set(fields)) + fields[::10]:
        r = get(stack, link)
        assert r.status_code in (200, 301, 302, 303) or (
            r.status_code == 403 and link in ("/alerts/", "/api/tokens/")), (link, r.status_code)
    r = get(stack, "/documentation/memory_dump_access/")
    assert r.status_code == 301 and r.headers["Location"].endswith(
        "/documentation/protected_data_access/")


def test_examples_run(stack):
    text = get(stack, "/documentation/supersearch/examples/").text
    links = [html.unescape(x) for x in re.findall(r'<td class="any"><a href="(/search/[^"]*)">', text)]
    shown = [html.unescape(x) for x in re.findall(r"<code>([^<]*)</code></a></td>", text)]
    assert len(links) == len(shown) >= 10
    for link, query in zip(links, shown):
        assert urllib.parse.unquote(link.split("?")[1]) == query
        assert get(stack, link).status_code == 200, link


def test_search_fields_are_all_there(stack):
    text = get(stack, "/documentation/supersearch/").text
    rows = dict(re.findall(r'<tr id="f-([a-z0-9_]+)">(.*?)</tr>', text, re.S))
    public = requests.get(stack.url + "/search/fields/", timeout=30).json()
    every = requests.get(stack.url + "/search/fields/", timeout=30,
                         headers={"Auth-Token": stack.api_token}).json()
    assert set(rows) == set(every) and len(rows) == 156
    for name, row in rows.items():
        assert ("lockmark" in row) == (name not in public), name


def test_dictionary_lists_every_name(stack, lists):
    text = get(stack, "/documentation/datadictionary/").text
    for dataset, rows in lists.items():
        for name in rows:
            if not re.search(r"[@.\[]", name):
                link = f"/documentation/datadictionary/dataset/{dataset}/field/" + urllib.parse.quote(
                    name, safe="")
                assert f'href="{link}"' in text, (dataset, name)


@pytest.mark.parametrize("dataset,name", [
    ("annotation", "ProductName"), ("annotation", "URL"), ("annotation", "Add-ons"),
    ("annotation", "MozCrashReason"), ("processed", "reason"), ("processed", "url"),
    ("processed", "abort_message"), ("processed", "addons")])
def test_field_pages(stack, lists, dataset, name):
    type_, public, annotation, meaning = lists[dataset][name]
    r = field(stack, dataset, name)
    assert r.status_code == 200
    text = words(r.text)
    assert meaning in text and type_.rstrip("?").split("|")[0] in text
    assert ("Everybody" in text) == public
    assert ("Holders of View Personal Identifiable Information" in text) == (not public)
    if annotation != "-" and dataset == "processed":
        assert f"/dataset/annotation/field/{annotation}" in r.text
    if dataset == "annotation":
        copied = [n for n, row in lists["processed"].items() if row[2] == name and n[0] != "@"]
        if copied:
            assert f"/dataset/processed/field/{copied[0]}" in r.text


def test_members_behind_definitions(stack, lists):
    """json_dump is described by a definition, its frames by another."""
    text = words(field(stack, "processed", "json_dump").text)
    assert "json_dump.crash_info" in text and "json_dump.threads" in text
    r = field(stack, "processed", "json_dump.crash_info.memory_accesses[].is_likely_guard_page")
    assert r.status_code == 200 and "Holders of View" in r.text
    r = field(stack, "processed", "json_dump.threads[].frames[]")
    assert r.status_code == 200
    for link in re.findall(r'href="(/documentation/datadictionary/dataset/[^"]*)"', r.text):
        assert get(stack, html.unescape(link)).status_code == 200, link


def test_search_source_below_the_first_level(stack):
    text = get(stack, "/documentation/supersearch/").text
    row = re.search(r'<tr id="f-cpu_count">.*?</tr>', text, re.S).group(0)
    link = re.search(r'href="([^"]*)"', row).group(1)
    assert link.endswith("/processed/field/json_dump/system_info/cpu_count")
    assert "/search/?_facets=cpu_count" in get(stack, link).text


def test_samples_are_public_values(stack):
    marker = "doc-sample-<b>&"
    now = datetime.datetime.now(datetime.timezone.utc)
    documents = [{"uuid": crash_id(now), "date_processed": now.isoformat(), "product": "FindDoc",
                  "version": "1", "signature": "s", "distribution_id": marker, "url": "https://" + marker}
                 for _ in range(3)]
    SearchLoader(stack).index(documents)
    text = field(stack, "processed", "distribution_id").text
    assert html.escape(marker, quote=False) in text and "<b>&" not in text
    assert "FindDoc" in words(text).split("Products sending it")[1].split("Sample values")[0]
    for token in (None, stack.api_token):                   # not even to who may see it elsewhere
        text = field(stack, "processed", "url", token).text
        assert "doc-sample" not in text and "not shown: protected" in text


@pytest.mark.parametrize("path,says", [
    ("dataset/nothing/field/x", "Dataset not found"), ("dataset/", "Dataset not found"),
    ("dataset/processed/field/nope", "Field not found"), ("dataset/processed/field/", "Field not found"),
    ("dataset/processed/", "Field not found"), ("dataset/annotation", "Field not found"),
    ("dataset/processed/field/@stackwalk", "Field not found"),
    ("dataset/processed/field/json_dump/nope", "Field not found"),
    ("dataset/processed/field/[]", "Field not found"),
    ("dataset/processed/field/" + "a/" * 400, "Field not found"),
    ("dataset/processed/field/%3Cscript%3E", "Field not found"),
    ("dataset/processed/field/..%5B", "Field not found")])
def test_what_is_not_there(stack, path, says):
    r = get(stack, "/documentation/datadictionary/" + path)
    assert (r.status_code, r.text) == (404, says)
    assert r.headers["Content-Type"] == "text/plain; charset=UTF-8"


def test_no_such_page(stack):
    assert get(stack, "/documentation/nothing/").status_code == 404
    assert requests.post(stack.url + "/documentation/", timeout=30).status_code == 405
