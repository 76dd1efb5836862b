"""mod_symbolicate: what v5 and v4 take, what they refuse and how, what they answer."""
import concurrent.futures
import json
import os
import time

import pytest
import requests
from symbols import archive, put, upload

BAD_JSON = "Payload is not valid JSON"
SYM_ID = "D48F191186D67E69DF025AD71FB91E1F0"
SYM = f"""MODULE windows x86_64 {SYM_ID} outer.pdb
INFO CODE_ID 60533C886EFD000 outer one.dll
FILE 0 hg:hg.example.org/central:dom/a.cpp:abc
FILE 1 b.cpp
INLINE_ORIGIN 0 middle
INLINE_ORIGIN 1 inner(int)
FUNC 1000 100 0 A::outer()
INLINE 0 10 0 0 1010 40
INLINE 1 20 1 1 1020 10
1000 20 7 0
1020 10 30 1
1030 60 8 0
FUNC m 2000 20 0 folded
2000 20 0 1
PUBLIC 3000 0 public \xe9 name
""".encode("latin-1")


@pytest.fixture
def service(stack):
    put(stack, "outer.pdb", SYM_ID, "outer.sym", SYM)
    return stack


def post(stack, body, path="/symbolicate/v5", headers=None):
    data = body if isinstance(body, (bytes, str)) else json.dumps(body)
    return requests.post(stack.url + path, data=data, headers=headers, timeout=60)


def job(modules, *stacks):
    return {"memoryMap": modules, "stacks": list(stacks)}


OUTER = ["outer.pdb", SYM_ID]


def frames(stack, *offsets, **kwargs):
    r = post(stack, job([OUTER], [[0, o] for o in offsets]), **kwargs)
    assert r.status_code == 200, r.text
    return r.json()["results"][0]["stacks"][0]


def ok(modules=None, stacks=None):
    return {"memoryMap": [OUTER] if modules is None else modules,
            "stacks": [[[0, 1]]] if stacks is None else stacks}


REFUSED = [
    # 1: JSON
    ("", BAD_JSON), ("{", BAD_JSON), ("nothing", BAD_JSON), ("[1,]", BAD_JSON), ("{'a': 1}", BAD_JSON),
    ('{"a": NaN}', BAD_JSON), ('{"a": Infinity}', BAD_JSON), ('{"a": 01}', BAD_JSON),
    ('{"a": "\t"}', BAD_JSON), ('{"a": "\\x"}', BAD_JSON), ('{"a": "\\u12g4"}', BAD_JSON),
    ('{} {}', BAD_JSON), (b'{"a": "\xff"}', BAD_JSON), ('{"a": 1}'.encode("utf-16"), BAD_JSON),
    ('{"a": ' + "1" * 4301 + "}", BAD_JSON), ("[" * 100000, BAD_JSON),
    ("[" * 100000 + "]" * 100000, BAD_JSON), ('{"a": 1.}', BAD_JSON), ('{"a": "' + "x" * 70000, BAD_JSON),
    (b"{}\0", BAD_JSON),
    # 2: jobs
    ({"jobs": [ok()] * 11}, "please limit number of jobs in a single request to <= 10"),
    ({"jobs": [None] * 11}, "please limit number of jobs in a single request to <= 10"),
    # 3 to 5: a job
    ({"jobs": [ok(), 5]}, "job 1 is invalid"), ({"jobs": [[]]}, "job 0 is invalid"),
    ({"jobs": "jobs"}, "job 0 is invalid"), ({"jobs": {}}, "job 0 is invalid"),
    ({"jobs": None}, "job 0 is invalid"), ({"jobs": 5}, "job 0 is invalid"),
    ("null", "job 0 is invalid"), ("true", "job 0 is invalid"), ("5", "job 0 is invalid"),
    ('"jobs"', "job 0 is invalid"), ('["jobs"]', "job 0 is invalid"), ("[]", "job 0 is invalid"),
    ({}, "job 0 is invalid: no stacks specified"),
    ({"jobs": [{"memoryMap": []}]}, "job 0 is invalid: no stacks specified"),
    ({"jobs": [{"stacks": []}]}, "job 0 is invalid: no memoryMap specified"),
    ({"jobs": [ok(), {}]}, "job 1 is invalid: no stacks specified"),
    # 6: modules, before stacks
    (ok({}, 5), "job 0 has invalid modules: modules must be a list"),
    (ok("x"), "job 0 has invalid modules: modules must be a list"),
    (ok([5]), "job 0 has invalid modules: module index 0 does not have a debug_filename and "
              "debug_id"),
    (ok([OUTER, ["a"]]), "job 0 has invalid modules: module index 1 does not have a debug_filename "
                         "and debug_id"),
    (ok([["a", "b", "c"]]), "job 0 has invalid modules: module index 0 does not have a "
                            "debug_filename and debug_id"),
    (ok([[5, "AB"]]), "job 0 has invalid modules: module index 0 has an invalid debug_filename"),
    (ok([["[vdso]", "AB"]]), "job 0 has invalid modules: module index 0 has an invalid "
                             "debug_filename"),
    (ok([["a/b", "AB"]]), "job 0 has invalid modules: module index 0 has an invalid debug_filename"),
    (ok([["a\n", "AB"]]), "job 0 has invalid modules: module index 0 has an invalid debug_filename"),
    (ok([["\u00e9", "AB"]]), "job 0 has invalid modules: module index 0 has an invalid "
                             "debug_filename"),
    (ok([["a", "xyz"]]), "job 0 has invalid modules: module index 0 has an invalid debug_id"),
    (ok([["a", "AB\n"]]), "job 0 has invalid modules: module index 0 has an invalid debug_id"),
    (ok([["a", None]]), "job 0 has invalid modules: module index 0 has an invalid debug_id"),
    # 7: stacks
    (ok(None, {}), "job 0 has invalid stacks: stacks must be a list of lists"),
    (ok(None, []), "job 0 has invalid stacks: no stacks specified"),
    (ok(None, [[], 5]), "job 0 has invalid stacks: stack 1 is not a list"),
    (ok(None, [[5]]), "job 0 has invalid stacks: stack 0 frame 0 is not a list of two items"),
    (ok(None, [[[0]]]), "job 0 has invalid stacks: stack 0 frame 0 is not a list of two items"),
    (ok(None, [[[0, 1], [0, 1, 2]]]),
     "job 0 has invalid stacks: stack 0 frame 1 is not a list of two items"),
    (ok(None, [[["0", 1]]]), "job 0 has invalid stacks: stack 0 frame 0 has an invalid "
                             "module_index"),
    (ok(None, [[[0.0, 1]]]), "job 0 has invalid stacks: stack 0 frame 0 has an invalid "
                             "module_index"),
    (ok(None, [[[True, 1]]]), "job 0 has invalid stacks: stack 0 frame 0 has an invalid "
                              "module_index"),
    (ok(None, [[[1, 1]]]), "job 0 has invalid stacks: stack 0 frame 0 has a module_index that isn't "
                           "in modules"),
    (ok(None, [[[-2, 1]]]), "job 0 has invalid stacks: stack 0 frame 0 has a module_index that "
                            "isn't in modules"),
    (ok(None, [[[10 ** 30, 1]]]), "job 0 has invalid stacks: stack 0 frame 0 has a module_index "
                                  "that isn't in modules"),
    (ok(None, [[[0, -2]]]), "job 0 has invalid stacks: stack 0 frame 0 has an invalid "
                            "module_offset"),
    (ok(None, [[[0, "0x10"]]]), "job 0 has invalid stacks: stack 0 frame 0 has an invalid "
                                "module_offset"),
    (ok(None, [[[0, 1.0]]]), "job 0 has invalid stacks: stack 0 frame 0 has an invalid "
                             "module_offset"),
    (ok(None, [[[0, False]]]), "job 0 has invalid stacks: stack 0 frame 0 has an invalid "
                               "module_offset"),
    # job after job: all of job 0 comes before anything of job 1
    ({"jobs": [ok(None, []), {}]}, "job 0 has invalid stacks: no stacks specified"),
]


# As shipped names are not checked; these tests are about the strict ones.
STRICT = '<Location "/strict">\nSetHandler symbolicate\nSymbolicateStrictNames on\n</Location>\n' \
         '<Location "/lenient">\nSetHandler symbolicate\nSymbolicateStrictNames off\n' \
         'SymbolicateMaxBody 100k\nSymbolicateMaxJobs 3\n</Location>\n'


def test_refusals(service):
    service.httpd_conf(STRICT)
    for body, title in REFUSED:
        r = post(service, body, "/strict/v5", {"Content-Type": "application/x-www-form-urlencoded"})
        assert (r.status_code, r.text) == (400, '{"title": "%s"}' % title), str(body)[:200]
        assert r.headers["Content-Type"] == "application/json"
        assert r.headers["Vary"] == "Accept"


def test_v4_refusals(service):
    service.httpd_conf(STRICT)
    for body, title in REFUSED:
        if isinstance(body, dict) and "jobs" in body:
            # v4 knows no jobs
            title = "job 0 is invalid: no stacks specified"
        r = post(service, body, "/strict/v4")
        assert (r.status_code, r.json()["title"]) == (400, title), str(body)[:200]


def test_methods_and_paths(service):
    for method in ("GET", "PUT", "DELETE"):
        r = requests.request(method, service.url + "/symbolicate/v5", timeout=30)
        assert (r.status_code, r.text) == (405, '{"title": "405 Method Not Allowed"}')
        assert r.headers["Allow"] == "POST, OPTIONS"
    for path in ("/symbolicate/v5/", "/symbolicate/v6", "/symbolicate/", "/symbolicate/x/v5",
                 "/symbolicate/v55"):
        r = post(service, {}, path)
        assert (r.status_code, r.text) == (404, '{"title": "404 Not Found"}'), path


def test_cors(service):
    expose = ("accept, accept-encoding, authorization, content-type, dnt, origin, user-agent, "
              "x-csrftoken, x-requested-with")
    origin = {"Origin": "https://profiler.test"}
    plain = post(service, {"jobs": []})
    assert "Access-Control-Allow-Origin" not in plain.headers
    for r in (post(service, {"jobs": []}, headers=origin), post(service, "", headers=origin),
              requests.get(service.url + "/symbolicate/v5", headers=origin, timeout=30)):
        assert r.headers["Access-Control-Allow-Origin"] == "*"
        assert r.headers["Access-Control-Expose-Headers"] == expose
        assert "Access-Control-Allow-Credentials" not in r.headers
    url = service.url + "/symbolicate/v5"
    r = requests.options(url, headers={**origin, "Access-Control-Request-Method": "POST",
                                       "Access-Control-Request-Headers": "content-type"}, timeout=30)
    assert (r.status_code, r.text) == (200, "")
    assert r.headers["Access-Control-Allow-Methods"] == "POST"
    assert r.headers["Access-Control-Allow-Headers"] == "content-type"
    assert r.headers["Access-Control-Max-Age"] == "86400"
    assert "Allow" not in r.headers
    r = requests.options(url, headers={**origin, "Access-Control-Request-Method": "POST"}, timeout=30)
    assert r.headers["Access-Control-Allow-Headers"] == "*"
    r = requests.options(url, timeout=30)
    assert (r.status_code, r.text, r.headers["Allow"]) == (200, "", "POST")


def test_v5_answer(service):
    """Inlines, call sites, lines, publics, what has no symbol: the whole answer as Eliot gives it."""
    service.httpd_conf(STRICT)
    body = {"version": 5, "unknown": {"deep": [[[]]]}, "jobs": [job(
        [OUTER, ["absent.so", "A" * 33], ["unused.so", "B" * 33], ["", "AB"]],
        [[0, 0x1000], [0, 0x1025], [0, 0x1015], [0, 0x1095], [0, 0x2001], [0, 0x3005], [0, 0xfff],
         [1, 1000], [-1, 5], [0, -1], [3, 7], [-1, -1]])]}
    r = post(service, body, "/strict/v5")
    assert r.status_code == 200, r.text
    assert r.headers["Content-Type"] == "application/json"
    a = "hg:hg.example.org/central:dom/a.cpp:abc"
    name = "outer one.dll"
    outer = {"module": name, "function": "A::outer()"}
    assert r.json() == {"results": [{
        "stacks": [[
            {"frame": 0, "module_offset": "0x1000", "function_offset": "0x0", "file": a, "line": 7,
             **outer},
            {"frame": 1, "module_offset": "0x1025", "function_offset": "0x25", "file": a, "line": 10,
             "inlines": [{"function": "inner(int)", "file": "b.cpp", "line": 30},
                         {"function": "middle", "file": "b.cpp", "line": 20}], **outer},
            {"frame": 2, "module_offset": "0x1015", "function_offset": "0x15", "file": a, "line": 10,
             "inlines": [{"function": "middle", "file": a, "line": 7}], **outer},
            {"frame": 3, "module_offset": "0x1095", "function_offset": "0x95", **outer},
            {"frame": 4, "module": name, "module_offset": "0x2001", "function": "folded",
             "function_offset": "0x1", "file": "b.cpp"},
            {"frame": 5, "module": name, "module_offset": "0x3005",
             "function": "public \ufffd name", "function_offset": "0x5"},
            {"frame": 6, "module": name, "module_offset": "0xfff"},
            {"frame": 7, "module": "absent.so", "module_offset": "0x3e8"},
            {"frame": 8, "module": "<unknown>", "module_offset": "0x5"},
            {"frame": 9, "module": name, "module_offset": "-0x1"},
            {"frame": 10, "module": "<unknown>", "module_offset": "0x7"},
            {"frame": 11, "module": "<unknown>", "module_offset": "-0x1"},
        ]],
        "found_modules": {f"outer.pdb/{SYM_ID}": True, "absent.so/" + "A" * 33: False,
                          "unused.so/" + "B" * 33: None, "/AB": None}}]}
    first = json.loads(r.text.split('"stacks":[[')[1].split("}")[0] + "}")
    assert list(first) == ["frame", "module", "module_offset", "function", "function_offset", "file",
                           "line"]


def test_v4_answer(service):
    body = {"version": 4, "jobs": "ignored", **job(
        [OUTER, ["testproj", "A" * 33], ["b", "C" * 33]],
        [[0, 0x1025], [1, 1000], [-1, 5], [0, -1]], [])}
    r = post(service, body, "/symbolicate/v4")
    assert r.status_code == 200, r.text
    assert r.json() == {"symbolicatedStacks": [
        ["A::outer() (in outer one.dll)", "0x3e8 (in testproj)", "0x5 (in <unknown>)",
         "-0x1 (in outer one.dll)"], []], "knownModules": [True, False, None]}


def test_odd_numbers(service):
    big = 2 ** 64 + 0xabcdef
    huge = int("9" * 4300)
    text = json.dumps(job([OUTER], [[0, big], [0, 2 ** 64 - 1], [-1, huge]]))
    got = post(service, text.replace("[0, 18", "[-0, 18")).json()["results"][0]["stacks"][0]
    assert [f["module_offset"] for f in got] == [hex(big), hex(2 ** 64 - 1), hex(huge)]
    assert all("function" not in f for f in got)


def test_jobs(service):
    assert post(service, {"jobs": []}).json() == {"results": []}
    r = post(service, {"jobs": [job([OUTER], [[0, 0x1000]]), job([OUTER, ["x", "AB"]], [[-1, 1]])]})
    one, two = r.json()["results"]
    assert one["found_modules"] == {f"outer.pdb/{SYM_ID}": True}
    # needed by job 0, so known in job 1 too
    assert two["found_modules"] == {f"outer.pdb/{SYM_ID}": True, "x/AB": None}
    # jobs win over a job at the top; of equal keys the last counts; keys may be escaped; a BOM
    both = {"jobs": [job([OUTER], [[0, 0x2000]])], **job([], [[-1, 1]])}
    assert len(post(service, both).json()["results"][0]["stacks"][0][0]) > 3
    text = '\ufeff{"stacks": 1, "st\\u0061cks": [[[-1, 1]]], "memoryMap": 5, "memoryMap": []}'
    r = post(service, text.encode())
    assert r.json()["results"][0]["stacks"] == [[{"frame": 0, "module": "<unknown>",
                                                 "module_offset": "0x1"}]]


def test_ids(service):
    """Any spelling of the id finds the symbols; what was sent comes back."""
    for spelling in (SYM_ID.lower(), SYM_ID[:32], SYM_ID[:32].lower() + "00000000"):
        r = post(service, job([["outer.pdb", spelling]], [[0, 0x1000]])).json()["results"][0]
        assert r["found_modules"] == {f"outer.pdb/{spelling}": True}, spelling
    for bad in ("0" * 33, "abcde", "1" * 17, SYM_ID[:31], SYM_ID[:32] + "1"):
        r = post(service, job([["outer.pdb", bad]], [[0, 0x1000]])).json()["results"][0]
        assert r["found_modules"] == {f"outer.pdb/{bad}": False}, bad


def test_lenient_names(service):
    """One bad module does not spoil the rest; our own additions tell why."""
    service.httpd_conf(STRICT)
    body = job([OUTER, ["[vdso]", "AB"], ["absent.so", "C" * 33], ["../../x", "D" * 33],
                ["o\"\\\u00e9", "E"]],
               [[0, 0x2001], [1, 1], [2, 2], [3, 3], [4, 4]])
    result = post(service, body, "/lenient/v5").json()["results"][0]
    assert result["stacks"][0][0] == {
        "frame": 0, "module": "outer one.dll", "module_offset": "0x2001", "function": "folded",
        "function_offset": "0x1", "function_size": "0x20", "multiple": True, "file": "b.cpp"}
    assert [f["module"] for f in result["stacks"][0][1:]] == ["[vdso]", "absent.so", "../../x",
                                                             "o\"\\\u00e9"]
    assert result["found_modules"] == {
        f"outer.pdb/{SYM_ID}": True, "[vdso]/AB": False, "absent.so/" + "C" * 33: False,
        "../../x/" + "D" * 33: False, "o\"\\\u00e9/E": False}
    codes = {k: v[0]["name"] for k, v in result["module_errors"].items()}
    assert codes == {"[vdso]/AB": "bad_name", "absent.so/" + "C" * 33: "not_found",
                     "../../x/" + "D" * 33: "bad_name", "o\"\\\u00e9/E": "bad_name"}
    # types stay fatal
    assert post(service, ok([[5, "AB"]]), "/lenient/v5").status_code == 400
    r = post(service, {"jobs": [ok()] * 4}, "/lenient/v5")
    assert r.json()["title"] == "please limit number of jobs in a single request to <= 3"
    r = post(service, " " * 110_000, "/lenient/v5")
    assert (r.status_code, r.json()) == (413, {"title": "413 Payload Too Large"})


def test_as_shipped(service):
    """The configuration that is shipped: one bad module does not spoil the rest, and is told of."""
    r = post(service, job([OUTER, ["[vdso]", "AB"]], [[0, 0x1000], [1, 1]]))
    assert r.status_code == 200, r.text
    result = r.json()["results"][0]
    assert result["stacks"][0][0]["function"] == "A::outer()"
    assert result["found_modules"] == {f"outer.pdb/{SYM_ID}": True, "[vdso]/AB": False}
    assert result["module_errors"]["[vdso]/AB"][0]["name"] == "bad_name"


GAP_ID = "6A9" * 10 + "F00"
GAPS = f"""MODULE Linux x86_64 {GAP_ID} gaps.so
FILE 0 a.c
FILE 1 b.c
INLINE_ORIGIN 0 in
FUNC 1000 100 0 f
INLINE 0 7 0 0 1040 20
INLINE 0 8 0 0 1080 10
1008 8 1 0
1020 10 2 0
1040 10 5 1
FUNC 1100 10 0 none
FUNC 1110 10 0 last
1110 8 9 1
PUBLIC 1200 0 public
"""


def test_line_gaps(service):
    """Between line records: no line, or with SymbolicateLineGaps the one of the record before."""
    put(service, "gaps.so", GAP_ID, "gaps.so.sym", GAPS.encode())
    service.httpd_conf("".join(
        f'<Location "/{way}">\nSetHandler symbolicate\nSymbolicateLineGaps {way}\n</Location>\n'
        for way in ("none", "extend")))
    inlined = [{"function": "in", "file": "b.c", "line": 5}]
    cases = [  # offset; function and place that none gives, then those of extend
        (0x1000, ("f", None, None, None), ("f", None, None, None)),  # no record before it
        (0x1008, ("f", "a.c", 1, None), ("f", "a.c", 1, None)),
        (0x1010, ("f", None, None, None), ("f", "a.c", 1, None)),
        (0x101f, ("f", None, None, None), ("f", "a.c", 1, None)),
        (0x1020, ("f", "a.c", 2, None), ("f", "a.c", 2, None)),
        (0x103f, ("f", None, None, None), ("f", "a.c", 2, None)),
        (0x1040, ("f", "a.c", 7, inlined), ("f", "a.c", 7, inlined)),
        (0x1055, ("f", "a.c", 7, [{"function": "in"}]), ("f", "a.c", 7, None)),
        (0x1065, ("f", None, None, None), ("f", "a.c", 7, None)),
        (0x1085, ("f", "a.c", 8, [{"function": "in"}]), ("f", "a.c", 8, None)),
        (0x10ff, ("f", None, None, None), ("f", "a.c", 8, None)),
        (0x1105, ("none", None, None, None), ("none", None, None, None)),  # not another's
        (0x111f, ("last", None, None, None), ("last", "b.c", 9, None)),
        (0x1150, (None,) * 4, (None,) * 4),
        (0x1205, ("public", None, None, None), ("public", None, None, None)),
    ]
    body = job([["gaps.so", GAP_ID]], [[0, c[0]] for c in cases])
    for i, way in ((1, "none"), (2, "extend")):
        got = post(service, body, f"/{way}/v5").json()["results"][0]["stacks"][0]
        for frame, case in zip(got, cases, strict=True):
            found = tuple(frame.get(k) for k in ("function", "file", "line", "inlines"))
            assert found == case[i], (way, hex(case[0]))
    default = post(service, body).json()["results"][0]["stacks"][0]
    assert [f.get("line") for f in default] == [c[1][2] for c in cases]


def test_debug(service):
    r = post(service, job([OUTER, ["absent.so", "A" * 33]], [[0, 0x1000], [1, 1]]),
             headers={"Debug": "false"}).json()
    debug = r["debug"]
    assert debug["modules"] == {"count": 2, "stacks_per_module": {f"outer.pdb/{SYM_ID}": 1,
                                                                  "absent.so/" + "A" * 33: 1}}
    assert debug["cache_lookups"]["count"] == 2
    assert debug["downloads"]["count"] == 0
    assert debug["time"] > 0 and debug["parse_sym"]["time"] >= 0
    assert debug["save_symcache"]["time"] >= 0
    assert "debug" not in post(service, {"jobs": []}).json()


def test_damaged_symbols(service):
    service.error_log.expect("SAL2051")
    ident = "F" * 32 + "1"
    put(service, "damaged.so", ident, "damaged.so.sym", b"<html>not here</html>\n")
    body = job([["damaged.so", ident], OUTER], [[0, 1], [1, 0x1000]])
    result = post(service, body).json()["results"][0]
    assert result["found_modules"] == {f"damaged.so/{ident}": False, f"outer.pdb/{SYM_ID}": True}
    assert result["stacks"][0][1]["function"] == "A::outer()"


def test_upload_then_symbolicate(service):
    """Symbols that come after somebody asked are found after two seconds."""
    ident = f"{int(time.time() * 1e6):032X}1"
    r = post(service, job([["outer.pdb", ident]], [[0, 0x1000]]))
    assert r.json()["results"][0]["found_modules"] == {f"outer.pdb/{ident}": False}
    text = SYM.replace(SYM_ID.encode(), ident.encode())
    r = upload(service, archive({f"outer.pdb/{ident}/outer.sym": text}))
    assert r.status_code in (200, 201), r.text
    time.sleep(2.2)
    r = post(service, job([["outer.pdb", ident]], [[0, 0x1000]]))
    assert r.json()["results"][0]["stacks"][0][0]["function"] == "A::outer()"


def test_many_frames(service):
    """Sixty thousand frames, as large profiles have them: answered in order, streamed, quickly."""
    offsets = [0x1000 + i % 0x100 for i in range(60000)]
    begun = time.monotonic()
    got = frames(service, *offsets)
    took = time.monotonic() - begun
    assert len(got) == 60000
    assert all(f["frame"] == i and f["module_offset"] == hex(o)
               for i, (f, o) in enumerate(zip(got, offsets)))
    assert took < 10


def test_cold_together(service):
    """
    Many clients ask for symbols nobody has indexed yet: all are answered, one index is built. The
    first answer from it says so; the answers before that may be of their few addresses only.
    """
    ident = f"{os.getpid():031X}A1"
    functions = "".join(f"FUNC {i * 16:x} 10 0 f{i}\n{i * 16:x} 10 {i} 0\n" for i in range(1, 60000))
    put(service, "cold.so", ident, "cold.so.sym",
        f"MODULE Linux x86_64 {ident} cold.so\nFILE 0 a.c\n{functions}".encode())

    def ask(i):
        r = post(service, job([["cold.so", ident]], [[0, 16 * i]]), headers={"Debug": "1"}).json()
        frame = r["results"][0]["stacks"][0][0]
        built = "time_per_module" in r["debug"]["parse_sym"]
        return frame.get("function") == f"f{i}" and frame.get("line") == i, built

    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(ask, range(1, 65)))
        assert all(good for good, _ in answers)
        builds = sum(built for _, built in answers)
        end = time.monotonic() + 30
        while builds == 0 and time.monotonic() < end:
            good, built = ask(1)
            assert good
            builds += built
            time.sleep(0.1)
        builds += sum(built for _, built in pool.map(ask, range(1, 65)))
    assert builds == 1
