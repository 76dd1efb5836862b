"""salvage symbols and salvage grant: trees taken over, files listed, kept, expired and deleted."""
import gzip
import hashlib
import os
import re
import shutil
import subprocess
import threading
import time

import pytest
import requests
from people import token
from symbols import archive, sym, upload


def an_id():
    an_id.n += 1
    return hashlib.md5(str((an_id.n, time.time())).encode()).hexdigest().upper() + "1"


an_id.n = 0


def get(stack, key, **kw):
    return requests.get(f"{stack.url}/symbols/{key}", timeout=30, **kw)


def blobs(stack):
    return {p.name for p in (stack.symbol_store / "blob").rglob("*") if p.is_file()}


def send(stack, module, release=None, content=b"", **kw):
    """Uploads a .sym; its key. release: (product, version, channel, build) of INFO lines."""
    one = an_id()
    text = sym(module, one) + content
    if release:
        lines = [f"INFO {n} {v}\n" for n, v in zip(("RELEASECHANNEL", "VERSION", "VENDOR",
                                                    "PRODUCTNAME", "BUILDID"),
                                                   (release[2], release[1], "V", release[0],
                                                    release[3]))]
        head, _, rest = text.partition(b"INFO GENERATOR")
        text = head + "".join(lines).encode() + b"INFO GENERATOR" + rest
    key = f"{module}/{one}/{module.removesuffix('.pdb')}.sym"
    r = upload(stack, archive({key: text}), **kw)
    assert r.status_code == 201, r.text
    return key


def age(stack, key, days):
    assert stack.query("update symbol_file set created_at = now() - %s * interval '1 day' "
                       "where debug_id = %s returning 1", days, key.split("/")[1])


def release(stack, key, product=None, version=None, channel=None, build=None):
    stack.query("update symbol_file set product = %s, version = %s, channel = %s, build = %s "
                "where debug_id = %s returning 1", product, version, channel, build,
                key.split("/")[1])


@pytest.fixture
def rules(stack, tmp_path):
    """rules(*lines): a configuration with these lines of symbols-keep."""
    def make(*lines):
        conf = tmp_path / "salvage.conf"
        conf.write_text(open(stack.conf).read()
                        + "".join(f"symbols-keep {line}\n" for line in lines))
        return conf
    return make


def expire(stack, conf, *args):
    return stack.salvage("symbols", "expire", *args, "-c", conf).stdout


# ---- import ----

def tree(root, layout):
    for path, data in layout.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    return root


def test_import_breakpad(stack, tmp_path):
    a, b, c = an_id(), an_id(), an_id()
    text = sym("ia.pdb", a)
    packed = subprocess.run(["zstd", "-q", "-c"], input=sym("ic.so", c), capture_output=True,
                            check=True).stdout
    tree(tmp_path, {f"ia.pdb/{a}/ia.sym": text, f"ib.so/{b}/ib.so.sym.gz": gzip.compress(text),
                    f"ic.so/{c}/ic.so.sym.zst": packed, "README": b"x",
                    "deep/a/b/c": b"x", "nohex/xyz/f.sym": b"x"})
    done = stack.salvage("symbols", "import", tmp_path, "--product", "Imp", "--version", "2.0",
                         "--user", "importer")
    assert "3 files stored, 0 were there, 0 failed" in done.stdout
    for strange in ("README", "deep/a/b", "nohex/xyz/f.sym"):
        assert strange in done.stderr
    assert get(stack, f"ia.pdb/{a}/ia.sym").content == text
    assert get(stack, f"ib.so/{b}/ib.so.sym").content == text
    assert get(stack, f"ic.so/{c}/ic.so.sym").content == sym("ic.so", c)
    rows = stack.query("select product, version, origin, u.user_name, u.completed_at is not null "
                       "from symbol_file f join symbol_upload u on u.id = upload_id where "
                       "debug_id = any(%s)", [a, b, c])
    assert rows == [("Imp", "2.0", "import", "importer", True)] * 3
    again = stack.salvage("symbols", "import", tmp_path).stdout
    assert "0 files stored, 3 were there, 0 failed" in again


@pytest.mark.parametrize("two_tier", [False, True])
def test_import_symstore(stack, tmp_path, two_tier):
    one, code = an_id(), an_id()[:8] + "1a000"
    name = f"st{one[:4].lower()}"
    tier = f"{name[:2]}/" if two_tier else ""
    tree(tmp_path, {f"{tier}{name}.pdb/{one}/{name}.pd_": b"MSCF cab", "000Admin/server.txt": b"1",
                    f"{tier}{name}.dll/{code}/{name}.dll": b"MZ dll", "pingme.txt": b"",
                    f"{tier}{name}.dll/{code}/file.ptr": b"PATH:x"})
    if two_tier:
        (tmp_path / "index2.txt").write_text("")
    done = stack.salvage("symbols", "import", tmp_path)
    assert "2 files stored" in done.stdout and done.stderr == ""
    assert stack.query("select leaf, kind from symbol_file where debug_file like %s "
                       "order by leaf", name + "%") == [(f"{name}.dll", "pe"),
                                                        (f"{name}.pd_", "pdb")]
    assert get(stack, f"{name}.pdb/{one}/{name}.pd_").content == b"MSCF cab"


def test_import_leaves_damaged_files_out(stack, tmp_path):
    a, b = an_id(), an_id()
    tree(tmp_path, {f"da.so/{a}/da.so.sym.gz": gzip.compress(sym("da.so", a))[:-9],
                    f"db.so/{b}/db.so.sym": sym("db.so", b)})
    done = stack.salvage("symbols", "import", tmp_path, check=False)
    assert done.returncode == 1 and "1 files stored, 0 were there, 1 failed" in done.stdout
    assert f"{a}/da.so.sym.gz" in done.stderr
    assert get(stack, f"db.so/{b}/db.so.sym").status_code == 200
    assert get(stack, f"da.so/{a}/da.so.sym").status_code == 404


def test_import_dry_run_and_nothing(stack, tmp_path):
    one = an_id()
    tree(tmp_path, {f"dry.so/{one}/dry.so.sym": b"x"})
    done = stack.salvage("symbols", "import", "--dry-run", tmp_path)
    assert done.stdout.split("\t")[0] == f"dry.so/{one}/dry.so.sym"
    assert get(stack, f"dry.so/{one}/dry.so.sym").status_code == 404
    done = stack.salvage("symbols", "import", tmp_path / "none", check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1


def test_httpd_can_add_to_what_was_imported(stack, tmp_path):
    """As root the command must leave the store's files to the store's owner."""
    one, two = an_id(), an_id()
    tree(tmp_path, {f"own.pdb/{one}/own.sym": sym("own.pdb", one)})
    stack.salvage("symbols", "import", tmp_path)
    owner = stack.symbol_store.stat().st_uid
    wrong = [p for p in stack.symbol_store.rglob("*") if p.lstat().st_uid != owner]
    assert wrong == []
    r = upload(stack, archive({f"own.pdb/{two}/own.sym": sym("own.pdb", two)}))
    assert r.status_code == 201


# ---- delete and list ----

def test_delete_by_release(stack):
    old, new = send(stack, "rel.pdb"), send(stack, "rel.pdb")
    release(stack, old, "Rel", "1.0", "beta")
    release(stack, new, "Rel", "2.0", "beta")
    listed = stack.salvage("symbols", "list", "--product", "rel", "--version", "1.0").stdout
    assert old in listed and new not in listed and listed.startswith("id\tkind\t")
    before = blobs(stack)
    dry = stack.salvage("symbols", "delete", "--product", "Rel", "--version", "1.0",
                        "--dry-run").stdout
    assert old in dry and "1 files of" in dry and "would be deleted" in dry
    assert get(stack, old).status_code == 200 and blobs(stack) == before
    done = stack.salvage("symbols", "delete", "--product", "Rel", "--version", "1.0").stdout
    assert re.match(r"1 files deleted, [1-9]\d* bytes freed", done)
    assert get(stack, old).status_code == 404 and get(stack, new).status_code == 200
    assert len(before - blobs(stack)) == 1 and blobs(stack) <= before
    assert stack.query("select count(*) from symbol_key where debug_id = %s",
                       old.split("/")[1]) == [(0,)]


def test_delete_leaves_shared_content(stack):
    """Equal bytes under two keys are one blob."""
    one, two = an_id(), an_id()
    text = sym("same.pdb", one, lines=9)
    for each in (one, two):
        assert upload(stack, archive({f"same.pdb/{each}/same.sym": text})).status_code == 201
    before = blobs(stack)
    stack.salvage("symbols", "delete", "--key", one)
    assert get(stack, f"same.pdb/{one}/same.sym").status_code == 404
    assert get(stack, f"same.pdb/{two}/same.sym").content == text and blobs(stack) == before
    stack.salvage("symbols", "delete", "--key", two)
    assert len(before - blobs(stack)) == 1


def test_delete_of_history_leaves_what_is_served(stack):
    one = an_id()
    key = f"hist.pdb/{one}/hist.sym"
    first, second = sym("hist.pdb", one), sym("hist.pdb", one, lines=7)
    number = upload(stack, archive({key: first})).json()["upload"]["id"]
    upload(stack, archive({key: second}))
    before = blobs(stack)
    assert "1 files deleted" in stack.salvage("symbols", "delete", "--upload", number).stdout
    assert get(stack, key).content == second
    assert len(before - blobs(stack)) == 1


def test_delete_during_a_download(stack):
    key = send(stack, "slow.pdb", content=os.urandom(3 << 20).hex().encode() + b"\n")
    with get(stack, key, stream=True, headers={"Accept-Encoding": "gzip"}) as r:
        first = next(r.raw.stream(65536, decode_content=False))
        stack.salvage("symbols", "delete", "--key", key.split("/")[1])
        rest = b"".join(r.raw.stream(65536, decode_content=False))
    assert len(first + rest) == int(r.headers["Content-Length"])
    assert gzip.decompress(first + rest).startswith(b"MODULE")
    assert get(stack, key).status_code == 404


def test_delete_and_upload_at_once(stack):
    """Whatever the order, an upload that was accepted can be downloaded in the end."""
    one = an_id()
    key, text = f"race.pdb/{one}/race.sym", sym("race.pdb", one)
    zipped, stop, codes = archive({key: text}), threading.Event(), []

    def deleter():
        while not stop.is_set():
            stack.salvage("symbols", "delete", "--key", one)

    thread = threading.Thread(target=deleter)
    thread.start()
    try:
        for _ in range(40):
            codes.append(upload(stack, zipped).status_code)
    finally:
        stop.set()
        thread.join()
    stack.error_log.expect("SAL2011|SAL90")
    assert set(codes) <= {201, 500, 503} and codes.count(201) > 20, codes
    assert upload(stack, zipped).status_code == 201
    assert get(stack, key).content == text


def test_rows_and_files_agree_after_a_race(stack):
    for row in stack.query("select k.debug_file, k.debug_id, k.leaf, k.is_try from symbol_key k"):
        path = stack.symbol_store / ("try" if row[3] else ".") / "key" / row[0] / row[1] / row[2]
        assert path.is_file(), path


# ---- retention ----

def test_expire_by_age_and_channel(stack, rules):
    night, beta, young = (send(stack, "exp.pdb") for _ in range(3))
    release(stack, night, "Exp", "1", "nightly", "1")
    release(stack, beta, "Exp", "1", "beta", "1")
    release(stack, young, "Exp", "1", "nightly", "2")
    age(stack, night, 40)
    age(stack, beta, 40)
    conf = rules("product Exp channel NIGHTLY age 30d", "for-ever")
    before = blobs(stack)
    dry = expire(stack, conf, "--dry-run")
    assert night in dry and beta not in dry and young not in dry and blobs(stack) == before
    assert "1 files deleted" in expire(stack, conf)
    assert [get(stack, k).status_code for k in (night, beta, young)] == [404, 200, 200]
    assert "0 files deleted" in expire(stack, conf)


def test_expire_keeps_the_newest(stack, rules):
    keys = [send(stack, "new.pdb") for _ in range(5)]
    for i, key in enumerate(keys):
        release(stack, key, "New", f"1.{i}", "nightly", f"2026010{i}")
        age(stack, key, 50 - i)
    twin = send(stack, "new2.pdb")                          # of the third build
    release(stack, twin, "New", "1.2", "nightly", "20260102")
    age(stack, twin, 48)
    conf = rules("product New newest 3", "for-ever")
    assert "2 files deleted" in expire(stack, conf)
    assert [get(stack, k).status_code for k in keys] == [404, 404, 200, 200, 200]
    assert get(stack, twin).status_code == 200
    conf = rules("product New age 49d newest 1", "for-ever")
    assert "0 files deleted" in expire(stack, conf)
    conf = rules("product New age 46d newest 1", "for-ever")
    assert "3 files deleted" in expire(stack, conf)


def test_expire_try(stack, rules):
    kept = send(stack, "tk.pdb")
    tried = send(stack, "tt.pdb", token=token(stack, "try@x", "upload_try_symbols"))
    for key in (kept, tried):
        age(stack, key, 29)
    conf = rules()                                          # the default: 28 and 730 days
    out = expire(stack, conf, "--dry-run")
    assert tried in out and kept not in out
    expire(stack, conf)
    assert get(stack, tried, params={"try": ""}).status_code == 404
    assert get(stack, kept).status_code == 200
    age(stack, kept, 731)
    expire(stack, conf)
    assert get(stack, kept).status_code == 404


def test_keep_until(stack, rules):
    a, b = send(stack, "ku.pdb"), send(stack, "ku.pdb")
    for key in (a, b):
        age(stack, key, 100)
        release(stack, key, "Keep", "1")
    assert stack.salvage("symbols", "keep", "--until", "2999-01-01", "--key",
                         a.split("/")[1]).stdout == "1 files\n"
    conf = rules("product Keep age 10d", "for-ever")
    assert "1 files deleted" in expire(stack, conf)
    assert get(stack, a).status_code == 200 and get(stack, b).status_code == 404
    stack.salvage("symbols", "keep", "--until", "rules", "--key", a.split("/")[1])
    assert "1 files deleted" in expire(stack, conf)


def test_sending_again_renews(stack, rules):
    one = an_id()
    key = f"again.pdb/{one}/again.sym"
    zipped = archive({key: sym("again.pdb", one)})
    upload(stack, zipped)
    release(stack, key, "Again", "1")
    age(stack, key, 100)
    assert upload(stack, zipped).json()["upload"]["skipped_keys"] == [key]
    conf = rules("product Again age 10d", "for-ever")
    assert "0 files deleted" in expire(stack, conf)
    assert get(stack, key).status_code == 200


def test_housekeeper_expires(stack):
    tried = send(stack, "hk.pdb", token=token(stack, "try@x", "upload_try_symbols"))
    age(stack, tried, 40)
    stack.stop("salvaged")
    stack.salvage("jobs", "reset", "symbolexpiry", check=False)  # it has run, so it would wait
    subprocess.run([stack.env["SALVAGED_BIN"], "-c", stack.conf, "--once"], check=True,
                   timeout=60, capture_output=True)
    assert get(stack, tried, params={"try": ""}).status_code == 404


def test_tidy_removes_loose_blobs(stack, rules):
    name = hashlib.sha256(b"loose").hexdigest()
    path = stack.symbol_store / "blob" / name[:2] / name[2:4] / name
    path.parent.mkdir(parents=True, exist_ok=True)
    for folder in list(path.parents)[:3]:  # made by us, but httpd's to write in
        shutil.chown(folder, stack.symbol_store.stat().st_uid)
    path.write_bytes(b"loose")
    expire(stack, rules("for-ever"))
    assert path.exists(), "it may be of an upload that is being stored"


@pytest.mark.parametrize("line", ["age", "nightly age 3d", "age x", "newest 0", "try",
                                  "channel beta", "age 3d newest x", "product"])
def test_wrong_rules_name_the_line(stack, rules, line):
    done = stack.salvage("symbols", "expire", "-c", rules(line), check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert f"symbols-keep {line}" in done.stderr


@pytest.mark.parametrize("args", [
    [], ["symbols"], ["import"], ["import", "a", "b"], ["delete"], ["delete", "--try"],
    ["delete", "extra"], ["list", "--upload", "x"], ["list", "--older", "x"], ["keep"],
    ["keep", "--until", "x", "--key", "k"], ["expire", "x"], ["keep", "--key", "k"]])
def test_wrong_usage_is_2(stack, args):
    done = stack.salvage("symbols", *args, check=False)
    assert done.returncode == 2 and done.stdout == "" and "salvage" in done.stderr


# ---- grant ----

def test_grant(stack):
    stack.salvage("grant", "add", "gina@example.com", "Uploaders", "upload auditors")
    out = stack.salvage("grant", "list", "GINA@example.com").stdout
    assert "Upload Auditors, Uploaders" in out
    for name in ("upload_symbols", "upload_try_symbols", "view_all_uploads"):
        assert name in out
    stack.salvage("grant", "remove", "gina@example.com", "Uploaders")
    assert "upload_symbols" not in stack.salvage("grant", "list", "gina@example.com").stdout
    stack.salvage("grant", "group", "Readers", "view_pii", "view_rawdump")
    stack.salvage("grant", "add", "gina@example.com", "Readers")
    assert "view_rawdump" in stack.salvage("grant", "list", "gina@example.com").stdout
    everything = stack.salvage("grant", "list").stdout
    assert re.search(r"^Uploaders\t\d+\tupload_symbols, upload_try_symbols$", everything, re.M)
    stack.salvage("grant", "deactivate", "gina@example.com")
    assert "\tinactive\t" in stack.salvage("grant", "list", "gina@example.com").stdout


@pytest.mark.parametrize("args,code,text", [
    (["add", "x"], 2, "group"), ([], 2, "say add"), (["add", "x", "No Such"], 1, "Uploaders"),
    (["group", "G", "nothing"], 2, "upload_symbols"), (["list", "nobody@nowhere"], 1, "no user"),
    (["deactivate", "nobody@nowhere"], 1, "no user"), (["remove", "nobody@nowhere", "Uploaders"], 1,
                                                       "no user")])
def test_grant_refusals(stack, args, code, text):
    done = stack.salvage("grant", *args, check=False)
    assert done.returncode == code and text in done.stderr
