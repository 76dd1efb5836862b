"""A daemon of a test's own on the instance's database and store, and waiting for what it does."""
import os
import pathlib
import subprocess
import time


def wait_until(found, seconds=60):
    """What `found` returns once it is true; None, or what it was last, when the time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = found()
        if value:
            return value
        time.sleep(0.05)
    return found()


def as_owner_of(path):
    """For preexec_fn: root becomes the user whom a folder belongs to."""
    stat = path.stat()

    def become():
        if os.getuid() == 0 and stat.st_uid:
            os.setgid(stat.st_gid)
            os.setuid(stat.st_uid)
    return become


def children(pid):
    out = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout
    return [int(x) for x in out.split()]


class Daemon:
    """salvaged-hooked, with short times."""

    def __init__(self, stack, name="hooked", binary=None, lease=3, timeout=2, workers=2, env=None):
        self.stack, self.workers = stack, workers
        self.binary = binary or stack.prefix.parent / "salvaged-hooked"
        self.env = dict(os.environ, **(env or {}))
        self.conf = stack.dir / f"{name}.conf"  # where its user may read it
        self.conf.write_text(pathlib.Path(stack.conf).read_text()
                             + f"\nlease {lease}\nstackwalk-timeout {timeout}\n")
        self.log = stack.dir / "logs" / f"{name}.log"
        self.log.write_text("")
        self.process = None

    def start(self, *options):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [self.binary, "-c", self.conf, "--workers", str(self.workers), *options],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self.env,
                preexec_fn=as_owner_of(self.stack.store))
        return self

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def stop(self):
        if self.alive():
            self.process.terminate()
            self.process.wait(60)

    def kill(self):
        """The supervisor alone, without a chance to say anything."""
        if self.alive():
            self.process.kill()
        self.process.wait()

    def says(self, text):
        return text in self.log.read_text(errors="replace")

    def children(self):
        return children(self.process.pid)
