#!/usr/bin/python3
"""Makes minidumps of programs that crash in many ways, with symbols, to compare walkers on.

usage: make_dumps.py [--salvage FILE] [--only NAME] OUT

Builds small programs in C, C++ and (where there is a rustc) Rust, with frame pointers, with call
frame information only, and stripped; lets them crash; converts the cores to OUT/NAME.dmp and writes
OUT/symbols. Needs gcc, g++, cores in the working directory (/proc/sys/kernel/core_pattern without a
pipe). Nothing of it is committed: compare_stackwalk.py OUT/*.dmp --symbols OUT/symbols.
"""
import argparse
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile

C_SOURCE = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline, noclone))
volatile long sink = 1, zero;
volatile uintptr_t where;

NOINLINE static void crash(int how)
{
    char *p = (char *)where;

    switch (how) {
    case 0: *(volatile int *)0 = 5; break;
    case 1: ((void (*)(void))zero)(); break;
    case 2: ((void (*)(void))0x8000000000000000ul)(); break;
    case 3: sink = sink / zero; break;
    case 4: __builtin_trap(); break;
    case 5: __asm__ volatile("int3"); break;
    case 6: abort(); break;
    case 7: sink = *(volatile char *)(p + 4096); break;
    case 8: *(volatile long *)0xdead000000000000ul = 1; break;
    case 9: sink = *(volatile long *)((char *)0x48 + zero); break;
    case 10: raise(SIGSEGV); break;
    case 11: kill(getpid(), SIGBUS); break;
    case 12: __asm__ volatile("hlt"); break;
    case 13: *(volatile char *)crash = 1; break;
    case 14: ((void (*)(void))p)(); break;
    case 15: memset((void *)zero, 1, 4096 + (size_t)sink); break;
    case 16: __asm__ volatile("mov %0, %%rsp; push %%rax" : : "r"(0x1000ul)); break;
    case 17: syscall(SYS_tgkill, getpid(), gettid(), SIGSYS); break;
    case 18: __asm__ volatile("movaps 1(%%rsp), %%xmm0" : : : "xmm0"); break;
    case 19: qsort((void *)8, 10, 8, (int (*)(const void *, const void *))zero); break;
    }
    sink++;
}

NOINLINE static int deep(int n, int how)
{
    volatile char room[64];

    room[n & 63] = (char)n;
    if (n == 0) {
        crash(how);
        return room[0];
    }
    return deep(n - 1, how) + room[n & 63];
}

NOINLINE static int endless(int n)
{
    volatile char room[256];

    room[n & 255] = 1;
    return endless(n + 1) + room[n & 255];
}

static inline __attribute__((always_inline)) int inner(int n, int how)
{
    return deep(n, how) + 1;
}

static inline __attribute__((always_inline)) int middle(int n, int how)
{
    return inner(n, how) * 2;
}

NOINLINE static int outer(int n, int how)
{
    return middle(n, how) - 3;
}

static void *waits(void *name)
{
    prctl(PR_SET_NAME, name);
    for (;;) {
        pause();
    }
}

static void *crashes(void *how)
{
    prctl(PR_SET_NAME, "the one");
    sink += outer(5, (int)(intptr_t)how);
    return NULL;
}

static int compare(const void *a, const void *b)
{
    crash((int)sink);
    return *(const int *)a - *(const int *)b;
}

static void handler(int signal)
{
    (void)signal;
    crash((int)sink);
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "plain";
    int how = argc > 2 ? atoi(argv[2]) : 0, fd;
    pthread_t t;

    if (how == 7) {
        FILE *f = tmpfile();

        fd = fileno(f);
        where = ftruncate(fd, 8192) ? 0 : (uintptr_t)mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 0);
        if (ftruncate(fd, 100)) {
            return 1;
        }
    } else if (how == 14) {
        where = (uintptr_t)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        *(volatile char *)where = 0x90;
    }
    if (strcmp(mode, "threads") == 0) {
        static const char *const names[] = { "first", "second", "third", "\xc3\xa9t\xc3\xa9" };

        for (int i = 0; i < 4; i++) {
            pthread_create(&t, NULL, waits, (void *)names[i]);
        }
        pthread_create(&t, NULL, crashes, (void *)(intptr_t)how);
        pthread_join(t, NULL);
    } else if (strcmp(mode, "deep") == 0) {
        sink += deep(700, how);
    } else if (strcmp(mode, "endless") == 0) {
        sink += endless(0);
    } else if (strcmp(mode, "callback") == 0) {
        int list[] = { 3, 1, 2 };

        sink = how;
        qsort(list, 3, sizeof(list[0]), compare);
    } else if (strcmp(mode, "handler") == 0) {
        sink = how;
        signal(SIGUSR1, handler);
        raise(SIGUSR1);
    }
    sink += outer(3, how);
    return 0;
}
"""

CPP_SOURCE = r"""
#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

volatile long sink;

namespace shapes {
struct Shape {
    virtual ~Shape() = default;
    virtual double area(int how) const = 0;
};
template <typename T> struct Box final : Shape {
    std::vector<T> sides;
    explicit Box(std::vector<T> s) : sides(std::move(s)) {}
    double area(int how) const override
    {
        double sum = 0;
        std::for_each(sides.begin(), sides.end(), [&](const T &side) {
            if (how == 0 && side > 2) {
                *reinterpret_cast<volatile long *>(static_cast<long>(sum)) = 1;
            }
            if (how == 1) {
                throw std::runtime_error("nobody catches this");
            }
            sum += static_cast<double>(side);
        });
        return sum;
    }
};
}
static double measure(const std::map<std::string, std::unique_ptr<shapes::Shape>> &all, int how)
{
    std::function<double(const std::string &)> one = [&](const std::string &name) {
        return all.at(name)->area(how);
    };
    return one("box") + (how == 2 ? one("absent") : 0);
}
int main(int argc, char **argv)
{
    int how = argc > 2 ? std::stoi(argv[2]) : 0;
    std::map<std::string, std::unique_ptr<shapes::Shape>> all;
    all.emplace("box", std::make_unique<shapes::Box<int>>(std::vector<int>{1, 2, 3}));
    if (how == 3) {
        shapes::Shape *gone = nullptr;
        sink = static_cast<long>(gone->area(how));
    }
    std::thread t([&] { sink = static_cast<long>(measure(all, how)); });
    t.join();
    return 0;
}
"""

RUST_SOURCE = r"""
use std::collections::HashMap;
trait Shape { fn area(&self, how: u32) -> f64; }
struct Boxy<T> { sides: Vec<T> }
impl<T: Copy + Into<f64>> Shape for Boxy<T> {
    #[inline(never)]
    fn area(&self, how: u32) -> f64 {
        self.sides.iter().map(|&s| {
            let v: f64 = s.into();
            if how == 0 && v > 2.0 { unsafe { std::ptr::write_volatile(0x10 as *mut u32, 1) } }
            if how == 1 { panic!("nobody catches this"); }
            v
        }).sum()
    }
}
fn main() {
    let how: u32 = std::env::args().nth(2).and_then(|s| s.parse().ok()).unwrap_or(0);
    let mut all: HashMap<String, Box<dyn Shape + Send>> = HashMap::new();
    all.insert("box".into(), Box::new(Boxy { sides: vec![1i32, 2, 3] }));
    let t = std::thread::spawn(move || {
        let v: Vec<f64> = all.values().map(|s| s.area(how)).collect();
        if how == 2 { let i = v.len() + 5; println!("{}", v[i]); }
    });
    t.join().unwrap();
}
"""

C_FLAGS = {
    "o0": ["-O0", "-g"],
    "o2": ["-O2", "-g", "-fomit-frame-pointer", "-fasynchronous-unwind-tables"],
    "fp": ["-O1", "-g", "-fno-omit-frame-pointer", "-fno-asynchronous-unwind-tables",
           "-fno-unwind-tables", "-fno-optimize-sibling-calls"],
    "stripped": ["-O2", "-s", "-fomit-frame-pointer"],
}
MODES = ["plain", "threads", "deep", "callback", "handler"]


def run(*command, **more):
    return subprocess.run(list(map(str, command)), check=True, **more)


def build(work):
    """(name, program, modes and ways to crash) of everything that can be built here."""
    (work / "crashes.c").write_text(C_SOURCE)
    (work / "shapes.cc").write_text(CPP_SOURCE)
    (work / "shapes.rs").write_text(RUST_SOURCE)
    for name, flags in C_FLAGS.items():
        program = work / f"c_{name}"
        run("gcc", *flags, "-w", "-pthread", "-Wl,--build-id", "-o", program, work / "crashes.c")
        ways = [("plain", how) for how in range(20)]
        ways += [(mode, how) for mode in MODES[1:] for how in (0, 1, 2, 6, 9)] + [("endless", 0)]
        yield program.name, program, ways
    for name, flags in (("o0", ["-O0", "-g"]), ("o2", ["-O2", "-g"])):
        program = work / f"cpp_{name}"
        run("g++", *flags, "-std=c++17", "-pthread", "-Wl,--build-id", "-o", program,
            work / "shapes.cc")
        yield program.name, program, [("plain", how) for how in range(4)]
    if shutil.which("rustc"):
        for name, flags in (("debug", ["-g"]), ("release", ["-O", "-g"])):
            program = work / f"rust_{name}"
            run("rustc", *flags, "-C", "panic=abort", "-C", "link-arg=-Wl,--build-id", "-o",
                program, work / "shapes.rs", stderr=subprocess.DEVNULL)
            yield program.name, program, [("plain", how) for how in range(3)]


def limit_core():
    resource.setrlimit(resource.RLIMIT_CORE, (256 << 20, 256 << 20))


def crash(salvage, out, work, program, mode, how):
    """OUT/PROGRAM-MODE-HOW.dmp, or None where nothing crashed."""
    place = work / "here"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    environment = {"PATH": "/usr/bin:/bin", "LANG": "C"}
    try:
        subprocess.run([program, mode, str(how)], cwd=place, env=environment, timeout=20,
                       preexec_fn=limit_core, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=False)
    except subprocess.TimeoutExpired:
        return None
    cores = list(place.glob("core*"))
    if not cores:
        return None
    dump = out / f"{program.name}-{mode}-{how}.dmp"
    run(salvage, "core2md", "-o", dump, cores[0])
    return dump


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--salvage", default=os.environ.get("SALVAGE_BIN") or "salvage")
    parser.add_argument("--only", default="")
    parser.add_argument("out", type=pathlib.Path)
    args = parser.parse_args()
    if not shutil.which("gcc") or not shutil.which("g++"):
        print("skipped: no gcc and g++ to build what crashes")
        return 0
    if pathlib.Path("/proc/sys/kernel/core_pattern").read_text().startswith("|"):
        print("skipped: cores are piped to a program, see /proc/sys/kernel/core_pattern")
        return 0
    args.out.mkdir(parents=True, exist_ok=True)
    made = 0
    with tempfile.TemporaryDirectory() as scratch:
        work = pathlib.Path(scratch)
        for name, program, ways in build(work):
            if args.only not in name:
                continue
            for mode, how in ways:
                made += crash(args.salvage, args.out, work, program, mode, how) is not None
            if not name.endswith("stripped"):
                run(args.salvage, "dump-syms", "--store", args.out / "symbols", program)
    for library in ("libc.so.6", "libstdc++.so.6", "libgcc_s.so.1", "ld-linux-x86-64.so.2"):
        path = pathlib.Path("/lib/x86_64-linux-gnu") / library
        if path.exists():
            subprocess.run([args.salvage, "dump-syms", "--store", str(args.out / "symbols"),
                            str(path)], check=False)
    print("%d dumps" % made)
    return 0 if made else 1


if __name__ == "__main__":
    sys.exit(main())
