"""Bare processed crashes into the search tables of a test instance, through the product's own code.

    loader = SearchLoader(stack)                    # the fixture `stack`, or any Instance
    loader.index([{"uuid": ..., "date_processed": ..., "product": "MyProduct", ...}, ...])
    loader.crash(product="MyProduct", signature="foo")      # the same with an id and a date made up
    result = loader.search([("signature", "~foo"), ("_facets", "version")], protected=True)

A document is a processed crash: nested as the processor writes it (`os_name`, `json_dump`,
`memory_measures` ...). A product name of your own keeps what other tests do out of your results.
`index` replaces documents of the same uuid. The documents are in the search tables alone: report
pages of such crashes say that there is no report.

`search` asks the library (`salvage search --lines`), not HTTP; it returns the result object, or
{"error": message}. `requests` runs many in one process.
"""
import datetime
import json
import os
import re
import uuid

import psycopg2


def crash_id(date=None):
    """A new crash id; its last six digits are the day."""
    date = date or datetime.datetime.now(datetime.timezone.utc)
    return str(uuid.uuid4())[:-7] + "0" + date.strftime("%y%m%d")


class SearchLoader:
    def __init__(self, instance):
        self.instance = instance

    def _run(self, option, lines):
        done = self.instance.salvage("search", option,
                                     input="".join(json.dumps(x) + "\n" for x in lines))
        return [json.loads(x) for x in done.stdout.splitlines()]

    def index(self, documents):
        self._run("--index", documents)

    def crash(self, **fields):
        """Indexes one crash of now with these members; returns its id."""
        now = datetime.datetime.now(datetime.timezone.utc)
        document = {"uuid": crash_id(now), "date_processed": now.isoformat(), **fields}
        self.index([document])
        return document["uuid"]

    def requests(self, requests):
        """[{"params": [[name, value], ...], "now", "protected", "strict", "explain"}, ...]"""
        return self._run("--lines", requests)

    def search(self, params, **options):
        return self.requests([{"params": [list(x) for x in params], **options}])[0]


class SearchWorld(SearchLoader):
    """A database of its own on the instance's server: nobody else's crashes are in it."""

    def __init__(self, instance, folder):
        super().__init__(instance)
        self.name = f"search_{os.getpid()}_{uuid.uuid4().hex[:6]}"
        self.admin = instance.conn()
        self._sql(self.admin, f"CREATE DATABASE {self.name}")
        self.conninfo = re.sub(r"dbname=\S+", f"dbname={self.name}", instance.env["SALVAGE_DB"])
        self.conf = folder / "search.conf"
        self.conf.write_text(f"database {self.conninfo}\n")
        instance.salvage("db", "migrate", "-c", self.conf)
        self.conn = psycopg2.connect(self.conninfo)
        self.conn.autocommit = True

    @staticmethod
    def _sql(conn, text):
        with conn.cursor() as cur:
            cur.execute(text)
            return cur.fetchall() if cur.description else None

    def sql(self, text):
        return self._sql(self.conn, text)

    def _run(self, option, lines):
        done = self.instance.salvage("search", option, "-c", self.conf,
                                     input="".join(json.dumps(x) + "\n" for x in lines))
        return [json.loads(x) for x in done.stdout.splitlines()]

    def clear(self):
        self.sql("DELETE FROM crash; DELETE FROM search_overflow; DELETE FROM product")

    def close(self):
        self.conn.close()
        self._sql(self.admin, f"DROP DATABASE {self.name} WITH (FORCE)")
        self.admin.close()
