"""A symbol server that does what a test tells it to: well, slowly, wrongly or not at all."""
import contextlib
import gzip
import http.server
import socket
import struct
import threading
import time
import zlib


class SymbolServer:
    """with SymbolServer() as s: s.put("a.pdb/ID/a.sym", file(b"MODULE ..."))."""

    def __init__(self):
        self.routes = {}
        self.requests = []  # (path without the slash, query, headers)
        self.fallback = status(404)
        self.down = False   # accepts connections and says nothing

    def put(self, path, answer):
        self.routes[path] = answer

    def paths(self):
        return [path for path, _, _ in self.requests]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                path, _, query = self.path.partition("?")
                outer.requests.append((path.lstrip("/"), query, dict(self.headers)))
                if outer.down:
                    time.sleep(30)
                    return
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    outer.routes.get(path.lstrip("/"), outer.fallback)(self)

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass

        self.httpd = Server(("127.0.0.1", 0), Handler)
        self.port = self.httpd.server_address[1]
        threading.Thread(target=self.httpd.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *args):
        self.httpd.shutdown()
        self.httpd.server_close()


def _send(h, code, headers, body=b""):
    h.send_response(code)
    for name, value in headers.items():
        h.send_header(name, value)
    h.end_headers()
    h.wfile.write(body)


def file(data, encoding=None, announce=True, chunked=False, delay=0, **extra):
    """The file; encoding gzip or zlib, with or without a header that says so."""
    body = gzip.compress(data, 1) if encoding == "gzip" else zlib.compress(data, 1) if encoding == "deflate" else data

    def answer(h):
        headers = dict(extra)
        if encoding and announce:
            headers["Content-Encoding"] = encoding
        time.sleep(delay)
        if chunked:
            headers["Transfer-Encoding"] = "chunked"
            _send(h, 200, headers)
            for at in range(0, len(body), 50000):
                piece = body[at:at + 50000]
                h.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            h.wfile.write(b"0\r\n\r\n")
        else:
            headers["Content-Length"] = str(len(body))
            _send(h, 200, headers, body)
    return answer


def status(code, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda h: _send(h, code, {"Content-Length": "0", **named})


def redirect(url, code=302):
    return lambda h: _send(h, code, {"Content-Length": "0", "Location": url})


def in_turn(*answers):
    """The first answer, then the second ...; the last one for good."""
    left = list(answers)

    def answer(h):
        (left.pop(0) if len(left) > 1 else left[0])(h)
    return answer


def cut_off(data, announced):
    """Says that more bytes are to come than do, and hangs up."""
    def answer(h):
        _send(h, 200, {"Content-Length": str(announced), "Connection": "close"}, data)
        h.close_connection = True
    return answer


def until_closed(data):
    """No length at all: the end of the connection is the end of the file."""
    def answer(h):
        _send(h, 200, {"Connection": "close"}, data)
        h.close_connection = True
    return answer


def endless(data):
    def answer(h):
        _send(h, 200, {"Transfer-Encoding": "chunked"})
        h.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        line = b"FILE 1 " + b"x" * 65000 + b"\n"
        while True:
            h.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
    return answer


def stalled(data, seconds=30):
    """A beginning, and then nothing."""
    def answer(h):
        _send(h, 200, {"Content-Length": str(len(data) + 1000)}, data)
        h.wfile.flush()
        time.sleep(seconds)
    return answer


@contextlib.contextmanager
def closed_port():
    """The URL of a port that nobody listens on."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{s.getsockname()[1]}"


def without_debug_id(dump, name):
    """The minidump, its module `name` without a CodeView record: only a code id is left."""
    data = bytearray(dump)
    count, directory = struct.unpack_from("<II", data, 8)
    for i in range(count):
        kind, _, rva = struct.unpack_from("<III", data, directory + 12 * i)
        if kind != 4:
            continue
        modules, = struct.unpack_from("<I", data, rva)
        for m in range(modules):
            at = rva + 4 + 108 * m
            name_rva, = struct.unpack_from("<I", data, at + 20)
            length, = struct.unpack_from("<I", data, name_rva)
            if data[name_rva + 4:name_rva + 4 + length].decode("utf-16-le").endswith(name):
                struct.pack_into("<II", data, at + 76, 0, 0)
                return bytes(data)
    raise AssertionError(f"no module {name}")
