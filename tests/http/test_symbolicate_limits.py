"""mod_symbolicate: how many requests may be under way, of all clients and of one."""
import contextlib
import http.client
import json
import os
import signal
import time

import requests

BODY = json.dumps({"jobs": []}).encode()
ORIGIN = {"Origin": "https://profiler.test"}


class Slow:
    """A request whose body is not all there yet. It has its place once it is told to go on."""

    def __init__(self, stack, source="127.0.0.1"):
        self.conn = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=30,
                                               source_address=(source, 0))
        self.conn.putrequest("POST", "/symbolicate/v5")
        self.conn.putheader("Content-Length", str(len(BODY)))
        self.conn.putheader("Expect", "100-continue")
        self.conn.endheaders()
        told = b""
        while not told.endswith(b"\r\n\r\n"):
            got = self.conn.sock.recv(1)
            assert got, told
            told += got
        assert told == b"HTTP/1.1 100 Continue\r\n\r\n"
        self.conn.send(BODY[:3])

    def finish(self):
        self.conn.send(BODY[3:])
        status = self.conn.getresponse().status
        self.conn.close()
        return status


def post(stack, source="127.0.0.1"):
    """Status, headers, text."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", stack.port, timeout=30,
                                                       source_address=(source, 0))) as conn:
        conn.request("POST", "/symbolicate/v5", BODY, ORIGIN)
        r = conn.getresponse()
        return r.status, r.headers, r.read().decode()


def until(status, ask):
    """The first answer of a status: a place is taken and given back a moment after we see why."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        got = ask()
        if got[0] == status:
            return got
        time.sleep(0.05)
    raise AssertionError(f"no {status}: {got[0]} {got[2]}")


def check_refusal(answer, status, title):
    assert (answer[0], answer[2]) == (status, '{"title": "%s"}' % title)
    assert answer[1]["Content-Type"] == "application/json"
    assert int(answer[1]["Retry-After"]) > 0
    assert answer[1]["Access-Control-Allow-Origin"] == "*"


def test_no_limit(stack):
    slow = [Slow(stack) for _ in range(8)]
    assert post(stack)[0] == 200
    assert [s.finish() for s in slow] == [200] * 8


def test_all(stack):
    stack.httpd_conf("SymbolicateMaxInflight 3\n")
    slow = [Slow(stack) for _ in range(3)]
    check_refusal(until(503, lambda: post(stack, "127.0.0.2")), 503, "503 Service Unavailable")
    # what costs nothing is not counted
    r = requests.options(stack.url + "/symbolicate/v5", timeout=30, headers=ORIGIN)
    assert r.status_code == 200
    assert slow.pop().finish() == 200
    until(200, lambda: post(stack))
    slow.append(Slow(stack))
    until(503, lambda: post(stack))
    assert [s.finish() for s in slow] == [200] * 3
    until(200, lambda: post(stack))


def test_client(stack):
    stack.httpd_conf("SymbolicateMaxPerClient 2\n")
    slow = [Slow(stack) for _ in range(2)]
    check_refusal(until(429, lambda: post(stack)), 429, "429 Too Many Requests")
    assert post(stack, "127.0.0.2")[0] == 200
    other = [Slow(stack, "127.0.0.2") for _ in range(2)]
    until(429, lambda: post(stack, "127.0.0.2"))
    assert [s.finish() for s in slow] == [200, 200]
    until(200, lambda: post(stack))
    assert [s.finish() for s in other] == [200, 200]
    until(200, lambda: post(stack, "127.0.0.2"))


def test_refused_at_once(stack):
    """Who is refused need not send the body first, and no thread waits for it."""
    stack.httpd_conf("SymbolicateMaxPerClient 1\n")
    slow = Slow(stack)
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", stack.port,
                                                       timeout=10)) as conn:
        conn.putrequest("POST", "/symbolicate/v5")
        conn.putheader("Content-Length", str(len(BODY)))
        conn.endheaders()
        r = conn.getresponse()  # without a byte of the body; bodies may take 20 s
        assert (r.status, r.getheader("Connection")) == (429, "close")
    assert slow.finish() == 200


def test_killed_children(stack):
    """Places of children that died are free again."""
    stack.error_log.expect("exit signal Killed")
    stack.httpd_conf("SymbolicateMaxInflight 2\nSymbolicateMaxPerClient 2\n")
    slow = [Slow(stack) for _ in range(2)]
    until(429, lambda: post(stack))
    until(503, lambda: post(stack, "127.0.0.2"))
    children = stack.children("httpd")
    for pid in children:
        os.kill(pid, signal.SIGKILL)
    for s in slow:
        s.conn.close()

    def ask():
        try:
            return post(stack)
        except (OSError, http.client.HTTPException) as e:
            return 0, {}, str(e)

    until(200, ask)
    assert ask()[0] == 200


def test_values(stack):
    for line in ("SymbolicateMaxInflight -1", "SymbolicateMaxInflight many",
                 "SymbolicateMaxPerClient 65537"):
        text = stack.extra.read_text()
        stack.extra.write_text(line + "\n")
        stack.stop("httpd")
        try:
            stack.start("httpd")
            raise AssertionError(f"httpd starts with {line}")
        except RuntimeError:
            said = (stack.dir / "logs" / "httpd-start.log").read_text()
            assert line.split()[0] in said, said
        finally:
            stack.extra.write_text(text)
