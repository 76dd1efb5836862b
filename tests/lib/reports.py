"""Crash reports as bytes: making them, sending them, and looking at what the store keeps of them."""
import json
import re
import socket
import subprocess
import urllib.parse
import zipfile

import requests

BOUNDARY = "0123456789abcdef0123"
FORM = f"multipart/form-data; boundary={BOUNDARY}"
CRASH_ID = re.compile(r"^CrashID=bp-([0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-"
                      r"[0-9a-f]{5}([0-3])\d{6})\n$")
TOKEN = "0123456789abcdef-token"


def part(name, value, filename=None, ctype=None):
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"'
    if filename is not None:
        head += f'; filename="{filename}"'
    head += "\r\n"
    if ctype:
        head += f"Content-Type: {ctype}\r\n"
    value = value if isinstance(value, bytes) else value.encode()
    return head.encode() + b"\r\n" + value + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()
BODY = (part("ProductName", "Demo") + part("Version", "1.0")
        + part("upload_file_minidump", b"MDMP1234", "x.dmp", "application/octet-stream") + END)


def post(stack, body=BODY, ctype=FORM, path="/submit", **headers):
    given = {} if ctype is None else {"Content-Type": ctype}
    given.update({k.replace("_", "-"): v for k, v in headers.items()})
    return requests.post(stack.url + path, data=body, headers=given, timeout=60)


def raw_request(stack, head, body=b"", wait=20):
    """Bytes on a socket; the whole answer."""
    url = urllib.parse.urlsplit(stack.url)
    with socket.create_connection((url.hostname, url.port), timeout=wait) as s:
        s.sendall(head.replace("\n", "\r\n").encode() + b"\r\n" + body)
        answer = b""
        while True:
            piece = s.recv(65536)
            if not piece:
                return answer
            answer += piece


def accepted(response):
    assert response.status_code == 200, (response.status_code, response.text)
    found = CRASH_ID.match(response.text)
    assert found, response.text
    return found.group(1)


def refused(response, status, body):
    assert (response.status_code, response.text) == (status, body)
    assert response.headers["Content-Type"].startswith("text/plain")


def container(stack, crash_id):
    found = list(stack.store.glob(f"crash/20{crash_id[-6:]}/{crash_id[:2]}/{crash_id}.zip"))
    assert len(found) == 1
    return zipfile.ZipFile(found[0])


def raw_crash(stack, crash_id):
    return json.loads(container(stack, crash_id).read("raw_crash.json"))


def dump(stack, crash_id, name="upload_file_minidump"):
    packed = container(stack, crash_id).read(name + ".zst")
    return subprocess.run(["zstd", "-dqc"], input=packed, capture_output=True, check=True).stdout


def stored(stack):
    return {p.stem for p in stack.store.glob("crash/*/*/*.zip")}


def exchange(stack, data, wait=30):
    """Sends a recorded request as it stands; (status, headers with lower-case names, body)."""
    url = urllib.parse.urlsplit(stack.url)
    with socket.create_connection((url.hostname, url.port), timeout=wait) as s:
        s.sendall(data)
        answer = b""
        while b"\r\n\r\n" not in answer:
            piece = s.recv(65536)
            assert piece, answer
            answer += piece
        top, _, body = answer.partition(b"\r\n\r\n")
        line, *rest = top.decode("latin-1").split("\r\n")
        headers = {k.lower(): v for k, v in (x.split(": ", 1) for x in rest)}
        while len(body) < int(headers["content-length"]):
            body += s.recv(65536)
    return int(line.split()[1]), headers, body.decode()
