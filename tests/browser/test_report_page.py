"""The report page and the lists in a real Chromium: what is seen, with and without scripts.

$SALVAGE_SHOTS names a folder that gets pictures of the pages, wide and narrow, light and dark.
"""
import os
import pathlib

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from lib import documents

CHROMEDRIVER = "/usr/bin/chromedriver"


@pytest.fixture
def chromium(tmp_path):
    """chromium(width, dark=False, scripts=True) opens a browser that ends with the test."""
    opened = []

    def make(width=1400, dark=False, scripts=True):
        options = webdriver.ChromeOptions()
        for arg in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu",
                    "--hide-scrollbars", f"--user-data-dir={tmp_path}/profile{len(opened)}"):
            options.add_argument(arg)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        if not scripts:
            options.add_experimental_option(
                "prefs", {"profile.managed_default_content_settings.javascript": 2})
        made = webdriver.Chrome(service=Service(CHROMEDRIVER), options=options)
        opened.append(made)
        resize(made, width, 900)
        made.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce"}]})    # clicks need a still page
        return made

    yield make
    for each in opened:
        each.quit()


def resize(browser, width, height):
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": width, "height": height, "deviceScaleFactor": 1, "mobile": False})


def complaints(browser):
    """Console errors, CSP violations and failed loads since the last call."""
    return [line for line in browser.get_log("browser") if line["level"] in ("SEVERE", "WARNING")]


def report(stack, crash_id=None):
    return f"{stack.url}/report/index/{crash_id or stack.sample_id}"


def deep_stack(entry, *extra):
    """A stack as programs have them: own code, inlined functions, the runtime, no symbols."""
    git = "git:github.com/northlight/nl:src/scene/mesh_cache.cpp:0c1d2e3f"

    def frame(function, file=None, line=None, module="northlight", **more):
        return {"module": module, "function": function, "file": file, "line": line,
                "trust": "cfi", **more}

    frames = [
        frame(f"nl::scene::MeshCache::Evict({entry}, nl::scene::EvictReason)", git, 412,
              trust="context", inlines=[
                  {"function": "nl::core::Ref<nl::scene::Mesh>::operator->() const",
                   "file": "git:github.com/northlight/nl:src/core/ref.h:0c1d2e3f", "line": 118}]),
        *extra,
        frame("nl::scene::MeshCache::TrimTo(unsigned long long)", git, 361),
        *[frame(f"std::_Func_impl_no_alloc<{x}>::_Do_call(nl::mem::Pressure const&)",
                "functional", 822) for x in ("A", "B", "C", "D")],
        frame(None, module="rdrhook64.dll", module_offset="0x0001d2e4", trust="scan",
              missing_symbols=True),
        frame("nl::jobs::Worker::ThreadMain(void*)", git, 44),
        frame("RtlUserThreadStart", module="ntdll.dll")]
    return [{"frame": i, "offset": hex(4096 + i), **f} for i, f in enumerate(frames)]


@pytest.fixture(scope="module")
def rich(instance, top):
    """Two reports of which every field has a value."""
    out = []
    values, _ = documents.full(top)
    for name in ("uuid", "crash_id", "minidump_sha256_hash", "date_processed"):
        del values[name]
    for i, entry in enumerate(("nl::scene::MeshCache::Entry&", "nl::scene::MeshCache::Key const&")):
        extra = [{"module": "northlight", "function": "nl::scene::MeshCache::EvictOldest()",
                  "file": "mesh_cache.cpp", "line": 388, "trust": "cfi"}] if i == 0 else []
        stack = deep_stack(entry, *extra)
        stack[0]["registers"] = {"rcx": "0xe5e5e5e5e5e5e5e5", "rip": "0x00007ff6b52f1c7e"}
        out.append(documents.store(instance, top, {
            **values, "signature": "nl::scene::MeshCache::Evict | nl::scene::MeshCache::TrimTo",
            "product": "Northlight", "version": f"4.2.{i}", "release_channel": "release",
            "build": "20261104093212", "reason": "EXCEPTION_ACCESS_VIOLATION_READ",
            "address": "0xe5e5e5e5e5e5e5f5", "crashing_thread": 1, "uptime": 5641 * (i + 1),
            "process_type": "parent", "addons": ["usd@x:2.4", "hook@x:3.1"],
            "submitted_timestamp": "2026-11-22T12:49:26.118+00:00",
            "started_datetime": "2026-11-22T12:49:28.004+00:00",
            "completed_datetime": "2026-11-22T12:49:29.377+00:00",
            "crash_inconsistencies": ["int_div_by_zero_not_possible"],
            "possible_bit_flips_max_confidence": 12,
            "breadcrumbs": [{"category": "tool", "level": "info", "message": "sculpt " * 9,
                             "timestamp": "2026-11-22T12:49:20", "type": "default"}],
            "telemetry_environment": {"build": {"applicationName": "Northlight"}, "addons": {
                "activeAddons": {"hook@x": {"name": "Hook", "version": "3.1", "signedState": 0}}}},
            "java_exception": None,
            "json_dump": {
                "modules": [{"filename": "northlight", "debug_file": "northlight.pdb",
                             "debug_id": "0F0C0A8B6E5D4C1B9A3E2D7C1F4B8A601",
                             "version": f"4.2.{i}.0", "cert_subject": "Fairlead Software GmbH"},
                            {"filename": "rdrhook64.dll", "debug_file": "rdrhook64.pdb",
                             "debug_id": "B1D7E2F0C4A348E59D6F0A1B2C3D4E5F2",
                             "missing_symbols": True, "version": "3.1.0.44"}],
                "threads": [{"thread_name": "main", "frames": stack[2:5]},
                            {"thread_name": "worker/1", "frames": stack},
                            {"thread_name": "worker/2", "frames": stack[2:5]}],
                "crashing_thread": {"frames": stack[:1]}}}))
    return out


def check_crashing_stack(browser, doc):
    """Function, file and line of each frame of the crashing thread are readable on the page."""
    thread = doc["crashing_thread"]
    frames = doc["json_dump"]["crashing_thread"]["frames"]
    assert len(frames) >= 3
    own = 0
    for box in browser.find_elements(By.CSS_SELECTOR, "#stack .foldrow input:not(:checked)"):
        box.click()
    for frame in frames:
        inlines = frame["inlines"] or []
        rows = [(f"t{thread}f{frame['frame']}i{i}", x) for i, x in enumerate(inlines)]
        rows.append((f"t{thread}f{frame['frame']}", frame))
        for row_id, what in rows:
            row = browser.find_element(By.ID, row_id)
            assert row.is_displayed(), row_id
            text = row.text
            assert str(frame["frame"]) in row.find_element(By.CSS_SELECTOR, ".n").text
            if what["function"]:
                assert what["function"].split("(")[0] in text, (row_id, text)
            if what["file"]:
                assert f"{what['file']}:{what['line']}" in text, (row_id, text)
                own += 1
        assert (frame["module"] or "") in text
    assert own >= 3, "the sample's own frames must have source lines"


def test_stack_of_the_crashing_thread(stack, chromium):
    browser = chromium()
    browser.get(report(stack))
    assert "Sampler 1.0 Crash Report" in browser.title
    check_crashing_stack(browser, stack.processed(stack.sample_id))
    hit = browser.find_elements(By.CSS_SELECTOR, "#stack tr.hit")
    assert hit and hit[0].value_of_css_property("background-image") != "none"
    assert complaints(browser) == []


def test_everything_is_there_without_scripts(stack, chromium):
    browser = chromium(scripts=False)
    browser.get(report(stack))
    assert not browser.find_element(By.CSS_SELECTOR, "[data-theme-switch]").is_displayed()
    doc = stack.processed(stack.sample_id)
    check_crashing_stack(browser, doc)
    for section in ("stack", "details", "threads", "modules", "annotations", "raw", "debug"):
        assert browser.find_element(By.ID, section).is_displayed(), section
    threads = browser.find_elements(By.CSS_SELECTOR, "details[data-thread]")
    assert len(doc["json_dump"]["threads"]) == 1 or threads
    for thread in threads:
        thread.find_element(By.TAG_NAME, "summary").click()
        assert thread.find_element(By.CSS_SELECTOR, "table.stack").is_displayed()


@pytest.mark.parametrize("path", ["/", "/search/?product=Sampler", "/api/", "/nowhere",
                                  "/search/?signature=@("])
def test_pages_are_quiet(stack, chromium, path):
    assert stack.sample_id
    browser = chromium()
    browser.get(stack.url + path)
    loads = [x for x in complaints(browser) if "the server responded with a status of 40" not in
             x["message"]]                                  # the page itself may be a 404
    assert loads == []
    assert browser.find_element(By.TAG_NAME, "h1").text
    color = browser.find_element(By.TAG_NAME, "body").value_of_css_property("background-color")
    assert color == "rgba(245, 247, 247, 1)", "the style sheet was not applied"


@pytest.mark.parametrize("width", [1400, 700, 360, 320])
def test_no_sideways_scrolling(stack, chromium, width, top):
    endless = stack.submit({name: "W" * 90 for name in (    # words that do not end
        "ProductName", "Version", "ReleaseChannel", "BuildID", "Add-ons", "W" * 90, "Notes")},
        top / "tests/data/crashes/crasher_cpp.dmp")
    stack.wait_processed(endless)
    browser = chromium(width)
    for url in (report(stack), report(stack, endless), stack.url + "/",
                stack.url + "/search/?signature=~a", stack.url + "/api/"):
        browser.get(url)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width, url


def test_list_leads_to_the_report(stack, chromium):
    crash_id = stack.sample_id
    browser = chromium()
    browser.get(stack.url + "/search/?product=Sampler")
    browser.find_element(By.CSS_SELECTOR, f'a[href="/report/index/{crash_id}"]').click()
    assert crash_id in browser.find_element(By.CSS_SELECTOR, ".head").text
    assert complaints(browser) == []


def arrives(browser, at):
    """Waits until the page has an address that at() says yes to."""
    WebDriverWait(browser, 20).until(lambda b: at(b.current_url))


def test_search_form(stack, chromium):
    assert stack.sample_id
    browser = chromium()
    browser.get(stack.url + "/search/")
    field = browser.find_element(By.ID, "s-product")
    field.send_keys("Sampler" + Keys.ENTER)     # returns before the form has been sent
    arrives(browser, lambda url: "product=Sampler" in url)
    assert stack.sample_id in browser.page_source
    chip = browser.find_element(By.CSS_SELECTOR, ".chip")
    assert "product" in chip.text and "Sampler" in chip.text
    chip.find_element(By.TAG_NAME, "a").click()
    arrives(browser, lambda url: "product=Sampler" not in url)
    assert complaints(browser) == []


def test_keys_and_theme(stack, chromium):
    browser = chromium()
    browser.get(report(stack))
    body = browser.find_element(By.TAG_NAME, "body")
    body.send_keys("/")
    assert browser.switch_to.active_element.get_attribute("id") == "quick"
    browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    switch = browser.find_element(By.CSS_SELECTOR, "[data-theme-switch]")
    switch.click()
    switch.click()
    assert switch.text == "Theme: dark"
    browser.refresh()
    html = browser.find_element(By.TAG_NAME, "html")
    assert html.get_attribute("data-theme") == "dark"       # written by the server: no flash
    assert complaints(browser) == []


def test_markup_of_strangers_does_nothing(stack, chromium, top):
    bad = "\"'><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    crash_id = stack.submit({"ProductName": bad, "Version": bad, "Notes": bad, "BuildID": bad,
                             "MozCrashReason": bad, "ReleaseChannel": bad},
                            top / "tests/data/crashes/crasher_cpp.dmp")
    stack.wait_processed(crash_id)
    browser = chromium()
    for url in (report(stack, crash_id), stack.url + "/"):
        browser.get(url)
        title = browser.execute_script("return document.title")
        assert "owned" not in title.split("Crash Report")[-1]
        assert browser.find_elements(By.TAG_NAME, "img") == []
        assert complaints(browser) == []


def test_waiting_page_asks_again(stack, chromium, top):
    stack.stop("salvaged")
    crash_id = stack.submit({"ProductName": "Later"}, top / "tests/data/crashes/crasher_cpp.dmp")
    browser = chromium(scripts=False)
    browser.get(report(stack, crash_id))
    assert "is being processed" in browser.find_element(By.TAG_NAME, "h1").text
    stack.start("salvaged")
    stack.wait_processed(crash_id)
    browser.implicitly_wait(10)                             # the page refreshes itself after 5 s
    assert browser.find_element(By.ID, "stack").is_displayed()


@pytest.mark.parametrize("width", [1400, 360])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_pages_of_reports(stack, chromium, rich, width, dark, tmp_path):
    """A report with everything, compared with another, as a tree: quiet, and never wider."""
    folder = pathlib.Path(os.environ.get("SALVAGE_SHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    browser = chromium(width, dark)
    pages = {"full": report(stack, rich[0]), "diff": f"{stack.url}/report/diff/{rich[0]}/{rich[1]}",
             "tree": f"{stack.url}/report/raw/{rich[0]}", "alike": f"{stack.url}/report/diff/"
             f"{stack.sample_id}/{rich[0]}"}
    for name, url in pages.items():
        browser.get(url)
        assert complaints(browser) == [], url
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width, url
        height = browser.execute_script("return document.documentElement.scrollHeight")
        resize(browser, width, min(height, 7000))
        path = folder / f"{name}-{width}-{'dark' if dark else 'light'}.png"
        assert browser.save_screenshot(str(path)) and path.stat().st_size > 10000
        resize(browser, width, 900)


def test_links_of_a_report(stack, chromium, rich):
    browser = chromium()
    browser.get(report(stack, rich[0]) + "#t2")             # a thread that is shown with another
    alike = browser.find_element(By.ID, "t2")
    assert "worker/2" in alike.get_attribute("textContent")
    browser.get(report(stack, rich[0]))
    links = [a.get_attribute("href") for a in browser.find_elements(By.CSS_SELECTOR, "#stack .s a")]
    assert ("https://github.com/northlight/nl/blob/0c1d2e3f/src/scene/mesh_cache.cpp#L412"
            in links)
    browser.find_element(By.CSS_SELECTOR, ".head .acts summary").click()
    field = browser.find_element(By.ID, "cmp-b")
    field.send_keys(report(stack, rich[1]) + Keys.ENTER)
    arrives(browser, lambda url: url.endswith(f"/report/diff/{rich[0]}/{rich[1]}"))
    marks = [m.text for m in browser.find_elements(By.CSS_SELECTOR, "table.diff mark")]
    assert "Entry" in marks and "Key const" in marks
    assert complaints(browser) == []


@pytest.mark.parametrize("width", [1400, 360])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_pictures(stack, chromium, width, dark, tmp_path):
    """Pictures of the pages; SALVAGE_SHOTS names a folder in which they stay."""
    folder = pathlib.Path(os.environ.get("SALVAGE_SHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    pages = {"report": report(stack), "overview": stack.url + "/",
             "search": stack.url + "/search/?product=Sampler", "api": stack.url + "/api/"}
    browser = chromium(width, dark)
    for name, url in pages.items():
        browser.get(url)
        height = browser.execute_script("return document.documentElement.scrollHeight")
        resize(browser, width, min(height, 4000))
        path = folder / f"{name}-{width}-{'dark' if dark else 'light'}.png"
        assert browser.save_screenshot(str(path)) and path.stat().st_size > 10000
        resize(browser, width, 900)
