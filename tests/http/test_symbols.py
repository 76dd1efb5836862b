"""mod_symbols: what an upload must be, and what it leaves. Downloads: test_symbols_download.py."""
import gzip
import hashlib
import http.client
import time
import urllib.parse
import zipfile

import pytest
import requests
from symbols import ID, archive, counts, new_id, raw_get, stored, sym, upload

PATTERN = ("Unrecognized file pattern. Should only be <module>/<hex>/<file> or <name>-symbols.txt "
           "and nothing else. (First unrecognized pattern was %r)")


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


@pytest.mark.parametrize("body", [b"", b"this is no zip", gzip.compress(sym())],
                         ids=["empty", "text", "gzip"])
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
    plain = raw_get(stack, f"/symbols/v1/{key}")
    assert plain.body == text and plain.getheader("Content-Encoding") is None


def test_many_members(stack, no_leftovers):
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
