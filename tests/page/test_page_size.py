"""The page on a large cluster: 1,000 brokers and 100,000 partitions cost it no more than what it shows."""

import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.http.nodes import Nodes, open_nodes

api = pytest.importorskip("playwright.sync_api")
BROKERS = 1000
TOPICS = 200
PARTITIONS = 500
ELEMENTS_MAX = 2500
LOAD_S = 30.0
HEAP_MB = 64
"""Generous: for a machine that does much besides."""


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    with open_nodes(tmp_path_factory.mktemp("page-size"), count=1) as found:
        node = found[0]
        for first in range(1, BROKERS + 1, 250):
            said = node.lines(
                *(
                    f"BROKER REGISTER {number} host=b{number} port=9092 rack=r{number % 3} session=3600000 alive=true"
                    for number in range(first + 10, first + 260)
                )
            )
            assert all(line["_"] == "ok" for line in said)
        for number in range(TOPICS):
            said = node.lines(f"TOPIC CREATE t{number:03} partitions={PARTITIONS} replication=3 timeout=60000")
            assert said[0]["_"] == "ok", said
        said = node.lines("BROKER FENCE 20")
        assert said[0]["_"] == "ok", said
        yield found


@pytest.mark.slow
def test_a_hundred_thousand_partitions(nodes: Nodes, browser: Any) -> None:
    """Load time, elements and memory are bounded, and a search and a page are answered at once."""
    context = browser.new_context(viewport={"width": 1600, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(60_000)
    expect = api.expect
    expect.set_options(timeout=60_000)
    began = time.monotonic()
    page.goto(f"http://127.0.0.1:{nodes[0].port}/")
    expect(page.locator("#verdict .figures")).to_contain_text("100,000")
    verdict_s = time.monotonic() - began
    expect(page.locator("#topics tbody tr")).to_have_count(25)
    expect(page.locator("#brokers tbody tr")).to_have_count(25)
    loaded_s = time.monotonic() - began
    began = time.monotonic()
    page.get_by_label("Search topics by name").fill("199")
    expect(page.locator("#topics tbody tr")).to_have_count(1)
    search_s = time.monotonic() - began
    page.locator("#topics tbody a").first.click()
    expect(page.get_by_role("dialog").locator("tbody tr")).to_have_count(25)
    page.keyboard.press("Escape")
    elements = page.evaluate("() => document.querySelectorAll('*').length")
    session = context.new_cdp_session(page)
    heap = session.send("Runtime.getHeapUsage")["usedSize"] / 1e6
    print(
        f"verdict {verdict_s:.2f} s, loaded {loaded_s:.2f} s, search {search_s:.2f} s, "
        f"{elements} elements, {heap:.1f} MB of JavaScript heap",
        file=sys.stderr,
    )
    context.close()
    assert loaded_s < LOAD_S
    assert search_s < LOAD_S / 2
    assert elements < ELEMENTS_MAX
    assert heap < HEAP_MB
