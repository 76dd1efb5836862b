"""mod_symbols: every row of the download rules, as clients of Tecken and of Breakpad ask.

Redirects are not followed where a test says what the server itself answers; `v1` is where they lead.
"""
import gzip
import hashlib
import subprocess
import threading
import time
import urllib.parse

import pytest
import requests
from symbols import ID, archive, new_id, raw_get, sym, upload

CORS = {"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Methods": "GET",
        "Access-Control-Allow-Headers": "accept,accept-encoding,authorization,content-type,dnt,"
                                        "origin,user-agent,x-csrftoken,x-requested-with"}
GZIP = {"Accept-Encoding": "gzip"}


def has_cors(r):
    return all(r.getheader(k) == v for k, v in CORS.items())


def stored(path):
    """Where /symbols/<key> leads."""
    return path.replace("/symbols/", "/symbols/v1/", 1)


@pytest.fixture
def one(stack):
    """A stored .sym: (path, text)."""
    debug_id = new_id()
    text = sym("one.pdb", debug_id, code=("one.exe", f"5F3C{debug_id[:8]}12000"))
    assert upload(stack, archive({f"one.pdb/{debug_id}/one.sym": text})).status_code == 201
    return f"/symbols/one.pdb/{debug_id}/one.sym", text


# ---- one redirect, then the file ----

def test_one_redirect(stack, one):
    path, text = one
    r = raw_get(stack, path, GZIP)
    assert (r.status, r.getheader("Location"), r.body) == (302, stored(path), b"")
    assert has_cors(r)
    followed = requests.get(stack.url + path, timeout=20)
    assert [h.status_code for h in followed.history] == [302] and followed.content == text


def test_head_has_no_redirect(stack, one):
    path, _ = one
    r = raw_get(stack, path, method="HEAD")
    assert (r.status, r.body, r.getheader("Location")) == (200, b"", stored(path))
    assert has_cors(r)


@pytest.mark.parametrize("delivery", ["stream", "sendfile", "Redirect"])
def test_delivery(stack, one, delivery):
    path, text = one
    stack.httpd_conf(f"EnableSendfile on\n<Location /symbols/>\nSymbolsDelivery {delivery}\n"
                     "</Location>\n")
    r = raw_get(stack, path, GZIP)
    if delivery == "Redirect":
        assert (r.status, r.getheader("Location")) == (302, stored(path))
        r = raw_get(stack, stored(path), GZIP)
    assert r.status == 200 and gzip.decompress(r.body) == text


def test_bad_delivery(stack):
    accepted, said = stack.judge_conf("SymbolsDelivery twice")
    assert not accepted and 'SymbolsDelivery: "twice" is none of redirect, stream, sendfile' in said


def test_try(stack):
    key = f"try.pdb/{new_id()}/try.sym"
    assert upload(stack, archive({key: sym()}), fields={"try": "1"}).status_code == 201
    assert raw_get(stack, f"/symbols/{key}").status == 404
    for path in (f"/symbols/{key}?try", f"/symbols/{key}?try=0", f"/symbols/try/{key}"):
        r = raw_get(stack, path)
        assert (r.status, r.getheader("Location")) == (302, f"/symbols/try/v1/{key}")
    assert raw_get(stack, f"/symbols/try/v1/{key}").body == sym()
    assert raw_get(stack, f"/symbols/v1/{key}").status == 404


def test_regular_before_try(stack):
    key = f"both.pdb/{new_id()}/both.sym"
    assert upload(stack, archive({key: sym(lines=1)}), fields={"try": "1"}).status_code == 201
    assert upload(stack, archive({key: sym(lines=2)})).status_code == 201
    assert requests.get(f"{stack.url}/symbols/try/{key}", timeout=20).content == sym(lines=2)


def test_debug_file_called_like_a_prefix(stack):
    """A prefix without a matching route is a name."""
    for name in ("try", "v1", "firefox", "api", "upload", "buildid"):
        key = f"{name}/{new_id()}/{name}.sym"
        assert upload(stack, archive({key: sym(name)})).status_code == 201
        assert requests.get(f"{stack.url}/symbols/{key}", timeout=20).content == sym(name)


@pytest.mark.parametrize("product", ["firefox", "seamonkey", "sunbird", "thunderbird", "xulrunner",
                                     "fennec", "b2g"])
def test_legacy_product(stack, one, product):
    path, _ = one
    r = raw_get(stack, path.replace("/symbols/", f"/symbols/{product}/"))
    assert (r.status, r.getheader("Location")) == (302, stored(path))


def test_unknown_product(stack, one):
    assert raw_get(stack, one[0].replace("/symbols/", "/symbols/netscape/")).status == 404


# ---- the file itself ----

def test_gzip_where_accepted(stack, one):
    path, text = one
    r = raw_get(stack, stored(path), {"Accept-Encoding": "br, gzip;q=0.8"})
    assert (r.status, r.getheader("Content-Encoding")) == (200, "gzip")
    assert gzip.decompress(r.body) == text
    assert int(r.getheader("Content-Length")) == len(r.body)
    assert r.getheader("Content-Type") == "text/plain"
    assert r.getheader("Vary") == "Accept-Encoding"
    assert r.getheader("Accept-Ranges") == "bytes" and r.getheader("Last-Modified")
    assert r.getheader("Cache-Control") == "public, max-age=31536000, immutable, no-transform"
    assert r.getheader("ETag") == f'"{hashlib.sha256(r.body).hexdigest()}"'
    assert has_cors(r)


@pytest.mark.parametrize("header,gzipped", [
    (None, False), ("identity", False), ("br", False), ("gzip;q=0", False), ("gzip;q=0, *", False),
    ("*;q=0", False), ("gzip;q=0.2, identity;q=0.8", False), ("", False),
    ("gzip", True), ("GZIP", True), ("x-gzip", True), ("*", True), ("gzip;q=0.001", True),
    ("deflate, gzip, br, zstd", True), ("identity, gzip", True), ("*;q=0, gzip", True),
    ("gzip ; q=1.0, identity;q=0.5", True)])
def test_accept_encoding(stack, one, header, gzipped):
    path, text = one
    r = raw_get(stack, stored(path), {"Accept-Encoding": header} if header is not None else {})
    assert (r.status, r.getheader("Vary")) == (200, "Accept-Encoding")
    assert r.getheader("Content-Encoding") == ("gzip" if gzipped else None)
    assert (gzip.decompress(r.body) if gzipped else r.body) == text
    assert r.getheader("ETag").startswith('"' if gzipped else 'W/"')


def test_always_gzip(stack, one):
    """Tecken's way: gzip whatever the client says."""
    path, text = one
    stack.httpd_conf("<Location /symbols/>\nSymbolsAlwaysGzip on\n</Location>\n")
    r = raw_get(stack, stored(path), {"Accept-Encoding": "identity"})
    assert r.getheader("Content-Encoding") == "gzip" and gzip.decompress(r.body) == text


def test_range(stack, one):
    path = stored(one[0])
    whole = raw_get(stack, path, GZIP)
    n = len(whole.body)
    for wanted, at in (("10-29", slice(10, 30)), ("-5", slice(n - 5, n)), ("7-", slice(7, n))):
        part = raw_get(stack, path, {**GZIP, "Range": f"bytes={wanted}"})
        assert part.status == 206 and part.body == whole.body[at]
        assert part.getheader("Content-Range") == f"bytes {at.start}-{at.stop - 1}/{n}"
    assert raw_get(stack, path, {**GZIP, "Range": "bytes=999999-"}).status == 416
    same = {**GZIP, "Range": "bytes=1-2", "If-Range": whole.getheader("ETag")}
    assert raw_get(stack, path, same).status == 206
    assert raw_get(stack, path, {**same, "If-Range": '"other"'}).status == 200
    text = raw_get(stack, path, {"Range": "bytes=10-29"})           # of text none is offered
    assert text.status == 200 and text.body == one[1]


def test_conditions(stack, one):
    path = stored(one[0])
    whole = raw_get(stack, path, GZIP)
    tag, date = whole.getheader("ETag"), whole.getheader("Last-Modified")
    for name, value, status in (("If-None-Match", tag, 304), ("If-None-Match", "*", 304),
                                ("If-None-Match", f'"x", {tag}', 304),
                                ("If-None-Match", '"other"', 200),
                                ("If-Modified-Since", date, 304),
                                ("If-Match", tag, 200), ("If-Match", '"other"', 412),
                                ("If-Unmodified-Since", date, 200),
                                ("If-Unmodified-Since", "Thu, 01 Jan 1998 00:00:00 GMT", 412)):
        r = raw_get(stack, path, {**GZIP, name: value})
        assert r.status == status, (name, value)
        assert r.body == (whole.body if status == 200 else r.body)
        if status == 304:
            assert r.body == b"" and r.getheader("ETag") == tag


def test_head(stack, one):
    path = stored(one[0])
    whole = raw_get(stack, path, GZIP)
    head = raw_get(stack, path, GZIP, method="HEAD")
    assert (head.status, head.body) == (200, b"")
    for name in ("Content-Length", "ETag", "Content-Encoding", "Content-Type", "Last-Modified"):
        assert head.getheader(name) == whole.getheader(name)


# ---- names ----

def test_letter_case_and_spellings(stack, one):
    path, text = one
    _, _, file, debug_id, leaf = path.split("/")
    for wanted in (f"{file}/{debug_id.lower()}/{leaf}", f"ONE.PDB/{debug_id}/one.sym",
                   f"{file}/{debug_id[:32]}{debug_id[32:].lower()}/one.pdb.sym",
                   f"{file}/{debug_id}/ONE.SYM"):
        r = raw_get(stack, f"/symbols/{wanted}")
        assert (r.status, r.getheader("Location")) == (302, stored(path))
        assert raw_get(stack, f"/symbols/v1/{wanted}").body == text


def test_exact_case_first(stack):
    debug_id = new_id()
    lower, upper = f"a.pdb/{debug_id}/a.sym", f"A.pdb/{debug_id}/A.sym"
    assert upload(stack, archive({lower: sym(lines=1), upper: sym(lines=2)})).status_code == 201
    assert requests.get(f"{stack.url}/symbols/{lower}", timeout=20).content == sym(lines=1)
    assert requests.get(f"{stack.url}/symbols/{upper}", timeout=20).content == sym(lines=2)


def test_odd_names(stack):
    """Letters that URLs give a meaning to; a plus is a plus."""
    debug_id = new_id()
    name = "c++filt @1:2 ~&?*.pdb"
    key = f"{name}/{debug_id}/x.sym"
    assert upload(stack, archive({key: sym()})).status_code == 201
    assert requests.get(f"{stack.url}/symbols/{urllib.parse.quote(key)}",
                        timeout=20).content == sym()
    quoted = f"c++filt%20@1:2%20~&%3F*.pdb/{debug_id}/x.sym"
    assert raw_get(stack, f"/symbols/{quoted}").status == 302
    assert raw_get(stack, f"/symbols/v1/{quoted}").body == sym()
    libcxx = f"libc++.1.dylib/{debug_id}/libc++.1.dylib.sym"
    assert upload(stack, archive({libcxx: sym()})).status_code == 201
    assert raw_get(stack, f"/symbols/v1/{libcxx}").body == sym()


# ---- by code id ----

def test_code_id(stack, one):
    """Asked for by code file and code id: a redirect to the debug file and debug id, path only."""
    path, text = one
    code_id = stack.query("select code_id from symbol_file where debug_id = %s",
                          path.split("/")[3])[0][0]
    for method in ("GET", "HEAD"):
        r = raw_get(stack, f"/symbols/ONE.exe/{code_id.lower()}/one.exe.sym?code_file=x&_refresh",
                    method=method)
        assert (r.status, r.getheader("Location")) == (302, path + "?code_file=x&_refresh")
    r = raw_get(stack, f"/symbols/try/one.exe/{code_id}/one.exe.sym")
    assert (r.status, r.getheader("Location")) == (302, path.replace("/symbols/", "/symbols/try/"))
    assert requests.get(f"{stack.url}/symbols/one.exe/{code_id}/one.sym",
                        timeout=20).content == text
    (stack.symbol_store / "key" / path[len("/symbols/"):]).unlink()     # the target must exist
    assert raw_get(stack, f"/symbols/one.exe/{code_id}/one.exe.sym").status == 404


def test_code_id_does_not_mix_try_in(stack):
    debug_id = new_id()
    code_id = debug_id[:13]
    text = sym("t.pdb", debug_id, code=("t.exe", code_id))
    assert upload(stack, archive({f"t.pdb/{debug_id}/t.sym": text}),
                  fields={"try": "1"}).status_code == 201
    assert raw_get(stack, f"/symbols/t.exe/{code_id}/t.exe.sym").status == 404
    assert raw_get(stack, f"/symbols/t.exe/{code_id}/t.exe.sym?try").status == 302


def test_build_id(stack):
    """The code id of an ELF file says its debug id: no table is asked."""
    build_id = "8713b9c3fb8a720137a4a08b325905c7aaf8429d"       # the specification's example
    key = "libx.so/C3B913878AFB017237A4A08B325905C70/libx.so.sym"
    assert upload(stack, archive({key: sym("libx.so")})).status_code == 201
    r = raw_get(stack, f"/symbols/libx.so/{build_id}/libx.so.sym")
    assert (r.status, r.getheader("Location")) == (302, f"/symbols/{key}")


# ---- nothing there ----

@pytest.mark.parametrize("path,text", [
    (f"nobody.pdb/{ID}/nobody.sym", "Symbol Not Found"),
    (f"nobody.pdb/{ID}/nobody.pd_", "Symbol Not Found"),
    (f"nobody.dll/{ID}/nobody.dl_", "Symbol Not Found"),
    (f"nobody.exe/{ID}/nobody.ex_", "Symbol Not Found"),
    (f"nobody/{ID}/nobody.dbg.gz", "Symbol Not Found"),
    (f"nobody/{ID}/nobody.tar.bz2", "Symbol Not Found"),
    ("nobody.exe/5F3C/nobody.sym", "Symbol Not Found"),
    (f"nobody.pdb/{ID}/file.ptr", "Symbol Not Found (and ignored)"),
    (f"nobody.pdb/{ID}/nobody.pdb", "Symbol Not Found (and ignored)"),
    (f"nobody.pdb/{ID}/nobody.txt", "Symbol Not Found (and ignored)"),
    (f"nobody.pdb/{'0' * 33}/nobody.sym", "Symbol Not Found (and ignored)")])
@pytest.mark.parametrize("prefix", ["", "try/"])
def test_not_found(stack, path, text, prefix):
    r = raw_get(stack, f"/symbols/{prefix}{path}", {"Debug": "true"})
    assert (r.status, r.body.decode()) == (404, text)
    assert r.getheader("Content-Type").startswith("text/plain")
    assert has_cors(r) and float(r.getheader("Debug-Time")) >= 0
    assert r.getheader("Cache-Control") == "max-age=60"
    if "ignored" in text:
        assert r.getheader("Debug-Time") == "0"
    head = raw_get(stack, f"/symbols/{prefix}{path}", method="HEAD")
    assert (head.status, head.body) == (404, b"")


@pytest.mark.parametrize("value,told", [("1", True), ("true", True), ("True", True), ("yes", True),
                                        ("0", False), ("no", False), (None, False)])
def test_debug_time(stack, one, value, told):
    for path in (one[0], f"/symbols/nobody.pdb/{ID}/nobody.sym"):
        r = raw_get(stack, path, {"Debug": value} if value else {})
        assert (r.getheader("Debug-Time") is not None) == told
        assert not told or 0 < float(r.getheader("Debug-Time")) < 60


@pytest.mark.parametrize("path", ["xul.pdb", f"xul.pdb/{ID}", f"xul.pdb/{ID}/a/b", "a/xyz/b",
                                  f"a%7Cb/{ID}/b.sym", f"{'a' * 256}/{ID}/a.sym",
                                  f"v1/xul.pdb/{ID}", f"try/v1/try/xul.pdb/{ID}/x.sym",
                                  f"caf%C3%A9.pdb/{ID}/a.sym", f"a%FF/{ID}/a.sym"])
def test_no_route(stack, path):
    r = requests.get(f"{stack.url}/symbols/{path}", timeout=20)
    assert r.status_code == 404
    assert r.json() == {"error": "Not Found",
                        "path": "/symbols/" + urllib.parse.unquote(path, errors="replace")}
    assert r.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_methods(stack, one, method):
    for path in (one[0], stored(one[0])):
        r = requests.request(method, stack.url + path, timeout=20)
        assert (r.status_code, r.headers["Allow"]) == (405, "GET, HEAD")
        assert r.json() == {"error": f"Method Not Allowed ({method}): {path}"}
        assert r.headers["Access-Control-Allow-Origin"] == "*"


def test_preflight(stack, one):
    r = raw_get(stack, one[0], {"Origin": "https://profiler.example",
                                "Access-Control-Request-Method": "GET"}, method="OPTIONS")
    assert (r.status, r.body) == (204, b"") and has_cors(r)


def test_missing_symbols_are_noted(stack):
    debug_id = new_id()
    url = f"{stack.url}/symbols/lost.pdb/{debug_id}/lost.sym"
    for _ in range(3):
        assert requests.get(url, params={"code_file": "lost.dll", "code_id": "5F3C"},
                            timeout=20).status_code == 404
    requests.head(f"{stack.url}/symbols/head.pdb/{debug_id}/head.sym", timeout=20)
    requests.get(f"{stack.url}/symbols/ignored.pdb/{debug_id}/file.ptr", timeout=20)
    end = time.monotonic() + 25
    rows = []
    while not rows and time.monotonic() < end:
        time.sleep(0.5)
        rows = stack.query("select debug_file, leaf, code_file, code_id, count "
                           "from missing_symbol where debug_id = %s", debug_id)
    assert rows == [("lost.pdb", "lost.sym", "lost.dll", "5F3C", 1)]


# ---- what happens meanwhile ----

def test_downloads_without_the_database(stack, one):
    path, text = one
    stack.error_log.expect("dbd|DBD|SAL")
    stack.stop("postgres")
    assert requests.get(stack.url + path, timeout=20).content == text
    assert requests.get(f"{stack.url}/symbols/no.pdb/{new_id()}/no.sym",
                        timeout=20).status_code == 404
    answer = upload(stack, archive({f"x.pdb/{new_id()}/x.sym": sym()}))
    assert answer.status_code == 503 and "error" in answer.json()
    assert answer.headers["Retry-After"] == "15"


def test_delete_during_download(stack):
    """Who has begun gets the whole file; who comes after gets none."""
    key = f"gone.pdb/{new_id()}/gone.sym"
    noise = "".join(hashlib.sha256(str(i).encode()).hexdigest() + "\n" for i in range(400_000))
    assert upload(stack, archive({key: noise.encode()})).status_code == 201
    with requests.get(f"{stack.url}/symbols/{key}", headers=GZIP, stream=True, timeout=60) as r:
        total = int(r.headers["Content-Length"])
        assert total > 10_000_000                       # more than sockets hold
        first = r.raw.read(1000, decode_content=False)
        on_disk = stack.symbol_store / "key" / key
        digest = hashlib.sha256(on_disk.read_bytes()).hexdigest()
        on_disk.unlink()
        (stack.symbol_store / "blob" / digest[:2] / digest[2:4] / digest).unlink()
        assert requests.get(f"{stack.url}/symbols/{key}", timeout=20).status_code == 404
        rest = r.raw.read(decode_content=False)
    assert len(first) + len(rest) == total
    assert hashlib.sha256(first + rest).hexdigest() == digest


def test_upload_during_downloads(stack):
    """Readers see one of the contents, whole, with the tag that belongs to it; never another."""
    key = f"busy.pdb/{new_id()}/busy.sym"
    texts = [sym("busy.pdb", lines=n) for n in (3000, 4000)]
    assert upload(stack, archive({key: texts[0]})).status_code == 201
    seen, wrong, stop = set(), [], threading.Event()

    def read():
        with requests.Session() as s:
            while not stop.is_set():
                r = s.get(f"{stack.url}/symbols/v1/{key}", headers=GZIP, timeout=20, stream=True)
                body = r.raw.read(decode_content=False)
                if (r.status_code != 200 or gzip.decompress(body) not in texts or
                        r.headers["ETag"] != f'"{hashlib.sha256(body).hexdigest()}"'):
                    wrong.append((r.status_code, r.headers.get("ETag"), len(body)))
                seen.add(r.headers["ETag"])

    readers = [threading.Thread(target=read) for _ in range(3)]
    for t in readers:
        t.start()
    for i in range(12):
        assert upload(stack, archive({key: texts[(i + 1) % 2]})).status_code == 201
    stop.set()
    for t in readers:
        t.join()
    assert not wrong and len(seen) == 2


def test_damaged_file_is_cut_off(stack, one):
    """A client must not take half a file for a whole one."""
    path, _ = one
    key = stack.symbol_store / "key" / path[len("/symbols/"):]
    data = key.read_bytes()
    key.unlink()
    key.write_bytes(data[:-20])
    key.chmod(0o644)
    stack.error_log.expect("SAL2021")
    with pytest.raises((requests.exceptions.ChunkedEncodingError,
                        requests.exceptions.ConnectionError)):
        requests.get(stack.url + stored(path), headers={"Accept-Encoding": "identity"}, timeout=20)


def test_curl(stack, one, tmp_path):
    """As documented: follow the redirect, ask for gzip."""
    path, text = one
    out = tmp_path / "one.sym"
    subprocess.run(["curl", "-sfL", "--compressed", "-o", out, stack.url + path], check=True)
    assert out.read_bytes() == text
    subprocess.run(["curl", "-sfL", "-o", out, stack.url + path], check=True)
    assert out.read_bytes() == text


# ---- syminfo ----

def test_syminfo(stack, one):
    path, _ = one
    debug_id = path.split("/")[3]
    code_id = f"5F3C{debug_id[:8]}12000"
    wanted = {"debug_id": debug_id, "debug_filename": "one.pdb", "code_file": "one.exe",
              "code_id": code_id, "generator": "test 1.0", "url": stack.url + path}
    for asked in (f"one.exe/{code_id}", f"one.exe/{code_id.lower()}", f"one.pdb/{debug_id}",
                  f"one.exe/{code_id}/", f"one.exe/{code_id}?_refresh=1"):
        r = requests.get(f"{stack.url}/api/syminfo/{asked}", timeout=20)
        assert (r.status_code, r.json()) == (200, wanted)
        assert r.headers["Access-Control-Allow-Origin"] == "*"
    assert requests.get(wanted["url"], timeout=20).status_code == 200


def test_syminfo_names_the_symbols(stack):
    """A .sym is added to the name of a library, and try uploads say so."""
    debug_id = new_id()
    text = sym("libtry.so", debug_id, code=("libtry.so", debug_id[:20]))
    assert upload(stack, archive({f"libtry.so/{debug_id}/libtry.so.sym": text}),
                  fields={"try": "1"}).status_code == 201
    found = requests.get(f"{stack.url}/api/syminfo/libtry.so/{debug_id[:20]}", timeout=20).json()
    assert found["url"] == f"{stack.url}/symbols/try/libtry.so/{debug_id}/libtry.so.sym"


def test_syminfo_misses(stack):
    r = requests.get(f"{stack.url}/api/syminfo/nobody.exe/5F3C", timeout=20)
    assert (r.status_code, r.text) == (404, "Code file / id Not Found")
    r = requests.head(f"{stack.url}/api/syminfo/nobody.exe/5F3C", timeout=20)
    assert (r.status_code, r.headers["Allow"]) == (405, "GET")
    assert requests.get(f"{stack.url}/api/syminfo/nobody.exe/xyz", timeout=20).status_code == 404
