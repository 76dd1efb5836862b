"""Super Search over a list of processed crashes, in plain Python: what the library is compared with.

Written from the specification of Super Search, not from lib/search: conditions, folding, facets,
aggregations, histograms, cardinalities, order, columns. It knows the list of fields and nothing
else of the product. Slow and simple.
"""
import collections
import datetime
import math
import pathlib
import re

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
UTC = datetime.timezone.utc
DAY = datetime.timedelta(days=1)

Field = collections.namedtuple("Field", "number name type match store bits source protected")


def _fields():
    text = (TOP / "lib/search/fields.def").read_text()
    row = re.compile(r'^SAL_FIELD\((\d+), (\w+), (\w+), (\w+), (\w+), (\d+), "([^"]+)", (\w+)\)', re.M)
    return {m[1]: Field(int(m[0]), m[1], m[2], m[3], m[4], int(m[5]), m[6], m[7] == "PROTECTED")
            for m in row.findall(text)}


FIELDS = _fields()


class Bad(Exception):
    """A request that is refused, with its words."""


# ---- values ----

def fold(text):
    return "".join(c.lower() if c.isascii() else c for c in text)


def raw(doc, field):
    value = doc
    for part in field.source.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def when(doc):
    return parse_date(doc["date_processed"])


def value(doc, field):
    """The stored value: None, text, list of texts, int, float, bool or datetime."""
    v = raw(doc, field)
    if field.match == "DATE":
        return when(doc)
    if v is None or v == []:
        return None
    if field.match == "BOOL":
        return v is True or v == 1 and v is not False or v in ("1", "true")
    if field.match == "NUMBER" and field.type == "INTEGER":
        try:
            v = int(v)
        except (TypeError, ValueError):
            return None
        return v if -2 ** field.bits <= v < 2 ** field.bits else None
    if field.match == "NUMBER":
        try:
            v = float(v)
        except (TypeError, ValueError):
            return None
        return v if math.isfinite(v) else None
    if isinstance(v, list):
        return [x if isinstance(x, str) else "BAD DATA" for x in v]
    return v if isinstance(v, str) else "BAD DATA"


def elements(doc, field):
    """What texts of a field compare and are counted by: one, or each once."""
    v = value(doc, field)
    if v is None:
        return []
    if field.match == "LIST":
        parts = v if isinstance(v, list) else v.split(";")
        return sorted({fold(x) for x in parts if x})
    if isinstance(v, list):
        return sorted(set(v))
    return [v]


def exists(doc, field):
    return value(doc, field) is not None


# ---- words ----

# beyond ASCII: what is no sign and no punctuation
_LETTER = ("A-Za-z\u00aa\u00b5\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u1fff\u2070-\u2fff"
           "\u3040-\U0010ffff")
_WORD = re.compile(rf"(?:[0-9_{_LETTER}]|(?<=[{_LETTER}])[.'](?=[{_LETTER}])|(?<=[0-9])[.,](?=[0-9]))+")


def words(text):
    return {w.lower() for w in _WORD.findall(text)}


# ---- conditions ----

OPERATORS = {
    "text": ["=", "~", "$", "^", "@", "__null__", ""],
    "ENUM": ["__null__", ""],
    "NUMBER": [">=", "<=", "<", ">", "__null__", ""],
    "DATE": [">=", "<=", "<", ">", "__null__"],
    "BOOL": ["__true__", "__null__", ""],
}
RANGES = {">=": lambda a, b: a >= b, "<=": lambda a, b: a <= b,
          ">": lambda a, b: a > b, "<": lambda a, b: a < b}
Condition = collections.namedtuple("Condition", "field negated op text")


def split(field, text):
    kind = field.match if field.match in OPERATORS else "ENUM" if field.type == "ENUM" else "text"
    negated = text.startswith("!")
    text = text[negated:]
    for op in OPERATORS[kind]:
        if text.startswith(op):
            return Condition(field, negated, op, text[len(op):])
    return Condition(field, negated, None, text)


def wildcard(text, op):
    out, i = "", 0
    while i < len(text):
        c = text[i]
        if c == "\\" and i + 1 < len(text):
            i += 1
            out += re.escape(text[i])
        else:
            out += {"*": ".*", "?": "."}.get(c) or re.escape(c)
        i += 1
    out = (".*" if op in "~$" else "") + out + (".*" if op in "~^" else "")
    return re.compile(out, re.S)


def lucene(text):
    """Lucene's syntax to Python's, for the part that both have and the tests use."""
    out, i = "", 0
    in_class = False
    while i < len(text):
        c = text[i]
        if c == "\\":
            i += 1
            out += re.escape(text[i])
        elif in_class:
            out += "\\[" if c == "[" else c
            in_class = c != "]"
        elif c == "[":
            in_class = True
            out += c
        elif c == '"':
            end = text.index('"', i + 1)
            out += "(?:" + re.escape(text[i + 1:end]) + ")"
            i = end
        elif c == "@":
            out += ".*"
        elif c in "^$":
            out += "\\" + c
        else:
            out += c
        i += 1
    return out


def number(field, text):
    text = text.strip()
    try:
        if field.type == "INTEGER":
            return int(text)
        if not re.fullmatch(r"[-+0-9.eE]+", text):
            raise ValueError(text)
        return float(text)
    except ValueError:
        raise Bad(f"Bad value for parameter {field.name}: not a valid "
                  f"{'int' if field.type == 'INTEGER' else 'float'}") from None


def holds(c, doc):
    """Whether the condition without its sign is true of a crash."""
    f = c.field
    if c.op == "__null__":
        return not exists(doc, f)
    if f.match == "BOOL":
        truth = True if c.op == "__true__" else c.text.lower() in ("true", "t", "1", "y", "yes")
        return value(doc, f) is truth
    if f.match == "NUMBER":
        v = value(doc, f)
        wanted = number(f, c.text)
        return v is not None and (RANGES[c.op](v, wanted) if c.op else v == wanted)
    text = fold(c.text) if f.match == "LIST" else c.text
    values = elements(doc, f)
    if c.op in ("~", "^", "$"):
        pattern = wildcard(text, c.op)
        return any(pattern.fullmatch(x) for x in values)
    if c.op == "@":
        pattern = re.compile(lucene(c.text), re.S | (re.I | re.A if f.match == "LIST" else 0))
        return any(pattern.fullmatch(x) for x in values)
    if c.op == "=" or f.match == "KEYWORD":
        return text in values
    if f.match == "LIST":
        return any(x in values for x in text.split(";") if x)
    return any(words(x) & words(text) for x in values)


def _fold_field(conditions, doc, neg_and):
    """Left to right: ranges ANDed, all else ORed; operators, then bare negated, then bare ones."""
    if neg_and:
        if any(holds(c, doc) for c in conditions if c.negated):
            return False
        conditions = [c for c in conditions if not c.negated]
        if not conditions:
            return True
    result = None
    for c in conditions:
        if c.op:
            one = holds(c, doc) != c.negated
            result = one if result is None else result and one if c.op in RANGES else result or one
    for sign in (True, False):
        bare = [c for c in conditions if not c.op and c.negated == sign]
        if bare:
            one = any(holds(c, doc) for c in bare) != sign
            result = one if result is None else result or one
    return result


# ---- dates ----

def parse_date(text):
    m = re.fullmatch(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d:\d\d)(\.\d{1,6})?(Z|[+-]\d\d:?\d\d)?)?", text)
    if not m:
        raise Bad("Bad value for parameter date: not a valid datetime")
    try:
        t = datetime.datetime.fromisoformat(f"{m[1]}T{m[2] or '00:00:00'}")
        if m[3]:
            t = t.replace(microsecond=int(m[3][1:].ljust(6, "0")))
        zone = UTC if not m[4] or m[4] == "Z" else datetime.datetime.strptime(m[4], "%z").tzinfo
        return t.replace(tzinfo=zone).astimezone(UTC)
    except ValueError:
        raise Bad("Bad value for parameter date: not a valid datetime") from None


def window(values, now):
    low = high = None
    for text in values:
        c = split(FIELDS["date"], text)
        if c.op not in RANGES or c.negated:
            raise Bad("date must have a prefix operator")
        t = parse_date(c.text).replace(microsecond=0)
        second = datetime.timedelta(seconds=1)
        if ">" in c.op:
            t += second if c.op == ">" else 0 * second
            low = max(low or t, t)
        else:
            t += second if c.op == "<=" else 0 * second
            high = min(high or t, t)
    high = high or now
    low = low or high - 7 * DAY
    if high - low > 365 * DAY:
        raise Bad("Date range is bigger than 365 days")
    return low, high


# ---- aggregations ----

def iso(t):
    fraction = f".{t.microsecond:06d}" if t.microsecond else ""
    return t.strftime("%Y-%m-%dT%H:%M:%S") + fraction + "Z"


def terms(doc, field):
    v = value(doc, field)
    if v is None:
        return []
    if field.match == "BOOL":
        return ["T" if v else "F"]
    if field.match == "DATE":
        return [iso(v)]
    if field.match == "NUMBER":
        return [v]
    return elements(doc, field)


def bucket(field, interval, v):
    if field.match != "DATE":
        return float(math.floor(v / float(interval)) * float(interval))
    m = re.fullmatch(r"(\d+)([a-zA-Z])", interval)
    names = {"m": "minute", "h": "hour", "d": "day", "w": "week", "M": "month", "q": "quarter",
             "y": "year"}
    n, unit = (int(m[1]), names[m[2]]) if m else (1, interval)
    day = v.replace(hour=0, minute=0, second=0, microsecond=0)
    if n > 1:
        size = datetime.timedelta(**{unit + "s": n})
        base = datetime.datetime(2001, 1, 1, tzinfo=UTC)
        return iso(base + (v - base) // size * size)
    return iso({"minute": lambda: v.replace(second=0, microsecond=0),
                "hour": lambda: v.replace(minute=0, second=0, microsecond=0),
                "day": lambda: day,
                "week": lambda: day - day.weekday() * DAY,
                "month": lambda: day.replace(day=1),
                "quarter": lambda: day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1),
                "year": lambda: day.replace(month=1, day=1)}[unit]())


def order(term):
    return term.encode() if isinstance(term, str) else term


class Aggs:
    """A tree of aggregations: {name: (kind, field, children)}."""

    def __init__(self):
        self.nodes = {}

    def node(self, item):
        kind, _, name = item.rpartition(".")
        return self.nodes.setdefault(kind.lstrip("_") + "_" * bool(kind) + name,
                                     (kind, FIELDS[name], Aggs()))[2]

    def run(self, docs, size, intervals):
        return {name: self._one(kind, field, inner, docs, size, intervals)
                for name, (kind, field, inner) in self.nodes.items()}

    def _one(self, kind, field, inner, docs, size, intervals):
        if kind == "_cardinality":
            return {"value": len({t for d in docs for t in terms(d, field)})}
        groups = collections.defaultdict(list)
        for d in docs:
            if kind == "_histogram":
                keys = [bucket(field, intervals.get(field.name, "day" if field.match == "DATE" else "1"),
                               value(d, field))] if exists(d, field) else []
            else:
                keys = terms(d, field)
            for key in keys:
                groups[key].append(d)
        if kind == "_histogram":
            chosen = sorted(groups, key=order)
        else:
            chosen = sorted(groups, key=lambda t: (-len(groups[t]), order(t)))[:size]
        return [{"term": t, "count": len(groups[t]),
                 **({"facets": inner.run(groups[t], size, intervals)} if inner.nodes else {})}
                for t in chosen]


# ---- the whole ----

def shown(doc, field):
    v = value(doc, field)
    if field.match == "DATE":
        return iso(v).replace("Z", "+00:00")
    if isinstance(v, list) and len(v) == 1:
        return v[0]
    if field.match == "LIST" and isinstance(v, str) and field.store == "TERMS":
        return ";".join(x for x in v.split(";") if x)
    return v


def sort_key(doc, field, down):
    if field.match in ("NUMBER", "BOOL", "DATE"):
        return value(doc, field)
    texts = [x.encode() for x in elements(doc, field)]
    return (max if down else min)(texts) if texts else None


def search(docs, params, now, protected=False):
    """The result without "errors", as an object; raises Bad."""
    given = collections.defaultdict(list)
    for name, text in params:
        if text:
            given[name].append(text)

    def may(name):
        return name in FIELDS and (protected or not FIELDS[name].protected)

    low, high = window(given.get("date", []), now)
    conditions = collections.defaultdict(list)
    for name, texts in given.items():
        for text in texts:
            if may(name) and name != "date":
                c = split(FIELDS[name], text)
                if name == "version" and c.op == "" and c.text.endswith("b") and len(c.text) > 1:
                    c = c._replace(op="^")
                conditions[name].append(c)
    neg_and = given["_neg"][:1] == ["and"]
    found = [d for d in docs if low <= when(d) < high
             and all(_fold_field(cs, d, neg_and) for cs in conditions.values())]

    found.sort(key=lambda d: d["uuid"])
    for text in reversed([x for x in given["_sort"] if may(x.removeprefix("-"))] or ["-date"]):
        down, name = text.startswith("-"), text.removeprefix("-")
        keys = {d["uuid"]: sort_key(d, FIELDS[name], down) for d in found}
        there = [d for d in found if keys[d["uuid"]] is not None]
        there.sort(key=lambda d: keys[d["uuid"]], reverse=down)
        found = there + [d for d in found if keys[d["uuid"]] is None]

    columns = given["_columns"] or ["uuid", "date", "signature", "product", "version"]
    offset = int((given["_results_offset"] or [0])[0])
    page = found[offset:offset + int((given["_results_number"] or [100])[0])]
    hits = [{c: shown(d, FIELDS[c]) for c in columns if may(c)} for d in page]

    aggs, intervals = Aggs(), {}
    facets = [x for x in given["_facets"] if may(x.rpartition(".")[2])]
    for item in facets or ["signature"]:
        aggs.node(item)
    for name, texts in given.items():
        if name.startswith("_histogram_interval."):
            intervals[name.split(".")[1]] = texts[0]
        path = name.split(".")[1:]
        if not name.startswith(("_aggs.", "_histogram.")) or not all(may(x) for x in path):
            continue
        for item in texts:
            at = aggs
            for step in path:
                at = at.node(step if name.startswith("_aggs.") else "_histogram." + step)
            if may(item.rpartition(".")[2]):
                at.node(item)
    size = int((given["_facets_size"] or [50])[0])
    return {"hits": hits, "total": len(found),
            "facets": aggs.run(found, size, intervals) if size else {}}
