"""Other people's programs as clients of the symbols server, unchanged."""
import json
import os
import pathlib
import shutil
import subprocess

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
DATA = TOP / "tests" / "data"


def test_minidump_stackwalk(stack, tmp_path):
    """rust-minidump's walker fetches what it needs from us, and names the frames with it."""
    peer = os.environ.get("MINIDUMP_STACKWALK") or shutil.which("minidump-stackwalk")
    if not peer:
        pytest.skip("minidump-stackwalk is not on PATH (cargo install minidump-stackwalk)")
    stack.upload_symbols(DATA / "symbols")
    walk = [peer, "--json", "--symbols-cache", tmp_path / "cache", "--symbols-tmp", tmp_path,
            "--symbols-url", stack.url + "/symbols/", DATA / "crashes" / "crasher_cpp.dmp"]
    doc = json.loads(subprocess.run(walk, stdout=subprocess.PIPE, check=True, timeout=60).stdout)
    expected = json.loads((DATA / "crashes" / "crasher_cpp.expected.json").read_text())
    thread = doc["crash_info"]["crashing_thread"]
    named = [f["function"] for f in doc["threads"][thread]["frames"]]
    assert named[0] and len(named) >= 5 and all(named), (named, expected)
    loaded = {m["filename"]: m["loaded_symbols"] for m in doc["modules"]}
    assert loaded["crasher_cpp"] and loaded["libc.so.6"]
