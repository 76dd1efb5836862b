"""Reprocessing many stored crashes: memory stays flat, and live crashes go first.

REPROCESS_CRASHES (3000; 100000 is the goal's size) crashes are put into the store and their jobs
deleted; then all of them are asked for, while a live crash arrives every quarter of a second. They are
of one small dump; with REPROCESS_SMALL=1 of a Java stack, so that it is not walks that take the time.
"""
import os
import re
import statistics
import threading
import time

import requests

from figures import TOP, figure, skipped

COUNT = int(os.environ.get("REPROCESS_CRASHES", "3000"))
DUMP = TOP / "tests/data/crashes/crasher.dmp"
SMALL = os.environ.get("REPROCESS_SMALL") == "1"
JAVA = "java.lang.Error: no\n\tat com.example.Main.run(Main.java:1)"


def resident(pids):
    """KiB of memory of their own (not shared, not mapped files) of some processes."""
    sum_ = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/status") as f:
                sum_ += int(re.search(r"RssAnon:\s+(\d+)", f.read()).group(1))
        except (OSError, AttributeError):
            pass
    return sum_


def fill(stack, count):
    """Sends crashes from four threads; the ids."""
    ids, lock = [], threading.Lock()
    left = iter(range(count))
    what = {"JavaStackTrace": (None, JAVA)} if SMALL else {
        "upload_file_minidump": ("d", DUMP.read_bytes(), "application/octet-stream")}

    def send():
        with requests.Session() as session:
            while True:
                with lock:
                    if next(left, None) is None:
                        return
                r = session.post(stack.url + "/submit", timeout=60, files={
                    "ProductName": (None, "Again"), "Version": (None, "1"), **what})
                with lock:
                    ids.append(r.text.strip()[len("CrashID=bp-"):])

    threads = [threading.Thread(target=send) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return ids


def stored(stack, count):
    """So many crashes that are in the store and have no job; their ids."""
    stack.stop("salvaged")
    ids = fill(stack, count)
    while stack.query("select count(*) from raw_crash where crash_id = any(%s)", ids)[0][0] < count:
        time.sleep(0.2)
    stack.query("delete from crash_job where crash_id = any(%s)", ids)
    stack.start("salvaged")
    return ids


def documents(stack, ids):
    return stack.query("select count(*) from processed_crash where crash_id = any(%s)", ids)[0][0]


def daemon_pids(stack):
    found = [stack.pid("salvaged")]
    for pid in found:
        try:
            with open(f"/proc/{pid}/task/{pid}/children") as f:
                found += [int(x) for x in f.read().split()]
        except OSError:
            pass
    return found


def live_wait(stack):
    """Seconds from the acknowledgement of a live crash to its document."""
    crash_id = stack.submit({"ProductName": "Live"}, DUMP)
    start = time.monotonic()
    while not stack.query("select 1 from processed_crash where crash_id = %s", crash_id):
        time.sleep(0.01)
        if time.monotonic() - start > 60:
            break
    return time.monotonic() - start


def watch(stack, request, waits, early, late):
    """Until the request has ended: memory in its first and last quarter, waits of live crashes."""
    while True:
        shown = dict(x.split(" ", 1) for x in
                     stack.salvage("reprocess", "show", request).stdout.splitlines())
        share = int(shown["done"]) / int(shown["total"])
        if 0.05 < share < 0.25:
            early.append(resident(daemon_pids(stack)))
        if 0.75 < share < 1:
            late.append(resident(daemon_pids(stack)))
        if shown["state"] != "running":
            return shown
        waits.append(live_wait(stack))
        time.sleep(0.25)


def reprocess(stack, scratch):
    ids = stored(stack, COUNT)
    idle = [live_wait(stack) for _ in range(8)]
    jobs = stack.query("select last_value from crash_job_id_seq")[0][0]
    path = scratch / "ids"
    path.write_text("\n".join(ids))
    start = time.monotonic()
    made = stack.salvage("reprocess", "--file", path, "--rate", "0")
    request = re.match(r"request (\d+)", made.stdout).group(1)
    waits, early, late = [], [], []
    shown = watch(stack, request, waits, early, late)
    took = time.monotonic() - start
    print(f"# {COUNT} crashes processed in {took:.1f} s: {COUNT / took:.1f} a second, "
          f"{len(waits)} live crashes meanwhile", flush=True)
    if shown["state"] != "done" or documents(stack, ids) < COUNT:
        skipped("reprocess", f"request {request} is {shown}")
        return
    jobs = stack.query("select last_value from crash_job_id_seq")[0][0] - jobs
    figure("reprocess_queue", jobs, COUNT + len(waits), "<=1.05", "jobs",
           "jobs made, against the least there can be: nothing is queued twice")
    if early and late:
        figure("reprocess_memory", max(late), max(early), "<=1.1", "KiB",
               "memory of the daemon in the last quarter against the first")
    else:
        skipped("reprocess_memory", "too few crashes to watch it")
    # a worker ends the crash that it has, and every eighth claim is not for live ones
    figure("reprocess_live_first", statistics.median(waits), statistics.median(idle), "<=4", "s",
           "wait of a live crash beside reprocessing, against without")


BENCHES = [reprocess]
