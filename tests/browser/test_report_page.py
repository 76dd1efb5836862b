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
    field = browser.find_element(By.ID, "s-p")
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
