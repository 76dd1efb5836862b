"""Missing symbols: what is noted, what is not, the CSV and the JSON; and the usage of files."""
import csv
import datetime
import hashlib
import io
import time

import pytest
import requests
from symbols import archive, sym, upload


def an_id():
    an_id.n += 1
    return hashlib.md5(str((an_id.n, time.time())).encode()).hexdigest().upper() + "1"


an_id.n = 0


def get(stack, path, method="GET", **kw):
    return requests.request(method, stack.url + path, timeout=30, **kw)


def wait_rows(stack, debug_id, n=1, timeout=25):
    """The rows of this id once there are n of them; the watchdog writes every ten seconds."""
    end = time.monotonic() + timeout
    while True:
        rows = stack.query("select debug_file, leaf, code_file, code_id, count from missing_symbol "
                           "where debug_id = %s order by id", debug_id)
        if len(rows) >= n or time.monotonic() > end:
            return rows
        time.sleep(0.2)


@pytest.fixture
def rows(stack):
    """rows(n, **columns): makes rows of missing symbols; their ids."""
    made = []

    def make(n=1, days=0, debug_file="gone.pdb", leaf="gone.sym", code_file="gone.dll",
             code_id="5F00", count=1):
        out = []
        for _ in range(n):
            one = an_id()
            stack.query("insert into missing_symbol (hash, debug_file, debug_id, leaf, code_file, "
                        "code_id, count, created_at, modified_at) values (%s, %s, %s, %s, %s, %s, "
                        "%s, now() - %s * interval '1 day', now() - %s * interval '1 day') "
                        "returning 1", hashlib.md5(one.encode()).digest(), debug_file, one, leaf,
                        code_file, code_id, count, days, days)
            out.append(one)
        made.extend(out)
        return out

    yield make
    stack.query("delete from missing_symbol where debug_id = any(%s) returning 1", made)


def read_csv(r):
    assert r.status_code == 200, r.text
    assert r.headers["Content-Type"].startswith("text/csv")
    found = list(csv.reader(io.StringIO(r.text)))
    assert found[0] == ["debug_file", "debug_id", "code_file", "code_id"]
    return found[1:]


# ---- what is noted ----

def test_noted_once_with_its_parameters(stack):
    one, other = an_id(), an_id()
    for _ in range(3):
        r = get(stack, f"/symbols/no.pdb/{one}/no.sym",
                params={"code_file": "no.dll", "code_id": "ABC1"})
        assert r.status_code == 404
    get(stack, f"/symbols/no.pdb/{other}/no.sym", "HEAD")
    get(stack, f"/symbols/no.pdb/{other}/no.txt")
    assert wait_rows(stack, one) == [("no.pdb", "no.sym", "no.dll", "ABC1", 1)]
    assert wait_rows(stack, other, timeout=1) == []


def test_other_texts_are_other_rows(stack):
    one = an_id()
    for code in ("A1", "A2", None):
        get(stack, f"/symbols/two.pdb/{one}/two.sym", params={"code_id": code} if code else {})
    found = wait_rows(stack, one, 3)
    assert sorted(row[3] for row in found) == ["", "A1", "A2"]


def test_long_texts_are_cut(stack):
    one = an_id()
    name = "\u00e4" * 100 + ".pdb"
    get(stack, f"/symbols/{'n' * 200}.pdb/{one}/x.sym", params={"code_file": "\u0142" * 100})
    (row,) = wait_rows(stack, one)
    assert row[0] == "n" * 150 and row[2] == "\u0142" * 75 and name


# ---- the CSV ----

def test_csv(stack, rows):
    (one,) = rows()
    (old,) = rows(days=2)
    (linux,) = rows(debug_file="libgone.so", leaf="libgone.so.sym")
    (case,) = rows(debug_file="GONE.PDB", leaf="GONE.SYM")
    r = get(stack, "/missingsymbols.csv")
    yesterday = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)
    assert r.headers["Content-Disposition"] == \
        f'attachment; filename="missing-symbols-{yesterday:%Y-%m-%d}.csv"'
    found = {row[1]: row for row in read_csv(r)}
    assert found[one] == ["gone.pdb", one, "gone.dll", "5F00"]
    assert case in found and old not in found and linux not in found
    assert r.text.splitlines()[0] == "debug_file,debug_id,code_file,code_id"


def test_csv_variants(stack, rows):
    (one,) = rows()
    (old,) = rows(days=5)
    (linux,) = rows(debug_file="libgone.so", leaf="libgone.so.sym")
    assert read_csv(get(stack, "/missingsymbols.csv?today=1")) == []
    ids = {row[1] for row in read_csv(get(stack, "/missingsymbols.csv?days=7"))}
    assert {one, old} <= ids and linux not in ids
    ids = {row[1] for row in read_csv(get(stack, "/missingsymbols.csv?platform=all"))}
    assert {one, linux} <= ids and old not in ids
    ids = {row[1] for row in read_csv(get(stack, "/missingsymbols.csv?platform=all&days=90"))}
    assert {one, linux, old} <= ids


@pytest.mark.parametrize("query,errors", [
    ("days=x", {"days": ["Invalid number of days ('x')"]}),
    ("days=0", {"days": ["Invalid number of days ('0')"]}),
    ("days=91", {"days": ["Invalid number of days ('91')"]}),
    ("platform=mac", {"platform": ["Select a valid choice. mac is not one of the available "
                                   "choices."]})])
def test_csv_errors(stack, query, errors):
    r = get(stack, "/missingsymbols.csv?" + query)
    assert (r.status_code, r.json()) == (400, {"errors": errors})


def test_csv_quotes_and_is_whole(stack, rows):
    (one,) = rows(code_file='a "b", c.dll')
    found = {row[1]: row for row in read_csv(get(stack, "/missingsymbols.csv"))}
    assert found[one][2] == 'a "b", c.dll'
    stack.query("insert into missing_symbol (hash, debug_file, debug_id, leaf) select "
                "decode(md5('many' || n), 'hex'), 'many.pdb', 'MANY' || n, 'many.sym' "
                "from generate_series(1, 5000) n returning 1")
    found = [row for row in read_csv(get(stack, "/missingsymbols.csv")) if row[0] == "many.pdb"]
    assert len({row[1] for row in found}) == len(found) == 5000
    stack.query("delete from missing_symbol where debug_file = 'many.pdb' returning 1")


# ---- the JSON ----

def test_json(stack, rows):
    (one,) = rows(count=7)
    doc = get(stack, "/missingsymbols/", params={"debugid": one[3:20].lower()}).json()
    assert doc["order_by"] == {"sort": "modified_at", "reverse": True}
    assert (doc["batch_size"], doc["page"], doc["total_count"]) == (100, 1, 1)
    (record,) = doc["records"]
    assert {k: record[k] for k in ("symbol", "debugid", "filename", "code_file", "code_id",
                                   "count")} == {
        "symbol": "gone.pdb", "debugid": one, "filename": "gone.sym", "code_file": "gone.dll",
        "code_id": "5F00", "count": 7}
    assert record["created_at"].endswith("Z") and record["modified_at"].endswith("Z")
    assert isinstance(record["id"], int)


def test_json_filters_sort_and_pages(stack, rows):
    rows(103, debug_file="Pages.pdb", leaf="p.sym")
    rows(1, debug_file="pages.pdb", leaf="other.sym", days=3, count=9)

    def page(**params):
        r = get(stack, "/missingsymbols", params={"symbol": "PAGES", **params})
        assert r.status_code == 200, r.text
        return r.json()

    assert page()["total_count"] == 104 and len(page()["records"]) == 100
    assert len(page(page=2)["records"]) == 4 and page(page=2)["page"] == 2
    assert page(filename="OTHER")["total_count"] == 1
    assert page(modified_at="today")["total_count"] == 103
    assert page(created_at="<today")["total_count"] == 1
    assert page(days=1)["total_count"] == 103 and page(days=4)["total_count"] == 104
    assert page(sort="count", reverse="true")["records"][0]["count"] == 9
    assert page(sort="count")["records"][0]["count"] == 1
    assert page(sort="count")["order_by"] == {"sort": "count", "reverse": False}


@pytest.mark.parametrize("query,errors", [
    ("page=x", {"page": ["Not a number 'x'"]}), ("sort=x", {"sort": ["Invalid sort 'x'"]}),
    ("created_at=x", {"created_at": ["Unable to parse 'x'"]}),
    ("modified_at=>x", {"modified_at": ["Unable to parse 'x'"]}),
    ("days=-1", {"days": ["Invalid number of days ('-1')"]})])
def test_json_errors(stack, query, errors):
    r = get(stack, "/missingsymbols/?" + query)
    assert (r.status_code, r.json()) == (400, {"errors": errors})


def test_methods(stack):
    for path in ("/missingsymbols/", "/missingsymbols.csv"):
        assert get(stack, path, "POST").status_code == 405


def test_rows_unseen_for_90_days_go(stack, rows):
    (old,), (young,) = rows(days=91), rows(days=89)
    stack.salvage("jobs", "reset", "missingsymbols", check=False)  # it has run, so it would wait
    end = time.monotonic() + 30
    while stack.query("select 1 from missing_symbol where debug_id = %s", old):
        assert time.monotonic() < end
        time.sleep(0.2)
    assert stack.query("select 1 from missing_symbol where debug_id = %s", young)


# ---- usage ----

def test_downloads_are_counted(stack):
    one, code = an_id(), an_id()[:12]
    key = f"used.pdb/{one}/used.sym"
    assert upload(stack, archive({key: sym("used.pdb", one)})).status_code == 201
    for _ in range(5):
        assert get(stack, "/symbols/" + key).status_code == 200
    end = time.monotonic() + 30
    while True:
        hits, last = stack.query("select hits, last_access > now() - interval '1 minute' "
                                 "from symbol_file where debug_id = %s", one)[0]
        if hits >= 5 or time.monotonic() > end:
            break
        time.sleep(0.2)
    assert (hits, last) == (5, True) and code
