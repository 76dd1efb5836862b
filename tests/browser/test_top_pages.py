"""Overview, product home and top crashers in a real Chromium: content, sorting, filters, widths, both
themes, no complaint in the console.

$SALVAGE_SHOTS names a folder that gets pictures of the pages, wide and narrow, light and dark.
"""
import datetime
import os
import pathlib
import uuid

import pytest
from search_loader import SearchLoader, crash_id
from selenium.webdriver.common.by import By
from test_report_page import chromium, complaints, resize  # noqa: F401  (a fixture, helpers)

NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
LONG = "a::very::long::" + "name::" * 40 + "end | __memmove_avx_unaligned_erms"
COUNTS = {"nl::scene::MeshCache::Evict | nl::scene::TrimTo": 9, LONG: 6, "<script>x()</script>": 4,
          "OOM | large | nl::mem::Pool::Grow": 2}


@pytest.fixture(scope="module")
def product(instance):
    name = f"Looked at {uuid.uuid4().hex[:6]}"
    docs = []
    for n, (signature, count) in enumerate(COUNTS.items()):
        for i in range(count):
            when = NOW - datetime.timedelta(hours=1 + 17 * i)
            docs.append({"uuid": crash_id(when), "date_processed": when.isoformat(),
                         "product": name, "version": "4.2.1" if i % 3 else "4.2.0",
                         "signature": signature, "process_type": "parent", "report_type": "crash",
                         "os_name": ["Windows", "Linux"][i % 2], "install_time": 1700000000 + i * n,
                         "startup_crash": n == 2, "uptime": 5})
    SearchLoader(instance).index(docs)
    for job in ("rollups", "versions"):
        instance.salvage("jobs", "run", job)
    return name


def pages(stack, product):
    top = f"{stack.url}/topcrashers"
    return {"overview": stack.url + "/", "product": f"{stack.url}/home/product/{product}",
            "top": f"{top}/?product={product}&version=",
            "top-none": f"{top}/?product={product}&version=9",
            "compare": f"{top}/compare/?product={product}&a=4.2.0&b=4.2.1",
            "regressions": f"{top}/regressions/?product={product}&version=4.2.1"}


def theme(browser, name):
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {
        "features": [{"name": "prefers-color-scheme", "value": name}]})


def test_every_page_wide_and_narrow(chromium, stack, product):      # noqa: F811
    browser = chromium()
    shots = os.environ.get("SALVAGE_SHOTS")
    for name, url in pages(stack, product).items():
        for width in (1400, 360):
            for look in ("light", "dark"):
                resize(browser, width, 1200)
                theme(browser, look)
                browser.get(url)
                wide = browser.execute_script("return document.documentElement.scrollWidth")
                assert wide <= width, (name, width, wide)
                assert len(browser.find_elements(By.TAG_NAME, "h1")) == 1, name
                assert complaints(browser) == [], (name, width, look)
                if shots:
                    browser.save_screenshot(
                        str(pathlib.Path(shots) / f"{name}-{width}-{look}.png"))
    theme(browser, "light")


def cells(browser, column):
    return [x.text for x in browser.find_elements(By.CSS_SELECTOR, f"#tc tbody td:nth-child({column})")]


def test_top_crashers_can_be_worked_with(chromium, stack, product):     # noqa: F811
    browser = chromium()
    browser.get(pages(stack, product)["top"])
    assert cells(browser, 1) == ["1", "2", "3", "4"]
    assert cells(browser, 5) == ["9", "6", "4", "2"]
    text = browser.find_element(By.ID, "tc").text.replace("\n", "")
    assert "nl::scene::MeshCache::Evict" in text and "<script>x()</script>" in text
    assert "startup" in text
    spark = browser.find_element(By.CSS_SELECTOR, "svg.spark")
    assert spark.get_attribute("aria-label").startswith("28 days: lowest")
    # the head is a link that turns the order round
    browser.find_element(By.LINK_TEXT, "Count").click()
    assert cells(browser, 5) == ["2", "4", "6", "9"]
    head = browser.find_element(By.CSS_SELECTOR, "th[aria-sort]")
    assert (head.text, head.get_attribute("aria-sort")) == ("Count", "ascending")
    # words in the row
    browser.find_element(By.ID, "tcf").send_keys("memmove")
    shown = [x for x in browser.find_elements(By.CSS_SELECTOR, "#tc tbody tr") if x.is_displayed()]
    assert len(shown) == 1 and "memmove" in shown[0].text
    browser.find_element(By.LINK_TEXT, "Linux").click()
    assert "platform=Linux" in browser.current_url and "_sort=count" in browser.current_url
    assert complaints(browser) == []


def test_from_the_overview_to_a_signature(chromium, stack, product):    # noqa: F811
    browser = chromium()
    browser.get(stack.url + "/")
    browser.find_element(By.LINK_TEXT, product).click()
    assert browser.find_element(By.TAG_NAME, "h1").text == product
    assert browser.find_elements(By.CSS_SELECTOR, "svg.chart a rect")
    browser.find_element(By.CSS_SELECTOR, "details.fold summary").click()
    assert "others" in browser.find_element(By.CSS_SELECTOR, "details.fold table").text
    browser.find_element(By.LINK_TEXT, "4.2.1").click()
    assert "/topcrashers/?" in browser.current_url
    assert browser.find_element(By.CSS_SELECTOR, "a.sig").get_attribute("href").startswith(
        stack.url + "/signature/?signature=nl%3A%3Ascene")
    assert complaints(browser) == []
