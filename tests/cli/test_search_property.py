"""Every operator, facet, aggregation, histogram, cardinality and order of Super Search against a
plain Python one over the same random crashes. Seeded: SALVAGE_SEARCH_SEED and SALVAGE_SEARCH_ROUNDS
make other and longer runs."""
import datetime
import json
import os
import random
import re

import pytest

import search_naive as naive
from search_loader import SearchWorld

SEED = int(os.environ.get("SALVAGE_SEARCH_SEED", "1"))
ROUNDS = int(os.environ.get("SALVAGE_SEARCH_ROUNDS", "4"))
DOCUMENTS, SEARCHES = 90, 150

NOW = datetime.datetime(2026, 3, 18, 12, 0, 0, tzinfo=datetime.timezone.utc)
FIELDS = naive.FIELDS

# Fields of every kind, type, store; several of each common one.
TEXTS = ["signature", "reason", "moz_crash_reason", "platform", "product", "android_model",
         "user_comments", "app_notes", "abort_message"]
KEYWORDS = ["version", "release_channel", "process_type", "address", "url", "hang", "cpu_arch",
            "glean_client_id"]
ARRAYS = ["addons", "crash_report_keys", "utility_actors_name", "collector_notes"]
LISTS = ["modules_in_stack", "missing_symbols", "topmost_filenames", "useragent_locale"]
NUMBERS = ["uptime", "build_id", "cpu_count", "crashing_thread", "uptime_ts", "memory_private"]
BOOLS = ["startup_crash", "safe_mode", "accessibility"]
OTHERS = ["uuid", "date", "proto_signature"]
ALL = TEXTS + KEYWORDS + ARRAYS + LISTS + NUMBERS + BOOLS + OTHERS

WORDS = ["alpha", "Alpha", "js::gc", "foo.bar", "don't", "1.5", "100%", "a_b", "x*y", "what?",
         "back\\slash", "bär", "BÄR", "привет", "日本", "[in]", "(out)", "--", "'; DROP", "^top$",
         "a|b", "", "\"q\"", "1,5", "the.end.", "68.0b3", "%", "_"]


class Maker:
    def __init__(self, seed):
        self.rng = random.Random(seed)

    def text(self):
        rng = self.rng
        if rng.random() < 0.02:
            return "long " + rng.choice("xyz") * 1100 + rng.choice(["", " end"])
        return rng.choice([" ", "::", " / ", ""]).join(rng.choices(WORDS, k=rng.randint(1, 3)))

    def short(self):
        return self.rng.choice(WORDS[:8] + ["68.0b3", "68.0", "0x10", "en-US", "EN-us"])

    def element(self):
        rng = self.rng
        if rng.random() < 0.01:
            return "e" * 1050 + rng.choice("ab")
        return rng.choice(["Foo.dll", "foo.dll", "bar.so/1", "BAR.so/1", "x*y", "_", "%", "ünï", "b"])

    def value(self, field):
        rng = self.rng
        if field.match == "BOOL":
            return rng.choice([True, False, True, False, 1, 0, "true", "1", "no"])
        if field.type == "FLOAT":
            return rng.choice([0.5, -1.25, 3, "2.5", 1e300, "nan", 7.75])
        if field.match == "NUMBER":
            return rng.choice([0, 1, 59, 60, 61, -1, -60, "7", 20260101000000, str(2 ** 63), 32768, "x"])
        if field.name == "proto_signature":
            return " | ".join(rng.choice(["f1", "f2", "foo.bar", "a(b)", "x*y", "f1 f2"])
                              for _ in range(rng.randint(1, 4)))
        if field.name in ARRAYS:
            return [self.element() for _ in range(rng.randint(0, 3))]
        if field.name == "useragent_locale":
            return rng.choice(["en-US", "en-us", "de", "fr;de", "FR"])
        if field.name in LISTS:
            return ";".join(self.element() for _ in range(rng.randint(1, 3)))
        return self.short() if field.name in KEYWORDS else self.text()

    def document(self):
        rng = self.rng
        t = NOW - datetime.timedelta(seconds=rng.choice([rng.randint(0, 6 * 86400),
                                                         rng.randint(0, 20 * 86400)]),
                                     microseconds=rng.choice([0, 0, 1, 500000]))
        uuid = f"{rng.getrandbits(32):08x}-0000-4000-8000-000000{t:%y%m%d}"
        doc = {"uuid": uuid, "date_processed": t.isoformat()}
        for name in ALL:
            field = FIELDS[name]
            if name in ("uuid", "date") or rng.random() < 0.3:
                continue
            at, path = doc, field.source.split(".")
            for part in path[:-1]:
                at = at.setdefault(part, {})
            at[path[-1]] = None if rng.random() < 0.05 else self.value(field)
        return doc

    # ---- conditions ----

    def piece(self, docs, field):
        """Text that is likely to occur in a field."""
        rng = self.rng
        found = [x for d in rng.sample(docs, 12) for x in naive.elements(d, field)
                 if isinstance(x, str)]
        text = rng.choice(found or [self.short()])
        if rng.random() < 0.6 and text:
            a = rng.randrange(len(text))
            text = text[a:a + rng.randint(1, 12)]
        return text

    def pattern(self, docs, field):
        """Of Lucene's syntax, from a real value: parts become classes, wildcards, groups."""
        rng = self.rng
        text = rng.choice([x for d in docs for x in naive.elements(d, field)
                           if isinstance(x, str) and len(x) < 60] or ["x"])
        out = ""
        for c in text:
            out += rng.choice([".", ".*", f"[{c}z]" if c.isalnum() else ".", f"({c}|q)" if
                               c.isalnum() else ".?", "[^~]", "."]) if rng.random() < 0.15 else \
                "\\" + c if not c.isalnum() else c + rng.choice(["", "", "", "", "+", "{1,2}"])
        return out

    def operand(self, docs, field):
        rng = self.rng
        if field.match == "BOOL":
            return rng.choice(["__true__", "__null__", "true", "false", "yes", "x"])
        if field.name == "date":
            t = NOW - datetime.timedelta(seconds=rng.randint(0, 15 * 86400))
            text = rng.choice([t.strftime("%Y-%m-%d"), t.strftime("%Y-%m-%dT%H:%M:%S"),
                               t.strftime("%Y-%m-%d %H:%M:%S.25Z"), t.isoformat()])
            return rng.choice([">=", ">", "<", "<="]) + text
        if field.match == "NUMBER":
            values = [naive.value(d, field) for d in docs]
            v = rng.choice([x for x in values if x is not None] + [0, 99999999999999999999])
            return rng.choice(["", ">", ">=", "<", "<=", "__null__"]) + str(v)
        if rng.random() < 0.07:
            return "__null__"
        op = rng.choice(["", "", "=", "~", "^", "$", "@"])
        if op == "@":
            return op + self.pattern(docs, field)
        if op in ("", "=") and rng.random() < 0.6:
            found = [x for d in docs for x in [naive.value(d, field)] if isinstance(x, str)]
            return op + rng.choice(found or ["x"])
        text = self.piece(docs, field)
        if op in ("~", "^", "$") and rng.random() < 0.2:
            text = text.replace(text[:1], rng.choice(["*", "?", "\\" + text[:1]]), 1)
        return op + text

    def conditions(self, docs, fields):
        rng = self.rng
        for name in rng.sample(fields, rng.choice([1, 1, 1, 2, 2, 3])):
            field = FIELDS[name]
            for _ in range(rng.choice([1, 1, 1, 2, 3])):
                negated = "!" if name != "date" and rng.random() < 0.3 else ""
                yield [name, negated + self.operand(docs, field)]
        if rng.random() < 0.2:
            yield ["_neg", "and"]

    # ---- the rest ----

    def item(self):
        rng = self.rng
        name = rng.choice(ALL)
        kind = rng.choice(["", "", "", "_cardinality.", "_histogram."])
        if kind == "_histogram.":
            name = rng.choice(NUMBERS + ["date"])
        return kind + name

    def aggregations(self):
        rng = self.rng
        for _ in range(rng.choice([0, 1, 2, 3])):
            yield ["_facets", self.item()]
        for _ in range(rng.choice([0, 0, 1, 2])):
            path = ".".join(rng.choices(ALL, k=rng.choice([1, 1, 2, 3])))
            yield [f"_aggs.{path}", self.item()]
        if rng.random() < 0.3:
            yield [f"_histogram.{rng.choice(NUMBERS + ['date'])}", self.item()]
        yield ["_facets_size", str(rng.choice([0, 1, 2, 3, 50]))]
        for name in NUMBERS:
            yield [f"_histogram_interval.{name}", rng.choice(["1", "10", "60", "1000000"])]
        yield ["_histogram_interval.date", rng.choice(
            ["minute", "hour", "day", "week", "month", "quarter", "year", "1h", "1d", "1w", "1M",
             "1q", "1y", "1m", "6h", "2d", "2w", "15m"])]

    def page(self):
        rng = self.rng
        for _ in range(rng.choice([0, 1, 1, 2])):
            yield ["_sort", rng.choice(["", "-"]) + rng.choice(ALL)]
        for name in rng.sample(ALL, rng.choice([0, 3, 6])):
            yield ["_columns", name]
        yield ["_results_number", str(rng.choice([0, 5, 100]))]
        yield ["_results_offset", str(rng.choice([0, 0, 3]))]


@pytest.fixture(scope="module")
def world(instance, tmp_path_factory):
    made = SearchWorld(instance, tmp_path_factory.mktemp("search"))
    yield made
    made.close()


def expected(docs, request):
    try:
        return naive.search(docs, request["params"], NOW, request["protected"])
    except naive.Bad as e:
        return {"error": str(e)}


def differences(docs, requests, results):
    for request, got in zip(requests, results):
        want = expected(docs, request)
        got = dict(got)
        got.pop("errors", None)
        if want != got:
            yield request, want, got


def check(world, docs, requests):
    world.clear()
    world.index(docs)
    results = world.requests(requests)
    assert len(results) == len(requests)
    for request, want, got in differences(docs, requests, results):
        for part in want:
            if want[part] != got.get(part):
                pytest.fail(f"{json.dumps(request)}\n{part}: wanted {want[part]!r}\n"
                            f"got {got.get(part, got)!r}"[:6000])
        pytest.fail(f"{json.dumps(request)}\nwanted {want}\ngot {got}"[:6000])
    return results


@pytest.mark.parametrize("number", range(ROUNDS))
def test_searches(world, number):
    make = Maker(SEED * 1000 + number)
    docs = [make.document() for _ in range(DOCUMENTS)]
    requests = []
    for i in range(SEARCHES):
        params = [*make.conditions(docs, ALL)] if i % 5 else []
        if i % 3 == 0:
            params += make.aggregations()
        else:
            params += [["_facets_size", "0"]]
        if i % 4 == 0:
            params += make.page()
        requests.append({"params": params, "now": NOW.isoformat(),
                         "protected": make.rng.random() < 0.7})
    results = check(world, docs, requests)
    # a test of searches that find nothing, or all, says little
    totals = [r["total"] for r in results if "total" in r]
    assert len(set(totals)) > 20 and sum(0 < t < DOCUMENTS for t in totals) > SEARCHES / 3


def test_every_operator_of_every_field(world):
    """One condition a search, every field of the list that can be made a value for."""
    make = Maker(SEED)
    docs = [make.document() for _ in range(DOCUMENTS)]
    requests = []
    for name in ALL:
        field = FIELDS[name]
        kind = field.match if field.match in naive.OPERATORS else \
            "ENUM" if field.type == "ENUM" else "text"
        for op in naive.OPERATORS[kind]:
            for sign in ("", "!") if name != "date" else ("",):
                text = {"@": lambda: make.pattern(docs, field)}.get(
                    op, lambda: re.sub(r"^[=~$^@<>!]+", "", make.operand(docs, field)))()
                text = "" if op.startswith("__") else text.replace("__null__", "1")
                requests.append({"params": [[name, sign + op + text], ["_facets_size", "0"]],
                                 "now": NOW.isoformat(), "protected": True})
    check(world, docs, requests)
    assert len(requests) > 350
