"""Debian's Chromium crashes, its own Crashpad handler uploads: gzip, chunked, no Content-Length.

A Chromium without vendor keys starts its handler without --url and switches uploads off, so a
copy of its folder gets a handler script that adds the URL and starts the real handler, and the
switch in the handler's settings file is set after start. All else is the unchanged programs.
"""
import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest
import requests

CHROMIUM = pathlib.Path("/usr/lib/chromium")
FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--enable-crash-reporter", "--noerrdialogs"]


@pytest.fixture
def browser(stack, tmp_path):
    """A Chromium whose Crashpad handler knows our URL; (process, folder of its crash database)."""
    if not (CHROMIUM / "chrome_crashpad_handler").exists():
        pytest.skip("SKIPPED LOUDLY: Debian's chromium is not installed")
    copy = tmp_path / "chromium"
    copy.mkdir()
    for item in CHROMIUM.iterdir():
        if item.name == "chromium":
            try:
                os.link(item, copy / item.name)
            except OSError:
                shutil.copy(item, copy / item.name)
        elif item.name != "chrome_crashpad_handler":
            (copy / item.name).symlink_to(item)
    handler = copy / "chrome_crashpad_handler"
    handler.write_text(f'#!/bin/sh\nexec {CHROMIUM}/chrome_crashpad_handler --no-rate-limit '
                       f'--url={stack.url}/submit "$@"\n')
    handler.chmod(0o755)
    database = tmp_path / "crashes"
    database.mkdir()
    process = subprocess.Popen(
        [copy / "chromium", *FLAGS, f"--user-data-dir={tmp_path}/profile", "about:blank"],
        env=dict(os.environ, BREAKPAD_DUMP_LOCATION=str(database)),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    yield process, database, tmp_path / "profile"
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()
    shutil.rmtree(copy)
    # The handlers leave the group; they end when their client is gone.
    for _ in range(50):
        if not pids_of(str(database)):
            break
        time.sleep(0.1)
    for pid in pids_of(str(database)):
        os.kill(pid, signal.SIGKILL)


def pids_of(text):
    out = subprocess.run(["pgrep", "-f", text], capture_output=True, text=True)
    return [int(x) for x in out.stdout.split() if int(x) != os.getpid()]


def wait_for(found, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = found()
        if value:
            return value
        time.sleep(0.2)
    raise AssertionError("it did not happen in time")


def allow_uploads(database):
    """Sets the consent bit of Crashpad's settings.dat, as a user's click would."""
    with open(database / "settings.dat", "r+b") as f:
        f.seek(8)
        f.write(b"\x01")


def test_real_crashpad_upload(stack, browser):
    process, database, profile = browser
    wait_for(lambda: (database / "settings.dat").exists())
    renderer = wait_for(lambda: pids_of(f"type=renderer.*user-data-dir={profile}"))[-1]
    time.sleep(1)
    allow_uploads(database)
    before = set(stack.store.glob("crash/*/*/*.zip"))
    os.kill(renderer, signal.SIGSEGV)
    new = wait_for(lambda: set(stack.store.glob("crash/*/*/*.zip")) - before)
    crash_id = new.pop().stem

    processed = stack.wait_processed(crash_id)
    assert processed["product"] == "Chrome_Linux"
    assert processed["json_dump"]["crash_info"]["type"].startswith("SIGSEGV")
    raw = requests.get(stack.url + "/api/RawCrash/", params={"crash_id": crash_id},
                       headers={"Auth-Token": stack.api_token}, timeout=30).json()
    assert raw["ptype"] == "renderer" and raw["plat"] == "Linux"
    assert raw["metadata"]["payload_compressed"] == "1"
    assert raw["metadata"]["dump_checksums"].keys() == {"upload_file_minidump"}
    # What the field list does not name is protected, so the page is read with the right to see it.
    page = requests.get(f"{stack.url}/report/index/{crash_id}",
                        headers={"Auth-Token": stack.api_token}, timeout=30)
    assert page.status_code == 200
    assert "Chrome_Linux" in page.text and "osarch" in page.text
