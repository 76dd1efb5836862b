"""Symbol archives for tests: made with Python's own zipfile, or byte by byte where it would refuse."""
import hashlib
import http.client
import io
import os
import time
import urllib.parse
import zipfile

import requests

ID = "C3B913878AFB017237A4A08B325905C70"


def sym(debug_file="xul.pdb", debug_id=ID, code=None, lines=4):
    """Text of a small .sym."""
    text = f"MODULE windows x86_64 {debug_id} {debug_file}\n"
    if code:
        text += f"INFO CODE_ID {code[1]} {code[0]}\n"
    text += "INFO GENERATOR test 1.0\nFILE 0 a.c\n"
    text += "".join(f"FUNC {0x1000 + 16 * i:x} 10 0 f{i}\n{0x1000 + 16 * i:x} 10 {i + 1} 0\n"
                    for i in range(lines))
    return text.encode()


def archive(members, method=zipfile.ZIP_DEFLATED):
    """A zip of {name: content} or [(name, content)]."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as z:
        for name, data in members.items() if isinstance(members, dict) else members:
            z.writestr(zipfile.ZipInfo(name), data, compress_type=method)
    return out.getvalue()


def upload(stack, data, token=None, field="symbols.zip", filename="symbols.zip", path="/upload/",
           fields=None, headers=None, timeout=60):
    """POSTs an archive as Mozilla's clients do; token "" sends none."""
    headers = dict(headers or {})
    if token != "":
        headers["Auth-Token"] = stack.upload_token if token is None else token
    files = {field: (filename, data, "application/zip")}
    return requests.post(stack.url + path, files=files, data=fields or {}, headers=headers,
                         timeout=timeout)


def put(stack, name, debug_id, leaf, text):
    """Puts symbols where the store keeps them (docs/symbols.md), as the server's own."""
    folder = stack.symbol_store / "key" / name / debug_id
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (leaf + ".new")
    path.write_bytes(text)
    owner = stack.symbol_store.stat()
    for made in (path, folder, folder.parent, folder.parent.parent):
        os.chown(made, owner.st_uid, owner.st_gid)
    path.rename(folder / leaf)


def stored(stack):
    """Everything that the store on disk holds: paths of files below its root."""
    root = stack.symbol_store
    return sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file())


def counts(stack):
    """Rows of the symbol tables."""
    return stack.query("select (select count(*) from symbol_upload), "
                       "(select count(*) from symbol_file), (select count(*) from symbol_key)")[0]


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
