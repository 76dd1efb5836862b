"""Every minidump of the shared corpus, sent with curl: an id, and an answer on its page."""
import subprocess

import pytest
import requests


def curl_submit(stack, path):
    out = subprocess.run(
        ["curl", "-sS", "--max-time", "60", "-F", "ProductName=Corpus", "-F", "Version=1.0",
         "-F", f"upload_file_minidump=@{path};type=application/octet-stream",
         stack.url + "/submit"], capture_output=True, text=True)
    assert out.stdout.startswith("CrashID=bp-"), (path, out.stdout, out.stderr)
    return out.stdout.strip()[len("CrashID=bp-"):]


# What is wrong with the malformed ones, by rust-minidump's names.
BROKEN = {
    "invalid-parameter.dmp": None,
    "invalid-range.dmp": None,
    "invalid-record-count.dmp": None,
}


def test_every_dump_is_answered(stack, shared):
    dumps = sorted((shared / "data" / "minidumps").rglob("*.dmp"))
    assert len(dumps) > 30
    children = set(stack.children("httpd"))
    workers = set(stack.children("salvaged"))
    sent = {path: curl_submit(stack, path) for path in dumps}
    for path, crash_id in sent.items():
        doc = stack.wait_processed(crash_id, timeout=120)
        status = doc["mdsw_status_string"]
        page = requests.get(f"{stack.url}/report/index/{crash_id}", timeout=30)
        assert page.status_code == 200, path
        if status == "OK":
            threads = doc["json_dump"]["threads"]
            assert threads and all("frames" in t for t in threads), path
        else:
            # A failure names itself on the page.
            assert status != "unknown error", (path, doc.get("processor_notes"))
            assert status in page.text, (path, status)
    assert set(stack.children("httpd")) >= children, "an httpd child died"
    assert set(stack.children("salvaged")) >= workers, "a worker died"
