"""ELF programs for tests, made with the compiler and binutils of the host."""
import re
import shutil
import subprocess

SOURCE = """#include <stdio.h>
int salvage_%(tag)s(int n) { volatile int sum = 0; for (int i = 0; i < n; i++) { sum += i; } return sum; }
static int helper(int n) { return salvage_%(tag)s(n) + %(salt)d; }
int main(int argc, char **argv) { (void)argv; printf("%%d\\n", helper(argc)); return 0; }
"""


def have(*tools):
    return all(shutil.which(t) for t in tools)


def run(*args, **more):
    return subprocess.run([str(a) for a in args], check=True, capture_output=True, text=True,
                          **more).stdout


def build_id(path):
    return re.search(r"Build ID: ([0-9a-f]+)", run("readelf", "-n", path)).group(1)


def debug_id(build):
    """The specification's rule: 16 bytes as a GUID of little-endian fields, then 0."""
    b = bytes.fromhex(build)[:16].ljust(16, b"\0")
    return (b[3::-1] + b[5:3:-1] + b[7:5:-1] + b[8:]).hex().upper() + "0"


class Program:
    """A program with DWARF (whole), without (stripped), and its separate debug file (debug)."""

    def __init__(self, folder, tag, *flags):
        self.folder, self.tag = folder, tag
        self.name = f"prog-{tag}"
        self.source = folder / f"{tag}.c"
        self.source.write_text(SOURCE % {"tag": tag, "salt": abs(hash(str(folder) + tag)) % 99991})
        self.whole, self.stripped = folder / self.name, folder / f"{self.name}.stripped"
        self.debug = folder / f"{self.name}.debug"
        run("gcc", "-g", "-O0", *flags, "-o", self.whole, self.source)
        run("objcopy", "--only-keep-debug", self.whole, self.debug)
        run("strip", "-s", "-o", self.stripped, self.whole)
        self.build_id = build_id(self.whole)
        self.debug_id = debug_id(self.build_id)

    def section(self, name, path=None):
        out = self.folder / "section"
        run("objcopy", f"--dump-section={name}={out}", path or self.whole, "/dev/null")
        return out.read_bytes()
