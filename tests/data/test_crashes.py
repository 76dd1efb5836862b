"""The project's own crashes, judged by gdb's stacks of the same processes (*.expected.json).

First the symbol files alone (addresses of gdb's frames looked up in them), then the whole way:
`salvage stackwalk` over the dump must find the frames gdb found.
"""
import json
import os
import pathlib
import subprocess

import pytest

DATA = pathlib.Path(__file__).resolve().parent
CRASHES = sorted(p.name.removesuffix(".expected.json") for p in DATA.glob("crashes/*.expected.json"))
# one address, several names: symbol files have the first of the symbol table
ALIASES = {"clone3": "__clone3", "__libc_start_main_impl": "__libc_start_main_alias_2"}


def expected_of(name):
    return json.loads((DATA / "crashes" / f"{name}.expected.json").read_text())


def same_file(ours, gdbs):
    """gdb gives glibc's paths relative to where each file was compiled; symbol files join the two,
    as addr2line does: ./nptl/./nptl/pthread_kill.c."""
    plain = gdbs.lstrip("./")
    return ours == gdbs or ours == plain or ours == plain.split("/")[0] + "/" + plain


def same_function(ours, frame):
    """gdb leaves out parameters where it can."""
    names = [frame["function"], frame.get("signature", frame["function"])]
    names += [ALIASES[n] for n in names if n in ALIASES]
    return any(ours == n or ours.startswith(n + "(") for n in names)


class SymFile:
    """Just enough of the Breakpad format to look one address up, written apart from the library."""

    def __init__(self, path):
        self.files, self.origins, self.functions, self.publics = {}, {}, [], []
        for line in path.read_text().splitlines():
            kind, _, rest = line.partition(" ")
            if kind == "FILE":
                number, name = rest.split(" ", 1)
                self.files[int(number)] = name
            elif kind == "INLINE_ORIGIN":
                number, name = rest.split(" ", 1)
                self.origins[int(number)] = name
            elif kind == "FUNC":
                start, size, _, name = rest.split(" ", 3)
                self.functions.append((int(start, 16), int(size, 16), name, [], []))
            elif kind == "INLINE":
                depth, call, file, origin, *pairs = rest.split()
                ranges = [(int(a, 16), int(n, 16)) for a, n in zip(pairs[::2], pairs[1::2])]
                self.functions[-1][4].append((int(depth), int(call), int(file), int(origin), ranges))
            elif kind == "PUBLIC":
                at, _, name = rest.split(" ", 2)
                self.publics.append((int(at, 16), name))
            elif kind not in ("MODULE", "INFO", "STACK"):
                start, size, number, file = line.split()
                self.functions[-1][3].append((int(start, 16), int(size, 16), int(number), int(file)))

    def lookup(self, at):
        """[(function, file, line)], innermost first."""
        for start, size, name, lines, inlines in self.functions:
            if not start <= at < start + size:
                continue
            place = next(((self.files[f], n) for a, s, n, f in lines if a <= at < a + s), (None, None))
            stack = [(name, None, None)]
            for depth, call, file, origin, ranges in sorted(inlines):
                if depth == len(stack) - 1 and any(a <= at < a + s for a, s in ranges):
                    stack[-1] = (stack[-1][0], self.files[file], call)
                    stack.append((self.origins[origin], None, None))
            stack[-1] = (stack[-1][0], *place)
            return stack[::-1]
        before = [p for p in self.publics if p[0] <= at]
        return [(max(before)[1], None, None)] if before else []


@pytest.fixture(scope="module")
def symbols():
    return {p.parent.parent.name: SymFile(p) for p in DATA.glob("symbols/*/*/*.sym")}


@pytest.mark.parametrize("name", CRASHES)
def test_symbol_files_agree_with_gdb(name, symbols):
    compared = 0
    for thread in expected_of(name)["threads"]:
        frames = thread["frames"]
        physical = []
        for frame in frames:  # inline frames share the pc of the frame they are in
            if physical and physical[-1][0]["pc"] == frame["pc"] and physical[-1][-1]["inline"]:
                physical[-1].append(frame)
            else:
                physical.append([frame])
        for i, group in enumerate(physical):
            if group[0]["module"] not in symbols:
                continue
            at = int(group[0]["offset"], 16) - (1 if i else 0)
            found = symbols[group[0]["module"]].lookup(at)
            assert len(found) == len(group), (group, found)
            for (function, file, line), frame in zip(found, group):
                assert same_function(function, frame), (function, frame)
                assert frame["file"] is None or same_file(file, frame["file"]), (file, frame)
                assert line == frame["line"], (line, frame)
                compared += 1
    assert compared >= 10


def frames_of(thread):
    """Our frames, inline ones opened out, as (function, file, line, module)."""
    for frame in thread["frames"]:
        for inline in frame["inlines"] or []:
            yield inline["function"], inline["file"], inline["line"], frame["module"]
        yield frame["function"], frame["file"], frame["line"], frame["module"]


@pytest.fixture(scope="module")
def salvage():
    prefix = os.environ.get("SALVAGE_PREFIX", DATA.parent.parent / "build" / "stage")
    return pathlib.Path(prefix) / "bin" / "salvage"


@pytest.mark.parametrize("name", CRASHES)
def test_stackwalk_agrees_with_gdb(name, salvage):
    run = subprocess.run([salvage, "stackwalk", "--json", "--symbols", DATA / "symbols",
                          DATA / "crashes" / f"{name}.dmp"], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    doc, expected = json.loads(run.stdout), expected_of(name)
    assert doc["pid"] == expected["pid"]
    ids = {t["thread_id"]: t for t in doc["threads"]}
    assert set(ids) == {t["id"] for t in expected["threads"]}
    for theirs in expected["threads"]:
        ours = ids[theirs["id"]]
        assert ours["thread_name"] == theirs["name"]
        for mine, frame in zip(frames_of(ours), theirs["frames"], strict=True):
            assert same_function(mine[0], frame), (mine, frame)
            assert frame["file"] is None or same_file(mine[1], frame["file"]), (mine, frame)
            assert mine[2] == frame["line"] and mine[3] == frame["module"], (mine, frame)
    crashed = doc["crashing_thread"]
    assert crashed["thread_id"] == expected["crashing_thread"]
    registers = crashed["frames"][0]["registers"]
    assert {k: int(v, 16) for k, v in registers.items()} == \
        {k: int(v, 16) for k, v in expected["registers"].items()}
    if "address" in expected:
        assert int(doc["crash_info"]["address"], 16) == int(expected["address"], 16)


def test_sample_has_function_file_and_line_everywhere(symbols):
    """What ./quickstart shows: each frame of the crashing thread has all three."""
    expected = expected_of("crasher_cpp")
    thread = next(t for t in expected["threads"] if t["id"] == expected["crashing_thread"])
    assert thread["name"] == "sample-worker" and len(thread["frames"]) >= 8
    for frame in thread["frames"]:
        assert frame["function"] and frame["file"] and frame["line"], frame
        assert frame["module"] in symbols, frame
