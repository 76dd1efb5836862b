"""The real client of Crash Stats, crashstats-tools, against a running instance: nothing is changed
but host and token.

It is found in $CRASHSTATS_TOOLS (the folder of its programs) or in PATH; `pip install
crashstats-tools` in a virtual environment outside the source makes it.
"""
import json
import os
import pathlib
import shutil
import subprocess

import pytest

from people import token
from search_loader import SearchLoader

MINE = "ApiClient"


@pytest.fixture(scope="module")
def tools():
    folder = os.environ.get("CRASHSTATS_TOOLS")
    found = shutil.which("supersearch", path=folder) if folder else shutil.which("supersearch")
    if not found:
        pytest.skip("SKIPPED LOUDLY: crashstats-tools is neither in $CRASHSTATS_TOOLS nor in PATH")
    return pathlib.Path(found).parent


@pytest.fixture(scope="module")
def run(instance, tools):
    auth = token(instance, "api-client@example.com", "view_pii", "view_rawdump",
                 "reprocess_crashes")

    def call(program, *args, auth=auth, check=True):
        done = subprocess.run([tools / program, f"--host={instance.url}", *args], text=True,
                              capture_output=True, timeout=120,
                              env=dict(os.environ, CRASHSTATS_API_TOKEN=auth or ""))
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done
    return call


@pytest.fixture(scope="module")
def crashes(instance, tools):
    loader = SearchLoader(instance)
    return [loader.crash(product=MINE, signature=s, version=v, os_name="Linux", uptime=n)
            for n, (s, v) in enumerate([("client::one", "1.0")] * 3 + [("client::two", "2.0")])]


def test_supersearch(stack, run, crashes):
    done = run("supersearch", f"--product={MINE}")
    assert set(done.stdout.split()) >= set(crashes)
    done = run("supersearch", f"--product={MINE}", "--signature==client::two",
               "--_columns=uuid", "--_columns=version", "--format=tab", "--headers")
    assert done.stdout.splitlines() == ["uuid\tversion", f"{crashes[3]}\t2.0"]
    done = run("supersearch", f"--product={MINE}", "--num=2", "--format=json", "--_sort=uptime")
    assert [x["uuid"] for x in json.loads(done.stdout)] == crashes[:2]
    done = run("supersearch", f"--product={MINE}", "--num=all")
    assert len(set(done.stdout.split()) & set(crashes)) == 4
    done = run("supersearch", f"--supersearch-url={stack.url}/search/?product={MINE}&version=1.0")
    assert len(set(done.stdout.split()) & set(crashes)) == 3


def test_supersearch_errors(stack, run):
    done = run("supersearch", "--date=2026-01-01", check=False)
    assert done.returncode != 0 and "date must have a prefix operator" in done.stdout + done.stderr
    done = run("supersearch", "--signature=~x", auth="0" * 32, check=False)
    assert done.returncode != 0 and "API Token not matched" in done.stdout + done.stderr


def test_supersearchfacet(stack, run, crashes):
    done = run("supersearchfacet", f"--product={MINE}", "--_facets=version", "--format=json")
    text = json.loads(done.stdout)
    assert "1.0" in done.stdout and text
    done = run("supersearchfacet", f"--product={MINE}", "--_facets=version", "--format=tab")
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert ["1.0", "3"] in rows and ["2.0", "1"] in rows, rows
    done = run("supersearchfacet", f"--product={MINE}", "--_histogram.date=version",
               "--relative-range=1w", "--format=raw")
    assert json.loads(done.stdout)["facets"]["histogram_date"]
    for kind in ("table", "csv", "markdown"):
        done = run("supersearchfacet", f"--product={MINE}", "--_aggs.version=signature",
                   f"--format={kind}")
        assert "client::one" in done.stdout, kind


def test_fetch_data(stack, run, tmp_path):
    crash_id = stack.sample_id
    run("fetch-data", "--raw", "--processed", "--dumps", str(tmp_path), crash_id)
    files = {p.relative_to(tmp_path).as_posix(): p for p in tmp_path.rglob("*") if p.is_file()}
    raw = [p for name, p in files.items() if "raw_crash" in name]
    processed = [p for name, p in files.items() if "processed_crash" in name]
    dumps = [p for p in files.values() if p.read_bytes()[:4] == b"MDMP"]
    assert len(raw) == len(processed) == len(dumps) == 1, files
    assert json.loads(raw[0].read_text())["ProductName"] == "Sampler"
    assert json.loads(processed[0].read_text())["uuid"] == crash_id
    sent = (stack.top / "tests/data/crashes/crasher_cpp.dmp").read_bytes()
    assert dumps[0].read_bytes() == sent


def test_fetch_data_of_nobody(stack, run, tmp_path):
    done = run("fetch-data", "--raw", str(tmp_path), "00000000-0000-4000-8000-000000261122",
               check=False)
    assert not [p for p in tmp_path.rglob("*") if p.is_file()], done.stdout + done.stderr


def test_reprocess(stack, run, top):
    crash_id = stack.submit({"ProductName": MINE, "Version": "9"},
                            top / "tests/data/crashes/crasher_cpp.dmp")
    stack.wait_processed(crash_id)
    asked = ("select coalesce(sum((query->>'ids')::int), 0) from reprocess_request "
             "where requester = %s")
    before = stack.query(asked, "api-client@example.com")[0][0]
    run("reprocess", crash_id)
    assert stack.query(asked, "api-client@example.com")[0][0] == before + 1
    run("reprocess", "--ruleset=regenerate_signature",
        f"https://crash-stats.example/report/index/{crash_id}")
    assert stack.query(asked, "api-client@example.com")[0][0] == before + 2
    done = run("reprocess", "--ruleset=nobody", crash_id, check=False)
    assert stack.query(asked, "api-client@example.com")[0][0] == before + 2, done.stdout
