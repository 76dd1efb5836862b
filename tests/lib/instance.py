"""A private instance under a temporary folder, driven through tools/private-instance."""
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import time

import psycopg2
import requests


# Names and values that the server's programs get, `make check-asan` says which.
HTTPD_ENV = dict(x.split("=", 1) for x in os.environ.get("HTTPD_ENV", "").split())
# Under a sanitizer memory and time are the sanitizer's.
SANITIZED = "LD_PRELOAD" in HTTPD_ENV


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class ErrorLog:
    """The gate: lines at warn or above that no test expected."""

    # A private instance runs on any file system, says so, and is not wrong about it.
    ALWAYS = re.compile("SAL1003")

    BAD = re.compile(r"\[[a-z_0-9]*:(?:warn|warning|error|crit|alert|emerg)\]|^<[0-4]>|AddressSanitizer|"
                     r"runtime error:|exit signal")

    def __init__(self, paths):
        self.paths = paths
        self.offsets = {}
        self.waived = [self.ALWAYS]

    def mark(self):
        self.waived = [self.ALWAYS]
        for path in self.paths:
            self.offsets[path] = path.stat().st_size if path.exists() else 0

    def expect(self, pattern):
        """Waives lines that match (a SALnnnn number or a regular expression) in this test."""
        self.waived.append(re.compile(pattern))

    def new_lines(self):
        for path in self.paths:
            if path.exists():
                with open(path, "rb") as f:
                    f.seek(self.offsets.get(path, 0))
                    for line in f.read().decode(errors="replace").splitlines():
                        yield path.name, line

    def unexpected(self):
        return [f"{name}: {line}" for name, line in self.new_lines()
                if self.BAD.search(line) and not any(w.search(line) for w in self.waived)]


class Instance:
    def __init__(self, prefix, top):
        self.prefix = prefix
        self.top = top
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="salvage-test."))
        self.dir.chmod(0o755)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.extra = self.dir / "extra.conf"
        self.extra.write_text("")
        self.plain = ""         # extra configuration that a file's tests share
        self.error_log = ErrorLog([self.dir / "logs" / "error_log",
                                   self.dir / "logs" / "salvaged.log"])
        self.env = {}
        self._sample = None
        self._stopped = set()

    # ---- life ----

    def _control(self, *args, check=True):
        env = dict(os.environ, PREFIX=str(self.prefix), PORT=str(self.port), WORKERS="2",
                   HTTPD_EXTRA=str(self.extra), INITDB_OPTIONS="--no-sync")
        # Its servers inherit the output: a file, since a pipe would never end.
        with tempfile.TemporaryFile("w+") as out:
            done = subprocess.run([self.top / "tools" / "private-instance", args[0], self.dir,
                                   *args[1:]], env=env, stdout=out, stderr=out,
                                  stdin=subprocess.DEVNULL, timeout=180)
            out.seek(0)
            text = out.read()
        if check and done.returncode:
            raise RuntimeError(f"private-instance {' '.join(args)}: {text}")
        return text

    def make(self):
        self._control("make")
        for line in (self.dir / "env").read_text().splitlines():
            name, _, value = line.partition("=")
            self.env[name] = value.strip('"')

    def start(self, *servers):
        self._control("start", *servers)
        self._stopped -= set(servers) or {"postgres", "httpd", "salvaged"}

    def stop(self, *servers):
        self._control("stop", *servers)
        self._stopped |= set(servers) or {"postgres", "httpd", "salvaged"}

    def restore(self):
        """After each test: the plain configuration, everything running."""
        if self.extra.read_text() != self.plain:
            self.httpd_conf(self.plain)
        for name in ("postgres", "httpd", "salvaged"):
            if not self.running(name):
                self.start(name)
        self._stopped.clear()

    def destroy(self):
        self._control("stop", check=False)
        keep = os.environ.get("SALVAGE_KEEP")
        if not keep:
            where = self.dir / "pg" / "where"
            if where.exists():
                shutil.rmtree(where.read_text().strip(), ignore_errors=True)
            shutil.rmtree(self.dir, ignore_errors=True)

    def pid(self, server):
        path = {"postgres": "pg/data/postmaster.pid", "httpd": "httpd.pid",
                "salvaged": "salvaged.pid"}[server]
        try:
            return int((self.dir / path).read_text().split()[0])
        except (OSError, IndexError, ValueError):
            return None

    def running(self, server):
        pid = self.pid(server)
        return pid is not None and os.path.exists(f"/proc/{pid}")

    def children(self, server):
        """Pids of the children of a server."""
        out = subprocess.run(["pgrep", "-P", str(self.pid(server))], capture_output=True, text=True)
        return [int(x) for x in out.stdout.split()]

    def httpd_conf(self, text):
        """More httpd configuration for this test; httpd is restarted."""
        self.extra.write_text(text)
        self.stop("httpd")
        self.start("httpd")

    def apache(self, *args, conf=None):
        """Runs httpd's program, in the environment of the server: `-t`, `-k graceful`."""
        return subprocess.run(["/usr/sbin/apache2", "-f", conf or self.dir / "httpd.conf", *args],
                              capture_output=True, text=True, timeout=120,
                              env=dict(os.environ, **HTTPD_ENV))

    def judge_conf(self, lines):
        """What httpd says of these lines behind its configuration: (accepted, words)."""
        conf = self.dir / "judged.conf"
        conf.write_text((self.dir / "httpd.conf").read_text() + f"\n{lines}\n")
        done = self.apache("-t", conf=conf)
        return done.returncode == 0, done.stderr

    def shared_conf(self, text):
        """What all tests of a file have in httpd's configuration: one restart, not two for each."""
        self.plain = text
        self.httpd_conf(text)

    # ---- access ----

    @property
    def upload_token(self):
        return self.env["SALVAGE_UPLOAD_TOKEN"]

    @property
    def api_token(self):
        return self.env["SALVAGE_API_TOKEN"]

    @property
    def store(self):
        return pathlib.Path(self.env["SALVAGE_STORE"])

    @property
    def symbol_store(self):
        return pathlib.Path(self.env["SALVAGE_SYMBOL_STORE"])

    @property
    def conf(self):
        return self.env["SALVAGE_CONF"]

    def conn(self):
        """A database connection in autocommit mode."""
        made = psycopg2.connect(self.env["SALVAGE_DB"])
        made.autocommit = True
        return made

    def query(self, sql, *args):
        with self.conn() as c, c.cursor() as cur:
            cur.execute(sql, args)
            return cur.fetchall() if cur.description else None

    def salvage(self, *args, check=True, input=None):
        """Runs the tool with this instance's settings; a CompletedProcess with text."""
        done = subprocess.run([self.env["SALVAGE_BIN"], *map(str, args)], input=input,
                              capture_output=True, text=True, timeout=120,
                              env=dict(os.environ, SALVAGE_CONF=self.conf))
        if check and done.returncode:
            raise RuntimeError(f"salvage {' '.join(map(str, args))}: {done.returncode}: "
                               f"{done.stderr}{done.stdout}")
        return done

    # ---- crashes ----

    def submit(self, annotations=None, dump=None, expect=True):
        """Sends a crash as Breakpad does; the crash id, or with expect=False the response."""
        fields = {"ProductName": "Demo", "Version": "1.0"} if annotations is None else annotations
        parts = {name: (None, value) for name, value in fields.items()}
        if dump is not None:
            data = dump if isinstance(dump, bytes) else pathlib.Path(dump).read_bytes()
            parts["upload_file_minidump"] = ("dump.dmp", data, "application/octet-stream")
        r = requests.post(self.url + "/submit", files=parts, timeout=60)
        if not expect:
            return r
        assert r.status_code == 200 and r.text.startswith("CrashID=bp-"), (r.status_code, r.text)
        return r.text.strip()[len("CrashID=bp-"):]

    def processed(self, crash_id):
        """The processed crash as the API token sees it, or None while there is none."""
        r = requests.get(self.url + "/api/ProcessedCrash/", params={"crash_id": crash_id},
                         headers={"Auth-Token": self.api_token}, timeout=30)
        return r.json() if r.status_code == 200 else None

    def wait_processed(self, crash_id, timeout=60):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            found = self.processed(crash_id)
            if found is not None:
                return found
            time.sleep(0.1)
        raise AssertionError(f"{crash_id} was not processed in {timeout} s: "
                             + json.dumps(self.query("select * from crash_job where crash_id = %s",
                                                     crash_id), default=str))

    def upload_symbols(self, path):
        return self.salvage("upload-symbols", "--server", self.url, "--token", self.upload_token,
                            path)

    @property
    def sample_id(self):
        """A processed crash of the project's own C++ crasher, its symbols uploaded."""
        if self._sample is None:
            self.upload_symbols(self.top / "tests" / "data" / "symbols")
            self._sample = self.submit({"ProductName": "Sampler", "Version": "1.0",
                                        "ReleaseChannel": "release"},
                                       self.top / "tests/data/crashes/crasher_cpp.dmp")
            self.wait_processed(self._sample)
        return self._sample
