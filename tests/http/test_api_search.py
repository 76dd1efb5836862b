"""SuperSearch through the API: parameters, rights in every form, errors, the shape of results.

What operators and facets find is tested with the search itself; here are the wire and who may see.
"""
import pytest
import requests

from people import admin, person, token
from search_loader import SearchLoader

MINE = "ApiSearch"
SECRET = "https://embarrassing.example/canary"


def get(stack, params=None, auth=None, name="SuperSearch"):
    return requests.get(f"{stack.url}/api/{name}/", params=params, timeout=30,
                        headers={"Auth-Token": auth} if auth else {})


def result(r):
    assert r.status_code == 200, r.text
    assert r.headers["Content-Type"] == "application/json; charset=UTF-8"
    body = r.json()
    assert list(body) == ["hits", "total", "facets", "errors"]
    return body


def refused(r, message):
    assert (r.status_code, r.headers["Content-Type"]) == (400, "application/json")
    assert r.json() == {"error": f"Bad request: BadArgumentError: {message}"}


@pytest.fixture(scope="module")
def pii(instance):
    return token(instance, "api-search@example.com", "view_pii")


@pytest.fixture(scope="module")
def crashes(instance):
    loader = SearchLoader(instance)
    made = [loader.crash(product=MINE, signature=s, version=v, url=SECRET, uptime=u,
                         user_comments="hey I am canary@example.com", os_name="Linux")
            for s, v, u in (("alpha", "1.0", 5), ("alpha", "2.0", 70), ("beta | x", "2.0", 600))]
    return made


# ---- results ----

def test_defaults(stack, crashes):
    body = result(get(stack, {"product": MINE}))
    assert body["total"] == 3 and body["errors"] == []
    assert {tuple(x) for x in body["hits"]} == {("uuid", "date", "signature", "product", "version")}
    assert {x["uuid"] for x in body["hits"]} == set(crashes)
    assert body["facets"] == {"signature": [{"term": "alpha", "count": 2},
                                            {"term": "beta | x", "count": 1}]}
    assert body["hits"][0]["date"].endswith("+00:00")


def test_lists_are_repeated_keys(stack, crashes):
    body = result(get(stack, [("product", MINE), ("version", "1.0"), ("version", "2.0"),
                              ("_facets", "version"), ("_facets", "product"), ("_sort", "-uptime"),
                              ("_columns", "signature"), ("_columns", "uptime")]))
    assert body["hits"] == [{"signature": "beta | x", "uptime": 600}, {"signature": "alpha",
                            "uptime": 70}, {"signature": "alpha", "uptime": 5}]
    assert body["facets"]["version"] == [{"term": "2.0", "count": 2}, {"term": "1.0", "count": 1}]
    assert body["facets"]["product"] == [{"term": MINE, "count": 3}]


def test_pages_and_numbers(stack, crashes):
    given = {"product": MINE, "_sort": "uptime", "_columns": "uptime"}
    seen = [result(get(stack, dict(given, _results_number="1.0", _results_offset=f" {i} ")))["hits"]
            for i in range(4)]
    assert seen == [[{"uptime": 5}], [{"uptime": 70}], [{"uptime": 600}], []]
    body = result(get(stack, dict(given, _results_number=0, _facets_size=0)))
    assert (body["hits"], body["facets"], body["total"]) == ([], {}, 3)


def test_what_is_unknown_is_ignored(stack, crashes):
    assert result(get(stack, {"product": MINE, "nobody": "x", "_nobody": "x", "pretty": "x",
                              "_fields": "x"}))["total"] == 3


def test_a_form_is_not_read(stack):
    r = requests.post(stack.url + "/api/SuperSearch/", data={"product": MINE}, timeout=30)
    assert (r.status_code, r.json()) == (405, {"error": "Method not allowed"})


# ---- errors ----

BAD = [
    ({"date": "2026-01-01"}, "date must have a prefix operator"),
    ({"date": ">=x"}, "Bad value for parameter date: not a valid datetime"),
    ({"date": [">=2020-01-01", "<2022-01-01"]}, "Date range is bigger than 365 days"),
    ({"uptime": "x"}, "Bad value for parameter uptime: not a valid int"),
    ({"_columns": "nobody"}, "Unknown field 'nobody'"),
    ({"_facets_size": 10001}, "Bad value for parameter(s) '_facets_size greater than 10,000'"),
    ({"_results_number": 1001}, "_results_number cannot be greater than 1,000"),
    ({"_results_number": -1}, "_results_number cannot be negative"),
    ({"_results_number": 1000, "_results_offset": 9001},
     "_results_offset + _results_number cannot be greater than 10,000"),
]


@pytest.mark.parametrize("given, message", BAD)
def test_bad_values(stack, pii, given, message):
    refused(get(stack, given), message)
    refused(get(stack, given, pii, "SuperSearchUnredacted"), message)


def test_products(stack, crashes):
    """Where a list of products is kept, a search for another name is a mistake."""
    stack.salvage("product", "add", "ApiListed")
    try:
        refused(get(stack, {"product": ["ApiNobody", MINE, "ApiListed", "ApiOther"]}),
                "Bad value for parameter(s) 'Not valid products: ApiNobody, ApiOther'")
        for fine in (MINE, "ApiListed", "!" + MINE, "__null__"):
            assert get(stack, {"product": fine, "_results_number": 0}).status_code == 200, fine
    finally:
        stack.salvage("product", "remove", "ApiListed")


# ---- rights ----

# every form in which a protected field can be named, beside a public one
FORMS = [("url", "=" + SECRET), ("_aggs.signature", "url"), ("_aggs.signature", "product"),
         ("_facets", "url"), ("_facets", "product"), ("_facets", "_cardinality.url"),
         ("_histogram.date", "url"), ("_histogram.date", "product"), ("_sort", "url"),
         ("_sort", "-url"), ("_aggs.url", "signature"), ("_columns", "url"),
         ("_columns", "signature"), ("_columns", "user_comments"), ("product", MINE)]


def check_rights(body, may_see):
    text = str(body)
    assert body["total"] == 3
    assert body["facets"]["product"] == [{"term": MINE, "count": 3}]
    assert "product" in body["facets"]["signature"][0]["facets"]
    assert "product" in body["facets"]["histogram_date"][0]["facets"]
    assert all("signature" in x for x in body["hits"])
    if may_see:
        assert body["facets"]["url"][0]["term"] == SECRET
        assert body["facets"]["url"][0]["facets"]["signature"]
        assert body["facets"]["cardinality_url"] == {"value": 1}
        assert body["hits"][0]["url"] == SECRET and "canary@" in body["hits"][0]["user_comments"]
        assert body["errors"] == []
    else:
        assert "canary" not in text and "cardinality_url" not in body["facets"]
        assert "url" not in body["facets"] and "url" not in body["hits"][0]
        assert {"type": "not_allowed", "field": "url"} in body["errors"]
        assert {"type": "not_allowed", "field": "user_comments"} in body["errors"]


def test_protected_fields(stack, crashes, pii):
    check_rights(result(get(stack, FORMS)), False)
    check_rights(result(get(stack, FORMS, stack.upload_token)), False)
    check_rights(result(get(stack, FORMS, pii)), True)
    check_rights(result(person(stack, "searcher").get("/api/SuperSearch/", params=FORMS)), False)
    check_rights(result(admin(stack).get("/api/SuperSearch/", params=FORMS)), True)


def test_a_filter_that_is_not_allowed_tells_nothing(stack, crashes):
    """With and without a match the answer is the same."""
    right, wrong = (get(stack, {"product": MINE, "url": "=" + x, "_sort": "date"}).text
                    for x in (SECRET, "https://elsewhere.example"))
    assert right == wrong and "canary" not in right


def test_unredacted(stack, crashes, pii):
    body = result(get(stack, {"product": MINE, "url": "=" + SECRET, "_columns": ["url", "date"]},
                      pii, "SuperSearchUnredacted"))
    assert body["total"] == 3 and all(x["url"] == SECRET for x in body["hits"])
    both = [("product", MINE), ("product", "ApiNone")]
    assert result(get(stack, both, pii, "SuperSearchUnredacted"))["total"] == 3
    for name in ("_facets", "_sort", "_aggs.signature", "_histogram.date", "_columns"):
        refused(get(stack, {name: "nobody"}, pii, "SuperSearchUnredacted"),
                "Unknown field 'nobody'")
    # the open one passes over what it does not know
    for name in ("_facets", "_sort", "_aggs.signature", "_histogram.date"):
        assert get(stack, {"product": MINE, name: "nobody"}, pii).status_code == 200, name


def test_return_query(stack, crashes, pii):
    for auth in (None, pii):
        for yes in ("1", "true", "yes", "t", "y"):
            r = get(stack, {"product": MINE, "signature": "~canary-param", "_return_query": yes}, auth)
            assert r.status_code == 200 and set(r.json()) == {"query", "indices"}, r.text
    for no in ("0", "false", "x", ""):
        assert "hits" in get(stack, {"product": MINE, "_return_query": no}).json()


# ---- enormous and malformed ----

@pytest.mark.parametrize("given", [
    {"signature": "x" * 6000}, {"signature": "@" + "(" * 1000}, {"signature": "~%_\\'\";--"},
    {"_facets": ["signature"] * 300}, {"_columns": ["uuid"] * 300}, {"signature": ["~a"] * 200},
    {"_aggs.signature.version.product.platform": "x"}, {"_histogram.signature": "product"},
    {"_histogram_interval.date": "1 fortnight", "_histogram.date": "product"},
    {"_histogram_interval.uptime": "0", "_histogram.uptime": "product"},
    {"uptime": "9" * 400}, {"build_id": ">=-99999999999999999999"}, {"date": ">=9999-99-99"},
    {"_results_number": "9" * 300}, {"_results_offset": "-1"}, {"_facets_size": "-" + "9" * 40},
    {"\u0130": "\u0130"}, {"signature": "\ufffe\U0010ffff"}, {"_sort": ["-date"] * 300},
])
def test_hostile_parameters(stack, given):
    r = get(stack, given)
    assert r.status_code in (200, 400), r.text
    assert r.json()                       # JSON whatever it is
    assert requests.get(stack.url + "/api/NoOp/?product=x", timeout=30).status_code == 200
