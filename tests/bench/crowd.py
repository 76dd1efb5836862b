"""A made-up crowd of crashes in the search tables of an instance, and a table to compare with.

The rows are those of bench_make_crashes; partitions, terms and indexes are those of the migrations.
A week is loaded before its partition is attached, so that its indexes are built at once.
"""
import contextlib
import datetime
import subprocess
import time

from figures import BENCH

WEEKS = 26
WEEK = datetime.timedelta(days=7)
PROGRAM = BENCH / "bench_make_crashes"


def made(*args):
    return subprocess.run([PROGRAM, *map(str, args)], stdout=subprocess.PIPE, check=True,
                          text=True).stdout


@contextlib.contextmanager
def making(*args):
    child = subprocess.Popen([PROGRAM, *map(str, args)], stdout=subprocess.PIPE)
    yield child.stdout
    child.stdout.close()
    if child.wait():
        raise RuntimeError("bench_make_crashes failed")


class Crowd:
    def __init__(self, stack):
        self.stack = stack
        self.columns = made("columns").strip()
        self.facts = dict(x.split("\t") for x in made("facts").splitlines())
        self.end = datetime.datetime.now(datetime.timezone.utc).replace(minute=0, second=0,
                                                                        microsecond=0)
        self.begin = self.end - WEEKS * WEEK
        self.n = 0
        self.load_seconds = 0

    def _copy(self, sql, *args):
        with self.stack.conn() as c, c.cursor() as cur, making(*args) as out:
            cur.copy_expert(sql, out)

    def terms(self):
        """The dictionary, once for all sizes; its ids are fixed, so it must be empty."""
        if self.stack.query("select count(*) from term")[0][0]:
            raise RuntimeError("the dictionary is not empty")
        self._copy("copy term (id, field, value) from stdin", "terms")
        self.stack.query("select setval(pg_get_serial_sequence('term', 'id'), max(id)) from term")
        self._statement("vacuum analyze term")

    def _statement(self, sql):
        c = self.stack.conn()         # autocommit, and no transaction of `with`
        try:
            c.cursor().execute(sql)
        finally:
            c.close()

    def _place(self, moment):
        """The number of the first crash not before a moment."""
        share = (moment - self.begin) / (self.end - self.begin)
        return max(0, min(self.n, -int(-share * self.n // 1)))

    def _week(self, monday):
        first, last = self._place(monday), self._place(monday + WEEK)
        part = self.stack.query("select crash_make_partition(%s)", monday)[0][0]
        self._statement(f"alter table crash detach partition {part}")
        for name, owned in self.stack.query(
                "select i.indexrelid::regclass::text, c.conname from pg_index i left join "
                "pg_constraint c on c.conindid = i.indexrelid where i.indrelid = %s::regclass",
                part):
            self._statement(f"alter table {part} drop constraint {owned}" if owned
                            else f"drop index {name}")
        self._copy(f"copy {part} ({self.columns}) from stdin", "rows", first, last, self.n,
                   self.begin.timestamp(), self.end.timestamp())
        self._statement(f"alter table crash attach partition {part} for values from ('{monday}') "
                        f"to ('{monday + WEEK}')")
        self._statement(f"vacuum analyze {part}")

    def load(self, n):
        """Replaces all crashes by n of them."""
        start = time.monotonic()
        self.n = n
        for name, in self.stack.query("select inhrelid::regclass::text from pg_inherits "
                                      "where inhparent = 'crash'::regclass"):
            self._statement(f"truncate {name}")
        monday = self.begin - datetime.timedelta(days=self.begin.weekday(), hours=self.begin.hour)
        while monday < self.end:
            self._week(monday)
            monday += WEEK
        self._statement("analyze crash")
        self._statement("drop table if exists lb")
        self._statement("create table lb as select date, signature as a, version as b from crash "
                        "order by date")
        self._statement("create index on lb (date)")
        self._statement("vacuum analyze lb")
        self._statement("checkpoint")
        self.load_seconds = time.monotonic() - start
        count = self.stack.query("select count(*) from crash")[0][0]
        if count != n:
            raise RuntimeError(f"{count} crashes instead of {n}")

    def sizes(self):
        """Bytes: of crashes (heap, toast, indexes), of the dictionary."""
        heap, toast, index = self.stack.query(
            "select sum(pg_relation_size(c.oid)), sum(coalesce(pg_total_relation_size("
            "nullif(c.reltoastrelid, 0)), 0)), sum(pg_indexes_size(c.oid)) from pg_inherits i "
            "join pg_class c on c.oid = i.inhrelid where i.inhparent = 'crash'::regclass")[0]
        return int(heap), int(toast), int(index), self.stack.query(
            "select pg_total_relation_size('term')")[0][0]
