"""salvage upload-symbols: large archives, broken connections, several at a time."""
import os
import pty
import socket
import subprocess
import threading
import time
import zipfile

import pytest
from symbols import sym
from test_symbols import new_id
from test_symbols_upload_stream import all_there, large


class Breaking:
    """A TCP proxy that cuts each of the first connections after so many bytes."""

    def __init__(self, port, cuts):
        self.port, self.cuts, self.bytes = port, list(cuts), 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.connection, args=(client,)).start()

    def connection(self, client):
        server = socket.create_connection(("127.0.0.1", self.port))
        back = threading.Thread(target=self.copy, args=(server, client))
        back.start()
        sent = 0
        while True:
            try:
                data = client.recv(65536)
            except OSError:
                break
            if not data:
                break
            self.bytes += len(data)
            sent += len(data)
            server.sendall(data)
            if self.cuts and sent > self.cuts[0]:
                self.cuts.pop(0)
                time.sleep(0.3)
                break
        for s in (client, server):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        back.join()
        client.close()
        server.close()

    @staticmethod
    def copy(a, b):
        try:
            while True:
                data = a.recv(65536)
                if not data:
                    break
                b.sendall(data)
        except OSError:
            pass

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()


@pytest.fixture
def breaking(stack):
    made = []

    def make(*cuts):
        made.append(Breaking(stack.port, cuts))
        return made[-1]
    yield make
    for m in made:
        m.close()


def zipped(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
        for key, text in members.items():
            z.writestr(key, text)
    return path


def run(stack, url, *args, **env):
    return subprocess.run([stack.env["SALVAGE_BIN"], "upload-symbols", "--server", url, "--token",
                           stack.upload_token, "--retry-delay", "1s", *map(str, args)],
                          capture_output=True, text=True, timeout=180, env={**os.environ, **env})


def test_three_broken_connections(stack, breaking, tmp_path):
    """SALVAGE_TEST_UPLOAD_MB of archive, 24 by default; nothing but the breaks is sent twice."""
    size = int(os.environ.get("SALVAGE_TEST_UPLOAD_MB", "24")) << 20
    members = large(6, size // 6 * 2, new_id(), 31)
    path = zipped(tmp_path / "big.zip", members)
    total = path.stat().st_size
    proxy = breaking(total // 5, total // 4, total // 6)
    done = run(stack, proxy.url, path, XDG_CACHE_HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("attempt ") == 3
    assert "6 stored, 0 skipped" in done.stdout
    assert proxy.bytes < total * 1.35  # a break loses what was not acknowledged
    all_there(stack, members)
    assert not list((tmp_path / "salvage").iterdir())


def test_next_run_goes_on(stack, breaking, tmp_path):
    """The command is killed at half; the next one sends the rest."""
    members = large(4, 6 << 20, new_id(), 37)
    path = zipped(tmp_path / "big.zip", members)
    total = path.stat().st_size
    proxy = breaking(total // 2, 0, 0, 0, 0, 0, 0, 0)
    first = subprocess.Popen([stack.env["SALVAGE_BIN"], "upload-symbols", "--server", proxy.url,
                              "--token", stack.upload_token, "--retry-delay", "60s", path],
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                             env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)})
    assert "attempt 1" in first.stderr.readline()
    first.kill()
    first.wait()
    first.stderr.close()
    proxy.cuts.clear()
    proxy.bytes = 0
    done = run(stack, proxy.url, path, XDG_CACHE_HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert proxy.bytes < total * 0.6
    all_there(stack, members)


def test_several_at_a_time(stack, tmp_path):
    members = large(5, 9 << 20, new_id(), 41)
    paths = [zipped(tmp_path / f"{i}.zip", {k: v}) for i, (k, v) in enumerate(members.items())]
    done = run(stack, stack.url, "--jobs", 3, *paths, XDG_CACHE_HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(": 1 stored, 0 skipped") == 5
    all_there(stack, members)
    again = run(stack, stack.url, "-j", 5, *paths, XDG_CACHE_HOME=str(tmp_path))
    assert again.stdout.count(": 0 stored, 1 skipped") == 5


def test_product_and_version(stack, tmp_path):
    debug_id = new_id()
    path = tmp_path / "p.sym"
    path.write_bytes(sym("p.so", debug_id))
    assert run(stack, stack.url, "--product", "Demo", "--version", "7.1", path).returncode == 0
    big = large(1, 12 << 20, new_id(), 43)
    assert run(stack, stack.url, "--product", "Big", "--version", "8",
               zipped(tmp_path / "b.zip", big), XDG_CACHE_HOME=str(tmp_path)).returncode == 0
    rows = stack.query("select product, version from symbol_file where debug_id = any(%s) "
                       "order by id", [debug_id, next(iter(big)).split("/")[1]])
    assert rows == [("Demo", "7.1"), ("Big", "8")]


def test_progress_bar(stack, tmp_path):
    """On a terminal only."""

    members = large(1, 40 << 20, new_id(), 47)
    path = zipped(tmp_path / "bar.zip", members)
    main, other = pty.openpty()
    proc = subprocess.Popen([stack.env["SALVAGE_BIN"], "upload-symbols", "--server", stack.url,
                             "--token", stack.upload_token, path], stdout=subprocess.PIPE,
                            stderr=other, env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)})
    os.close(other)
    seen = b""
    try:
        while True:
            data = os.read(main, 4096)
            if not data:
                break
            seen += data
    except OSError:
        pass
    out, _ = proc.communicate(timeout=60)
    os.close(main)
    assert proc.returncode == 0 and b"1 stored" in out
    assert b"[#" in seen or b"[ " in seen
    assert b" MB" in seen


def test_usage(stack, tmp_path):
    for args in (("--jobs", "0"), ("--jobs", "17"), ("--jobs", "x")):
        done = run(stack, stack.url, *args, tmp_path)
        assert done.returncode == 2 and "no number from 1 to 16" in done.stderr
