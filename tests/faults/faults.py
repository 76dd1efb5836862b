"""What the fault tests share: a disk that loses power, loop mounts, the load program.

`make check-faults` sets SALVAGE_FAULTS=full; without it each test runs in a short form.
"""
import contextlib
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

import pytest

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
PREFIX = pathlib.Path(os.environ.get("SALVAGE_PREFIX", TOP / "build" / "stage"))
PROGRAMS = PREFIX.parent / "tests" / "faults"
FULL = os.environ.get("SALVAGE_FAULTS") == "full"
LOAD = PROGRAMS / "store_load"


def loudly(why):
    pytest.skip(f"SKIPPED LOUDLY: {why}")


def run(*command, **more):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **more)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.returncode}: "
                           f"{done.stderr}{done.stdout}")
    return done.stdout.strip()


def need_root():
    if os.geteuid():
        loudly("loop devices and mounts need root")


def need_load():
    if not LOAD.exists():
        loudly(f"{LOAD} is not built")


@contextlib.contextmanager
def scratch():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="salvage-faults."))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def unmount(folder):
    """Lazily if a killed process has not quite let go."""
    for _ in range(50):
        if subprocess.run(["umount", str(folder)], capture_output=True).returncode == 0:
            return
        time.sleep(0.1)
    subprocess.run(["umount", "-l", str(folder)], capture_output=True)


def make_file_system(kind, device, *more):
    program = shutil.which(f"mkfs.{kind}", path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if not program:
        loudly(f"mkfs.{kind} is not installed")
    run(program, *(["-q", "-F"] if kind == "ext4" else ["-q", "-f"]), *more, device)


def attach(path, direct=False):
    """A loop device on a file."""
    try:
        return run("losetup", *(["--direct-io=on"] if direct else []), "--find", "--show", path)
    except RuntimeError as e:
        loudly(f"no loop device: {e}")


def detach(device):
    subprocess.run(["losetup", "-d", device], capture_output=True)


def mount(device, folder, *options):
    folder.mkdir(exist_ok=True)
    try:
        run("mount", *options, device, folder)
    except RuntimeError as e:
        loudly(f"mounting is not possible: {e}")


@contextlib.contextmanager
def small_disk(folder, mib, kind="ext4", *mkfs):
    """A file system of this size on a loop device, mounted at folder/mnt."""
    need_root()
    image, at = folder / "image", folder / "mnt"
    with open(image, "wb") as f:
        f.truncate(mib << 20)
    make_file_system(kind, image, *mkfs)
    device = attach(image)
    try:
        mount(device, at)
        yield at
    finally:
        unmount(at)
        detach(device)


class FaultDisk:
    """tests/faults/faultdisk with a loop device and a file system on it."""

    def __init__(self, folder, mib, kind):
        self.folder, self.bytes, self.kind = folder, mib << 20, kind
        self.fuse, self.at = folder / "fuse", folder / "mnt"
        self.device = self.server = None

    def __enter__(self):
        need_root()
        program = PROGRAMS / "faultdisk"
        if not program.exists():
            loudly("faultdisk is not built: install libfuse3-dev and configure again")
        if not os.path.exists("/dev/fuse"):
            loudly("there is no /dev/fuse")
        self.fuse.mkdir()
        self.server = subprocess.Popen([program, self.fuse, str(self.bytes)],
                                       stderr=subprocess.PIPE, text=True)
        try:
            for _ in range(100):
                if (self.fuse / "disk").exists():
                    break
                if self.server.poll() is not None:
                    loudly(f"FUSE does not work here: {self.server.stderr.read().strip()}")
                time.sleep(0.05)
            self.device = attach(self.fuse / "disk", direct=True)
            make_file_system(self.kind, self.device)
            mount(self.device, self.at)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_):
        unmount(self.at)
        if self.device:
            detach(self.device)
        subprocess.run(["fusermount3", "-u", "-z", str(self.fuse)], capture_output=True)
        self.server.terminate()
        self.server.wait(20)

    def tell(self, command):
        with open(self.fuse / "control", "w") as f:
            f.write(command)

    def remount(self):
        """Everything that the kernel kept in memory is forgotten."""
        unmount(self.at)
        mount(self.device, self.at)


@contextlib.contextmanager
def image_mounted(image, folder):
    """What a power cut left, its journal replayed."""
    device = attach(image)
    try:
        # XFS refuses a second file system of one UUID while the first is still mounted.
        options = ["-o", "nouuid"] if b"XFSB" in image.open("rb").read(4) else []
        mount(device, folder, *options)
        yield folder
    finally:
        unmount(folder)
        detach(device)


class Load:
    """store_load put, in the background."""

    def __init__(self, root, *options):
        need_load()
        self.process = subprocess.Popen([LOAD, "put", root, *map(str, options)],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def wait(self, timeout=300):
        """(acknowledged, failed), and what it said."""
        out, err = self.process.communicate(timeout=timeout)
        if self.process.returncode:
            raise RuntimeError(f"store_load: {self.process.returncode}: {err}")
        done, failed = out.split()[:2]
        return int(done), int(failed), err

    def kill(self):
        self.process.kill()
        self.process.communicate()


class Checked:
    """What store_load check found."""

    def __init__(self, root, log):
        out = run(LOAD, "check", root, log, timeout=300)
        (self.acknowledged, self.missing, self.torn, self.names, self.torn_names,
         self.without_link) = map(int, out.split())

    def __str__(self):
        return (f"{self.acknowledged} acknowledged: {self.missing} missing, {self.torn} torn; "
                f"{self.names} names: {self.torn_names} torn, {self.without_link} not in pending/")


class CheckedProcessed:
    """What store_load check-processed found."""

    def __init__(self, root, log):
        out = run(LOAD, "check-processed", root, log, timeout=300)
        self.acknowledged, self.missing, self.torn = map(int, out.split())

    def __str__(self):
        return f"{self.acknowledged} documents: {self.missing} missing, {self.torn} torn"
