"""The overview, the home of a product, and what describes products."""
import datetime
import html
import http.server
import json
import re
import threading
import uuid

import pytest
import requests
from search_loader import SearchLoader, crash_id

NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
HOUR = datetime.timedelta(hours=1)


def get(stack, path, **params):
    return requests.get(stack.url + path, params=params, timeout=60, allow_redirects=False)


def plain(r):
    text = re.sub(r"<wbr>", "", r.text)
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text)))


def crash(product, version, hours, signature="home::f", **more):
    when = NOW - hours * HOUR
    return {"uuid": crash_id(when), "date_processed": when.isoformat(), "product": product,
            "version": version, "signature": signature, "process_type": "parent",
            "report_type": "crash", "os_name": "Linux", **more}


@pytest.fixture(scope="module")
def product(instance):
    """12 crashes of today and 8 of the same hours a week ago; 60 in all, so that it is active."""
    name = f"Homely {uuid.uuid4().hex[:6]}"
    rising = f"rising::{uuid.uuid4().hex[:8]}"
    docs = [crash(name, "2.1", 2) for _ in range(12)] + [crash(name, "2.1", 170) for _ in range(8)]
    docs += [crash(name, "2.0", 100 + i) for i in range(60)]
    docs += [crash(name, "2.1", 3, rising) for _ in range(40)]
    docs += [crash(name, "2.1", 72 + 24 * i, rising) for i in range(7)]
    SearchLoader(instance).index(docs)
    for job in ("rollups", "versions"):
        instance.salvage("jobs", "run", job)
    instance.query("INSERT INTO signature (signature, first_seen) VALUES (%s, now() - interval "
                   "'90 days') ON CONFLICT DO NOTHING", rising)
    return name, rising


def row_of(r, product, version):
    """The cells of a version's row."""
    body = next(b for b in r.text.split("<tbody>") if f">{product}</a></h2>" in b)
    row = next(x for x in body.split("<tr>") if f">{version}</a>" in x)
    return [re.sub(r"<[^>]+>", "", c).strip() for c in re.findall(r"<td[^>]*>(.*?)</td>", row)]


def test_a_product_that_only_sent_crashes_is_there(stack, product):
    name, rising = product
    r = get(stack, "/")
    assert r.status_code == 200 and f'href="/home/product/{requests.utils.quote(name)}"' in r.text
    day, change = row_of(r, name, "2.1")[:2]
    assert (day, change) == ("52", "▲ 478 %")          # 12 + 40, against 8 + 1
    assert row_of(r, name, "2.0")[0] == "0"
    assert "28 days: lowest" in r.text


def test_what_moved(stack, product):
    name, rising = product
    r = get(stack, "/")
    moves = html.unescape(re.sub("<wbr>", "", r.text)).split("What moved")[1]
    row = next(x for x in moves.split("<tr>") if rising in x)
    assert "rising ×" in row and "<strong>40</strong>" in row and name in row
    # 40 in a day, after one on each of the days before
    rate = float(re.search(r"rising ×([\d.]+)", row).group(1))
    assert 40 <= rate <= 56


def test_a_version_that_burns_is_noticed(stack, product):
    text = plain(get(stack, "/"))
    assert re.search(rf"{re.escape(product[0])} 2\.1 crashes 5\.8 times as much as a week ago", text)


def test_product_home(stack, product):
    name = product[0]
    r = get(stack, "/home/product/" + requests.utils.quote(name))
    assert r.status_code == 200
    assert f"/topcrashers/?product={requests.utils.quote(name)}&amp;version=2.0" in r.text
    assert "process_type=parent" in r.text and 'class="chart' in r.text
    assert "As a table" in r.text
    r = get(stack, "/home/product/" + requests.utils.quote(name), version="2.0")
    assert r.status_code == 200 and 'aria-selected="true"' in r.text
    r = get(stack, "/home/product/" + requests.utils.quote(name), version="77")
    assert r.status_code == 302
    assert r.headers["Location"].endswith("/home/product/" + requests.utils.quote(name))
    for unknown in ("Nope" + uuid.uuid4().hex, "", "%00", "x" * 300, "<script>"):
        r = get(stack, "/home/product/" + requests.utils.quote(unknown, safe="%"))
        assert r.status_code in (400, 404), unknown
        assert "<script>" not in r.text.replace('<script src="/static/salvage.js" defer>', "")


GOOD = {"name": "X", "description": "d", "home_page_sort": 1}


def test_a_described_product(stack, tmp_path):
    name = "Described " + uuid.uuid4().hex[:6]
    file = tmp_path / "one.json"
    file.write_text(json.dumps({
        "name": name, "description": "What <it> is", "home_page_sort": -5, "_comment": "passed over",
        "featured_versions": ["1.0", "2.0b"], "in_buildhub": True,
        "bug_links": [["Bug", "https://t.example/new?sig=%(signature)s"]],
        "product_home_links": [["Manual", "https://m.example/"], ["Here", "/api/"]]}))
    try:
        assert stack.salvage("product", "import", str(tmp_path)).stdout == "1 product\n"
        shown = json.loads(stack.salvage("product", "show", name).stdout)
        assert shown["featured_versions"] == ["1.0", "2.0b"] and shown["in_buildhub"] is True
        assert shown["product_home_links"][1] == ["Here", "/api/"]
        r = get(stack, "/home/product/" + requests.utils.quote(name))
        assert "What &lt;it&gt; is" in r.text and 'href="https://m.example/"' in r.text
        assert r.text.index(">1.0</a>") < r.text.index(">2.0b</a>")
        r = get(stack, "/topcrashers/", product=name)
        assert r.status_code == 302 and r.headers["Location"].endswith("version=1.0")
        stack.salvage("product", "add", name, "--description", "new")
        shown = json.loads(stack.salvage("product", "show", name).stdout)
        assert shown["description"] == "new" and shown["featured_versions"] == ["1.0", "2.0b"]
    finally:
        stack.salvage("product", "remove", name)


@pytest.mark.parametrize("change, told", [
    ({"name": None}, "name"), ({"description": 3}, "description"),
    ({"home_page_sort": "1"}, "home_page_sort"), ({"home_page_sort": True}, "home_page_sort"),
    ({"featured_versions": "auto"}, "featured_versions"), ({"featured_versions": [1]}, "featured"),
    ({"version_json_urls": {"A": "ftp://x/"}}, "version_json_urls"),
    ({"version_json_urls": {"A.B": "https://x/"}}, "version_json_urls"),
    ({"in_buildhub": 1}, "in_buildhub"), ({"bug_links": [["a"]]}, "bug_links"),
    ({"bug_links": [["a", "https://x/?%(url)s"]]}, "bug_links"),
    ({"bug_links": [["a", "javascript:x"]]}, "bug_links"),
    ({"product_home_links": [["a", "//evil.example"]]}, "product_home_links"),
    ({"surprise": 1}, "surprise is no key"), ([], "is no JSON object")], ids=str)
def test_product_files_are_strict(stack, tmp_path, change, told):
    file = tmp_path / "x.json"
    file.write_text(json.dumps({**GOOD, **change} if isinstance(change, dict) else change))
    done = stack.salvage("product", "import", str(file), check=False)
    assert done.returncode == 1 and told in done.stderr
    assert stack.query("SELECT count(*) FROM product WHERE name = 'X'") == [(0,)]


def test_required_keys_of_product_files(stack, tmp_path):
    for key in GOOD:
        file = tmp_path / "x.json"
        file.write_text(json.dumps({k: v for k, v in GOOD.items() if k != key}))
        done = stack.salvage("product", "import", str(file), check=False)
        assert done.returncode == 1 and f"{key} is missing" in done.stderr


class Versions(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"LATEST": "7.0", "beta": {"next": "7.1b4"}}).encode()
        self.send_response(404 if self.path == "/gone.json" else 200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def test_versions_that_a_file_names(stack, tmp_path):
    """KEY.PATH is looked up in the file, of a beta all betas are featured, too; else it is a
    version; a file that cannot be had names nothing."""
    name = "Named " + uuid.uuid4().hex[:6]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Versions)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}"
    file = tmp_path / "x.json"
    file.write_text(json.dumps({**GOOD, "name": name, "featured_versions": [
        "V.LATEST", "V.beta.next", "V.none", "68.0.1", "GONE.x"],
        "version_json_urls": {"V": base + "/v.json", "GONE": base + "/gone.json"}}))
    try:
        stack.salvage("product", "import", str(file))
        stack.salvage("jobs", "run", "productversions", check=False)
        r = get(stack, "/home/product/" + requests.utils.quote(name))
        assert re.findall(r'<a data-open href="[^"]*">([^<]*)</a>', r.text) == [
            "7.0", "7.1b", "7.1b4", "68.0.1"]
    finally:
        server.shutdown()
        stack.salvage("product", "remove", name)
        stack.query("DELETE FROM version_file")
