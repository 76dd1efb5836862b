"""The crashing instruction in `salvage stackwalk`: what it touches, by the processor's manual. The sizes of far returns
were also seen on a processor: with less than that up to a page that cannot be read, they fault there."""
import json
import os
import pathlib
import subprocess

import pytest

from minidumps import EXCEPTION, MEMORY, MODULES, THREADS, Dump

TOP = pathlib.Path(__file__).resolve().parents[2]
SALVAGE = os.environ.get("SALVAGE_BIN", str(TOP / "build" / "stage" / "bin" / "salvage"))
PC, SP, RAX = 0x400100, 0x5000, 0x7000


@pytest.fixture
def crash(tmp_path):
    def walk(code):
        dump = Dump()
        context = dump.amd64(PC, SP, SP + 64, rax=RAX)
        stack = dump.put(bytes(128))
        text = dump.put(bytes.fromhex(code).ljust(16, b"\x90"))
        dump.list(THREADS, [dump.thread(1, SP, stack, context)])
        dump.list(MODULES, [dump.module(0x400000, 0x1000, dump.text("/bin/x"))])
        dump.list(MEMORY, [dump.pack("QII", PC, *text), dump.pack("QII", SP, *stack)])
        dump.stream(EXCEPTION, dump.exception(1, 11, SP, context))
        (tmp_path / "x.dmp").write_bytes(dump.bytes())
        done = subprocess.run([SALVAGE, "stackwalk", "--json", tmp_path / "x.dmp"], stdout=subprocess.PIPE, check=True)
        return json.loads(done.stdout)["crash_info"]
    return walk


def accesses(info):
    return [(int(a["address"], 16), a["size"], a.get("access_type")) for a in info["memory_accesses"]]


@pytest.mark.parametrize("code, text, expected", [
    ("50", "push rax", [(SP - 8, 8, "write")]),
    ("6650", "push ax", [(SP - 2, 2, "write")]),
    ("66ff30", "push word [rax]", [(RAX, 2, "read"), (SP - 2, 2, "write")]),
    ("58", "pop rax", [(SP, 8, "read")]),
    ("6658", "pop ax", [(SP, 2, "read")]),
    ("fff1", "push rcx", [(SP - 8, 8, "write")]),
    ("c3", "ret", [(SP, 8, "read")]),
    ("48c3", "ret", [(SP, 8, "read")]),
    ("cb", "retf", [(SP, 8, "read")]),
    ("48cb", "retf", [(SP, 16, "read")]),
    ("66cb", "retf", [(SP, 4, "read")]),
    ("ca0800", "retf 0x8", [(SP, 8, "read")]),
    ("e800000000", "call $+0x0", [(SP - 8, 8, "write")]),
    ("ff28", "jmpf far [rax]", [(RAX, 6, "read")]),
    ("48ff28", "jmpf mword [rax]", [(RAX, 10, "read")]),
    ("66ff28", "jmpf dword [rax]", [(RAX, 4, "read")]),
    ("0f1f18", "nop dword [rax]", []),
    ("0f1918", "nop dword [rax]", []),
    ("464f4284d1", "test cl, dl", []),
    ("b0fb", "mov al, 0xfb", []),
    ("c600fb", "mov byte [rax], -0x5", [(RAX, 1, "write")]),
    ("c0dadf", "rcr dl, 0xdf", []),
    ("cc", "int3", []),
])
def test_what_it_touches(crash, code, text, expected):
    info = crash(code)
    assert info["instruction"] == text
    assert accesses(info) == expected


@pytest.mark.parametrize("code", ["c7c8984ce60d", "06", "0f04", "f0c3"])
def test_what_is_none(crash, code):
    info = crash(code)
    assert info["instruction"] is None and info["memory_accesses"] is None
