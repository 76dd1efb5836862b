"""Runs inside gdb on a core: writes the stacks of all threads to $SNAPSHOT_DIR/expected.json.

gdb is the judge of these stacks: its own unwinder and its own reading of DWARF. It works on the
core, not on the live process, because there it hides inlined functions that begin at the stop.
"""
import json
import os
import pathlib

import gdb

OUT = pathlib.Path(os.environ["SNAPSHOT_DIR"])


def mappings():
    """(start, end, base of the file, path) of every mapped file."""
    bases, found = {}, []
    for line in (OUT / "proc" / "maps").read_text().splitlines():
        fields = line.split(None, 5)
        if len(fields) < 6 or fields[5].startswith("["):
            continue
        start, end = (int(x, 16) for x in fields[0].split("-"))
        base = bases.setdefault(fields[5], start)
        found.append((start, end, base, fields[5]))
    return found



def describe(frame):
    sal, symbol = frame.find_sal(), frame.function()
    out = {"pc": f"{frame.pc():#x}", "function": frame.name(), "inline": False,
           "file": None, "line": None, "module": None, "offset": None}
    out["inline"] = frame.type() == gdb.INLINE_FRAME
    if symbol is not None:
        out["signature"] = symbol.print_name
    if sal.symtab is not None and sal.line:
        out["file"], out["line"] = sal.symtab.filename, sal.line
    for start, end, base, path in MAPS:
        if start <= frame.pc() < end:
            out["module"], out["offset"] = os.path.basename(path), f"{frame.pc() - base:#x}"
    return out


def describe_thread(thread):
    thread.switch()
    frames, frame = [], gdb.newest_frame()
    while frame is not None:
        if frame.type() != gdb.TAILCALL_FRAME:  # made up by gdb: not on the stack
            frames.append(describe(frame))
        frame = frame.older()
    tid = thread.ptid[1]
    name = (OUT / "proc" / "task" / str(tid) / "comm").read_text().rstrip("\n")
    return {"id": tid, "name": name, "frames": frames}


gdb.execute("set backtrace past-main on")
gdb.execute("set backtrace past-entry on")
MAPS = mappings()
crashed = gdb.selected_thread()
threads = [describe_thread(t) for t in gdb.selected_inferior().threads()]
threads.sort(key=lambda t: t["id"])
crashed.switch()
signal = int(gdb.parse_and_eval("$_siginfo.si_signo"))
expected = {"pid": min(t["id"] for t in threads), "crashing_thread": crashed.ptid[1],
            "signal": signal, "si_code": int(gdb.parse_and_eval("$_siginfo.si_code")),
            "threads": threads}
if signal == 11:
    expected["address"] = f"{int(gdb.parse_and_eval('$_siginfo._sifields._sigfault.si_addr')):#x}"
expected["registers"] = {r: f"{int(gdb.parse_and_eval('$' + r)) & 0xffffffffffffffff:#x}" for r in
                         "rax rbx rcx rdx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15 rip".split()}
(OUT / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
