"""16 clients send crashes while everything around the collector is killed, cut, stopped and filled.

Afterwards every acknowledged crash is there exactly once, with the bytes that were sent; what was
not acknowledged is absent or whole; the database has a row for each; pending/ is empty.
"""
import hashlib
import http.client
import multiprocessing
import os
import pathlib
import random
import signal
import subprocess
import time
import zipfile

from faults import FULL, TOP, Checked, PREFIX, need_load, scratch, small_disk, unmount
from instance import Instance

CLIENTS = 16
WANTED = 10_500 if FULL else 400
ROUNDS = 2 if FULL else 1
BOUNDARY = "----------------faults0123456789abcdef"


# ---- the clients: processes, each with a connection, a seed and a log ----

def body_of(rng, number):
    """A report and its dump; now and then a large one, half of them compressible."""
    size = rng.choice([900, 4_000, 15_000, 15_000, 30_000, 70_000] + [300_000] * (number % 40 == 0))
    dump = rng.randbytes(size) if rng.random() < 0.5 else rng.randbytes(64) * (size // 64)
    dump = b"MDMP" + rng.randbytes(16) + dump
    fields = "".join(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
                     f"{value}\r\n" for name, value in
                     (("ProductName", "Faults"), ("Version", "1.0"), ("Number", number)))
    head = (f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="upload_file_minidump"; '
            'filename="x.dmp"\r\nContent-Type: application/octet-stream\r\n\r\n')
    return dump, (fields + head).encode() + dump + f"\r\n--{BOUNDARY}--\r\n".encode()


def post(connection, body):
    connection.request("POST", "/submit", body,
                       {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"})
    answer = connection.getresponse()
    text = answer.read().decode()
    if answer.status == 200 and text.startswith("CrashID=bp-"):
        return text.strip()[len("CrashID=bp-"):]
    return f"status {answer.status}"


def client(seed, port, log, counter, stop):
    """Sends until told to stop. A line for each: "ID SHA256" or "- SHA256 WHY"."""
    rng = random.Random(seed)
    connection, number = None, 0
    with open(log, "w", buffering=1) as out:
        while not stop.is_set():
            number += 1
            dump, body = body_of(rng, number)
            sha = hashlib.sha256(dump).hexdigest()
            try:
                if connection is None:
                    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                said = post(connection, body)
            except (OSError, http.client.HTTPException) as e:
                said = type(e).__name__
                connection.close()
                connection = None
            if len(said) == 36:
                out.write(f"{said} {sha}\n")
                with counter.get_lock():
                    counter.value += 1
            else:
                out.write(f"- {sha} {said}\n")
                time.sleep(0.02)


class Clients:
    def __init__(self, folder, port):
        self.stop, self.counter = multiprocessing.Event(), multiprocessing.Value("i", 0)
        self.logs = [folder / f"client{i}" for i in range(CLIENTS)]
        self.all = [multiprocessing.Process(target=client, daemon=True, args=(
            1000 + i, port, log, self.counter, self.stop)) for i, log in enumerate(self.logs)]
        for one in self.all:
            one.start()

    def count(self):
        return self.counter.value

    def wait_for(self, more, timeout=120):
        """Until so many more are acknowledged."""
        goal, end = self.count() + more, time.monotonic() + timeout
        while self.count() < goal:
            assert time.monotonic() < end, f"no {more} crashes acknowledged in {timeout} s"
            time.sleep(0.05)

    def end(self):
        self.stop.set()
        for one in self.all:
            one.join(90)
            assert not one.is_alive(), "a client hangs"
        acknowledged, refused = {}, {}
        for log in self.logs:
            for line in log.read_text().splitlines():
                said, sha, *why = line.split(" ", 2)
                if said == "-":
                    refused[sha] = " ".join(why)
                else:
                    assert said not in acknowledged, f"{said} was given to two crashes"
                    acknowledged[said] = sha
        return acknowledged, refused


# ---- what breaks ----

def descendants(pid):
    found = []
    for child in subprocess.run(["pgrep", "-P", str(pid)], capture_output=True,
                                text=True).stdout.split():
        found += [int(child), *descendants(child)]
    return found


def kill_all(pids, number=signal.SIGKILL):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def kill_httpd_child(stack, clients):
    children = stack.children("httpd")
    if children:
        kill_all([random.choice(children)])
    clients.wait_for(50)


def kill_server(stack, name, pid_file):
    """kill -9 for all of it. Its pid must not look alive while nobody has waited for it."""
    pid = stack.pid(name)
    if pid is None:
        return
    kill_all([pid, *descendants(pid)])
    (stack.dir / pid_file).unlink()
    if name == "postgres":
        for lock in pathlib.Path((stack.dir / "pg/where").read_text().strip()).glob(".s.*.lock"):
            lock.unlink()


def kill_daemon(stack, clients):
    kill_server(stack, "salvaged", "salvaged.pid")
    clients.wait_for(50)
    stack.start("salvaged")


def kill_postgres(stack, clients):
    kill_server(stack, "postgres", "pg/data/postmaster.pid")
    clients.wait_for(100)  # answers do not need it
    stack.start("postgres")


def restart_gracefully(stack, clients):
    os.kill(stack.pid("httpd"), signal.SIGUSR1)
    clients.wait_for(100)


def cut_connections(stack, clients):
    stack.query("select pg_terminate_backend(pid) from pg_stat_activity "
                "where pid <> pg_backend_pid() and backend_type = 'client backend'")
    clients.wait_for(50)


def stop_database(stack, clients):
    """Stopped, not dead: connections hang."""
    pid = stack.pid("postgres")
    every = [pid, *descendants(pid)]
    kill_all(every, signal.SIGSTOP)
    try:
        clients.wait_for(150)
    finally:
        kill_all(every, signal.SIGCONT)


def stop_rows_and_restart(stack, clients):
    """The backends of httpd hang, and httpd is to restart gracefully all the same."""
    pids = [r[0] for r in stack.query("select pid from pg_stat_activity "
                                      "where application_name = 'salvage-rows'")]
    kill_all(pids, signal.SIGSTOP)
    try:
        old = set(stack.children("httpd"))
        os.kill(stack.pid("httpd"), signal.SIGUSR1)
        clients.wait_for(100)
        end = time.monotonic() + 30
        while old & set(stack.children("httpd")) and time.monotonic() < end:
            time.sleep(0.1)
        assert not old & set(stack.children("httpd")), "children hang with their database"
    finally:
        kill_all(pids, signal.SIGCONT)


def fill_disk(stack, clients):
    """No byte left; nothing may be acknowledged that is not there, and it heals by itself."""
    hog = stack.store / "hog"
    with open(hog, "wb", buffering=0) as f:
        try:
            while True:
                f.write(bytes(1 << 20))
        except OSError:
            pass
        try:
            while True:
                f.write(bytes(4096))
        except OSError:
            pass
    time.sleep(2)
    hog.unlink()
    clients.wait_for(50)


def restart_hard(stack, clients):
    stack.stop("httpd")
    stack.start("httpd")
    clients.wait_for(50)


FAULTS = [kill_httpd_child, kill_postgres, restart_gracefully, kill_daemon, cut_connections,
          fill_disk, stop_database, kill_httpd_child, stop_rows_and_restart, restart_hard]
SHORT = [kill_httpd_child, kill_postgres, restart_gracefully, fill_disk]


# ---- what is left ----

def stored(store):
    """id -> path of each container; an id twice is an error."""
    found = {}
    for path in store.glob("crash/*/*/*.zip"):
        assert path.stem not in found, f"{path.stem} is there twice"
        found[path.stem] = path
    return found


def sha_of(path):
    """By tools that are not ours: zipfile and zstd."""
    with zipfile.ZipFile(path) as z:
        assert z.testzip() is None
        packed = z.read("upload_file_minidump.zst")
    done = subprocess.run(["zstd", "-dc"], input=packed, capture_output=True, check=True)
    return hashlib.sha256(done.stdout).hexdigest()


def wait_swept(stack, timeout):
    """The daemon's sweep, every 30 s for what is older than 30 s, empties pending/."""
    end = time.monotonic() + timeout
    while any((stack.store / "pending").iterdir()) and time.monotonic() < end:
        time.sleep(0.5)
    left = [p.name for p in (stack.store / "pending").iterdir()]
    assert not left, f"{len(left)} wait in pending/ after {timeout} s: {left[:3]}"


def settle(stack, folder, acknowledged, refused):
    if not FULL:
        stack.salvage("sweep", "--pending")
    wait_swept(stack, 100 if FULL else 10)
    found = stored(stack.store)
    log = folder / "acknowledged"
    log.write_text("".join(f"{i} {sha}\n" for i, sha in acknowledged.items()))
    result = Checked(stack.store, log)
    assert result.acknowledged == len(acknowledged)
    assert (result.missing, result.torn, result.torn_names) == (0, 0, 0), str(result)
    rows = {r[0] for r in stack.query("select crash_id::text from raw_crash")}
    assert rows == set(found), "rows and containers differ"
    others = {sha_of(found[i]): i for i in set(found) - set(acknowledged)}
    assert set(others) <= set(refused), "a crash is there that nobody sent"
    for crash_id in random.sample(sorted(acknowledged), min(50, len(acknowledged))):
        assert sha_of(found[crash_id]) == acknowledged[crash_id]
    assert not any((stack.store / "bad").iterdir())
    print(f"\n{len(acknowledged)} acknowledged, each once, same bytes; {len(refused)} not, of which "
          f"{len(others)} are stored whole; {len(rows)} rows; pending/ empty", end="")


def test_no_loss(shared_conf="CrashMinFree 0\nCrashMaxInFlight 400\n"):
    need_load()
    random.seed(20261122)
    with scratch() as folder:
        folder.chmod(0o755)
        stack = Instance(PREFIX, TOP)
        try:
            with small_disk(folder, 1500 if FULL else 150, "ext4", "-N", "150000") as disk:
                stack.make()
                os.chown(disk, *(os.stat(stack.store).st_uid, os.stat(stack.store).st_gid))
                subprocess.run(["mount", "--bind", str(disk), str(stack.store)], check=True)
                try:
                    stack.extra.write_text(shared_conf)
                    stack.start()
                    survive(stack, folder)
                finally:
                    kill_server(stack, "salvaged", "salvaged.pid")  # it would drain for 30 s
                    stack.stop()
                    unmount(stack.store)
        finally:
            stack.destroy()


def survive(stack, folder):
    clients = Clients(folder, stack.port)
    began = time.monotonic()
    try:
        clients.wait_for(50)
        for fault in (FAULTS if FULL else SHORT) * ROUNDS:
            before = clients.count()
            fault(stack, clients)
            print(f"\n{time.monotonic() - began:6.1f} s {fault.__name__}: "
                  f"{clients.count() - before} acknowledged meanwhile", end="", flush=True)
        while clients.count() < WANTED:
            clients.wait_for(100)
    finally:
        acknowledged, refused = clients.end()
    assert len(acknowledged) >= WANTED
    settle(stack, folder, acknowledged, refused)
