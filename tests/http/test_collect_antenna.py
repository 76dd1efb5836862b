"""The cases of Antenna's own system tests, in our words (specification, section 15): what a client that
works with Mozilla's collector finds here."""
import gzip
import http.client
import json
import socket
import time
import urllib.parse

import pytest
import requests

from reports import (BOUNDARY, END, FORM, accepted, dump, part, post, raw_crash, raw_request, refused,
                     stored)

CRASH = (part("ProductName", "Firefox") + part("Version", "1")
         + part("upload_file_minidump", b"abcd1234", "file.dump", "application/octet-stream") + END)


def sized(size):
    """A report of so many bytes."""
    head = CRASH[:CRASH.index(b"abcd1234")]
    return head + b"m" * (size - len(head) - 2 - len(END)) + b"\r\n" + END


# ---- test_post_crash ----

def published(stack, crash_id):
    """The id comes to the queue."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if stack.query("select 1 from raw_crash where crash_id = %s", crash_id):
            return True
        time.sleep(0.1)
    return False


def test_regular(stack):
    crash_id = accepted(post(stack, CRASH))
    raw = raw_crash(stack, crash_id)
    assert (raw["ProductName"], raw["Version"]) == ("Firefox", "1")
    assert raw["metadata"]["payload"] == "multipart"
    assert raw["metadata"]["payload_compressed"] == "0"
    assert list(raw["metadata"]["dump_checksums"]) == ["upload_file_minidump"]
    assert dump(stack, crash_id) == b"abcd1234"
    assert published(stack, crash_id)


def test_compressed_crash(stack):
    crash_id = accepted(post(stack, gzip.compress(CRASH), Content_Encoding="gzip"))
    raw = raw_crash(stack, crash_id)
    assert raw["ProductName"] == "Firefox" and raw["metadata"]["payload_compressed"] == "1"
    assert dump(stack, crash_id) == b"abcd1234" and published(stack, crash_id)


@pytest.mark.parametrize("compressed", [False, True])
def test_json_crash(stack, compressed):
    body = (part("extra", json.dumps({"ProductName": "Firefox", "Version": "1"}), "extra.json",
                 "application/json")
            + part("upload_file_minidump", b"abcd1234", "x", "application/octet-stream") + END)
    headers = {"Content_Encoding": "gzip"} if compressed else {}
    raw = raw_crash(stack, accepted(post(stack, gzip.compress(body) if compressed else body,
                                         **headers)))
    assert raw["metadata"]["payload"] == "json"


# ---- test_content_length ----

def test_content_length_of_the_library(stack):
    """What that test does: the client's library adds the header that was left out."""
    url = urllib.parse.urlsplit(stack.url)
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=30)
    connection.request("POST", "/submit", CRASH, {"Content-Type": FORM})
    answer = connection.getresponse()
    assert answer.status == 200 and answer.read().startswith(b"CrashID=")
    connection.close()


def test_no_content_length(stack):
    """What that test means: neither a length nor chunks."""
    answer = raw_request(stack, f"POST /submit HTTP/1.1\nHost: x\nConnection: close\n"
                         f"Content-Type: {FORM}\n")
    assert b" 400 " in answer.split(b"\r\n")[0]
    assert answer.endswith(b"Discarded=malformed_no_content_length")


def test_content_length_0(stack):
    answer = raw_request(stack, f"POST /submit HTTP/1.1\nHost: x\nConnection: close\n"
                         f"Content-Type: {FORM}\nContent-Length: 0\n")
    assert answer.endswith(b"Discarded=malformed_no_content_length")


def test_content_length_20(stack):
    answer = raw_request(stack, f"POST /submit HTTP/1.1\nHost: x\nConnection: close\n"
                         f"Content-Type: {FORM}\nContent-Length: 20\n", CRASH)
    assert answer.endswith(b"Discarded=malformed_invalid_payload_structure")


def test_content_length_1000_over(stack):
    stack.httpd_conf("RequestReadTimeout body=2")
    before = stored(stack)
    answer = raw_request(stack, f"POST /submit HTTP/1.1\nHost: x\nContent-Type: {FORM}\n"
                         f"Content-Length: {len(CRASH) + 1000}\n", CRASH)
    assert answer == b"" or b" 408 " in answer.split(b"\r\n")[0]
    assert stored(stack) == before


def test_content_length_non_int(stack):
    answer = raw_request(stack, f"POST /submit HTTP/1.1\nHost: x\nContent-Type: {FORM}\n"
                         "Content-Length: foo\n", CRASH)
    assert b" 400 " in answer.split(b"\r\n")[0]


# ---- test_discards ----

def test_missing_content_type(stack):
    refused(post(stack, CRASH, None), 400, "Discarded=malformed_no_content_type")


def test_missing_boundary(stack):
    refused(post(stack, CRASH, "multipart/form-data"), 400, "Discarded=malformed_no_boundary")


def test_wrong_boundary(stack):
    refused(post(stack, CRASH, f"multipart/form-data; boundary={BOUNDARY[::-1]}"), 400,
            "Discarded=malformed_invalid_payload_structure")


def test_no_payload(stack):
    refused(post(stack, b""), 400, "Discarded=malformed_no_content_length")


def test_junk_payload(stack):
    refused(post(stack, b"foobarbaz"), 400, "Discarded=malformed_invalid_payload_structure")


def test_missing_content_encoding(stack):
    """A compressed body that does not say so."""
    refused(post(stack, gzip.compress(CRASH)), 400, "Discarded=malformed_invalid_payload_structure")


def test_bad_gzip(stack):
    refused(post(stack, CRASH, Content_Encoding="gzip"), 400, "Discarded=malformed_bad_gzip")


# ---- test_25mblimit ----

@pytest.mark.parametrize("over,status", [(-1, 200), (0, 200), (1, 413), (1024 * 1024, 413)])
def test_25_mib(stack, over, status):
    r = post(stack, sized(25 * 1024 * 1024 + over))
    assert r.status_code == status
    assert r.text.startswith("CrashID=" if status == 200 else "Discarded=malformed_too_large")


def test_26_mib_and_low_content_length(stack):
    """Only what the length says is the report; more is neither read as one nor stored."""
    before, body = stored(stack), sized(26 * 1024 * 1024)
    url = urllib.parse.urlsplit(stack.url)
    with socket.create_connection((url.hostname, url.port), timeout=30) as s:
        s.sendall(f"POST /submit HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {FORM}"
                  f"\r\nContent-Length: {25 * 1024 * 1024}\r\n\r\n".encode() + body)
        answer = s.recv(65536)
    assert b" 400 " in answer.split(b"\r\n")[0], answer
    assert stored(stack) == before


# ---- test_dockerflow ----

def test_dockerflow(stack):
    for path in ("/__lbheartbeat__", "/__heartbeat__", "/__version__"):
        assert requests.get(stack.url + path, timeout=30).status_code == 200
    keys = set(requests.get(stack.url + "/__version__", timeout=30).json())
    assert keys in (set(), {"source", "version", "commit", "build"})
