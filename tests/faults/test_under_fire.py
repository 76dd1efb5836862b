"""Many idle connections, slow senders, floods, oversize everything: the collector answers all of it,
lives on, and its memory and logs stay bounded (collector's specification, section 13).

`make check-faults` sends 10,000 connections; the short form fewer.
"""
import resource
import socket

import pytest
import requests

from faults import FULL, loudly

BOUNDARY = "0123456789abcdef0123"
FORM = f"multipart/form-data; boundary={BOUNDARY}"
BODY = (f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="ProductName"\r\n\r\nDemo\r\n'
        f"--{BOUNDARY}--\r\n").encode()
IDLE = 10000 if FULL else 500
SLOW = 200 if FULL else 70
FLOOD = 10000 if FULL else 300
MEMORY_OF_ONE = 64 * 1024       # bytes that an idle connection may cost

CONF = """
KeepAliveTimeout 300
MaxKeepAliveRequests 0
AsyncRequestWorkerFactor 1000
RequestReadTimeout header=5 body=2
<Location "/flood">
    SetHandler crash-collect
    CrashTokenOptional off
    CrashAddressRate 1/h 5
</Location>
"""


@pytest.fixture(scope="module", autouse=True)
def shared_conf(instance):
    """httpd inherits the limit of open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < IDLE + 500:
        loudly(f"{IDLE} connections need more than {hard} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, IDLE + 500), hard))
    instance.shared_conf(CONF)
    yield
    instance.shared_conf("")
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def connect(stack):
    s = socket.create_connection(("127.0.0.1", stack.port), timeout=60)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def is_alive(stack):
    r = requests.post(stack.url + "/submit", data=BODY, headers={"Content-Type": FORM}, timeout=60)
    return r.status_code == 200 and r.text.startswith("CrashID=bp-")


def memory(stack):
    """Bytes of the children that are theirs alone."""
    total = 0
    for pid in stack.children("httpd"):
        with open(f"/proc/{pid}/smaps_rollup") as f:
            total += sum(int(line.split()[1]) * 1024 for line in f
                         if line.startswith(("Private_Dirty", "Private_Clean")))
    return total


def log_size(stack):
    return (stack.dir / "logs" / "error_log").stat().st_size


def read_answer(s):
    answer = b""
    try:
        while b"\r\n\r\n" not in answer:
            piece = s.recv(65536)
            if not piece:
                break
            answer += piece
    except ConnectionResetError:
        pass
    return answer


def test_idle_connections(stack):
    for _ in range(20):
        assert is_alive(stack)
    logged, before = log_size(stack), memory(stack)
    idle = []
    try:
        for _ in range(IDLE):
            s = connect(stack)
            s.sendall(b"GET /__lbheartbeat__ HTTP/1.1\r\nHost: x\r\n\r\n")
            assert read_answer(s).startswith(b"HTTP/1.1 200 ")
            idle.append(s)
        grown = memory(stack) - before
        print(f"{IDLE} idle connections: {grown / IDLE / 1024:.1f} KiB each")
        assert grown <= IDLE * MEMORY_OF_ONE
        for _ in range(20):
            assert is_alive(stack)
        # They were not thrown out: each is served again.
        for s in idle[::97]:
            s.sendall(b"GET /__lbheartbeat__ HTTP/1.1\r\nHost: x\r\n\r\n")
            assert read_answer(s).startswith(b"HTTP/1.1 200 ")
    finally:
        for s in idle:
            s.close()
    assert is_alive(stack)
    assert log_size(stack) - logged < 10000


def test_slow_senders(stack):
    """More of them than there are workers: each is answered 408, then others are served."""
    stack.error_log.expect("AH03490|AH00484|AH10159|AH00485")       # all workers are busy: httpd says so
    logged = log_size(stack)
    slow = []
    for _ in range(SLOW):
        s = connect(stack)
        s.sendall(f"POST /submit HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\n"
                  "Content-Length: 100000\r\n\r\n".encode() + BODY[:20])
        slow.append(s)
    answers = [read_answer(s) for s in slow]
    for s in slow:
        s.close()
    assert all(a.startswith(b"HTTP/1.1 408 ") for a in answers), answers
    assert is_alive(stack)
    assert log_size(stack) - logged < 20000
    page = requests.get(stack.url + "/metrics", timeout=60).text
    assert 'salvage_collector_malformed_total{reason="late"}' in page


@pytest.mark.skipif(not FULL, reason="ten seconds; make check-faults")
def test_slow_headers(stack):
    stack.error_log.expect("AH03490|AH00484|AH10159|AH00485")
    slow = []
    for _ in range(SLOW):
        s = connect(stack)
        s.sendall(b"POST /submit HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        slow.append(s)
    for s in slow:
        answer = read_answer(s)
        assert not answer or answer.startswith((b"HTTP/1.1 408 ", b"HTTP/1.1 400 ")), answer
        s.close()
    assert is_alive(stack)


def test_flood_of_one_address(stack):
    stack.error_log.expect("SAL1024")
    logged = log_size(stack)
    got = {200: 0, 503: 0}
    with requests.Session() as s:
        for _ in range(FLOOD):
            r = s.post(stack.url + "/flood", data=BODY, headers={"Content-Type": FORM}, timeout=60)
            got[r.status_code] += 1
    assert got == {200: 5, 503: FLOOD - 5}
    assert log_size(stack) - logged < 10000


def exchange(stack, head, pieces=()):
    """Sends as long as it is let; the answer's first line."""
    with connect(stack) as s:
        try:
            s.sendall(head)
            for piece in pieces:
                s.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return read_answer(s).split(b"\r\n")[0]


def test_oversize_everything(stack):
    stack.error_log.expect("AH0")       # what httpd's core refuses it says itself
    post = f"POST /submit HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\n".encode()
    chunked = post + b"Transfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    before = memory(stack)
    cases = [
        (b"413", post + b"Content-Length: 99999999999\r\n\r\n", []),
        (b"413", post + b"Content-Length: 26214401\r\n\r\n", [b"x" * 65536] * 401),
        (b"413", chunked, (chunk for _ in range(20000))),
        (b"4", chunked, [b"1;" + b"e" * 100000 + b"\r\nx\r\n0\r\n\r\n"]),
        (b"4", chunked, [b"fffffffffffffffff\r\n"]),
        (b"400", post + b"X-Long: " + b"h" * 100000 + b"\r\n\r\n", []),
        (b"400", post + b"".join(b"X-%d: y\r\n" % i for i in range(1000)) + b"\r\n", []),
        (b"400", post.replace(FORM.encode(), b"multipart/form-data; boundary=" + b"b" * 5000)
         + b"Content-Length: 5\r\n\r\nxxxxx", []),
        (b"414", b"POST /submit?" + b"q" * 100000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", []),
    ]
    for status, head, pieces in cases:
        line = exchange(stack, head, pieces)
        # A peer that is still sending when the door closes may lose the answer to a reset.
        assert line.startswith(b"HTTP/1.1 " + status) or not line, (status, line, head[:60])
        assert is_alive(stack)
    assert memory(stack) - before < 64 << 20
