"""mod_symbols: what an upload must be, what it leaves, how symbols are downloaded."""
import gzip
import hashlib
import http.client
import time
import urllib.parse
import zipfile

import pytest
import requests
from symbols import ID, archive, counts, stored, sym, upload

PATTERN = ("Unrecognized file pattern. Should only be <module>/<hex>/<file> or <name>-symbols.txt "
           "and nothing else. (First unrecognized pattern was %r)")


def new_id():
    """A debug id that no other test uses."""
    new_id.n += 1
    return f"{hashlib.md5(str((new_id.n, time.time())).encode()).hexdigest().upper()}1"


new_id.n = 0


def raw_get(stack, path, headers=None, method="GET"):
    """Without the decoding and default headers of requests."""
    url = urllib.parse.urlparse(stack.url)
    c = http.client.HTTPConnection(url.hostname, url.port, timeout=30)
    c.putrequest(method, path, skip_accept_encoding=True)
    for name, value in (headers or {}).items():
        c.putheader(name, value)
    c.endheaders()
    r = c.getresponse()
    r.body = r.read()
    c.close()
    return r


@pytest.fixture
def untouched(stack):
    before = stored(stack), counts(stack)
    yield
    assert (stored(stack), counts(stack)) == before


def refused(answer, status, text):
    assert (answer.status_code, answer.json()) == (status, {"error": text})


# ---- refusals: exact texts, nothing stored ----

def good():
    return {f"good.pdb/{ID}/good.sym": sym("good.pdb", ID + "F")}


@pytest.mark.parametrize("name", ["../../etc/passwd", f"../{ID}/x.sym", f"xul.pdb/{ID}/..",
                                  f"/xul.pdb/{ID}/xul.sym", "xul.sym", f"a/xul.pdb/{ID}/xul.sym",
                                  "xul.pdb/notes/xul.sym", f"it's/{ID}/it's.sym",
                                  f"caf\u00e9.pdb/{ID}/x.sym", f"xul.pdb/{'0' * 33}/xul.sym"])
def test_bad_name(stack, untouched, name):
    refused(upload(stack, archive({**good(), name: b"x"})), 400, PATTERN % name)


def test_broken_zip(stack, untouched):
    whole = archive({f"xul.pdb/{ID}/xul.sym": sym(lines=2000)})
    refused(upload(stack, whole[:len(whole) // 2]), 400, "File is not a zip file")


def test_damaged_member(stack, untouched):
    whole = bytearray(archive({**good(), f"xul.pdb/{ID}/xul.sym": b"A" * 500},
                              zipfile.ZIP_STORED))
    whole[whole.index(b"AAAA") + 9] = 0x42
    refused(upload(stack, bytes(whole)), 400, f"Bad CRC-32 for file 'xul.pdb/{ID}/xul.sym'")


@pytest.mark.parametrize("body", [b"", b"this is no zip", gzip.compress(sym())])
def test_no_zip(stack, untouched, body):
    refused(upload(stack, body), 400, "File is not a zip file")


@pytest.mark.parametrize("field,extension", [("symbols.rar", ".rar"), ("symbols.zip.gz", ".gz"),
                                             ("symbols", "")])
def test_wrong_extension(stack, untouched, field, extension):
    refused(upload(stack, archive(good()), field=field, filename="f.bin"), 400,
            f'Unrecognized archive file extension "{extension}"')


def test_snippet(stack, untouched):
    refused(upload(stack, archive({**good(), "vendor/qcom/proprietary": b""})), 400,
            "Content of archive file contains the snippet 'qcom/proprietary' which is not allowed")


def test_one_name_twice(stack, untouched):
    name = f"xul.pdb/{ID}/xul.sym"
    with pytest.warns(UserWarning):
        data = archive([(name, b"12345"), (name, b"123")])
    refused(upload(stack, data), 400,
            f"The zipfile buffer contains two files both called {name} and they have difference "
            "sizes (3 != 5)")


def test_zip_bomb(stack, untouched):
    data = archive({f"xul.pdb/{ID}/xul.sym": b"\0" * (64 << 20)})
    assert len(data) < 70000
    refused(upload(stack, data), 413, "Archive member too large")


def test_no_file(stack, untouched):
    text = "Must be multipart form data with at least one file"
    token = {"Auth-Token": stack.upload_token}
    refused(requests.post(stack.url + "/upload/", headers=token, timeout=20), 400, text)
    refused(requests.post(stack.url + "/upload/", headers=token, data={"url": ""}, timeout=20), 400,
            text)
    refused(requests.post(stack.url + "/upload/", headers=token, files={"a": (None, "text")},
                          timeout=20), 400, text)


@pytest.mark.parametrize("url,text", [
    ("https://www.mozilla.org/s.zip", "Not an allowed domain ('www.mozilla.org') to download from."),
    ("http://www.mozilla.org/s.zip", "Insecure URL"), ("not a url", "Enter a valid URL.")])
def test_by_url(stack, untouched, url, text):
    refused(requests.post(stack.url + "/upload/", headers={"Auth-Token": stack.upload_token},
                          data={"url": url}, timeout=20), 400, text)


def test_body_that_ends_early(stack, untouched):
    """A connection that breaks in the middle of the archive leaves nothing."""
    url = urllib.parse.urlparse(stack.url)
    c = http.client.HTTPConnection(url.hostname, url.port, timeout=30)
    body = (b'--b\r\nContent-Disposition: form-data; name="s.zip"; filename="s.zip"\r\n\r\n'
            + archive(good()))
    c.putrequest("POST", "/upload/")
    c.putheader("Auth-Token", stack.upload_token)
    c.putheader("Content-Type", "multipart/form-data; boundary=b")
    c.putheader("Content-Length", str(len(body) + 1000))
    c.endheaders(body)
    c.sock.close()
    time.sleep(0.5)


# ---- uploads ----

def test_upload(stack):
    """What is answered, what lies on the disk, what stands in the tables."""
    debug_id = new_id()
    key = f"xul.pdb/{debug_id}/xul.sym"
    raw = f"xul.pdb/{debug_id}/xul.pd_"
    text = sym("xul.pdb", debug_id, code=("xul.dll", "5F3C1A2B12000"))
    data = archive({key: text, raw: b"CAB", "xul-symbols.txt": b"x", "d/.DS_Store": b"y"})
    answer = upload(stack, data)
    assert answer.status_code == 201, answer.text
    up = answer.json()["upload"]
    assert up["size"] == len(data) and up["filename"] == "symbols.zip"
    assert up["skipped_keys"] == [] and up["try_symbols"] is False
    assert up["redirect_urls"] == [] and up["download_url"] is None
    assert up["user"] == "quickstart@localhost" and up["completed_at"] >= up["created_at"]
    on_disk = stack.symbol_store / "key" / key
    assert gzip.decompress(on_disk.read_bytes()) == text
    assert (stack.symbol_store / "key" / raw).read_bytes() == b"CAB"
    row = stack.query("select debug_file, debug_id, leaf, kind, size, stored_size, md5, sha256, "
                      "header_file, header_id, code_file, code_id, generator, replaced "
                      "from symbol_file where upload_id = %s and kind = 'sym'", up["id"])[0]
    assert row[:5] == ("xul.pdb", debug_id, "xul.sym", "sym", len(text))
    assert row[5] == on_disk.stat().st_size
    assert bytes(row[6]) == hashlib.md5(text).digest()
    assert bytes(row[7]) == hashlib.sha256(text).digest()
    assert row[8:] == ("xul.pdb", debug_id, "xul.dll", "5F3C1A2B12000", "test 1.0", False)
    upload_row = stack.query("select members, stored, ignored_keys, warnings, user_name, "
                             "archive_sha256 from symbol_upload where id = %s", up["id"])[0]
    assert upload_row[:5] == (4, 2, ["xul-symbols.txt", "d/.DS_Store"], [], up["user"])
    assert bytes(upload_row[5]) == hashlib.sha256(data).digest()


def test_same_again_is_skipped(stack):
    key = f"xul.pdb/{new_id()}/xul.sym"
    data = archive({key: sym()})
    assert upload(stack, data).json()["upload"]["skipped_keys"] == []
    assert upload(stack, data).json()["upload"]["skipped_keys"] == [key]
    stored_again = archive({key: sym()}, zipfile.ZIP_STORED)        # same content, other bytes
    assert upload(stack, stored_again).json()["upload"]["skipped_keys"] == [key]
    assert upload(stack, archive({key: sym(lines=9)})).json()["upload"]["skipped_keys"] == []
    assert requests.get(f"{stack.url}/symbols/{key}", timeout=20).content == sym(lines=9)
    assert stack.query("select replaced from symbol_file where debug_id = %s order by id",
                       key.split("/")[1]) == [(False,), (True,)]


def test_lost_file_is_stored_again(stack):
    """The tables say it is there, the disk does not: the disk is believed."""
    key = f"xul.pdb/{new_id()}/xul.sym"
    assert upload(stack, archive({key: sym()})).status_code == 201
    (stack.symbol_store / "key" / key).unlink()
    assert upload(stack, archive({key: sym()})).json()["upload"]["skipped_keys"] == []
    assert requests.get(f"{stack.url}/symbols/{key}", timeout=20).status_code == 200


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_large_member(stack, method):
    """Several buffers long, both ways into the store."""
    key = f"big.pdb/{new_id()}/big.sym"
    text = sym(lines=150000)
    assert upload(stack, archive({key: text}, method)).status_code == 201
    assert gzip.decompress((stack.symbol_store / "key" / key).read_bytes()) == text
    assert requests.get(f"{stack.url}/symbols/{key}", timeout=60).content == text
    plain = raw_get(stack, f"/symbols/{key}")
    assert plain.body == text and plain.getheader("Content-Encoding") is None


def test_many_members(stack):
    """Enough that the store syncs its file system as a whole."""
    debug_id = new_id()
    texts = {f"m{i}.pdb/{debug_id}/m{i}.sym": sym(f"m{i}.pdb", debug_id) for i in range(100)}
    texts[f"twin.pdb/{debug_id}/twin.sym"] = texts[f"m0.pdb/{debug_id}/m0.sym"]
    first = upload(stack, archive(texts))
    assert first.status_code == 201 and first.json()["upload"]["skipped_keys"] == []
    for key, text in texts.items():
        assert gzip.decompress((stack.symbol_store / "key" / key).read_bytes()) == text
    assert stack.query("select count(*) from symbol_key where debug_id = %s", debug_id) == [(101,)]
    again = upload(stack, archive(texts)).json()["upload"]
    assert sorted(again["skipped_keys"]) == sorted(texts)
    assert not list((stack.symbol_store / "tmp").iterdir())


def test_empty_archive(stack):
    answer = upload(stack, archive({}))
    assert answer.status_code == 201 and answer.json()["upload"]["skipped_keys"] == []


def test_only_the_first_file_counts(stack):
    first, second = f"a.pdb/{new_id()}/a.sym", f"b.pdb/{new_id()}/b.sym"
    files = [("one.zip", ("one.zip", archive({first: sym()}))),
             ("two.zip", ("two.zip", archive({second: sym()})))]
    answer = requests.post(stack.url + "/upload/", files=files,
                           headers={"Auth-Token": stack.upload_token}, timeout=30)
    assert answer.status_code == 201 and answer.json()["upload"]["filename"] == "one.zip"
    assert requests.get(f"{stack.url}/symbols/{first}", timeout=20).status_code == 200
    assert requests.get(f"{stack.url}/symbols/{second}", timeout=20).status_code == 404


def test_filename_ends_in_zip_but_the_field_does_not(stack):
    answer = upload(stack, archive({f"a.pdb/{new_id()}/a.sym": sym()}), field="upload_file",
                    filename="linux.symbols.zip")
    assert answer.status_code == 201 and answer.json()["upload"]["filename"] == "linux.symbols.zip"


def test_header_of_another_module(stack):
    key = f"liar.pdb/{new_id()}/liar.sym"
    answer = upload(stack, archive({key: sym("honest.pdb")}))
    assert answer.status_code == 201
    assert stack.query("select warnings from symbol_upload where id = %s",
                       answer.json()["upload"]["id"]) == [([f"header does not match key: {key}"],)]


# ---- try ----

def try_token(stack):
    return stack.salvage("token", "create", "try@example.com", "--permission",
                         "upload_try_symbols").stdout.strip()


def test_try_upload(stack):
    key = f"try.pdb/{new_id()}/try.sym"
    answer = upload(stack, archive({key: sym()}), fields={"try": "1"})
    assert answer.status_code == 201 and answer.json()["upload"]["try_symbols"] is True
    assert requests.get(f"{stack.url}/symbols/{key}", timeout=20).status_code == 404
    assert requests.get(f"{stack.url}/symbols/{key}?try", timeout=20).status_code == 200
    assert requests.get(f"{stack.url}/symbols/try/{key}", timeout=20).content == sym()
    assert (stack.symbol_store / "try" / "key" / key).exists()


def test_try_token(stack):
    token = try_token(stack)
    data = archive({f"try.pdb/{new_id()}/try.sym": sym()})
    assert upload(stack, data, token=token).json()["upload"]["try_symbols"] is True
    for value in ("", "0", "false", "no"):      # asks for a regular upload, without the right to it
        refused(upload(stack, data, token=token, fields={"try": value}), 403, "Forbidden")


def test_try_upload_of_what_is_regular(stack):
    key = f"both.pdb/{new_id()}/both.sym"
    assert upload(stack, archive({key: sym()})).status_code == 201
    answer = upload(stack, archive({key: sym()}), fields={"try": "yes"})
    assert answer.json()["upload"]["skipped_keys"] == [key]


# ---- downloads ----

@pytest.fixture
def one(stack):
    """A stored .sym: (path, text)."""
    debug_id = new_id()
    text = sym("one.pdb", debug_id, code=("one.exe", f"5F3C{debug_id[:8]}12000"))
    assert upload(stack, archive({f"one.pdb/{debug_id}/one.sym": text})).status_code == 201
    return f"/symbols/one.pdb/{debug_id}/one.sym", text


def test_gzip_where_accepted(stack, one):
    path, text = one
    r = raw_get(stack, path, {"Accept-Encoding": "br, gzip;q=0.8"})
    assert (r.status, r.getheader("Content-Encoding")) == (200, "gzip")
    assert gzip.decompress(r.body) == text
    assert int(r.getheader("Content-Length")) == len(r.body)
    assert r.getheader("Content-Type") == "text/plain"
    assert r.getheader("Vary") == "Accept-Encoding"
    assert r.getheader("Cache-Control") == "public, max-age=31536000, immutable, no-transform"
    assert r.getheader("Access-Control-Allow-Origin") == "*"
    assert r.getheader("ETag") == f'"{hashlib.sha256(r.body).hexdigest()}"'


@pytest.mark.parametrize("header", [None, "identity", "br", "gzip;q=0", "gzip;q=0, *"])
def test_text_where_gzip_is_not_accepted(stack, one, header):
    path, text = one
    r = raw_get(stack, path, {"Accept-Encoding": header} if header else {})
    assert (r.status, r.getheader("Content-Encoding"), r.body) == (200, None, text)
    assert r.getheader("ETag").startswith('W/"') and r.getheader("Vary") == "Accept-Encoding"


def test_range(stack, one):
    path, _ = one
    whole = raw_get(stack, path, {"Accept-Encoding": "gzip"})
    part = raw_get(stack, path, {"Accept-Encoding": "gzip", "Range": "bytes=10-29"})
    assert part.status == 206 and part.body == whole.body[10:30]
    assert part.getheader("Content-Range") == f"bytes 10-29/{len(whole.body)}"
    past = raw_get(stack, path, {"Accept-Encoding": "gzip", "Range": "bytes=999999-"})
    assert past.status == 416
    text = raw_get(stack, path, {"Range": "bytes=10-29"})           # of text none is offered
    assert text.status == 200 and text.body == one[1]


def test_conditions(stack, one):
    path, _ = one
    whole = raw_get(stack, path, {"Accept-Encoding": "gzip"})
    same = raw_get(stack, path, {"Accept-Encoding": "gzip",
                                 "If-None-Match": whole.getheader("ETag")})
    assert (same.status, same.body) == (304, b"")
    since = raw_get(stack, path, {"Accept-Encoding": "gzip",
                                  "If-Modified-Since": whole.getheader("Last-Modified")})
    assert since.status == 304
    other = raw_get(stack, path, {"Accept-Encoding": "gzip", "If-None-Match": '"other"'})
    assert other.status == 200


def test_head(stack, one):
    path, _ = one
    whole = raw_get(stack, path, {"Accept-Encoding": "gzip"})
    head = raw_get(stack, path, {"Accept-Encoding": "gzip"}, method="HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.getheader("Content-Length") == whole.getheader("Content-Length")
    assert head.getheader("ETag") == whole.getheader("ETag")


def test_letter_case_and_spellings(stack, one):
    path, text = one
    _, _, file, debug_id, leaf = path.split("/")
    for wanted in (f"{file}/{debug_id.lower()}/{leaf}", f"ONE.PDB/{debug_id}/one.sym",
                   f"{file}/{debug_id[:32]}{debug_id[32:].lower()}/one.pdb.sym"):
        assert requests.get(f"{stack.url}/symbols/{wanted}", timeout=20).content == text


def test_odd_names(stack):
    """Letters that URLs give a meaning to."""
    debug_id = new_id()
    name = "c++filt @1:2 ~&?*.pdb"
    key = f"{name}/{debug_id}/x.sym"
    assert upload(stack, archive({key: sym()})).status_code == 201
    assert requests.get(f"{stack.url}/symbols/{urllib.parse.quote(key)}",
                        timeout=20).content == sym()
    assert raw_get(stack, f"/symbols/c++filt%20@1:2%20~&%3F*.pdb/{debug_id}/x.sym").status == 200


def test_code_id(stack, one):
    """Asked for by code file and code id: a redirect to the debug file and debug id, path only."""
    path, text = one
    code_id = stack.query("select code_id from symbol_file where debug_id = %s",
                          path.split("/")[3])[0][0]
    r = raw_get(stack, f"/symbols/ONE.exe/{code_id.lower()}/one.exe.sym")
    assert (r.status, r.getheader("Location")) == (302, path)
    assert requests.get(f"{stack.url}/symbols/one.exe/{code_id}/one.sym",
                        timeout=20).content == text
    (stack.symbol_store / "key" / path[len("/symbols/"):]).unlink()     # the target must exist
    assert raw_get(stack, f"/symbols/one.exe/{code_id}/one.exe.sym").status == 404


@pytest.mark.parametrize("path,text", [
    (f"nobody.pdb/{ID}/nobody.sym", "Symbol Not Found"),
    (f"nobody.pdb/{ID}/nobody.pd_", "Symbol Not Found"),
    (f"nobody.pdb/{ID}/file.ptr", "Symbol Not Found (and ignored)"),
    (f"nobody.pdb/{ID}/nobody.txt", "Symbol Not Found (and ignored)"),
    (f"nobody.pdb/{'0' * 33}/nobody.sym", "Symbol Not Found (and ignored)")])
def test_not_found(stack, path, text):
    r = requests.get(f"{stack.url}/symbols/{path}", headers={"Debug": "true"}, timeout=20)
    assert (r.status_code, r.text) == (404, text)
    assert r.headers["Access-Control-Allow-Origin"] == "*"
    assert float(r.headers["Debug-Time"]) >= 0


@pytest.mark.parametrize("path", ["xul.pdb", f"xul.pdb/{ID}", f"xul.pdb/{ID}/a/b", "a/xyz/b",
                                  f"a%7Cb/{ID}/b.sym", f"{'a' * 256}/{ID}/a.sym"])
def test_no_route(stack, path):
    r = requests.get(f"{stack.url}/symbols/{path}", timeout=20)
    assert r.status_code == 404
    assert r.json() == {"error": "Not Found", "path": "/symbols/" + urllib.parse.unquote(path)}


def test_methods(stack, one):
    r = requests.post(stack.url + one[0], timeout=20)
    assert (r.status_code, r.headers["Allow"]) == (405, "GET, HEAD")
    assert r.headers["Access-Control-Allow-Origin"] == "*"
    r = requests.options(stack.url + one[0], timeout=20)
    assert (r.status_code, r.headers["Access-Control-Allow-Methods"]) == (204, "GET")


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


# ---- the command ----

def test_command(stack, tmp_path):
    first, second = new_id(), new_id()
    tree = tmp_path / "out" / "xul.pdb" / first
    tree.mkdir(parents=True)
    (tree / "xul.sym").write_bytes(sym("xul.pdb", first))
    (tmp_path / "out" / "README").write_text("no symbols")
    (tmp_path / "loose.sym").write_bytes(sym("libx.so", second))
    args = ("upload-symbols", "--server", stack.url, "--token", stack.upload_token,
            tmp_path / "out", tmp_path / "loose.sym")
    done = stack.salvage(*args)
    keys = {f"xul.pdb/{first}/xul.sym", f"libx.so/{second}/libx.so.sym"}
    lines = done.stdout.splitlines()
    assert {line.split()[-1] for line in lines if line.startswith("stored")} == keys
    assert "1 files are no symbols" in done.stderr
    for key in keys:
        assert requests.get(f"{stack.url}/symbols/{key}", timeout=20).status_code == 200
    again = stack.salvage(*args).stdout.splitlines()
    assert {line.split()[-1] for line in again if line.startswith("skipped")} == keys


def test_command_with_a_zip(stack, tmp_path):
    key = f"a.pdb/{new_id()}/a.sym"
    (tmp_path / "ready.zip").write_bytes(archive({key: sym()}))
    stack.salvage("upload-symbols", "--server", stack.url, "--token", stack.upload_token,
                  tmp_path / "ready.zip")
    assert stack.query("select archive_name from symbol_upload order by id desc limit 1") == [
        ("ready.zip",)]


def test_command_fails(stack, tmp_path):
    (tmp_path / "bad.zip").write_bytes(b"no zip")
    (tmp_path / "x.txt").write_text("x")
    (tmp_path / "x.sym").write_text("no module line")

    def run(*args):
        done = stack.salvage("upload-symbols", *args, check=False)
        return done.returncode, done.stderr

    site = ("--server", stack.url, "--token", stack.upload_token)
    assert run(*site, tmp_path / "bad.zip") == (
        1, f"salvage upload-symbols: bad.zip was not accepted by {stack.url}: 400: File is not a "
        "zip file\n")
    code, text = run("--server", stack.url, "--token", "0" * 64, tmp_path / "bad.zip")
    assert code == 1 and "API Token not matched" in text
    assert run(*site, tmp_path / "x.txt")[0] == 1
    assert run(*site, tmp_path / "x.sym")[0] == 1
    assert run(*site, tmp_path / "nothing")[0] == 1
    assert run(*site)[0] == 2
    assert run("--server", "ftp://x", "--token", "x", tmp_path)[0] == 2
    assert run("--server", stack.url, tmp_path)[0] == 2


def test_command_repeats(stack, tmp_path):
    """Five attempts at a server that is not there, then the reason."""
    (tmp_path / "a.sym").write_bytes(sym())
    done = stack.salvage("upload-symbols", "--server", "http://127.0.0.1:9", "--token", "x",
                         "--retry-delay", "0s", tmp_path / "a.sym", check=False)
    assert done.returncode == 1
    assert done.stderr.count("attempt ") == 4 and "was not accepted" in done.stderr
