"""The signature report in a real Chromium: what is seen, wide and narrow, light and dark, and with
scripts off.

$SALVAGE_SHOTS names a folder that gets pictures.
"""
import os
import pathlib
from urllib.parse import quote

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from signature_data import MAIN, RARE, SignatureData
from test_report_page import chromium, complaints, resize  # noqa: F401  (a fixture)


@pytest.fixture(scope="module")
def data(instance):
    return SignatureData(instance)


def address(stack, signature=MAIN, tab=""):
    return f"{stack.url}/signature/{tab}?signature={quote(signature, safe='')}"


def shot(browser, name):
    folder = os.environ.get("SALVAGE_SHOTS")
    if folder:
        browser.save_screenshot(str(pathlib.Path(folder) / f"signature-{name}.png"))


@pytest.mark.parametrize("width,dark", [(1400, False), (1400, True), (360, False), (360, True)])
def test_page_is_whole_and_quiet(stack, data, chromium, width, dark):  # noqa: F811
    browser = chromium(width, dark)
    for signature in (MAIN, RARE, "sigworks::Nobody knows this"):
        browser.get(address(stack, signature))
        assert complaints(browser) == []
        wide = browser.execute_script("return document.documentElement.scrollWidth")
        assert wide <= width, (signature, wide)
        assert len(browser.find_elements(By.CSS_SELECTOR, "h1")) == 1
    browser.get(address(stack))
    shot(browser, f"{width}-{'dark' if dark else 'light'}")
    bars = browser.find_elements(By.CSS_SELECTOR, "#summary svg.chart a rect")
    assert bars and all(b.size["height"] > 0 for b in bars)
    for link in browser.find_elements(By.CSS_SELECTOR, ".tabs a"):
        target = link.get_attribute("href").rpartition("#")[2]
        assert browser.find_elements(By.ID, target), target


def test_links_lead_on_without_scripts(stack, data, chromium):  # noqa: F811
    browser = chromium(scripts=False)
    browser.get(address(stack))
    browser.find_element(By.CSS_SELECTOR, "#reports .pager a[rel=next]").click()
    WebDriverWait(browser, 20).until(lambda b: "/signature/reports/" in b.current_url)
    rows = browser.find_elements(By.CSS_SELECTOR, "#reports tbody tr")
    assert len(rows) == 50
    assert browser.find_element(By.CSS_SELECTOR, ".tabs a[aria-current=page]").text.startswith(
        "Reports")
    # a filter by form, then away with it
    browser.find_element(By.CSS_SELECTOR, ".chips details.menu > summary").click()
    browser.find_element(By.CSS_SELECTOR, "#f-f option:nth-child(1)")
    browser.find_element(By.XPATH, "//select[@id='f-f']/option[text()='version']").click()
    browser.find_element(By.XPATH, "//select[@id='f-o']/option[@value='=']").click()
    browser.find_element(By.ID, "f-v").send_keys("2.0")
    browser.find_element(By.XPATH, "//button[text()='Narrow']").click()
    WebDriverWait(browser, 20).until(lambda b: "version=2.0" in b.current_url)
    figure = browser.find_element(By.CSS_SELECTOR, ".figs dd").text.splitlines()[0]
    assert figure == str(sum(d["version"] == "2.0" for d in data.main))
    browser.find_element(By.CSS_SELECTOR, ".chip a").click()
    WebDriverWait(browser, 20).until(lambda b: "version" not in b.current_url)
    # a value of a panel narrows
    browser.find_element(By.XPATH, "//ol[contains(@class,'facet')]//a[contains(.,'Linux')]").click()
    WebDriverWait(browser, 20).until(lambda b: "platform_pretty_version=" in b.current_url)


def test_hostile_values_stay_text(stack, data, chromium):  # noqa: F811
    browser = chromium()
    browser.get(address(stack, RARE))
    assert "canary()" in browser.find_element(By.TAG_NAME, "h1").text
    assert browser.execute_script("return typeof canary") == "undefined"
    assert not browser.find_elements(By.CSS_SELECTOR, "main img, main script")
    assert complaints(browser) == []
