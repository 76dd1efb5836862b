"""Crash pings of both dialects, made of our own test crashes: the modules and addresses of a walked
minidump, in the members that the specification's tables name."""
import json
import subprocess
import uuid


def walk(salvage, dump):
    done = subprocess.run([salvage, "stackwalk", "--json", "--symbols", dump.parent.parent / "symbols",
                           dump], capture_output=True, check=True)
    return json.loads(done.stdout)


def traces(doc, glean=True, thread=0, rename=None):
    """The stack trace object of a walked dump: only the crashing thread has frames."""
    names = [m["filename"] for m in doc["modules"]]
    base, end = ("base_address", "end_address") if glean else ("base_addr", "end_addr")
    crashing = doc["crash_info"]["crashing_thread"]
    frames = []
    for f in doc["threads"][crashing]["frames"]:
        one = {"ip": f["offset"], "trust": f["trust"] if f["trust"] in ("context", "cfi") else "cfi"}
        if f["module"] in names:
            one["module_index"] = names.index(f["module"])
        frames.append(one)
    threads = [{"frames": []} for _ in range(thread)] + [{"frames": frames}]
    out = {"main_module": doc["main_module"],
           "modules": [{base: m["base_addr"], end: m["end_addr"], "code_id": m["code_id"],
                        "debug_file": m["debug_file"], "debug_id": m["debug_id"],
                        "filename": m["filename"], "version": m["version"] or ""}
                       for m in doc["modules"]],
           "threads": threads}
    info = doc["crash_info"]
    if glean:
        out.update(crash_type=info["type"], crash_address=info["address"], crash_thread=thread)
    else:
        out.update(status="OK", crash_info={"type": info["type"], "address": info["address"],
                                            "crashing_thread": thread})
    return out


def glean(stack=None, strings=None, client=None, metrics=None, reason="crash"):
    """The body of a Glean crash ping."""
    body = {
        "ping_info": {"seq": 3, "start_time": "2026-01-30T10:00+01:00",
                      "end_time": "2026-01-31T10:20+01:00", "reason": reason},
        "client_info": {"client_id": "11111111-2222-4333-8444-555555555555", "app_build": "9",
                        "app_display_version": "9.9", "app_channel": "later",
                        "architecture": "x86_64", "os": "Linux", "os_version": "6.1",
                        "first_run_date": "2025-01-01+01:00", "telemetry_sdk_build": "60.0",
                        **(client or {})},
        "metrics": {
            "string": {"crash.process_type": "main", "crash.app_channel": "release",
                       "crash.app_display_version": "1.2", "crash.app_build": "20260101000000",
                       **(strings or {})},
            "datetime": {"crash.time": "2026-01-31T10:20:30.5+01:00"},
            "boolean": {"crash.startup": True}, **(metrics or {})},
        "something_new": {"kept": [1, 2, 3]},
    }
    if stack is not None:
        body["metrics"]["object"] = {"crash.stack_traces": stack,
                                     **body["metrics"].get("object", {})}
    return body


SNAKE = {"stackTraces": "stack_traces", "crashDate": "crash_date", "crashTime": "crash_time",
         "sessionId": "session_id", "crashId": "crash_id", "processType": "process_type",
         "minidumpSha256Hash": "minidump_sha256_hash", "hasCrashEnvironment":
         "has_crash_environment"}


def telemetry(stack=None, snake=False, metadata=None, **payload):
    """The body of an old telemetry crash ping, in camel or snake case."""
    inner = {"crashDate": "2026-01-31", "crashTime": "2026-01-31T10:00:00.000Z",
             "sessionId": "99999999-2222-4333-8444-555555555555", "processType": "main",
             "hasCrashEnvironment": True, "version": 1,
             "metadata": {"Version": "1.2", "ReleaseChannel": "release",
                          "BuildID": "20260101000000", "StartupCrash": "1", **(metadata or {})},
             **payload}
    if stack is not None:
        inner["stackTraces"] = stack
    if snake:
        inner = {SNAKE.get(k, k): v for k, v in inner.items()}
    return {"type": "crash", "version": 4, "id": str(uuid.uuid4()),
            "creationDate": "2026-01-31T10:20:30.000Z",
            "clientId": "11111111-2222-4333-8444-555555555555",
            "application": {"architecture": "x86-64", "name": "Demo", "channel": "later"},
            "environment": {"system": {"os": {"name": "Linux", "version": "6.1"}}},
            "payload": inner}


def glean_path(document=None, app="demo-app"):
    return f"/submit/{app}/crash/1/{document or uuid.uuid4()}"


def telemetry_path(document=None, app="Demo"):
    return f"/submit/telemetry/{document or uuid.uuid4()}/crash/{app}/8.0/esr/20250101?v=4"
