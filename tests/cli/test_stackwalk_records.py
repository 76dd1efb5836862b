"""`salvage stackwalk`: one bad record costs that record, not its list; a dump says the same in both
byte orders."""
import json
import os
import pathlib
import struct
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from minidumps import (CRASHPAD, Dump, EXCEPTION, HANDLES, MEMORY, MEMORY64,  # noqa: E402
                       MEMORY_INFO, MISC, MODULES, THREAD_INFO, THREAD_NAMES, THREADS, UNLOADED)

TOP = pathlib.Path(__file__).resolve().parents[2]
SALVAGE = os.environ.get("SALVAGE_BIN", str(TOP / "build" / "stage" / "bin" / "salvage"))
NOWHERE = 0x7ffffff0
STACK = 0x7fff0000


@pytest.fixture(params=["<", ">"], ids=["little", "big"])
def order(request):
    return request.param


def run(tmp_path, dump, *options):
    (tmp_path / "made.dmp").write_bytes(dump)
    done = subprocess.run([SALVAGE, "stackwalk", *options, str(tmp_path / "made.dmp")],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
                          timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def document(tmp_path, dump):
    return json.loads(run(tmp_path, dump, "--json"))


def stack_of(order):
    return struct.pack(order + "8Q", STACK + 16, 0x401111, STACK + 32, 0x402222, 0, 0, 0, 0)


def plain(order):
    """A dump whose thread list a test may still set: one module, a stack of three frames."""
    dump = Dump(order)
    dump.stack = dump.put(stack_of(order))
    dump.context = dump.amd64(0x401000, STACK, STACK)
    return dump


def finish(dump, modules=True, threads=True):
    if threads:
        dump.list(THREADS, [dump.thread(1, STACK, dump.stack, dump.context)])
    if modules:
        dump.list(MODULES, [dump.module(0x400000, 0x10000, dump.text("/bin/app"))])
    return dump.bytes()


def test_threads(tmp_path, order):
    dump = plain(order)
    dump.list(THREADS, [dump.thread(1, STACK, dump.stack, dump.context),
                        dump.thread(2, STACK, dump.stack, (1232, NOWHERE)),
                        dump.thread(3, STACK, (64, NOWHERE), dump.context),
                        dump.thread(4, STACK, dump.stack, (16, dump.context[1])),
                        dump.thread(5, STACK, dump.stack, dump.context)])
    threads = document(tmp_path, finish(dump, threads=False))["threads"]
    assert [t["thread_id"] for t in threads] == [1, 2, 3, 4, 5]
    assert [t["frame_count"] for t in threads] == [3, 0, 1, 0, 3]


def test_modules(tmp_path, order):
    dump = plain(order)
    name = dump.text("/bin/good")
    dump.list(MODULES, [
        dump.module(0x400000, 0x10000, name), dump.module(0x500000, 0, name),
        dump.module(0xffffffffffffff00, 0x1000, name), dump.module(0x600000, 0x1000, NOWHERE),
        dump.module(0x700000, 0x1000, name, (100, NOWHERE)),
        dump.module(0x800000, 0x1000, name, (8, dump.put(dump.pack("II", 0x53445352, 0))[1])),
        dump.module(0x900000, 0x1000, name, dump.cv_pdb(0x1234ABCD, 7, "good.pdb"))])
    found = document(tmp_path, finish(dump, modules=False))
    assert [(int(m["base_addr"], 16), m["filename"]) for m in found["modules"]] == [
        (0x400000, "good"), (0x600000, ""), (0x700000, "good"), (0x800000, "good"),
        (0x900000, "good")]
    assert found["modules"][4]["debug_id"] == "1234ABCD" + "0" * 24 + "7"
    assert found["modules"][4]["debug_file"] == "good.pdb"
    assert found["threads"][0]["frame_count"] == 3


def test_memory(tmp_path, order):
    """The thread has no copy of its stack: the list has it, between entries that are nowhere."""
    dump = plain(order)
    dump.list(MEMORY, [dump.pack("QII", 0x1000, 64, NOWHERE),
                       dump.pack("QII", STACK, *dump.stack),
                       dump.pack("QII", 0xfffffffffffffff0, *dump.stack),
                       dump.pack("QII", 0x2000, 0, 0)])
    dump.list(THREADS, [dump.thread(1, STACK, (0, 0), dump.context)])
    assert document(tmp_path, finish(dump, threads=False))["threads"][0]["frame_count"] == 3


def test_memory64_that_is_cut_off(tmp_path, order):
    dump = plain(order)
    dump.stream(MEMORY64, dump.pack("QQ", 3, dump.stack[1]) + dump.pack("QQ", STACK, 64)
                + dump.pack("QQ", 0x1000, 1 << 40) + dump.pack("QQ", 0x2000, 16))
    dump.list(THREADS, [dump.thread(1, STACK, (0, 0), dump.context)])
    assert document(tmp_path, finish(dump, threads=False))["threads"][0]["frame_count"] == 3


def test_memory_info(tmp_path, order):
    """What is known of the page in front of the one that faulted says that it is a guard page."""
    def info(base, size, protection):
        return dump.pack("QQIIQIIII", base, base, protection, 0, size, 0x1000, protection, 0x20000,
                         0)
    dump = plain(order)
    code = dump.put(bytes.fromhex("c70005000000") + bytes(10))
    context = dump.amd64(0x401000, STACK, STACK, rax=0x7000)
    dump.list(MEMORY, [dump.pack("QII", 0x401000, *code)])
    dump.list_ext(MEMORY_INFO, 16, [info(0x5000, 0, 4), info(0xfffffffffffff000, 0x2000, 4),
                                    info(0x7000, 0x1000, 1), info(0x8000, 0x1000, 4)], 48)
    dump.stream(EXCEPTION, dump.exception(1, 11, 0x7000, context))
    access = document(tmp_path, finish(dump))["crash_info"]["memory_accesses"]
    assert access == [{"access_type": "write", "address": "0x0000000000007000",
                       "is_likely_guard_page": True, "size": 4}]


def test_unloaded_modules(tmp_path, order):
    dump = plain(order)
    name = dump.text("C:\\gone.dll")
    dump.list_ext(UNLOADED, 12, [
        dump.pack("QIIII", 0x10000, 0x1000, 0, 0x1234, name),
        dump.pack("QIIII", 0x20000, 0, 0, 0x1234, name),
        dump.pack("QIIII", 0x30000, 0x1000, 0, 0x1234, NOWHERE),
        dump.pack("QIIII", 0xffffffffffffff00, 0x1000, 0, 0x1234, name),
        dump.pack("QIIII", 0x40000, 0x1000, 0, 0x1234, name)], 24)
    gone = document(tmp_path, finish(dump))["unloaded_modules"]
    assert [(int(m["base_addr"], 16), m["filename"], m["code_id"]) for m in gone] == [
        (0x10000, "C:\\gone.dll", "000012341000"), (0x40000, "C:\\gone.dll", "000012341000")]


def test_handles(tmp_path, order):
    dump = plain(order)
    name = dump.text("File")
    dump.list_ext(HANDLES, 16, [dump.pack("QIIIIII", 4, name, NOWHERE, 0, 0, 1, 1),
                                dump.pack("QIIIIII", 8, name, name, 0, 0, 1, 1)], 32)
    assert document(tmp_path, finish(dump))["handles"] == [
        {"handle": 4, "object_name": None, "type_name": "File"},
        {"handle": 8, "object_name": "File", "type_name": "File"}]


def test_thread_names(tmp_path, order):
    dump = plain(order)
    dump.list(THREADS, [dump.thread(i, STACK, dump.stack, dump.context) for i in (1, 2, 3)])
    odd = dump.put(dump.pack("I", 3) + b"abc")[1]
    dump.list(THREAD_NAMES, [dump.pack("IQ", 1, dump.text("first")), dump.pack("IQ", 2, NOWHERE),
                             dump.pack("IQ", 3, odd), dump.pack("IQ", 9, dump.text("nobody")),
                             dump.pack("IQ", 3, dump.text("drittér"))])
    threads = document(tmp_path, finish(dump, threads=False))["threads"]
    assert [t["thread_name"] for t in threads] == ["first", None, "drittér"]


def test_exception_without_context(tmp_path, order):
    dump = plain(order)
    dump.stream(EXCEPTION, dump.exception(1, 11, 0x45, (1232, NOWHERE)))
    found = document(tmp_path, finish(dump))
    assert found["crash_info"]["type"] == "SIGSEGV / SEGV_MAPERR"
    assert found["crashing_thread"]["frame_count"] == 3


def test_crashpad_annotations(tmp_path, order):
    dump = plain(order)
    key, value = dump.utf8("key"), dump.utf8("väl")
    pairs = dump.put(dump.pack("IIIIIII", 3, key, value, NOWHERE, value, value, key))
    listed = dump.put(dump.pack("IIII", 3, key, NOWHERE, value))
    objects = dump.put(dump.pack("I", 4) + dump.pack("IHHI", key, 1, 0, value)
                       + dump.pack("IHHI", key, 1, 0, NOWHERE) + dump.pack("IHHI", key, 0x8001, 0, 0)
                       + dump.pack("IHHI", value, 1, 0, key))
    info = dump.put(dump.pack("I", 1) + dump.pack("IIIIII", *listed, *pairs, *objects))
    links = dump.put(dump.pack("I", 3) + dump.pack("III", 0, *info) + dump.pack("III", 1, 28, NOWHERE)
                     + dump.pack("III", 2, *info))
    dump.stream(CRASHPAD, dump.pack("I", 1) + bytes(32) + dump.pack("IIII", *pairs, *links))
    text = run(tmp_path, finish(dump), "--dump", "--brief")
    for line in ('  simple_annotations["key"] = väl\n  simple_annotations["väl"] = key\n',
                 "  module_list[0].list_annotations[0] = key\n"
                 "  module_list[0].list_annotations[1] = väl\n",
                 '  module_list[0].annotation_objects["key"] = väl\n'
                 '  module_list[0].annotation_objects["väl"] = key\n',
                 "  module_list[1].minidump_module_list_index = 2\n"):
        assert line in text, text


def test_lines_of_text_streams(tmp_path, order):
    dump = plain(order)
    dump.stream(0x4d7a0003, b"Limit      Soft Limit   Hard Limit   Units\n"
                            b"Max open files      1024      4096      files\n"
                            b"nonsense\n"
                            b"Max nice priority   x         unlimited\n")
    dump.stream(0x47670005, b'DISTRIB_ID=Debian\nno pair\nVERSION_ID="12"\nPRETTY_NAME=\xff\n')
    dump.stream(0x47670004, b"Name:\tapp\ngarbage\nPid:\t77\n")
    found = document(tmp_path, finish(dump))
    assert sorted(found["proc_limits"]["limits"], key=lambda l: l["name"]) == [
        {"name": "Max nice priority", "soft": 0, "hard": "unlimited", "unit": "n/a"},
        {"name": "Max open files", "soft": 1024, "hard": 4096, "unit": "files"}]
    assert found["lsb_release"] == {"id": "Debian", "release": "12", "codename": "",
                                    "description": "\ufffd"}
    assert found["pid"] == 77


def everything(order):
    """One dump of all that has a byte order."""
    dump = plain(order)
    code = dump.put(bytes.fromhex("c70005000000") + bytes(10))
    context = dump.amd64(0x401000, STACK, STACK, rax=0x7000, rbx=0x0123456789abcdef)
    teb = dump.put(bytes(13 * 8) + dump.pack("I", 5))
    dump.list(MEMORY, [dump.pack("QII", 0x401000, *code), dump.pack("QII", 0x9000, *teb)])
    dump.list(THREADS, [
        dump.pack("IIIIQQIIII", 1, 2, 3, 4, 0x9000, STACK, *dump.stack, *dump.context),
        dump.thread(2, STACK, dump.stack, dump.context)])
    dump.list(THREAD_NAMES, [dump.pack("IQ", 2, dump.text("wörker"))])
    dump.list(MODULES, [dump.module(0x400000, 0x10000, dump.text("/bin/äpp"),
                                    dump.cv_pdb(0x1234ABCD, 0x1f, "app.pdb"))])
    dump.list_ext(UNLOADED, 12, [dump.pack("QIIII", 0x10000, 0x1000, 0, 0x1234, dump.text("gone"))],
                  24)
    dump.list_ext(HANDLES, 16, [dump.pack("QIIIIII", 1 << 40, dump.text("File"), 0, 0, 0, 1, 1)], 32)
    dump.list_ext(MEMORY_INFO, 16, [dump.pack("QQIIQIIII", 0x7000, 0x7000, 1, 0, 0x1000, 0x1000, 1,
                                              0x20000, 0)], 48)
    dump.stream(MISC, dump.pack("IIIIII", 24, 3, 4242, 0x64ffff00, 0, 0))
    dump.stream(EXCEPTION, dump.exception(1, 11, 0x7000, context))
    dump.list_ext(THREAD_INFO, 12, [dump.pack("IIIIQQQQQQ", 1, 0, 0, 0, 1, 2, 3, 4, 5, 6)], 64)
    return dump.bytes()


def test_both_byte_orders_say_the_same(tmp_path):
    little, big = everything("<"), everything(">")
    assert little != big
    found = document(tmp_path, little)
    assert found == document(tmp_path, big)
    assert run(tmp_path, little) == run(tmp_path, big)
    # and what they say is what was put in
    assert (found["pid"], found["process_uptime"]) == (4242, 0x65000000 - 0x64ffff00)
    assert found["crashing_thread"]["frames"][0]["registers"]["rbx"] == "0x0123456789abcdef"
    assert found["crash_info"]["instruction"] == "mov dword [rax], 0x5"
    assert [t["frame_count"] for t in found["threads"]] == [3, 3]
    assert found["threads"][0]["last_error_value"] == "ERROR_ACCESS_DENIED"
    assert found["modules"][0]["filename"] == "äpp"
    assert found["modules"][0]["debug_id"] == "1234ABCD" + "0" * 24 + "1f"
    dumps = [run(tmp_path, d, "--dump", "--brief") for d in (little, big)]
    assert dumps[0] == dumps[1]
