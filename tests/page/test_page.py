"""What a person sees and does, on three real nodes: who leads, what is wrong and why, what was."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.http.nodes import Node, Nodes, open_nodes, until

api = pytest.importorskip("playwright.sync_api")
expect = api.expect
HOSTILE = '<img src=x onerror="document.title=1">'


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    with open_nodes(tmp_path_factory.mktemp("page-nodes")) as found:
        yield found


@pytest.fixture(scope="module")
def cluster(nodes: Nodes) -> Nodes:
    """Two brokers that stay, one topic on both."""
    said = nodes.leader().lines(
        "BROKER REGISTER 11 host=b11 port=9092 session=3600000 alive=true",
        "BROKER REGISTER 12 host=b12 port=9092 session=3600000 alive=true",
        "TOPIC CREATE orders partitions=2 replication=2 by=ann",
    )
    assert [line["_"] for line in said] == ["ok"] * 3, said
    return nodes


@pytest.fixture
def show(browser: Any) -> "Iterator[Callable[..., Any]]":
    """Open the page of a node; whatever the browser complains of fails the test."""
    complaints: list[str] = []
    contexts = []

    def open_page(node: Node, path: str = "/", **more: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1400, "height": 900}, **more})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        expect.set_options(timeout=20_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda said: complaints.append(said.text) if "Content Security Policy" in said.text else None,
        )
        page.goto(f"http://127.0.0.1:{node.port}{path}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def title(page: Any) -> Any:
    return page.locator("#verdict h1")


def test_at_first_glance_who_leads_and_that_all_is_well(cluster: Nodes, show: Any) -> None:
    page = show(cluster[0])
    leader = cluster.leader().config.node.id
    expect(title(page)).to_have_text("All is well")
    expect(page.locator("#verdict .more")).to_contain_text(f"Node {leader}")
    expect(page.locator("#quorum tbody tr").filter(has_text=f"Node {leader}")).to_contain_text("leader")
    expect(page.locator("#problems")).to_contain_text("Nothing is wrong")
    expect(page.locator("#topics tbody tr")).to_contain_text("orders")
    expect(page.locator("#feed li .when").first).to_contain_text("at ")  # before the page: by offset, not by a clock


def test_a_fenced_broker_is_told_in_words_and_explained_on_click(cluster: Nodes, show: Any) -> None:
    page = show(cluster[0])
    expect(title(page)).to_have_text("All is well")
    cluster.leader().lines("BROKER FENCE 12")
    expect(title(page)).to_have_text("2 partitions short of replicas")
    expect(page.locator("#problems li").first).to_contain_text("Broker 12 is fenced")
    expect(page.locator("#feed li").filter(has_text="broker 12 fenced").first).to_be_visible()
    page.locator("#problems li a").first.click()
    dialog = page.get_by_role("dialog", name="Broker 12")
    expect(dialog.locator(".told")).to_contain_text("fenced")
    expect(dialog.locator("table")).to_contain_text("orders:0")
    dialog.get_by_role("button", name="History").click()
    expect(dialog.locator(".told")).to_contain_text("broker")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    cluster.leader().lines("BROKER HEARTBEAT 12")
    expect(page.locator("#problems li").filter(has_text="Broker 12")).to_have_count(0)


def test_the_slider_shows_the_past_and_now_comes_back(cluster: Nodes, show: Any) -> None:
    page = show(cluster[0])
    number = page.get_by_label("Offset to show, as a number")
    expect(page.locator("#topics tbody tr").first).to_be_visible()
    number.fill("2")
    number.press("Enter")
    expect(page.locator("#time-said")).to_contain_text("This is the past: the state below offset 2")
    expect(page.locator("#topics")).to_contain_text("There are no topics")
    expect(page.locator("#verdict .more")).to_contain_text("Below offset 2")
    page.get_by_role("button", name="Now").click()
    expect(page.locator("#topics tbody tr").first).to_contain_text("orders")
    page.locator("#at").focus()
    page.keyboard.press("Home")
    expect(page.locator("#time-said")).to_contain_text("This is the past")


def test_by_keyboard_alone(cluster: Nodes, show: Any) -> None:
    page = show(cluster[0])
    expect(page.locator("#topics tbody tr").first).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    link = page.locator("#topics tbody a").first
    for _ in range(40):
        if link.evaluate("(element) => element === document.activeElement"):
            break
        page.keyboard.press("Tab")
    expect(link).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Topic orders")).to_be_visible()
    expect(page.get_by_role("button", name="Close")).to_be_focused()
    page.keyboard.press("Escape")
    expect(link).to_be_focused()


def test_what_a_screen_reader_is_told(cluster: Nodes, show: Any) -> None:
    page = show(cluster[0])
    expect(page.locator("#brokers tbody tr")).to_have_count(2)
    for role in ("banner", "main", "contentinfo"):
        expect(page.get_by_role(role)).to_have_count(1)
    for name in ("Problems", "Quorum", "Topics", "Brokers", "What happens", "Time"):
        expect(page.get_by_role("region", name=name, exact=True)).to_have_count(1)
        expect(page.get_by_role("heading", name=name, exact=True)).to_have_count(1)
    expect(page.get_by_role("heading", level=1)).to_have_count(1)
    expect(page.get_by_role("slider", name="Offset")).to_have_count(1)
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('button, a[href], input, table')].filter((element) => {
          const name = element.tagName === 'TABLE' ? element.caption?.textContent
            : element.ariaLabel || element.textContent || element.labels?.[0]?.textContent;
          return !name?.trim();
        }).map((element) => element.outerHTML)"""
    )
    assert nameless == []
    expect(page.locator("#feed [aria-live]")).to_have_count(0)


def test_hostile_names_are_text(cluster: Nodes, show: Any) -> None:
    cluster.leader().lines(f"BROKER REGISTER 13 host=b13 port=9092 rack={quoted(HOSTILE)} session=3600000 alive=true")
    page = show(cluster[0], "/#topic/" + "%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E")
    expect(page.locator("dialog")).to_contain_text("<img src=x onerror=alert(1)>")
    page.keyboard.press("Escape")
    expect(page.locator("#brokers tbody tr").filter(has_text=HOSTILE)).to_have_count(1)
    assert page.locator("img").count() == 0
    cluster.leader().lines("BROKER UNREGISTER 13")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_theme_is_the_systems_until_one_is_chosen(cluster: Nodes, show: Any, scheme: str) -> None:
    page = show(cluster[0], color_scheme=scheme)

    def ground() -> str:
        return str(page.evaluate("() => getComputedStyle(document.body).backgroundColor"))

    assert (ground() == "rgb(17, 19, 23)") == (scheme == "dark")
    page.get_by_role("button", name="Theme: system").click()
    assert ground() == "rgb(245, 245, 242)"
    page.get_by_role("button", name="Theme: light").click()
    page.reload()
    assert ground() == "rgb(17, 19, 23)"


@pytest.mark.parametrize("width", [390, 900, 1600])
def test_nothing_sticks_out(cluster: Nodes, show: Any, width: int) -> None:
    page = show(cluster[0], viewport={"width": width, "height": 900})
    expect(page.locator("#brokers tbody tr")).to_have_count(2)
    assert page.evaluate("() => document.documentElement.scrollWidth - innerWidth") <= 0


def test_another_leader_and_a_node_that_comes_back(cluster: Nodes, show: Any) -> None:
    old = cluster.leader()
    other = next(node for node in cluster.all if node is not old)
    page, lost = show(other), show(old)
    expect(page.locator("#verdict .more")).to_contain_text(f"Node {old.config.node.id}")
    expect(title(lost)).not_to_contain_text("Asking")
    old.kill()
    expect(title(lost)).to_have_text("Connection lost")
    new = until(cluster.leader)
    expect(page.locator("#verdict .more")).to_contain_text(f"Node {new.config.node.id}")
    expect(page.locator("#problems")).to_contain_text(f"Node {old.config.node.id} is silent")
    old.start()
    expect(title(lost)).not_to_have_text("Connection lost")
    expect(page.locator("#problems")).not_to_contain_text("silent")


def quoted(text: str) -> str:
    return '"' + text.replace('"', '\\"') + '"'
