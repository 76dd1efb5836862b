"""The report page over documents with every field set: each row, who sees it, in which form."""
import html
import json
import re

import pytest
import requests

from lib import documents, people

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
MEASURES = ("explicit", "gfx_textures", "ghost_windows", "heap_allocated", "heap_overhead",
            "heap_unclassified", "host_object_urls", "images", "js_main_runtime", "private",
            "resident", "resident_unique", "system_heap_allocated", "top_none_detached", "vsize",
            "vsize_max_contiguous")


def page(stack, path, token=None, status=200):
    r = requests.get(stack.url + path, headers={"Auth-Token": token} if token else {}, timeout=30,
                     allow_redirects=False)
    assert r.status_code == status, (path, r.status_code, r.text[:300])
    return r.text


def text_of(markup):
    """What a reader sees, in one line."""
    plain = re.sub(r"<(script|style)\b.*?</\1>|<wbr>", "", markup, flags=re.S)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", plain)))


def section(markup, name):
    return re.search(rf'<section id="{name}">.*?</section>', markup, re.S).group(0)


def rows(markup):
    """{label: text} of the cards of the details."""
    out = {}
    for label, value in re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", section(markup, "details"),
                                   re.S):
        out[text_of(label).replace("protected", "").strip()] = text_of(value).strip()
    return out


@pytest.fixture(scope="module")
def full(instance, top):
    """A crash with every field; (id, values, names of protected fields)."""
    values, locked = documents.full(top)
    for name in ("uuid", "crash_id", "minidump_sha256_hash"):
        del values[name]                                    # they stay what they are
    values.update(
        product="Fenix", version="7.1", release_channel="beta", build="20261104093212",
        uptime=61, install_age=60, last_crash=3661, install_time=1794301107,
        date_processed="2026-11-22T12:49:26.5+00:00", process_type="content",
        cpu_info="AuthenticAMD family 20 model 2 stepping 0", total_physical_memory=1029,
        available_physical_memory=1024, adapter_vendor_id="0xFA11", adapter_device_id="0xfa12",
        possible_bit_flips_max_confidence=25, crash_inconsistencies=["first_odd", "second_odd"],
        mac_crash_info='{"b": 1, "a": {"c": 2}}', crash_time=1794301107,
        memory_measures={name: 2000000 + i for i, name in enumerate(MEASURES)},
        breadcrumbs=[{"level": f"level{i}", "type": f"type{i}", "category": f"category{i}",
                      "message": f"message{i}", "timestamp": f"time{i}"} for i in range(12)],
        java_exception={"exception": {"values": [
            {"stacktrace": {"module": "org.example", "type": "FirstException",
                            "value": "secret-of-java",
                            "frames": [{"module": "org.example.Main", "function": "run",
                                        "filename": "Main.java", "lineno": 12, "in_app": True},
                                       {"module": "java.lang.Thread", "function": "start",
                                        "in_app": False}]}},
            {"stacktrace": {"module": "org.example", "type": "CauseException", "frames": []}}]}},
        addons=["signed@x:1.0", "plain@x:NO_VERSION"],
        telemetry_environment={
            "build": {"applicationName": "value-of-environment"},
            "addons": {"activeAddons": {
                "signed@x": {"name": "Signed One", "version": "1.0", "isSystem": False,
                             "signedState": 2},
                "broken@x": {"name": "Broken One", "version": "2.0", "isSystem": True,
                             "signedState": -2},
                "free@x": {"name": "Free One", "version": "3.0"}}},
            "system": {"secretPart": "hidden-environment"}},
        collector_metadata={"dump_checksums": {"upload_file_minidump": EMPTY}, "x": "meta-x"},
        processor_history=["earlier pass one", "earlier pass two"],
        signature="f0 | f1", crashing_thread=1, submitted_timestamp="2026-11-22T12:49:26+00:00",
        started_datetime="2026-11-22T12:49:28.25+00:00",
        completed_datetime="2026-11-22T12:49:29.5+00:00", success=True, mdsw_status_string="OK",
        json_dump={
            "crash_info": {"type": "SIGSEGV", "crashing_thread": 1, "instruction": "mov eax, 1"},
            "modules": [{"filename": "app", "debug_file": "app.pdb", "debug_id": "ABC1",
                         "version": "9.9", "missing_symbols": True, "cert_subject": "Signer Ltd"},
                        {"filename": "lib.so", "debug_file": "lib.so", "debug_id": "DEF0",
                         "symbol_url": "https://symbols.example/lib.sym"}],
            "unloaded_modules": [{"filename": "gone.dll", "code_id": "12AB", "cert_subject": "Q"}],
            "threads": [
                {"thread_name": "main", "frames": [
                    {"frame": 0, "offset": "0x1", "module": "lib.so", "function": "wait"}]},
                {"thread_name": "worker", "frames": [
                    {"frame": 0, "module": "app", "function": "ns::f0(int *,int)", "line": 412,
                     "file": "git:github.com/own/repo:src/a b.cpp:abc123", "trust": "context",
                     "registers": {"rax": "0xe5e5e5e5e5e5e5e5", "rbx": "0x0000000000000001"},
                     "inlines": [{"function": "ns::inl", "file": "hg:hg.mozilla.org/central:"
                                  "x.h:def", "line": 9}]},
                    {"frame": 1, "module": "app", "module_offset": "0x00022", "trust": "scan",
                     "missing_symbols": True},
                    {"frame": 2, "trust": "scan", "offset": "0x0010",
                     "unloaded_modules": [{"module": "gone.dll", "offsets": ["0x0044"]}]},
                    {"frame": 3, "trust": "scan", "offset": "0x000abc"},
                    {"truncated": {"msg": "200 frames were left out"}}]},
                {"thread_name": "twin", "frames": [
                    {"frame": 0, "offset": "0x1", "module": "lib.so", "function": "wait"}]}],
            "crashing_thread": {"threads_index": 1, "thread_name": "worker", "frames": [
                {"frame": 0, "registers": {"rax": "0xe5e5e5e5e5e5e5e5",
                                           "rbx": "0x0000000000000001"}}]}})
    crash_id = documents.store(instance, top, values, {
        "ReleaseChannel": "beta", "Comments": "value-of-Comments", "Unlisted": "value-of-Unlisted",
        "zeta": "1", "Alpha": "2"})
    instance.query("insert into graphics_device values ('0xfa11', '0xfa12', 'Vendor of Cards',"
                   " 'Card Eleven') on conflict do nothing returning 1")
    return crash_id, values, locked


@pytest.fixture(scope="module")
def all_rights(instance):
    return instance.api_token


def test_head(stack, full):
    text = page(stack, f"/report/index/{full[0]}")
    assert (f"<title>[@ f0 | f1] - Fenix 7.1 Crash Report - Report ID: {full[0]}</title>") in text
    assert f'<meta property="og:title" content="{full[0]} [@f0 | f1]">' in text
    assert '<meta property="og:description" content="In Fenix 7.1 (beta) 20261104093212">' in text
    assert "You are seeing public data only." in text


# label -> field, in the order of the specification's list within each card
ALWAYS = ["Crash ID", "Processed", "Reason", "Address", "Product", "Version", "Channel", "Build ID",
          "Application build ID", "Process type", "Uptime", "Install time", "OS", "OS version",
          "Architecture", "CPU", "CPU count", "Graphics vendor", "Graphics device",
          "EMCheckCompatibility"]
PRESENT = {
    "Last crash": "last_crash", "Install age": "install_age", "Abort message": "abort_message",
    "Android package": "android_packagename", "Android version": "android_version",
    "Windows Error Reporting": "windows_error_reporting", "Startup crash": "startup_crash",
    "Android manufacturer": "android_manufacturer", "Android model": "android_model",
    "Android CPU ABI": "android_cpu_abi", "Inconsistencies": "crash_inconsistencies",
    "Bit flips, confidence": "possible_bit_flips_max_confidence", "Last error": "last_error_value",
    "MOZ_CRASH reason (sanitized)": "moz_crash_reason", "Mac crash info": "mac_crash_info",
    "Threads": "thread_count", "Virtual, total": "total_virtual_memory",
    "Virtual, free": "available_virtual_memory", "Page file, free": "available_page_file",
    "Physical, total": "total_physical_memory", "Physical, free": "available_physical_memory",
    "In use": "system_memory_use_percentage", "OOM allocation": "oom_allocation_size",
    "Accessibility": "accessibility", "App notes": "app_notes"}
LOCKED = {
    "Guard page access": "has_guard_page_access", "Remote type": "remote_type",
    "MOZ_CRASH reason (raw)": "moz_crash_reason_raw", "URL": "url", "Comment": "user_comments",
    "PHC kind": "phc_kind", "PHC usable size": "phc_usable_size",
    "PHC base address": "phc_base_address", "PHC alloc stack": "phc_alloc_stack",
    "PHC free stack": "phc_free_stack", "Soft errors": "soft_errors"}


def test_every_row_with_its_value(stack, full, all_rights):
    crash_id, values, _ = full
    for token in (None, all_rights):
        seen = rows(page(stack, f"/report/index/{crash_id}", token))
        for label in [*ALWAYS, *PRESENT, *(LOCKED if token else ())]:
            assert label in seen, label
        for label, field in {**PRESENT, **(LOCKED if token else {})}.items():
            value = values[field]
            if isinstance(value, str) and value.startswith("value-"):
                assert seen[label] == value, label
        for i, name in enumerate(MEASURES):
            unit = "" if name in ("ghost_windows", "host_object_urls") else " B 2.00 MB"
            label = "MR: top(none)/detached" if name == "top_none_detached" else (
                "MR: " + name.replace("_", "-"))
            assert seen[label] == f"{2000000 + i:,}{unit}", label
    for label in LOCKED:
        assert label not in rows(page(stack, f"/report/index/{crash_id}")), label
        assert label in text_of(section(page(stack, f"/report/index/{crash_id}"), "details")), label


def test_forms_of_values(stack, full):
    crash_id = full[0]
    seen = rows(page(stack, f"/report/index/{crash_id}"))
    assert seen["Uptime"] == "61 s 1 min 1 s"               # over 60 s, not at 60
    assert seen["Install age"] == "60 s"
    assert seen["Last crash"] == "3,661 s 1 h 1 min"
    assert seen["Physical, total"] == "1,029 B 1.03 kB"     # over 1024, decimal units
    assert seen["Physical, free"] == "1,024 B"
    assert seen["Install time"].startswith("2026-11-10 ")
    assert seen["Build ID"] == "20261104093212 4 Nov 2026"
    assert seen["Processed"] == "2026-11-22 12:49:26"
    assert seen["Inconsistencies"] == "first_odd, second_odd"
    assert seen["Bit flips, confidence"].startswith("25 %")
    assert seen["Mac crash info"] == '{ "a": { "c": 2 }, "b": 1 }'
    assert seen["Graphics vendor"] == "Vendor of Cards 0xFA11"
    assert seen["Graphics device"] == "Card Eleven 0xfa12"
    assert "known to crash at places" in seen["CPU"]
    assert seen["Process type"] == "content"
    assert "f0 | f1" in seen["Signature"] and "More reports · Search" in seen["Signature"]


def test_rows_that_need_something(stack, top):
    """What is not there is said, or is no row at all."""
    crash_id = documents.store(stack, top, {
        "process_type": "plugin", "plugin_name": "Flush", "plugin_version": "3",
        "plugin_filename": "flush.dll", "uptime": None, "cpu_info": "AuthenticAMD family 20 model 16",
        "adapter_vendor_id": None, "last_crash": None, "accessibility": None})
    seen = rows(page(stack, f"/report/index/{crash_id}"))
    assert seen["Process type"] == "plugin Flush, 3, flush.dll"
    assert seen["Uptime"] == seen["Graphics vendor"] == "not in this report"
    assert "known to crash" not in seen["CPU"]
    for label in ("Last crash", "Accessibility", "Application build ID", "Remote type",
                  "Android package", "MR: explicit"):
        assert label not in seen, label
    documents.write(stack, crash_id, {**documents.read(stack, crash_id), "process_type": ""})
    assert rows(page(stack, f"/report/index/{crash_id}"))["Process type"] == "parent"


def test_meanings_and_search_fields(stack, full, top):
    markup = page(stack, f"/report/index/{full[0]}")
    tips = {text_of(label).strip(): html.unescape(tip) for tip, label in
            re.findall(r'<dfn title="([^"]*)">(.*?)</dfn>', markup)}
    assert tips["OS"] == "name of the system for people; Unknown if nothing is known. " \
                         "Search: platform_pretty_version"
    assert tips["Build ID"].endswith("Search: build_id")
    assert tips["MR: vsize"].endswith("Search: memory_vsize")
    assert tips["Crash ID"].endswith("Search: uuid")
    assert tips["Mac crash info"].startswith("JSON text")
    assert all("Search: " in tip for tip in tips.values())


def test_protected_values(stack, full, all_rights):
    """Nothing protected reaches a reader without the right, by whatever page of the report."""
    crash_id, values, locked = full
    canaries = [values[name] for name in locked if isinstance(values.get(name), str)]
    canaries += ["secret-of-java", "hidden-environment", "message11", "meta-x", "value-of-Comments",
                 "value-of-Unlisted", "0xe5e5e5e5e5e5e5e5"]
    assert len(canaries) > 15
    for path in (f"/report/index/{crash_id}", f"/report/raw/{crash_id}",
                 f"/report/stack/{crash_id}", f"/report/stack/{crash_id}?format=markdown",
                 f"/report/diff/{crash_id}/{stack.sample_id}",
                 f"/report/diff/{stack.sample_id}/{crash_id}"):
        text = html.unescape(page(stack, path).replace("<wbr>", ""))
        for canary in canaries:
            assert canary not in text, (path, canary)
    seen = html.unescape(page(stack, f"/report/index/{crash_id}", all_rights).replace("<wbr>", ""))
    for canary in ["secret-of-java", "hidden-environment", "message11", "value-of-Comments",
                   "value-of-Unlisted", "0xe5e5e5e5e5e5e5e5", values["url"]]:
        assert canary in seen, canary
    # a tracker is read by others: what is proposed to it is public
    bug = re.search(r'<pre id="bugbody"[^>]*>(.*?)</pre>', seen, re.S).group(1)
    assert "value-moz_crash_reason-x" in bug and "moz_crash_reason_raw" not in bug


def test_stack(stack, full):
    markup = page(stack, f"/report/index/{full[0]}")
    stack_text = text_of(section(markup, "stack"))
    assert "Crashing thread 1" in stack_text and "worker" in stack_text
    assert "ns::f0(int*, int)" in stack_text                # blanks before '*' and after ','
    assert "app@0x22" in stack_text
    assert "(unloaded gone.dll@0x44)" in stack_text
    assert "@0xabc" in stack_text
    assert "200 frames were left out" in stack_text
    first, second = stack_text.index("ns::inl"), stack_text.index("ns::f0(")
    assert first < second and "inlined" in stack_text[first:second]
    assert 'href="https://github.com/own/repo/blob/abc123/src/a%20b.cpp#L412"' in markup
    assert 'href="https://hg.mozilla.org/central/file/def/x.h#l9"' in markup
    assert 'href="/uploads/missing/?symbol=app.pdb&amp;debugid=ABC1"' in markup
    for row in ("t1f0i0", "t1f0", "t1f1", "t0f0"):
        assert f'id="{row}"' in markup and f'href="#{row}"' in markup
    threads = section(markup, "threads")
    assert text_of(threads).count("Thread 0 · main and 1 with the same stack") == 1
    assert 'id="t2"' in threads and "twin" in threads


def test_registers(stack, full, all_rights):
    text = text_of(page(stack, f"/report/index/{full[0]}", all_rights))
    assert "1 holds one byte repeated" in text and "rbx" in text
    assert "Registers of frame 0 protected Needs" in text_of(page(stack,
                                                                 f"/report/index/{full[0]}"))


def test_stack_as_text(stack, full):
    plain = page(stack, f"/report/stack/{full[0]}").splitlines()
    assert plain[0] == " 0  app  ns::inl  x.h:9  (inlined)"
    assert plain[1] == " 0  app  ns::f0(int*, int)  src/a b.cpp:412"
    assert plain[2] == " 1  app  app@0x22"
    assert len(plain) == 5
    marked = page(stack, f"/report/stack/{full[0]}?format=markdown")
    assert marked.startswith(f"Crash report: {stack.url}/report/index/{full[0]}\n\n| # | Module |")
    assert ("| 0 | `app` | `ns::f0(int*, int)` | [`src/a b.cpp:412`]"
            "(https://github.com/own/repo/blob/abc123/src/a%20b.cpp#L412) |") in marked
    page(stack, f"/report/stack/{full[0]}?format=pdf", status=400)
    page(stack, "/report/stack/none", status=404)


def test_java(stack, full, all_rights):
    java = text_of(section(page(stack, f"/report/index/{full[0]}"), "java"))
    assert "Exception: org.example.FirstException" in java
    assert "Exception: org.example.CauseException" in java
    assert "0 org.example.Main run Main.java:12 yes" in java
    assert "1 java.lang.Thread start no" in java
    assert "Java stack trace (redacted) value-java_stack_trace-x" in java
    java = text_of(section(page(stack, f"/report/index/{full[0]}", all_rights), "java"))
    assert "secret-of-java protected" in java
    assert "Java stack trace (raw) protected value-java_stack_trace_raw-x" in java


def test_breadcrumbs_are_the_last_ten(stack, full, all_rights):
    text = text_of(page(stack, f"/report/index/{full[0]}", all_rights))
    assert "level2 type2 category2 message2 time2" in text and "message11" in text
    assert "message1 " not in text


def test_modules(stack, full):
    markup = section(page(stack, f"/report/index/{full[0]}"), "modules")
    text = text_of(markup)
    assert "app no symbols 9.9 ABC1 app.pdb Signer Ltd" in text
    assert 'href="https://symbols.example/lib.sym"' in markup
    assert "gone.dll 12AB Q" in text and "Unloaded modules 1" in text


def test_annotations_are_sorted(stack, full, all_rights):
    text = text_of(section(page(stack, f"/report/index/{full[0]}", all_rights), "annotations"))
    assert text.index("BuildID" if "BuildID" in text else "ProductName") < text.index("Version")
    assert text.index("Alpha") < text.index("Comments") < text.index("zeta")
    assert "submitted_timestamp" not in text and "uuid" not in text


def test_extensions(stack, full):
    text = text_of(section(page(stack, f"/report/index/{full[0]}"), "extensions"))
    assert "signed@x Signed One 1.0 no signed" in text
    assert "plain@x" in text
    assert "broken@x Broken One 2.0 yes broken" in text
    assert re.search(r"free@x Free One 3\.0 +not required", text)


def test_environment_tree(stack, full):
    markup = section(page(stack, f"/report/index/{full[0]}"), "environment")
    assert 'applicationName</span> <span class="v">&quot;value-of-environment&quot;' in markup
    assert markup.count("<details") == markup.count("</details>") > 3


def test_raw_data(stack, full, all_rights):
    open_ = section(page(stack, f"/report/index/{full[0]}"), "raw")
    assert "upload_file_minidump" in open_ and "needs “View Raw Dumps”" in open_
    assert "format=raw" not in open_ and "empty minidump" not in open_
    seen = section(page(stack, f"/report/index/{full[0]}", all_rights), "raw")
    assert (f"/api/RawCrash/?crash_id={full[0]}&amp;format=raw&amp;name=upload_file_minidump"
            in seen)
    tree = page(stack, f"/report/raw/{full[0]}")
    assert "mov eax, 1" in tree and "unloaded_modules" in tree
    page(stack, "/report/raw/00000000-0000-4000-8000-000000261122", status=404)


def test_debug(stack, full, all_rights):
    open_ = text_of(section(page(stack, f"/report/index/{full[0]}"), "debug"))
    assert "Collected 2026-11-22 12:49:26.000" in open_
    assert "Processing began 2026-11-22 12:49:28.250 2.250 s after it was collected" in open_
    assert "Processing ended 2026-11-22 12:49:29.500 1.250 s of processing" in open_
    assert "Times processed 3" in open_                     # the history and this one
    assert "earlier pass one earlier pass two" in open_
    assert "value-mdsw_stderr-x" not in open_ and "need “View Personal" in open_
    seen = text_of(section(page(stack, f"/report/index/{full[0]}", all_rights), "debug"))
    assert "value-mdsw_stderr-x" in seen and "4711" in seen and "value-signature_debug-x" in seen
    assert "meta-x" in seen
    only_pii = people.token(stack, "admin", "view_pii")
    part = text_of(section(page(stack, f"/report/index/{full[0]}", only_pii), "debug"))
    assert "value-mdsw_stderr-x" not in part                # needs both rights


def test_empty_minidump_is_marked(stack, top, all_rights):
    crash_id = stack.submit({"ProductName": "Documents"}, None)
    stack.wait_processed(crash_id)
    doc = documents.read(stack, crash_id)
    doc["collector_metadata"] = {"dump_checksums": {"upload_file_minidump": EMPTY}}
    documents.write(stack, crash_id, doc)
    markup = page(stack, f"/report/index/{crash_id}", all_rights)
    text = text_of(section(markup, "raw"))
    assert "empty minidump" in text and "not stored any more" in text
    assert f"{EMPTY} (empty minidump)" in text_of(section(markup, "debug"))


def test_broken_documents(stack, top, all_rights):
    crash_id = documents.store(stack, top, {})
    good = documents.read(stack, crash_id)
    stack.error_log.expect("SAL4006")
    for broken in ({"product": ["x"]}, {"json_dump": {"threads": [{"frames": [{"module": 5}]}]}}):
        documents.write(stack, crash_id, {**good, **broken})
        for path in (f"/report/index/{crash_id}", f"/report/stack/{crash_id}",
                     f"/report/raw/{crash_id}", f"/report/diff/{crash_id}/{stack.sample_id}"):
            assert "This report is broken in some way" in page(stack, path, status=500)
        page(stack, f"/report/index/{crash_id}", all_rights)    # who may see all sees it as it is


def test_recomputed_signature(stack, top, all_rights):
    crash_id = documents.store(stack, top, {"signature": "an old signature"})
    seen = page(stack, f"/report/index/{crash_id}", all_rights)
    assert "Today's lists give another signature." in html.unescape(seen)
    assert "another signature" not in page(stack, f"/report/index/{crash_id}")
    seen = page(stack, f"/report/index/{stack.sample_id}", all_rights)
    assert "another signature" not in seen


def test_why_this_signature(stack):
    why = re.search(r'<details class="fold" id="why">.*?</details>',
                    page(stack, f"/report/index/{stack.sample_id}"), re.S).group(0)
    told = json.loads(stack.salvage("signature", "--explain", "--format", "json", input=json.dumps(
        crash_data(stack.processed(stack.sample_id)))).stdout)["why"]
    text = text_of(why)
    taken = [f for f in told["stacks"][0]["frames"] if f["decision"] in ("prefix", "stop")]
    assert taken
    for frame in taken:
        assert frame["normalized"] in text
    assert "the signature ends here" in text


def crash_data(doc):
    """What the signature tool reads, of a processed crash."""
    dump = doc["json_dump"]
    return {"crashing_thread": doc["crashing_thread"], "os": doc["os_name"],
            "reason": doc.get("reason"), "threads": dump["threads"]}
