"""Super Search over many crashes: the queries of docs/search.md through the API beside a bare
GROUP BY over a table of three columns, both measured alternately in one run.

SALVAGE_BENCH_CRASHES names the sizes, "100000" by default; "100000,1000000,3000000" is the table
of docs/benchmarks.md. Goals hold from a million on: below it an answer is mostly its journey.
"""
import datetime
import http.client
import json
import os
import pathlib
import random
import statistics
import threading
import time
import urllib.parse

import psycopg2

from crowd import Crowd, made
from figures import TOP, figure
from instance import Instance
from people import token

SIZES = [int(x) for x in os.environ.get("SALVAGE_BENCH_CRASHES", "100000").split(",")]
ROUNDS = int(os.environ.get("SALVAGE_BENCH_ROUNDS", "20"))
SECONDS = int(os.environ.get("SALVAGE_BENCH_SECONDS", "10"))
CLIENTS = 8
MILLION = 1000000
SETTINGS = ("shared_buffers = '2GB'", "work_mem = '64MB'", "max_wal_size = '4GB'",
            "maintenance_work_mem = '512MB'")


# ---- questions ----

def two(cur, q):
    cur.execute("select a, b, count(*) from lb where date >= %s and date < %s group by 1, 2 "
                "order by 3 desc limit 50", q)


def one(cur, q):
    cur.execute("select a, count(*) from lb where date >= %s and date < %s group by 1 "
                "order by 2 desc limit 50", q)


def days(cur, q):
    cur.execute("select count(*) from (select date_trunc('day', date at time zone 'UTC'), b, "
                "count(*) from lb where date >= %s and date < %s group by 1, 2) x", q)


def filtered(cur, q):
    cur.execute("select count(*) from lb where date >= %s and date < %s and a = any(%s)",
                (*q, [1000, 1001, 1002]))


class Question:
    """A row of the table. span: days; bound: what is run beside it; as_slow: how much slower than
    the bound SEARCH's measurements had it, where that is above the general goal."""

    def __init__(self, name, span, bound, params, ratio=None, as_slow=None):
        self.name, self.span, self.bound, self.params = name, span, bound, params
        self.ratio, self.as_slow = ratio, as_slow

    def window(self, crowd):
        """A window of its own for each call: nothing that was answered before answers it."""
        end = crowd.end - datetime.timedelta(seconds=random.randrange(3600))
        return end - datetime.timedelta(days=self.span), end

    def path(self, crowd, window):
        fixed = [("date", ">=" + window[0].isoformat()), ("date", "<" + window[1].isoformat())]
        return "/api/SuperSearch/?" + urllib.parse.urlencode(fixed + self.params(crowd.facts))


def count_only(*params):
    return [("_results_number", "0"), *params]


def facets(*names, **more):
    return [("_facets", x) for x in names] + [(k, v) for k, v in more.items()]


def product():
    return ("product", f"Product{random.randrange(3)}")


NONE = ("_facets_size", "0")
QUESTIONS = [
    Question("q1_top", 7, two, lambda f: count_only(product(), *facets("signature")), ratio=1.5),
    Question("q2_three", 7, two, lambda f: count_only(product(), *facets(
        "signature", "version", "platform_pretty_version")), ratio=1.5),
    Question("q3_week", 7, one, lambda f: count_only(("signature", "~" + f["fragment"]), *facets(
        "signature"))),
    Question("q3_90", 90, filtered, lambda f: count_only(("signature", "~" + f["fragment"]), *facets(
        "signature")), as_slow=5.9),
    Question("q4_comments", 90, filtered, lambda f: count_only(
        ("user_comments", "~" + f["word"]), *facets("signature"))),
    Question("q5_regex", 7, one, lambda f: count_only(("signature", "@" + f["regex"]), *facets(
        "signature"))),
    Question("q6_nested", 7, two, lambda f: count_only(product(), ("_aggs.signature", "version"),
                                                       ("_facets", "signature"))),
    Question("q7_days", 90, days, lambda f: count_only(("_histogram.date", "version"),
                                                       ("_facets", "product")), as_slow=1.75),
    Question("q8_modules", 7, one, lambda f: count_only(("signature", "=" + f["signature"]), *facets(
        "modules_in_stack"))),
    Question("q8_addons", 7, one, lambda f: count_only(product(), *facets("addons"))),
    Question("q9_installs", 7, two, lambda f: count_only(
        product(), ("_aggs.signature", "_cardinality.install_time"), ("_facets", "signature"))),
    Question("q10_rows", 7, one, lambda f: [
        product(), ("_results_number", "100"), NONE, ("_sort", "-date")] + [
        ("_columns", x) for x in ("uuid", "date", "signature", "product", "version", "build_id",
                                  "platform", "reason")]),
    Question("q11_rare", 90, filtered, lambda f: count_only(("abort_message", "=" + f["abort"]),
                                                            ("uptime", "<600"), NONE)),
    Question("q12_modules", 7, one, lambda f: count_only(("modules_in_stack", "~" + f["module"]),
                                                         *facets("signature"))),
    Question("q13_proto", 7, one, lambda f: count_only(("proto_signature", "~" + f["frame"]),
                                                       *facets("signature")), as_slow=11.5),
]


# ---- clients ----

class Api:
    """A client with a connection that is kept."""

    def __init__(self, stack, auth):
        self.conn = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=120)
        self.headers = {"Auth-Token": auth}

    def get(self, path):
        """Seconds, and the answer's text."""
        start = time.monotonic()
        for _ in range(20):
            self.conn.request("GET", path, headers=self.headers)
            answer = self.conn.getresponse()
            text = answer.read()
            if answer.status != 503:
                break
            time.sleep(0.5)         # too many at once: a client comes again, and that is its time
        took = time.monotonic() - start
        if answer.status != 200:
            raise RuntimeError(f"{answer.status} {path}: {text[:300]}")
        return took, text


class Sql:
    """A connection to the database, as a program with libpq would have it."""

    def __init__(self, stack):
        self.conn = psycopg2.connect(stack.env["SALVAGE_DB"])
        self.conn.autocommit = True
        self.cur = self.conn.cursor()

    def timed(self, ask, window):
        start = time.monotonic()
        ask(self.cur, window)
        self.cur.fetchall()
        return time.monotonic() - start


def p50(times):
    return statistics.median(times) * 1000


def p95(times):
    return sorted(times)[max(0, -(-len(times) * 95 // 100) - 1)] * 1000


def together(make, call, rounds):
    """CLIENTS threads, each with a client of its own; all times."""
    times, errors = [], []

    def work():
        try:
            client = make()
            for _ in range(rounds):
                times.append(call(client))
        except Exception as e:              # noqa: BLE001 (a thread's fault is the run's)
            errors.append(e)

    threads = [threading.Thread(target=work) for _ in range(CLIENTS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if errors:
        raise errors[0]
    return times


# ---- a size ----

class Measured:
    def __init__(self, question, ours, bound, ours8, bound8):
        self.question = question
        self.ours, self.bound, self.ours8, self.bound8 = ours, bound, ours8, bound8

    @property
    def ratio(self):
        return p50(self.ours) / p50(self.bound)


def ask(crowd, question, auth):
    """Both in turn with one client, then both with eight."""
    stack = crowd.stack
    api, sql = Api(stack, auth), Sql(stack)

    def ours(client):
        return client.get(question.path(crowd, question.window(crowd)))[0]

    def bare(client):
        return client.timed(question.bound, question.window(crowd))

    total = json.loads(api.get(question.path(crowd, question.window(crowd)))[1])["total"]
    if not total and crowd.n >= 100000:
        raise RuntimeError(f"{question.name} finds nothing")
    bare(sql)
    times = [(ours(api), bare(sql)) for _ in range(ROUNDS)]
    few = max(3, ROUNDS // 3)
    return Measured(question, [a for a, _ in times], [b for _, b in times],
                    together(lambda: Api(stack, auth), ours, few),
                    together(lambda: Sql(stack), bare, few))


def report(n, m):
    q = m.question
    what = (f"{n} crashes, {q.span} days: 1 client {p50(m.ours):.1f}/{p95(m.ours):.1f} ms (bound "
            f"{p50(m.bound):.1f}/{p95(m.bound):.1f}), {CLIENTS} clients {p50(m.ours8):.1f}/"
            f"{p95(m.ours8):.1f} ms (bound {p50(m.bound8):.1f}/{p95(m.bound8):.1f})")
    name = f"search_{n // 1000}k_{q.name}"
    if q.ratio and n >= MILLION:
        figure(f"{name}_bound", p50(m.ours), p50(m.bound), f"<={q.ratio}", "ms", what)
    if q.ratio:
        figure(f"{name}_8", p95(m.ours8), 100, "<=1", "ms", what)
    elif q.as_slow and p95(m.ours) > 300:
        figure(name, p95(m.ours), p95(m.bound), f"<={q.as_slow}", "ms", what)
    else:
        figure(name, p95(m.ours), 300, "<=1", "ms", what)


def print_table(measured):
    print(f"\n{'ms, p50/p95':14}", *(f"{n:>32,}" for n in measured))
    print(f"{'':14}", *(f"{'1 client':>12}{'8 clients':>13}{'ratio':>7}" for _ in measured))
    for i, q in enumerate(QUESTIONS):
        cells = []
        for rows in measured.values():
            m = rows[i]
            cells.append(f"{p50(m.ours):.1f}/{p95(m.ours):.1f}".rjust(12)
                         + f"{p50(m.ours8):.1f}/{p95(m.ours8):.1f}".rjust(13)
                         + f"{m.ratio:.2f}".rjust(7))
        print(f"{q.name:14}", *cells)


def report_sizes(crowd):
    heap, toast, index, terms = crowd.sizes()
    n = crowd.n
    figure(f"search_{n // 1000}k_bytes", (heap + toast + index) / n, 2500, "<=1", "bytes",
           f"a crash in the search tables: heap {heap / n:.0f}, toast {toast / n:.0f}, indexes "
           f"{index / n:.0f}; the dictionary {terms / 1e6:.0f} MB besides; loaded in "
           f"{crowd.load_seconds:.0f} s")


# ---- what is around the statements ----

PAGE = """select x.uuid, x.date, (select value from term where id = x.signature),
    (select value from term where id = x.product), (select value from term where id = x.version),
    x.build_id, (select value from term where id = x.platform),
    (select value from term where id = x.reason) from (select uuid, date, signature, product,
    version, build_id, platform, reason from crash where date >= %s and date < %s
    and product = any(%s) order by date desc, uuid limit 100) x"""

TOTAL = "select count(*) from crash where date >= %s and date < %s and product = any(%s)"


def report_overhead(crowd, auth):
    """A question through the API and its statements alone: what is left is HTTP, token, parameters,
    permissions, the dictionary, JSON."""
    api, sql = Api(crowd.stack, auth), Sql(crowd.stack)
    q = Question("empty", 1, None, lambda f: count_only(
        ("signature", "=nobody has this"), NONE))
    rows = Question("rows", 7, None, QUESTIONS[11].params)

    ids = [r[0] for r in crowd.stack.query(
        "select id from term where value in ('Product0', 'Product1', 'Product2')")]

    def nothing(cur, _):
        cur.execute("select count(*) from crash where false")

    def page(cur, window):
        asked = (*window, [random.choice(ids)])
        cur.execute(TOTAL, asked)
        cur.fetchall()
        cur.execute(PAGE, asked)

    for question, bare, what in ((q, nothing, "a count of nothing"),
                                 (rows, page, "100 rows of 8 columns")):
        pairs = [(api.get(question.path(crowd, question.window(crowd)))[0],
                  sql.timed(bare, question.window(crowd))) for _ in range(5 * ROUNDS)]
        ours, base = p50([a for a, _ in pairs]), p50([b for _, b in pairs])
        figure(f"search_{crowd.n // 1000}k_overhead_{question.name}", ours - base, 5, "<=1", "ms",
               f"{what} through the API, {ours:.2f} ms, less its statements by libpq, {base:.2f} ms")


def search(_stack, _scratch):
    """All questions at all sizes, on an instance of its own with the memory of a small server."""
    stack = Instance(pathlib.Path(os.environ["SALVAGE_PREFIX"]), TOP)
    try:
        start(stack)
        auth = token(stack, "bench@example.com", "view_pii", "run_long_queries")
        crowd = Crowd(stack)
        crowd.terms()
        measured = {}
        for n in SIZES:
            crowd.load(n)
            report_sizes(crowd)
            measured[n] = [ask(crowd, q, auth) for q in QUESTIONS]
            for m in measured[n]:
                report(n, m)
            report_overhead(crowd, auth)
        print_table(measured)
    finally:
        stack.destroy()


def start(stack):
    stack.make()
    stack.start()
    for line in SETTINGS:
        c = stack.conn()
        c.cursor().execute("alter system set " + line)
        c.close()
    stack.stop("salvaged", "httpd", "postgres")
    stack.start("postgres", "httpd")        # no jobs beside: they would count days


# ---- into the search while it is asked, and while reports come ----

RATE = int(os.environ.get("SALVAGE_BENCH_RATE", "200"))


class Load:
    """Threads that do something at a rate, or as fast as they can, until told to stop."""

    def __init__(self):
        self.stop, self.times, self.errors, self.threads = threading.Event(), [], [], []

    def run(self, make, rate=None):
        self.threads.append(threading.Thread(target=self._work, args=(make, rate)))
        self.threads[-1].start()

    def _work(self, make, rate):
        try:
            act, due = make(), time.monotonic()
            while not self.stop.is_set():
                begin = time.monotonic()
                act()
                self.times.append(time.monotonic() - begin)
                if rate:
                    due += 1 / rate
                    time.sleep(max(0, due - time.monotonic()))
        except Exception as e:              # noqa: BLE001
            self.errors.append(e)

    def end(self):
        self.stop.set()
        for t in self.threads:
            t.join()
        if self.errors:
            raise self.errors[0]
        return self.times


def documents(crowd, n):
    """Rows as the indexer hands them over, of today."""
    names = crowd.columns.split(",")
    kinds = dict(crowd.stack.query(
        "select attname, atttypid::regtype::text from pg_attribute where attrelid = "
        "'crash'::regclass and attnum > 0"))
    text = made_rows(crowd, n)
    return [json.dumps({k: json_value(v, kinds[k]) for k, v in zip(names, line.split("\t"))
                        if v != "\\N"}) for line in text]


def made_rows(crowd, n):
    now = datetime.datetime.now(datetime.timezone.utc).timestamp()
    return made("rows", 0, n, n, now - 60, now).splitlines()


def json_value(text, kind):
    if kind == "boolean":
        return text == "t"
    if kind.endswith("[]"):
        return [int(x) for x in text[1:-1].split(",") if x]
    if kind in ("integer", "bigint", "smallint", "double precision"):
        return json.loads(text)
    return text


def search_indexing(_stack, _scratch):
    """Collection alone, and with crashes going into the search and searches running."""
    stack = Instance(pathlib.Path(os.environ["SALVAGE_PREFIX"]), TOP)
    try:
        start(stack)
        auth = token(stack, "bench@example.com", "view_pii")
        crowd = Crowd(stack)
        crowd.terms()
        crowd.load(min(SIZES))
        rows = documents(crowd, 4 * RATE * SECONDS + 1000)
        alone, beside, stored, searched = [], [], [], []
        for _ in range(2):                  # in turn: the machine's mood falls on both
            alone += collect_for(stack, None)
            beside += collect_for(stack, (crowd, auth, rows, stored, searched))
        rate = len(stored) / (2 * SECONDS)
        figure("search_indexing_rate", rate, RATE, ">=0.95", "crashes/s",
               f"rows stored in the search tables a second, p95 {p95(stored):.1f} ms, beside "
               f"{len(searched) / (2 * SECONDS):.0f} searches/s, p95 {p95(searched):.1f} ms")
        figure("search_indexing_collect", p50(beside), p50(alone), "<=2", "ms",
               "a report posted while crashes are indexed and searched, and alone; they share the "
               "processors with everything else here")
    finally:
        stack.destroy()


def collect_for(stack, beside):
    """Posts reports for a while; their times."""
    loads, report_load = [], Load()
    if beside:
        crowd, auth, rows, stored, searched = beside
        writers, readers = Load(), Load()
        for _ in range(4):
            writers.run(lambda: storing(stack, rows), RATE / 4)
        for _ in range(2):
            readers.run(lambda: searching(crowd, auth))
        loads = [(writers, stored), (readers, searched)]
    report_load.run(lambda: posting(stack), 50)
    time.sleep(SECONDS)
    times = report_load.end()
    for load, into in loads:
        into += load.end()
    return times


def storing(stack, rows):
    sql = Sql(stack)
    sql.cur.execute("set synchronous_commit = off")

    def act():
        sql.cur.execute("insert into crash select r.* from "
                        "jsonb_populate_record(null::crash, %s::jsonb) r", (rows.pop(),))
    return act


def searching(crowd, auth):
    api, q = Api(crowd.stack, auth), QUESTIONS[0]
    return lambda: api.get(q.path(crowd, q.window(crowd)))


def posting(stack):
    conn = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=60)
    head = {"Content-Type": "multipart/form-data; boundary=x"}
    body = "".join(f'--x\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'
                   for k, v in (("ProductName", "Bench"), ("Version", "1.0"))) + "--x--\r\n"

    def act():
        conn.request("POST", "/submit", body=body, headers=head)
        answer = conn.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{answer.status}: {text[:200]}")
    return act


BENCHES = [search, search_indexing]
