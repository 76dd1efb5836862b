"""Super Search by cases: documents in, parameters, expected hits and facets (tests/data/search).

A file has documents by a letter, and cases by kind: what is asked ("name=value", or a list of them)
and what must be found: a text of letters (whatever their order), or an object with some of
  found    the letters, in whatever order      order   the letters in their order
  total, hits, errors                          as they stand in the result
  facets   these facets, exactly               names   the names of all facets
  lengths  how many terms facets have          error   the words of a refusal
Most of it re-expresses upstream's search tests; all of it comes from the specification."""
import collections
import datetime
import json
import pathlib

import pytest

from search_loader import SearchWorld

DATA = pathlib.Path(__file__).resolve().parent.parent / "data" / "search"
SETS = sorted(p.stem for p in DATA.glob("*.json"))
NOW = "2026-03-18T12:00:00Z"


@pytest.fixture(scope="module")
def world(instance, tmp_path_factory):
    made = SearchWorld(instance, tmp_path_factory.mktemp("search"))
    yield made
    made.close()


def crash_uuid(letter):
    return f"{ord(letter) - ord('a') + 10:08x}-0000-4000-8000-000000260318"


def documents(data):
    hour_ago = (datetime.datetime.fromisoformat(data.get("now", NOW).replace("Z", "+00:00"))
                - datetime.timedelta(hours=1)).isoformat()
    for letter, members in data["documents"].items():
        yield {"uuid": crash_uuid(letter), "date_processed": hour_ago, **members}
    many = data.get("many", {"count": 0})
    for i in range(many["count"]):
        yield {"uuid": f"ffff{i:04x}-0000-4000-8000-000000260318", "date_processed": hour_ago,
               **{k: v % i for k, v in many["members"].items()}}


def letters(result, data):
    by_uuid = {crash_uuid(x): x for x in data["documents"]}
    return "".join(by_uuid[h["uuid"]] for h in result["hits"])


def wrong(result, want, data):
    """What is not as it should be, in words; None if all is."""
    want = {"found": want} if isinstance(want, str) else want
    if "error" in result or "error" in want:
        got, expected = result.get("error"), want.get("error")
        return None if got == expected else f"error {got!r}, not {expected!r}"
    seen = {
        "found": lambda w: "".join(sorted(letters(result, data))),
        "order": lambda w: letters(result, data),
        "facets": lambda w: {k: result["facets"].get(k) for k in w},
        "names": lambda w: sorted(result["facets"]),
        "lengths": lambda w: {k: len(result["facets"].get(k, [])) for k in w},
    }
    for part, expected in want.items():
        got = seen.get(part, lambda w: result[part])(expected)
        if got != expected:
            return f"{part}: {got!r}, not {expected!r}"
    if "found" in want and result["total"] != len(want["found"]):
        return f"total {result['total']}"
    return None


def load(name):
    return json.loads((DATA / f"{name}.json").read_text())


@pytest.mark.parametrize("name", SETS)
def test_cases(world, name):
    data = load(name)
    world.clear()
    for product in data.get("products", []):
        world.sql(f"INSERT INTO product (name) VALUES ('{product}')")
    world.index(documents(data))
    asked = [(kind, ask if isinstance(ask, list) else [ask], want)
             for kind, cases in data["cases"].items() for ask, want in cases]
    results = world.requests([{"params": [x.split("=", 1) for x in ask], "now": data.get("now", NOW),
                               "protected": data.get("protected", False),
                               "strict": data.get("strict", False)} for _, ask, _ in asked])
    assert len(results) == len(asked)
    faults = [f"{kind}: {ask}: {fault}" for (kind, ask, want), result in zip(asked, results)
              for fault in [wrong(result, want, data)] if fault]
    assert not faults, f"{len(faults)} of {len(asked)}:\n" + "\n".join(faults)[:8000]
    assert world.sql("SELECT count(*) FROM crash")[0][0] == len(list(documents(data)))


def test_there_are_enough():
    """Prints how many cases there are of each kind (pytest -s)."""
    counts = collections.Counter({f"{name}: {kind}": len(cases) for name in SETS
                                  for kind, cases in load(name)["cases"].items()})
    for kind, n in counts.items():
        print(f"{n:5} {kind}")
    print(f"{sum(counts.values()):5} cases")
    assert sum(counts.values()) >= 200 and len(counts) > 30
