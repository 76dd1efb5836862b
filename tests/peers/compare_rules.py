#!/usr/bin/env python3
"""Runs Socorro's own rules over the inputs of tests/data/rules and compares the documents.

    compare_rules.py OUT

OUT is a folder that `RULES_OUT=OUT tests/unit/test_rules` has filled. SOCORRO_DIR is a checkout of
mozilla-services/socorro, SOCORRO_PYTHON an interpreter with what its processor imports (attrs,
glom, jsonschema, markus, more-itertools, python-dateutil, pyyaml, requests, sentry-sdk).

Differences that the specification asks for are listed in EXPLAINED with their reason; any other one
ends with exit code 1.
"""
import collections
import gzip
import json
import os
import pathlib
import subprocess
import sys
import tempfile

CASES = pathlib.Path(__file__).parent.parent / "data" / "rules"
ID = "11111111-2222-4333-8444-555550260102"
SUBMITTED = "2026-01-02T03:04:06.500000+00:00"
SKIPPED = ("safe_mode", "ruleset")  # what only ours has, or what does not run these rules

# (file, case, field): reason; "" stands for any. A field is a top-level name, or "note".
EXPLAINED = [
    ("", "", "additional_dumps", "6.3 ours: second dumps under one name"),
    ("R01_denull", "NUL only in a key", "", "R1 ours: a pair whose key alone held NUL is kept"),
    ("R06_copy", "boolean", "note", "3 ours: the value in a note is cut and printable"),
    ("R06_copy", "integer: '1_000'", "", "3: ASCII digits only"),
    ("R06_copy", "integer: '\u0661'", "", "3: ASCII digits only"),
    ("R06_copy", "integer: '9223372036854775808'", "", "3 ours: 64 bits"),
    ("R06_copy", "integer: '-9223372036854775809'", "", "3 ours: 64 bits"),
    ("R06_copy", "number: 'nan'", "", "3 ours: nan and inf are no JSON"),
    ("R06_copy", "number: 'inf'", "", "3 ours: nan and inf are no JSON"),
    ("R06_copy", "number: '-Infinity'", "", "3 ours: nan and inf are no JSON"),
    ("R06_copy", "number: '1e999'", "", "3 ours: nan and inf are no JSON"),
    ("R06_copy", "spoils that field only", "", "3 ours: other fields are copied"),
    ("R06_copy", "already decoded", "", "3 ours: accepted as decoded"),
    ("R07_R08_version", "fenix nightly", "", "R7 ours: tests product"),
    ("R07_R08_version", "not twice", "version", "R8 ours"),
    ("R10_R11_identity", "no crash id", "", "the peer is given one, or its walker rule fails"),
    ("R12_stackwalk", "without a status", "", "6.1: mdsw_status_string is a text"),
    ("R12_stackwalk", "output that is", "note", "5 ours: the same row for empty values; JSON text"),
    ("R12_stackwalk", "output that is", "", "5 ours: upstream's rule fails for empty values"),
    ("R12_stackwalk", "only 200 characters", "note", "5 ours: shown as JSON"),
    ("R12_stackwalk", "killed by somebody else", "note", "5 ours: time-out only if our timer fired"),
    ("R12_stackwalk", "other words", "", "5 ours: only listed names replace the status"),
    ("R12_stackwalk", "other words", "note", "5 ours: only listed names replace the status"),
    ("R12_stackwalk", "other second dumps", "", "6.3 ours: second dumps under one name"),
    ("R12_stackwalk", "hostile", "", "5 ours: names, depth and members are checked"),
    ("R12_stackwalk", "hostile", "note", "5 ours: names, depth and members are checked"),
    ("R15_truncate", "another dump", "", "6.3 ours: second dumps under one name"),
    ("R15_truncate", "null frames", "", "5.1: null frames are empty"),
    ("R12_client_stacks", "", "", "10 ours: stacks of the client"),
    ("R13_symbol_urls", "", "json_dump", "R13 ours: hosts in no list are nulled"),
    ("R13_symbol_urls", "", "note", "R13 ours: hosts in no list are nulled"),
    ("R24_dates", "CrashTime is a number", "note", "4.4: REASON is our word"),
    ("R24_dates", "timestamp without a zone", "", "4.4 ours: UTC"),
    ("R24_dates", "no timestamp", "", "rule aborts; the note names our module"),
    ("R25_memory_report", "", "memory_report_error", "R25 ours: PATH is the dump name"),
    ("R25_memory_report", "", "note", "R25 ours: PATH is the dump name"),
    ("R25_memory_report", "no object", "memory_report", "6.1: memory_report is an object"),
    ("R25_memory_report", "too deep", "memory_report", "R25 ours: depth"),
    ("R27_breadcrumbs", "", "note", "R27: REASON is our word"),
    ("R28_java", "behind a blank line", "", "4.5: blank lines are skipped before a nested cause, too"),
    ("R33_report_type", "watchdog on", "", "5.1: null frames are empty"),
    ("R36_distribution", "decoded already", "", "3 ours: accepted as decoded"),
    ("R37_R39_os", "null", "", "R37: JSON null is no name (upstream raises)"),
    ("R37_R39_os", "annotations fill nulls", "", "R37: as above"),
    ("R40_beta", "no version", "note", "the note names our module"),
    ("R41_os_pretty", "10.0.100000", "os_pretty_version", "4.7 ours: numeric"),
    ("R41_os_pretty", "10.0.9200", "os_pretty_version", "4.7 ours: numeric"),
    ("R42_topmost", "null frames", "", "5.1: null frames are empty"),
    ("R43_R44_modules", "only modules that are known", "", "5.1: null frames are empty"),
    ("pipeline", "fields of the last pass", "", "2 ours: no overlay"),
    ("pipeline", "history", "", "2 ours: history holds texts"),
    ("pipeline", "hostile", "", "3 ours: one field at a time"),
    ("pipeline", "hostile", "note", "3 ours: one field at a time"),
    ("pipeline", "a rule that fails", "note", "the note names our module"),
    ("R29_R30_mac", "hostile", "json_dump", "6.1: a member of another type is not kept"),
    ("R29_R30_mac", "hostile", "note", "6.1: a member of another type is not kept"),
]

PEER = r'''
import json, sys, types, tempfile, os, logging
settings = types.ModuleType("socorro.settings")
settings.STACKWALKER = dict(dump_field="upload_file_minidump", symbols_urls=[], command_path="walker",
    command_line="{command_path} --output-file={output_path} --log-file={log_path} {dump_file_path}",
    kill_timeout=5, symbol_cache_path=tempfile.mkdtemp(), symbol_tmp_path=tempfile.mkdtemp())
settings.BETAVERSIONRULE_VERSION_STRING_API = "http://localhost/"
# the package itself would read a service's configuration
socorro = types.ModuleType("socorro")
socorro.__path__ = [os.path.join(os.environ["PYTHONPATH"], "socorro")]
socorro.settings = settings
sys.modules["socorro"], sys.modules["socorro.settings"] = socorro, settings
logging.disable(logging.CRITICAL)
import socorro.processor.rules.breakpad as breakpad
stub = {}
def fake_process(command_line, timeout=0):
    if "--version" in command_line:
        return {"returncode": 0, "stdout": b"peer", "stderr": b""}
    args = dict(a.split("=", 1) for a in command_line.split() if "=" in a)
    if stub.get("log") is not None:
        open(args["--log-file"], "w").write(stub["log"])
    if "json" in stub:
        out = stub["json"]
        if isinstance(out, dict) and "status" not in out:
            out = dict(out, status="OK")
        json.dump(out, open(args["--output-file"], "w"))
    elif "not_json" in stub:
        open(args["--output-file"], "w").write("x")
    return {"returncode": -9 if stub.get("timeout") else stub.get("rc", 0), "stdout": b"", "stderr": b""}
breakpad.execute_process = fake_process
from socorro import mozilla_rulesets
from socorro.processor.pipeline import Pipeline
rules = mozilla_rulesets.DEFAULT_RULESET
versions = {}
class Answer:
    def __init__(self, hits): self.status_code, self.hits = 200, hits
    def json(self): return {"hits": self.hits, "total": len(self.hits)}
class Session:
    def get(self, url, params):
        found = versions.get("%(product)s:%(channel)s:%(build_id)s" % params)
        return Answer([{"version_string": found}] if found else [])
for r in rules:
    if type(r).__name__ == "BetaVersionRule":
        r.session = Session()
        beta = r
pipeline = Pipeline({"default": rules}, "unit")
for line in sys.stdin:
    case = json.loads(line)
    stub.clear(); stub.update(case["stub"]); versions.clear(); versions.update(case["versions"])
    beta.cache.flush() if hasattr(beta.cache, "flush") else beta.cache.__init__(max_size=10, default_ttl=60)
    with tempfile.TemporaryDirectory() as tmp:
        doc = pipeline.process_crash(ruleset_name="default", raw_crash=case["raw"],
            dumps=case["dumps"], processed_crash=case["previous"], tmpdir=tmp)
    print(json.dumps(doc))
'''


def expand(v):
    """Writes out what the cases abbreviate, as tests/unit/test_rules.c does."""
    if isinstance(v, list):
        return [expand(m) for m in v]
    if isinstance(v, dict):
        if "$frames" in v:
            return [{"frame": i} for i in range(v["$frames"])]
        if "$spaces" in v:
            return " " * v["$spaces"]
        if "$x" in v:
            return "x" * v["$x"]
        return {k: expand(m) for k, m in v.items()}
    return v


def write_dump(folder, dump):
    path = folder / f"dump{len(list(folder.iterdir()))}"
    if isinstance(dump, dict):
        text = dump["gzip"]
        data = gzip.compress((text if isinstance(text, str) else json.dumps(text)).encode())
        path.write_bytes(data[:dump.get("cut", len(data))])
    else:
        path.write_text(dump)
    return str(path)


def peer_input(case, folder):
    raw = {} if case.get("base") == "none" else {"uuid": ID, "submitted_timestamp": SUBMITTED}
    raw.update(expand(case.get("raw_crash", {})))
    raw.update({k: v for k, v in case.get("nul_keys", [])})
    raw.setdefault("uuid", ID)  # without it upstream's stackwalker rule fails
    stub = case.get("stub", {})
    return {"raw": raw, "stub": expand(stub.get("stackwalker", {})), "versions": stub.get("versions", {}),
            "previous": expand(case.get("processed_crash", {})),
            "dumps": {k: write_dump(folder, v) for k, v in expand(case.get("dumps", {})).items()}}


def why(file, name, field):
    for f, n, what, reason in EXPLAINED:
        if reason and f in ("", file) and n in name and what in ("", field):
            return reason
    return None


def differences(ours, theirs):
    same = ("started_datetime", "completed_datetime", "processor_notes", "stackwalk_version",
            "signature_debug")  # when, by whom, and a log of the signature generator's own words
    for doc in (ours, theirs):
        doc.get("upload_file_minidump_browser", {}).pop("stackwalk_version", None)
    for field in sorted(set(ours) | set(theirs)):
        if field not in same and ours.get(field, "-") != theirs.get(field, "-"):
            yield field, ours.get(field, "-"), theirs.get(field, "-")
    a, b = (d["processor_notes"].split("\n")[1:] for d in (ours, theirs))
    if a != b:
        yield "note", [n for n in a if n not in b], [n for n in b if n not in a]


def main():
    out = pathlib.Path(sys.argv[1])
    cases, skipped = [], 0
    folder = pathlib.Path(tempfile.mkdtemp())
    for path in sorted(CASES.glob("*.json")):
        for number, case in enumerate(json.loads(path.read_text())["cases"]):
            written = out / f"{path.stem}.{number}.json"
            if any(k in case for k in SKIPPED) or "damaged" in json.dumps(case.get("dumps", {})):
                skipped += 1
            else:
                cases.append((path.stem, case, json.loads(written.read_text())))
    assert cases, "no cases"
    (folder / "peer.py").write_text(PEER)
    lines = "\n".join(json.dumps(peer_input(case, folder)) for _, case, _ in cases)
    done = subprocess.run([os.environ.get("SOCORRO_PYTHON", sys.executable), folder / "peer.py"],
                          input=lines, text=True, stdout=subprocess.PIPE, check=True,
                          env=dict(os.environ, PYTHONPATH=os.environ["SOCORRO_DIR"]))
    explained, strange = collections.Counter(), 0
    for (file, case, ours), line in zip(cases, done.stdout.splitlines(), strict=True):
        assert ours["name"] == case["name"]
        for field, a, b in differences(ours["doc"], json.loads(line)):
            reason = why(file, case["name"], field)
            explained[reason] += 1
            if reason is None:
                strange += 1
                print(f"{file}: {case['name']}: {field}: ours {json.dumps(a)[:300]}, "
                      f"theirs {json.dumps(b)[:300]}")
    for reason, n in sorted((r, n) for r, n in explained.items() if r):
        print(f"{n:5} {reason}")
    print(f"{len(cases)} cases, {skipped} skipped, {sum(explained.values())} differences, "
          f"{strange} unexplained")
    return 1 if strange else 0


if __name__ == "__main__":
    sys.exit(main())
