"""Throttling: reports that a rule rejects, a second, against the same request refused by httpd
itself."""
import shutil

from figures import TOP, alternate, figure, skipped, wrk

# Rule 5 of Mozilla's set: four conditions before it do not hold. The annotations are a crash
# reporter's, with a dump as small as they get.
ANNOTATIONS = {
    "ProductName": "Nobodys", "Version": "115.0.2", "BuildID": "20991105123456",
    "ReleaseChannel": "release", "Vendor": "Nobody", "InstallTime": "1764547200",
    "CrashTime": "1764550000", "StartupTime": "1764549000", "Throttleable": "1",
    "ProcessType": "content", "UptimeTS": "1000.25", "SubmittedFrom": "Client",
    "Notes": "AdapterVendorID: 0x8086, AdapterDeviceID: 0x3e92, OpenGL: Mesa",
}
BOUNDARY = "----------benchboundary0123456789"


def body():
    parts = [f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
             for name, value in ANNOTATIONS.items()]
    dump = (f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="upload_file_minidump"; '
            f'filename="x.dmp"\r\nContent-Type: application/octet-stream\r\n\r\n')
    return ("".join(parts) + dump).encode() + b"MDMP" + bytes(4096) + \
        f"\r\n--{BOUNDARY}--\r\n".encode()


def throttle(stack, scratch):
    """Rejects through 16 connections, each kept for all its requests."""
    if not shutil.which("wrk"):
        return skipped("throttle_reject", "wrk is not installed (apt-get install wrk)")
    (scratch / "reject").write_bytes(body())
    stack.stop("salvaged")
    stack.httpd_conf('Include "${SALVAGE_SHARE}/throttle-mozilla.conf"\n'
                     'MaxKeepAliveRequests 0\nRedirect gone "/refused"\nCustomLog /dev/null private\n')
    env = {"BENCH_BODY": str(scratch / "reject"), "BENCH_BOUNDARY": BOUNDARY, "BENCH_CLOSES": "1"}
    rejects = dict(env, BENCH_EXPECT="^Discarded=rule_unsupported_product$")
    refused = dict(env, BENCH_EXPECT="410 Gone")

    def load(path, settings):
        rate, _, p99, bad = wrk(stack.url + path, 16, 3, TOP / "tests/bench/post.lua", settings)
        if bad:
            raise RuntimeError(f"{bad} requests were not answered as expected")
        return rate, p99

    ours, theirs = alternate(3, lambda: load("/submit", rejects),
                             lambda: load("/refused", refused))
    best, against = max(ours), max(theirs)
    figure("throttle_reject", best[0], 10000, ">=1", "/s",
           f"reports rejected by a rule, 16 connections, p99 {best[1]:.1f} ms; against the goal")
    figure("throttle_reject_cost", best[0], against[0], ">=0.4", "/s",
           "the same; against httpd refusing the same request without looking at it")
    stack.httpd_conf("")
    stack.start("salvaged")


BENCHES = [throttle]
