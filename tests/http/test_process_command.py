"""salvage process: the pipeline in the foreground, on crashes of the store and on dumps of none."""
import json
import os
import pathlib
import subprocess

import pytest

DATA = pathlib.Path(__file__).parent.parent / "data"
DUMP = DATA / "crashes/crasher_cpp.dmp"
RULES = 50


def explain(stack, *args, **more):
    done = stack.salvage("process", "--json", *args, **more)
    return json.loads(done.stdout)


def test_a_stored_crash_is_explained_and_left_alone(stack):
    crash_id = stack.sample_id
    before = stack.query("select * from processed_crash where crash_id = %s", crash_id)
    stored = stack.processed(crash_id)
    told = explain(stack, "bp-" + crash_id)
    assert told["crash"] == crash_id and told["ruleset"] == "default" and not told["written"]
    assert [r["rule"] for r in told["rules"]][0] == "DeNullRule" and len(told["rules"]) == RULES
    assert all(r["microseconds"] >= 0 for r in told["rules"])
    by_name = {r["rule"]: r for r in told["rules"]}
    assert by_name["IdentifierRule"]["set"] == {"crash_id": crash_id, "uuid": crash_id}
    assert by_name["SignatureGeneratorRule"]["set"]["signature"] == stored["signature"]
    assert by_name["DeNoneRule"]["set"] == {}
    assert len(told["walks"]) == 1 and told["walks"][0]["status"] == "OK"
    assert by_name["MinidumpStackwalkRule"]["microseconds"] >= told["walks"][0]["microseconds"]
    used = {m["debug_file"] for m in told["symbols"]["used"]}
    assert used == {m["debug_file"] for m in stored["json_dump"]["modules"] if m["loaded_symbols"]}
    assert {m["debug_file"] for m in told["symbols"]["missing"]} == \
        {m["debug_file"] for m in stored["json_dump"]["modules"] if m["missing_symbols"]}
    for key in ("signature", "json_dump", "product", "version", "os_name"):
        assert told["processed"][key] == stored[key], key
    assert stack.query("select * from processed_crash where crash_id = %s", crash_id) == before
    # and without the database: the conninfo leads nowhere
    text = pathlib.Path(stack.conf).read_text().splitlines()
    conf = stack.dir / "nodb.conf"
    conf.write_text("\n".join("database host=/nowhere dbname=x" if x.startswith("database ") else x
                              for x in text))
    again = explain(stack, crash_id, "-c", conf)
    assert again["processed"]["signature"] == stored["signature"] and again["pass"] == told["pass"]


def test_for_people(stack):
    text = stack.salvage("process", stack.sample_id).stdout
    stored = stack.processed(stack.sample_id)
    assert text.startswith(f"crash {stack.sample_id}\nruleset default\nrules, milliseconds")
    assert "  MinidumpStackwalkRule " in text and "\nwalks, milliseconds\n  1 " in text
    assert "  used     crasher_cpp/" in text and f"signature: {stored['signature']}" in text
    assert "prefix" in text and text.rstrip().endswith("not stored")


def test_write_stores_as_a_job_would(stack):
    crash_id = stack.submit({"ProductName": "Foreground"}, DUMP)
    stack.wait_processed(crash_id)
    first = stack.query("select pass, blob from processed_crash where crash_id = %s", crash_id)[0]
    told = explain(stack, "--write", "--ruleset", "regenerate_signature", crash_id)
    assert told["written"] and told["pass"] == 2
    assert [r["rule"] for r in told["rules"]] == ["SignatureGeneratorRule"] and not told["walks"]
    told = explain(stack, "--write", crash_id)
    now = stack.query("select pass, blob from processed_crash where crash_id = %s", crash_id)[0]
    assert now[0] == first[0] + 2 == told["pass"]
    assert (stack.store / now[1]).exists() and not (stack.store / first[1]).exists()
    assert len(stack.processed(crash_id)["processor_history"]) == 2
    assert stack.query("select count(*) from crash where uuid = %s::uuid", crash_id) == [(1,)]
    assert stack.query("select 1 from crash_job where crash_id = %s", crash_id) == []


def test_write_waits_for_nobody(stack):
    crash_id = stack.submit({"ProductName": "Foreground"}, DUMP)
    stack.wait_processed(crash_id)
    stack.query("insert into crash_job (crash_id, queue, state, fence, lease_until, worker) "
                "values (%s, 2, 1, 1, now() + interval '1 hour', 'other')", crash_id)
    done = stack.salvage("process", "--write", crash_id, check=False)
    stack.query("delete from crash_job where crash_id = %s", crash_id)
    assert done.returncode == 1 and "a worker has crash" in done.stderr
    assert stack.query("select pass from processed_crash where crash_id = %s", crash_id) == [(1,)]


def test_dumps_of_no_store(stack, tmp_path):
    raw = tmp_path / "raw.json"
    raw.write_text(json.dumps({"ProductName": "Desk", "Version": "3.1", "ReleaseChannel": "esr"}))
    env = {k: v for k, v in os.environ.items() if k != "SALVAGE_CONF"}
    done = subprocess.run(
        [stack.env["SALVAGE_BIN"], "process", "--json", "--annotations", raw, "--symbols",
         DATA / "symbols", "--symbols-cache", tmp_path / "cache", DUMP,
         f"upload_file_minidump_browser={DATA / 'crashes/crasher.dmp'}"],
        env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["processed"]["product"] == "Desk" and told["processed"]["version"] == "3.1esr"
    assert "sampler::" in told["processed"]["signature"]
    assert len(told["walks"]) == 2 and told["pass"] == 0
    rewrite = next(r for r in told["rules"] if r["rule"] == "ESRVersionRewrite")
    assert rewrite["set"] == {"version": "3.1esr"}

    broken = tmp_path / "broken.dmp"
    broken.write_bytes(b"MDMP but no more")
    told = explain(stack, broken)
    assert told["walks"][0]["status"] == "failed" and told["walks"][0]["log"].startswith("ERROR ")
    assert any("MinidumpStackwalkRule" in n for r in told["rules"] for n in r["notes"])


@pytest.mark.parametrize("args, code, text", [
    ([], 2, "name a crash id or a dump"),
    (["--ruleset", "x", "y"], 1, "Ruleset 'x' is not valid."),
    (["0bb3ca9e-0000-4000-8000-000000260101"], 1, "is not in the store"),
    (["/nowhere.dmp"], 1, "cannot be read"),
    (["--write", "/dev/null"], 2, "needs crashes of the store"),
    (["--annotations", "/dev/null", "0bb3ca9e-0000-4000-8000-000000260101"], 2, "in no store"),
])
def test_says_what_is_wrong(stack, args, code, text):
    done = stack.salvage("process", *args, check=False)
    assert (done.returncode, text in done.stderr) == (code, True), done.stderr
