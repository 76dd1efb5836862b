"""`salvage symbolicate`: addresses as arguments, requests on standard input."""
import json
import os
import pathlib
import subprocess

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
SALVAGE = os.environ.get("SALVAGE_BIN", str(TOP / "build" / "stage" / "bin" / "salvage"))
ID = "0123456789ABCDEF0123456789ABCDEF0"
SYM = f"""MODULE Linux x86_64 {ID} app
FILE 0 /src/a.c
FILE 1 /src/b.h
INLINE_ORIGIN 0 helper(int)
FUNC 1000 20 0 main
INLINE 0 7 0 0 1008 8
1000 8 5 0
1008 8 30 1
1010 10 9 0
PUBLIC 2000 0 last
"""


@pytest.fixture(scope="module")
def symbols(tmp_path_factory):
    top = tmp_path_factory.mktemp("symbols")
    where = top / "app" / ID
    where.mkdir(parents=True)
    (where / "app.sym").write_text(SYM)
    return top


def run(symbols, *args, stdin="", code=0):
    done = subprocess.run([SALVAGE, "symbolicate", "--symbols", symbols, "--symbols-cache",
                           symbols / "cache", *args], input=stdin, encoding="utf-8",
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    return done


def test_addresses(symbols):
    out = run(symbols, f"app/{ID}:0x1009", f"app/{ID}:4096", f"app/{ID}:0x2004").stdout
    assert out == (f"app/{ID}:0x1009\n  helper(int) at /src/b.h:30\n"
                   "  inlined by main at /src/a.c:7\n"
                   f"app/{ID}:4096\n  main at /src/a.c:5\n"
                   f"app/{ID}:0x2004\n  last\n")


def test_what_is_not_known(symbols):
    done = run(symbols, f"app/{ID}:0x10", f"other/{ID}:1", f"app/{ID}:0x1000", code=1)
    assert done.stdout == (f"app/{ID}:0x10\n  ?? (no symbol at this offset)\n"
                           f"other/{ID}:1\n  ?? (not found)\n"
                           f"app/{ID}:0x1000\n  main at /src/a.c:5\n")


def test_addresses_as_json(symbols):
    got = json.loads(run(symbols, "--json", f"app/{ID}:0x1009").stdout)
    assert got == {"results": [{"stacks": [[{
        "frame": 0, "module": "app", "module_offset": "0x1009", "function": "main",
        "function_offset": "0x9", "function_size": "0x20", "file": "/src/a.c", "line": 7,
        "inlines": [{"function": "helper(int)", "file": "/src/b.h", "line": 30}]}]],
        "found_modules": {f"app/{ID}": True}}]}


def test_request(symbols):
    body = {"jobs": [{"memoryMap": [["app", ID]], "stacks": [[[0, 0x2004], [-1, 5]]]}]}
    got = json.loads(run(symbols, "--strict", stdin=json.dumps(body)).stdout)
    assert got["results"][0]["stacks"] == [[
        {"frame": 0, "module": "app", "module_offset": "0x2004", "function": "last",
         "function_offset": "0x4"},
        {"frame": 1, "module": "<unknown>", "module_offset": "0x5"}]]


def test_request_v4(symbols):
    body = {"memoryMap": [["app", ID]], "stacks": [[[0, 0x1009]]], "version": 4}
    got = json.loads(run(symbols, "--v4", stdin=json.dumps(body)).stdout)
    assert got == {"symbolicatedStacks": [["main (in app)"]], "knownModules": [True]}


def test_many_frames_on_standard_input(symbols):
    """As a profiler sends them: sixty thousand frames of one stack."""
    body = {"memoryMap": [["app", ID]], "stacks": [[[0, 0x1000 + i % 32] for i in range(60000)]]}
    got = json.loads(run(symbols, stdin=json.dumps(body)).stdout)["results"][0]
    assert len(got["stacks"][0]) == 60000
    assert got["stacks"][0][59999] == {**got["stacks"][0][31], "frame": 59999}


@pytest.mark.parametrize("args, stdin, code, said", [
    ([], "{", 1, "Payload is not valid JSON"),
    ([], '{"memoryMap":[]}', 1, "job 0 is invalid: no stacks specified"),
    (["app"], "", 2, '"app" is no address: NAME/ID:OFFSET'),
    ([f"app/{ID}:-1"], "", 2, "is no address"),
    ([f"app/{ID}:0xzz"], "", 2, "is no address"),
    ([f"app/{ID}:"], "", 2, "is no address"),
    (["/x:1"], "", 2, "is no address"),
])
def test_errors(symbols, args, stdin, code, said):
    assert said in run(symbols, *args, stdin=stdin, code=code).stderr
