"""The search page, saved searches, alerts and the documentation in a real Chromium.

$SALVAGE_SHOTS names a folder that gets pictures of the pages, wide and narrow, light and dark.
"""
import base64
import datetime
import os
import pathlib

import pytest
from people import person
from search_loader import SearchLoader, crash_id
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait
from test_report_page import complaints, resize

PRODUCT = "FindBrowser"
BAD = "\"'><img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


@pytest.fixture(scope="module")
def found(instance):
    now = datetime.datetime.now(datetime.timezone.utc)
    documents = []
    for n in range(120):
        at = now - datetime.timedelta(minutes=30 * n)
        documents.append({
            "uuid": crash_id(at), "date_processed": at.isoformat(), "product": PRODUCT,
            "version": f"4.2.{n % 3}", "uptime": n * 37, "build": 20261101000000,
            "signature": ["nl::scene::MeshCache::Evict | nl::scene::MeshCache::TrimTo",
                          "static nl::scene::Transform nl::scene::Solver::Resolve" + "W" * 80,
                          BAD, "_purecall"][n % 4],
            "os_name": "Windows", "os_pretty_version": ["Windows 11", "Windows 10"][n % 2],
            "install_time": 1700000000 + n, "reason": "EXCEPTION_ACCESS_VIOLATION_READ"})
    SearchLoader(instance).index(documents)
    return documents


@pytest.fixture
def chromium(tmp_path):
    opened = []

    def make(width=1400, dark=False, scripts=True, who=None):
        options = webdriver.ChromeOptions()
        for arg in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu",
                    "--hide-scrollbars", f"--user-data-dir={tmp_path}/profile{len(opened)}"):
            options.add_argument(arg)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        if not scripts:
            options.add_experimental_option(
                "prefs", {"profile.managed_default_content_settings.javascript": 2})
        made = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
        opened.append(made)
        resize(made, width, 900)
        made.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce"}]})
        if who:
            login = base64.b64encode(f"{who.name}:{who.password}".encode()).decode()
            made.execute_cdp_cmd("Network.enable", {})
            made.execute_cdp_cmd("Network.setExtraHTTPHeaders",
                                 {"headers": {"Authorization": "Basic " + login}})
        return made

    yield make
    for each in opened:
        each.quit()


def arrives(browser, at):
    WebDriverWait(browser, 20).until(lambda b: at(b.current_url))


def test_a_query_is_made_without_scripts(stack, chromium, found):
    """Field, operator, value: every step is a page."""
    browser = chromium(scripts=False)
    browser.get(stack.url + "/search/?_dont_run=1")
    browser.find_element(By.ID, "s-product").send_keys(PRODUCT)
    browser.find_element(By.ID, "s-n").send_keys("signature")
    browser.find_element(By.NAME, "_add").click()
    arrives(browser, lambda url: "_new=signature" in url)
    line = browser.find_element(By.ID, "line-1")
    Select(line.find_element(By.NAME, "_o")).select_by_visible_text("starts with")
    line.find_element(By.NAME, "_v").send_keys("nl::scene" + Keys.ENTER)    # searches, drops nothing
    arrives(browser, lambda url: "signature=%5Enl%3A%3Ascene" in url)
    assert "_neg=and" in browser.current_url                # ticked in a new form
    mine = [d for d in found if d["signature"].startswith("nl::scene")]
    assert f"{len(mine)} crashes" in browser.find_element(By.CSS_SELECTOR, ".sub").text
    rows = browser.find_elements(By.CSS_SELECTOR, "#reports tbody tr")
    assert len(rows) == len(mine)
    assert "signature starts with nl::scene" in browser.find_element(By.ID, "sentence").text
    rows[0].find_element(By.LINK_TEXT, "4.2.0").click()     # a value narrows
    arrives(browser, lambda url: "version=4.2.0" in url)
    chips = browser.find_elements(By.CSS_SELECTOR, ".chip")
    assert [c.text.split()[0] for c in chips] == ["product", "signature", "version", "date"]
    chips[1].find_element(By.TAG_NAME, "a").click()
    arrives(browser, lambda url: "signature" not in url)
    assert complaints(browser) == []


def test_keys(stack, chromium, found):
    browser = chromium()
    browser.get(f"{stack.url}/search/?product={PRODUCT}")
    body = browser.find_element(By.TAG_NAME, "body")
    body.send_keys("j")
    body.send_keys("j")
    row = browser.find_element(By.CSS_SELECTOR, 'tr[aria-selected="true"]')
    assert row == browser.find_elements(By.CSS_SELECTOR, "#reports tbody tr")[1]
    body.send_keys("n")
    arrives(browser, lambda url: "page=2" in url)
    browser.find_element(By.TAG_NAME, "body").send_keys("p")
    arrives(browser, lambda url: "page=1" in url)
    assert complaints(browser) == []


def test_markup_of_strangers(stack, chromium, found):
    browser = chromium()
    for path in (f"/search/?product={PRODUCT}&_facets=signature", "/search/?_dont_run=1&_new=" + BAD,
                 "/search/?signature=~" + BAD, f"/search/?{BAD.replace('=', '')}=1"):
        browser.get(stack.url + path)
        assert browser.find_elements(By.TAG_NAME, "img") == []
        # what was typed may stand in the title, as text; as script it would be all of it
        assert browser.execute_script("return document.title") != "owned"
        assert complaints(browser) == []


PAGES = ["/search/?product=FindBrowser&_new=uptime&version=!1&version=!2",
         "/search/?product=FindBrowser&signature=~NL::", "/search/?uptime=x&signatur=y&url=z",
         "/search/saved/", "/documentation/", "/documentation/supersearch/",
         "/documentation/supersearch/examples/", "/documentation/supersearch/api/",
         "/documentation/datadictionary/", "/documentation/protected_data_access/",
         "/documentation/whatsnew/",
         "/documentation/datadictionary/dataset/processed/field/json_dump/threads/[]/frames/[]"]


@pytest.mark.parametrize("width,dark", [(1400, False), (1400, True), (360, False), (360, True)])
def test_pages(stack, chromium, found, width, dark, tmp_path):
    """No sideways scrolling, no complaints, one heading; pictures for people."""
    folder = pathlib.Path(os.environ.get("SALVAGE_SHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    browser = chromium(width, dark)
    for n, path in enumerate(PAGES):
        browser.get(stack.url + path)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width, path
        assert len(browser.find_elements(By.TAG_NAME, "h1")) == 1
        assert [x for x in complaints(browser) if "status of 400" not in x["message"]] == [], path
        resize(browser, width, min(browser.execute_script(
            "return document.documentElement.scrollHeight"), 3000))
        picture = folder / f"find-{n}-{width}-{'dark' if dark else 'light'}.png"
        assert browser.save_screenshot(str(picture)) and picture.stat().st_size > 5000
        resize(browser, width, 900)


@pytest.mark.parametrize("width", [1400, 360])
def test_save_and_watch(stack, chromium, found, width, tmp_path):
    folder = pathlib.Path(os.environ.get("SALVAGE_SHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    stack.query("insert into outbox_destination (kind, name) values (2, 'find-browser') "
                "on conflict (kind, name) do update set active = true")
    who = person(stack, f"find-browser-{width}")
    browser = chromium(width, scripts=False, who=who)
    browser.get(f"{stack.url}/search/?product={PRODUCT}")
    browser.find_element(By.XPATH, "//summary[text()='Save']").click()
    browser.find_element(By.ID, "sv-n").send_keys("browsed" + Keys.ENTER)
    arrives(browser, lambda url: url.endswith("/search/saved/"))
    browser.find_element(By.LINK_TEXT, "new alert").click()
    arrives(browser, lambda url: "/alerts/?search=" in url)
    browser.find_element(By.ID, "a-n").send_keys("watched")
    Select(browser.find_element(By.ID, "a-k")).select_by_value("new")
    browser.find_element(By.XPATH, "//button[text()='Make alert']").click()
    arrives(browser, lambda url: url.split("/")[-2].isdigit())
    assert "a new signature with 10 crashes within 24 hours" in browser.find_element(
        By.CSS_SELECTOR, ".sub").text
    browser.find_element(By.CSS_SELECTOR, 'button[value="test"]').click()
    WebDriverWait(browser, 20).until(lambda b: b.find_elements(By.CSS_SELECTOR, ".card tbody tr"))
    browser.find_element(By.XPATH, "//summary[text()='JSON']").click()
    assert '"test": true' in browser.find_element(By.CSS_SELECTOR, "details pre").text
    for name, path in (("alert", None), ("alerts", "/alerts/"), ("saved", "/search/saved/")):
        if path:
            browser.get(stack.url + path)
        assert complaints(browser) == []
        resize(browser, width, 1200)
        assert browser.save_screenshot(str(folder / f"find-{name}-{width}.png"))
    browser.find_element(By.CSS_SELECTOR, 'button[value="delete"]').click()
    WebDriverWait(browser, 20).until(lambda b: "None yet." in b.page_source)
    stack.query("delete from outbox where kind = 2 and destination = 'find-browser'")
    stack.query("delete from outbox_destination where kind = 2 and name = 'find-browser'")
