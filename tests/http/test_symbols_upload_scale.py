"""Uploads of many small files: SALVAGE_TEST_MEMBERS of them, 3,000 by default, 100,000 at most."""
import io
import os
import threading
import time
import zipfile

from symbols import archive, new_id, sym, upload

MEMBERS = int(os.environ.get("SALVAGE_TEST_MEMBERS", "3000"))


def rss(pid):
    try:
        for line in open(f"/proc/{pid}/status"):
            if line.startswith("RssAnon:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


class Memory:
    """Peak growth of the largest httpd child, in KiB."""

    def __init__(self, stack):
        self.stack, self.stop, self.grown = stack, threading.Event(), 0
        self.thread = threading.Thread(target=self.watch)

    def watch(self):
        children = self.stack.children("httpd")
        before = {p: rss(p) for p in children}
        while not self.stop.wait(0.05):
            self.grown = max([self.grown] + [rss(p) - before[p] for p in children])

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *args):
        self.stop.set()
        self.thread.join()


def text(debug_file, debug_id, i):
    return (f"MODULE Linux x86_64 {debug_id} {debug_file}\nINFO CODE_ID {i:040X}\n"
            f"FUNC 1000 10 0 f{i}\n").encode()


def many(n):
    """An archive of n little .sym files, and its first and last member."""
    debug_id, out = new_id(), io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as z:
        for i in range(n):
            z.writestr(zipfile.ZipInfo(f"lib{i}.so/{debug_id}/lib{i}.so.sym"),
                       text(f"lib{i}.so", debug_id, i), compress_type=zipfile.ZIP_DEFLATED)
    return debug_id, out.getvalue()


def timed(stack, data):
    """The answer of an upload, after a line about what it took."""
    start = time.monotonic()
    with Memory(stack) as memory:
        answer = upload(stack, data, timeout=900)
    print(f"{MEMBERS} members, {len(data) >> 20} MiB: {time.monotonic() - start:.1f} s, "
          f"memory of a child grew by {memory.grown} KiB")
    assert answer.status_code == 201, answer.text
    assert memory.grown < 16 << 10
    return answer.json()["upload"]


def test_many_members(stack):
    """Each becomes a row with its own header; sent again, each is skipped and renewed."""
    debug_id, data = many(MEMBERS)
    start = stack.query("select pg_current_wal_lsn()")[0][0]
    up = timed(stack, data)
    assert up["skipped_keys"] == []
    rows = stack.query("select count(*), count(distinct f.id), count(distinct code_id), "
                       "bool_and(header_file = f.debug_file and build_id = code_id and kind = 'sym' "
                       "and not replaced and stored_size > 0 and length(md5) = 16) "
                       "from symbol_file f join symbol_key k on k.file_id = f.id "
                       "and k.debug_file = f.debug_file and k.leaf = f.leaf where upload_id = %s",
                       up["id"])
    assert rows == [(MEMBERS, MEMBERS, MEMBERS, True)]
    wal = stack.query("select pg_wal_lsn_diff(pg_current_wal_lsn(), %s)", start)[0][0]
    print(f"WAL: {int(wal) >> 20} MiB")
    again = timed(stack, data)
    assert len(again["skipped_keys"]) == MEMBERS
    assert stack.query("select count(*) from symbol_file where debug_id = %s "
                       "and renewed_at is not null", debug_id) == [(MEMBERS,)]


def test_same_key_in_two_spellings(stack):
    """Ids fold to upper case, so that two members of an archive are one file: the later one."""
    debug_id = new_id()
    answer = upload(stack, archive([(f"two.pdb/{debug_id}/two.sym", sym("two.pdb", debug_id)),
                                    (f"two.pdb/{debug_id.lower()}/two.sym",
                                     sym("two.pdb", debug_id, lines=9))]))
    assert answer.status_code == 201, answer.text
    assert stack.query("select f.size from symbol_key k join symbol_file f on f.id = k.file_id "
                       "where k.debug_id = %s", debug_id) == [
                           (len(sym("two.pdb", debug_id, lines=9)),)]


def test_headers_that_are_missing(stack):
    """No header is NULL in the row, a missing line of one is an empty text; both in one batch."""
    debug_id = new_id()
    answer = upload(stack, archive({f"a.pdb/{debug_id}/a.sym": b"\xff\0",
                                    f"b.pdb/{debug_id}/b.sym": sym("b.pdb", debug_id),
                                    f"c.pdb/{debug_id}/c.sym": text("c.pdb", debug_id, 1)}))
    assert answer.status_code == 201, answer.text
    assert stack.query("select leaf, header_file, code_id, os, build_id from symbol_file "
                       "where debug_id = %s order by leaf", debug_id) == [
                           ("a.sym", None, None, None, None),
                           ("b.sym", "b.pdb", "", "windows", None),
                           ("c.sym", "c.pdb", f"{1:040X}", "Linux", f"{1:040X}")]
