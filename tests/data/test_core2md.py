"""salvage core2md over synthetic cores of every machine it knows, and over what it must refuse.

Cores are put together here from the kernel's structures (elf_prstatus, elf_prpsinfo, siginfo_t), the
minidumps taken apart by hand; the real thing is in test_crashes.py.
"""
import os
import pathlib
import struct
import subprocess

import pytest

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
PREFIX = pathlib.Path(os.environ.get("SALVAGE_PREFIX", TOP / "build" / "stage"))
SALVAGE = PREFIX / "bin" / "salvage"
BUILD_ID = bytes(range(0x10, 0x24))
TEXT, STACK, VDSO = 0x10000, 0x700000, 0x900000
PAGE = 4096


class Machine:
    """Where a machine keeps things: bits, e_machine, then offsets in its notes."""

    def __init__(self, name, bits, number, arch, pid, regs, slots, names, ps):
        self.name, self.bits, self.number, self.arch = name, bits, number, arch
        self.pid, self.regs, self.slots, self.names, self.ps = pid, regs, slots, names, ps
        self.word = "Q" if bits == 64 else "I"

    def prstatus(self, tid, values, signal=0):
        size = self.regs + self.slots * self.bits // 8 + 8
        note = bytearray(size)
        struct.pack_into("<iii", note, 0, signal, 0, 0)
        struct.pack_into("<i", note, self.pid, tid)
        for name, value in values.items():
            at = self.regs + self.names.index(name) * self.bits // 8
            struct.pack_into("<" + self.word, note, at, value)
        return bytes(note)

    def prpsinfo(self, pid, name, args):
        pid_at, name_at, args_at, size = self.ps
        note = bytearray(size)
        struct.pack_into("<i", note, pid_at, pid)
        note[name_at:name_at + len(name)] = name
        note[args_at:args_at + len(args)] = args
        return bytes(note)

    def siginfo(self, number, code, address):
        note = bytearray(128)
        struct.pack_into("<iii", note, 0, number, 0, code)
        struct.pack_into("<" + self.word, note, 16 if self.bits == 64 else 12, address)
        return bytes(note)

    def words(self, *values):
        return struct.pack(f"<{len(values)}{self.word}", *values)


AMD64 = Machine("amd64", 64, 62, 9, 32, 112, 27,
                "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags "
                "rsp ss fs_base gs_base ds es fs gs".split(), (24, 40, 56, 136))
X86 = Machine("x86", 32, 3, 0, 24, 72, 17,
              "ebx ecx edx esi edi ebp eax ds es fs gs orig_eax eip cs eflags esp ss".split(),
              (12, 28, 44, 124))
ARM = Machine("arm", 32, 40, 5, 24, 72, 18,
              [f"r{i}" for i in range(16)] + ["cpsr", "orig_r0"], (12, 28, 44, 124))
ARM64 = Machine("arm64", 64, 183, 12, 32, 112, 34,
                [f"x{i}" for i in range(31)] + ["sp", "pc", "pstate"], (24, 40, 56, 136))
MACHINES = [AMD64, X86, ARM, ARM64]

# register -> (offset in the minidump's context, size), and the flags word's offset and CPU bit
CONTEXTS = {
    "amd64": (48, 0x100000, {"rax": (120, 8), "rcx": (128, 8), "rdx": (136, 8), "rbx": (144, 8),
                             "rsp": (152, 8), "rbp": (160, 8), "rsi": (168, 8), "rdi": (176, 8),
                             **{f"r{i}": (184 + 8 * (i - 8), 8) for i in range(8, 16)},
                             "rip": (248, 8), "eflags": (68, 4), "cs": (56, 2), "ds": (58, 2),
                             "es": (60, 2), "fs": (62, 2), "gs": (64, 2), "ss": (66, 2)}),
    "x86": (0, 0x10000, {"edi": (156, 4), "esi": (160, 4), "ebx": (164, 4), "edx": (168, 4),
                         "ecx": (172, 4), "eax": (176, 4), "ebp": (180, 4), "eip": (184, 4),
                         "cs": (188, 4), "eflags": (192, 4), "esp": (196, 4), "ss": (200, 4),
                         "gs": (140, 4), "fs": (144, 4), "es": (148, 4), "ds": (152, 4)}),
    "arm": (0, 0x40000000, {**{f"r{i}": (4 + 4 * i, 4) for i in range(16)}, "cpsr": (68, 4)}),
    "arm64": (0, 0x400000, {**{f"x{i}": (8 + 8 * i, 8) for i in range(31)}, "sp": (256, 8),
                            "pc": (264, 8), "pstate": (4, 4)}),
}
PC = {"amd64": "rip", "x86": "eip", "arm": "r15", "arm64": "pc"}
SP = {"amd64": "rsp", "x86": "esp", "arm": "r13", "arm64": "sp"}


def note(kind, desc, owner=b"CORE\0"):
    pad = -len(desc) % 4
    return struct.pack("<III", len(owner), len(desc), kind) + owner.ljust(8, b"\0") + desc + b"\0" * pad


def elf(machine, kind, headers, entry=0):
    """ELF and program headers; headers are (type, flags, offset, vaddr, filesz, memsz)."""
    ident = b"\x7fELF" + bytes([2 if machine.bits == 64 else 1, 1, 1]) + bytes(9)
    ehsize, phsize = (64, 56) if machine.bits == 64 else (52, 32)
    out = ident + struct.pack("<HHI", kind, machine.number, 1)
    out += machine.words(entry, ehsize, 0) + struct.pack("<IHHHHHH", 0, ehsize, phsize, len(headers),
                                                         0, 0, 0)
    for t, flags, offset, vaddr, filesz, memsz in headers:
        if machine.bits == 64:
            out += struct.pack("<IIQQQQQQ", t, flags, offset, vaddr, vaddr, filesz, memsz, 4)
        else:
            out += struct.pack("<IIIIIIII", t, offset, vaddr, vaddr, filesz, memsz, flags, 4)
    return out


def image(machine, build_id=BUILD_ID):
    """The first page of a shared object with a build id, mapped as two pages."""
    notes = struct.pack("<III", 4, len(build_id), 3) + b"GNU\0" + build_id
    head = elf(machine, 3, [(1, 5, 0, 0, PAGE, 2 * PAGE), (4, 4, 0x200, 0x200, len(notes), len(notes))])
    return head.ljust(0x200, b"\0") + notes.ljust(PAGE - 0x200, b"\0")


def make_core(machine, registers, signal=(11, 1, 0x10), path=b"/opt/prog/main"):
    files = machine.words(2, PAGE, TEXT, TEXT + PAGE, 0, TEXT + PAGE, TEXT + 2 * PAGE, 1)
    files += path + b"\0" + path + b"\0"
    notes = note(1, machine.prstatus(102, registers, signal[0] if signal else 0))
    if signal:
        notes += note(0x53494749, machine.siginfo(*signal))
    notes += note(3, machine.prpsinfo(101, b"main-name", b"main -x"))
    notes += note(6, machine.words(9, TEXT + 0x800, 33, VDSO, 0, 0))
    notes += note(0x46494c45, files)
    notes += note(1, machine.prstatus(101, {SP[machine.name]: STACK + 0x100, PC[machine.name]: TEXT + 4}))
    stack = bytes(range(256)) * 32
    start = 0x1000
    layout = [(4, 0, start, 0, len(notes), 0)]
    data = notes.ljust(-(-len(notes) // PAGE) * PAGE, b"\0")
    at = start + len(data)
    for flags, vaddr, content, memsz in ((5, TEXT, image(machine), 2 * PAGE),
                                         (6, STACK, stack, len(stack)),
                                         (5, VDSO, image(machine, b"v" * 20), PAGE)):
        layout.append((1, flags, at, vaddr, len(content), memsz))
        data += content
        at += len(content)
    return elf(machine, 4, layout).ljust(start, b"\0") + data


class Minidump:
    def __init__(self, data):
        self.data, self.streams = data, {}
        assert data[:4] == b"MDMP"
        count, rva = struct.unpack_from("<II", data, 8)
        for i in range(count):
            kind, size, at = struct.unpack_from("<III", data, rva + 12 * i)
            self.streams[kind] = data[at:at + size]

    def bytes_at(self, loc):
        size, rva = struct.unpack("<II", loc)
        return self.data[rva:rva + size]

    def text(self, rva):
        size, = struct.unpack_from("<I", self.data, rva)
        return self.data[rva + 4:rva + 4 + size].decode("utf-16-le")

    def threads(self):
        raw = self.streams[3]
        for i in range(struct.unpack_from("<I", raw)[0]):
            t = raw[4 + 48 * i:52 + 48 * i]
            yield {"id": struct.unpack_from("<I", t)[0], "start": struct.unpack_from("<Q", t, 24)[0],
                   "stack": self.bytes_at(t[32:40]), "context": self.bytes_at(t[40:48])}

    def modules(self):
        raw = self.streams[4]
        for i in range(struct.unpack_from("<I", raw)[0]):
            m = raw[4 + 108 * i:112 + 108 * i]
            base, size = struct.unpack_from("<QI", m)
            yield base, size, self.text(struct.unpack_from("<I", m, 20)[0]), self.bytes_at(m[76:84])


def run(*args):
    return subprocess.run([SALVAGE, "core2md", *map(str, args)], capture_output=True, text=True)


def convert(tmp_path, core, *options):
    (tmp_path / "core").write_bytes(core)
    done = run("-o", tmp_path / "out.dmp", *options, tmp_path / "core")
    assert done.returncode == 0, done.stderr
    return Minidump((tmp_path / "out.dmp").read_bytes())


def some_registers(machine):
    """A number of its own in every register, 16 bits in those that are small."""
    small = {"cs", "ss", "ds", "es", "fs", "gs"}
    values = {n: 0x1200 + i if n in small else 0x11110000 + i for i, n in enumerate(machine.names)}
    values[SP[machine.name]] = STACK + 0x1040
    values[PC[machine.name]] = TEXT + 0x824
    return values


@pytest.mark.parametrize("machine", MACHINES, ids=lambda m: m.name)
def test_registers_of_every_machine(tmp_path, machine):
    values = some_registers(machine)
    dump = convert(tmp_path, make_core(machine, values))
    flags_at, bit, places = CONTEXTS[machine.name]
    threads = list(dump.threads())
    assert [t["id"] for t in threads] == [102, 101]
    context = threads[0]["context"]
    assert struct.unpack_from("<I", context, flags_at)[0] & 0xffffff00 == bit
    for name, (offset, size) in places.items():
        assert int.from_bytes(context[offset:offset + size], "little") == values[name], name
    assert struct.unpack_from("<H", dump.streams[7])[0] == machine.arch
    assert struct.unpack_from("<I", dump.streams[7], 20)[0] == 0x8201


@pytest.mark.parametrize("machine", MACHINES, ids=lambda m: m.name)
def test_signal_stack_and_modules(tmp_path, machine):
    dump = convert(tmp_path, make_core(machine, some_registers(machine)))
    thread, _, code, flags, _, address = struct.unpack_from("<IIIIQQ", dump.streams[6])
    assert (thread, code, flags, address) == (102, 11, 1, 0x10)
    crashed = next(dump.threads())
    assert dump.bytes_at(dump.streams[6][160:168]) == crashed["context"]
    # from the red zone below sp to the end of the mapping
    assert crashed["start"] == STACK + 0x1040 - 128
    assert len(crashed["stack"]) == 8192 - (0x1040 - 128)
    assert crashed["stack"][:3] == bytes([0xc0, 0xc1, 0xc2])
    assert list(dump.modules()) == [(TEXT, 2 * PAGE, "/opt/prog/main", b"LEpB" + BUILD_ID),
                                    (VDSO, PAGE, "linux-gate.so", b"LEpB" + b"v" * 20)]
    assert struct.unpack_from("<III", dump.streams[15], 4) == (1, 101, 0)
    assert dump.streams[0x47670006] == b"main -x"
    assert dump.streams[0x47670008][:4] == b"\x09\0\0\0"
    maps = dump.streams[0x47670009].decode().splitlines()
    assert [line.split() for line in maps] == [
        ["00010000-00012000", "r-xp", "00000000", "00:00", "0", "/opt/prog/main"],
        ["00700000-00702000", "rw-p", "00000000", "00:00", "0", "[stack]"],
        ["00900000-00901000", "r-xp", "00000000", "00:00", "0", "[vdso]"]]


def memory_of(dump):
    raw = dump.streams[5]
    count, = struct.unpack_from("<I", raw)
    return {struct.unpack_from("<Q", raw, 4 + 16 * i)[0]: dump.bytes_at(raw[12 + 16 * i:20 + 16 * i])
            for i in range(count)}


def test_code_around_the_crash(tmp_path):
    values = some_registers(AMD64)
    dump = convert(tmp_path, make_core(AMD64, values))
    assert memory_of(dump)[TEXT + 0x824 - 128] == image(AMD64)[0x824 - 128:0x824 + 128]
    # of the second page the core holds nothing; the file on disk helps, if its build id is the core's
    values["rip"] = TEXT + PAGE + 0x90
    core = make_core(AMD64, values, path=str(tmp_path / "main").encode())
    stacks = {STACK + 0x1040 - 128, STACK + 0x100 - 128}
    assert set(memory_of(convert(tmp_path, core))) == stacks
    (tmp_path / "main").write_bytes(image(AMD64, b"x" * 20) + b"\x90" * PAGE)
    assert set(memory_of(convert(tmp_path, core))) == stacks
    (tmp_path / "main").write_bytes(image(AMD64) + b"\x90" * PAGE)
    found = memory_of(convert(tmp_path, core))
    assert set(found) == stacks | {TEXT + PAGE + 0x10} and found[TEXT + PAGE + 0x10] == b"\x90" * 256


def test_other_signals_have_no_address(tmp_path):
    dump = convert(tmp_path, make_core(AMD64, some_registers(AMD64), signal=(6, -6, 0x6500000000)))
    _, _, code, flags, _, address = struct.unpack_from("<IIIIQQ", dump.streams[6])
    assert (code, flags, address) == (6, 0xfffffffa, 0)


def test_a_core_without_signal_is_a_request(tmp_path):
    for signal in (None, (19, 0x80, 0)):  # gcore stops the process
        dump = convert(tmp_path, make_core(AMD64, some_registers(AMD64), signal=signal))
        assert struct.unpack_from("<III", dump.streams[6], 4) == (0, 0xffffffff, 0)


def test_names_of_threads(tmp_path):
    core = make_core(AMD64, some_registers(AMD64))

    def names(dump):
        raw = dump.streams[24]
        return {struct.unpack_from("<I", raw, 4 + 12 * i)[0]:
                dump.text(struct.unpack_from("<Q", raw, 8 + 12 * i)[0])
                for i in range(struct.unpack_from("<I", raw)[0])}

    assert names(convert(tmp_path, core)) == {101: "main-name"}
    for tid, name in ((101, "boss"), (102, "w\u00f6rker")):
        (tmp_path / "proc" / "task" / str(tid)).mkdir(parents=True)
        (tmp_path / "proc" / "task" / str(tid) / "comm").write_text(name + "\n")
    (tmp_path / "proc" / "maps").write_text("1000-2000 r--p 00000000 00:00 0 \n")
    dump = convert(tmp_path, core, "--proc", tmp_path / "proc")
    assert names(dump) == {101: "boss", 102: "w\u00f6rker"}
    assert dump.streams[0x47670009] == b"1000-2000 r--p 00000000 00:00 0 \n"
    assert dump.streams[0x47670006] == b"main -x"  # no cmdline in the copy


def test_host(tmp_path):
    host = pathlib.Path(__file__).parent / "host"
    dump = convert(tmp_path, make_core(AMD64, some_registers(AMD64)), "--host", host)
    system = dump.streams[7]
    assert struct.unpack_from("<HHHB", system) == (9, 6, 85 << 8 | 7, 2)
    assert dump.text(struct.unpack_from("<I", system, 24)[0]).startswith("Linux 6.1.0-28-amd64 #1 SMP")
    assert b"bookworm" in dump.streams[0x47670005]
    assert b"microcode" in dump.streams[0x47670003]
    assert 0x47670005 not in convert(tmp_path, make_core(AMD64, some_registers(AMD64))).streams


def test_stack_limit(tmp_path):
    dump = convert(tmp_path, make_core(AMD64, some_registers(AMD64)), "--stack-limit", "4200")
    assert [len(t["stack"]) for t in dump.threads()] == [8192 - (0x1040 - 128), 4200]


def test_exe(tmp_path):
    core = make_core(AMD64, some_registers(AMD64))
    (tmp_path / "same").write_bytes(image(AMD64))
    (tmp_path / "other").write_bytes(image(AMD64, b"o" * 20))
    modules = list(convert(tmp_path, core, "--exe", tmp_path / "same").modules())
    assert modules[0][2:] == (str(tmp_path / "same"), b"LEpB" + BUILD_ID)
    done = run("--exe", tmp_path / "other", "-o", tmp_path / "no.dmp", tmp_path / "core")
    assert done.returncode == 1 and "build ids differ" in done.stderr
    assert not (tmp_path / "no.dmp").exists()


def refused(tmp_path, data, *words, options=()):
    (tmp_path / "core").write_bytes(data)
    done = run(*options, "-o", tmp_path / "no.dmp", tmp_path / "core")
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("salvage core2md: ")
    for word in words:
        assert word in done.stderr, done.stderr
    assert not (tmp_path / "no.dmp").exists() and not list(tmp_path.glob("*.tmp"))


def test_refused(tmp_path):
    core = make_core(AMD64, some_registers(AMD64))
    refused(tmp_path, b"", "not an ELF file")
    refused(tmp_path, b"MDMP" * 100, "not an ELF file")
    refused(tmp_path, image(AMD64), "no core file")
    sparc = bytearray(core)
    struct.pack_into("<H", sparc, 18, 43)
    refused(tmp_path, bytes(sparc), "machine 43", "amd64, x86, arm, arm64")
    x32 = bytearray(make_core(X86, some_registers(X86)))
    struct.pack_into("<H", x32, 18, 62)
    refused(tmp_path, bytes(x32), "machine 62 (32 bit)")
    refused(tmp_path, core[:0x1100], "truncated core", "notes")
    refused(tmp_path, core[:100], "core")
    refused(tmp_path, core[:-PAGE - 100], f"truncated core: {PAGE + 100} bytes", "--partial")
    done = run(tmp_path / "absent")
    assert done.returncode == 1 and str(tmp_path / "absent") in done.stderr


def test_partial(tmp_path):
    core = make_core(AMD64, some_registers(AMD64))
    dump = convert(tmp_path, core[:-PAGE - 4096], "--partial")  # vdso and half of the stack
    stacks = {t["id"]: t["stack"] for t in dump.threads()}
    assert len(stacks[101]) == 4096 - (0x100 - 128)
    assert stacks[102] == b"" or len(stacks[102]) <= 8192 - (0x1040 - 128) - 4096


def test_every_cut_is_survived(tmp_path):
    """No cut kills the converter: it converts or says in one line why not."""
    core = make_core(AMD64, some_registers(AMD64))
    head = list(range(0, 0x120, 8)) + list(range(0x1000, 0x1900, 32))
    for size in head:
        (tmp_path / "core").write_bytes(core[:size])
        done = run("--partial", "-o", tmp_path / "o.dmp", tmp_path / "core")
        assert done.returncode in (0, 1), (size, done)
        assert done.returncode == 0 or done.stderr.count("\n") == 1


def test_usage(tmp_path):
    assert run().returncode == 2
    assert run("a", "b").returncode == 2
    assert run("--no-such-option", "x").returncode == 2
    assert run("--stack-limit", "much", "x").returncode == 2
    shown = run("--help")
    assert shown.returncode == 0 and "--partial" in shown.stdout
