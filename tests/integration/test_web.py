"""A lesson played to its end by somebody who has only the page, on a real lab, in a real browser."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, expect

from labctl.lab import Lab
from labctl.web.safety import opening_file
from tests.integration.page import PHONE, SCREEN, Learner, Server, chromium

pytestmark = [pytest.mark.lab, pytest.mark.slow]


DEMOTED = f"""tries => {{ const shown = ({SCREEN})('manager1').replaceAll('\u00a0', ' ');
  return shown.includes('Manager worker2 demoted') || shown.split('Error response').length > tries; }}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def lab(make_lab: Callable[..., Lab]) -> Lab:
    return make_lab(workers=2, swarm="empty")


def test_first_swarm_is_played_to_its_end_in_the_page(browser: Browser, lab: Lab) -> None:
    with Server("first-swarm", "-l", lab.name) as server:
        learner = Learner(browser, server)
        init(learner)
        join(learner)
        second_in_korean(learner)
        tokens(learner)
        promote(learner)
        three(learner)
        back(learner)
        assert learner.complaints == []
        assert server.end() == 0


def init(learner: Learner) -> None:
    learner.step("Start the swarm")
    expect(learner.page.locator(".check").first).to_be_visible()
    assert learner.violations() == []
    learner.run("m1")
    learner.until("manager1", "docker swarm join --token SWMTKN-1-")
    expect(learner.page.locator(".node .icon-leader")).to_have_count(1)
    learner.answer("80")
    expect(learner.page.locator(".worth.bad")).to_be_visible()
    learner.answer("2377")
    expect(learner.page.locator(".debrief")).to_contain_text("certificate authority")
    learner.next()


def join(learner: Learner) -> None:
    learner.step("Let a machine join")
    learner.page.get_by_role("button", name="Hint", exact=True).click()
    expect(learner.page.locator(".hint")).to_contain_text("the one that wants to come in")
    block = learner.page.locator(".block-edit")
    expect(block.get_by_role("button", name="Run on w1")).to_be_disabled()
    learner.run("m1")
    learner.until("manager1", "run the following command:    docker swarm join --token")
    shown = learner.screen("manager1").replace("\n", "")
    begin = shown.rindex("docker swarm join --token SWMTKN")
    block.locator("textarea").fill(shown[begin : shown.index(":2377", begin)] + ":2377")
    learner.run("w1")
    expect(learner.page.locator(".node .light.good")).to_have_count(2)
    learner.next()


def second_in_korean(learner: Learner) -> None:
    learner.step("And the next one, by yourself")
    learner.page.get_by_role("button", name="한국어").click()
    expect(learner.page.locator("html")).to_have_attribute("lang", "ko")
    learner.page.get_by_role("button", name="풀이").click()
    learner.page.locator(".solution").get_by_role("button", name="내 컴퓨터에서 실행").click()
    expect(learner.page.locator(".block-output")).to_contain_text("joined a swarm as a worker")
    learner.page.locator("label.choice").nth(2).click()
    expect(learner.page.locator(".worth.good")).to_be_visible()
    expect(learner.page.locator(".ways .button.primary")).to_be_visible()
    assert learner.violations() == []
    learner.page.get_by_role("button", name="English").click()
    learner.step("And the next one, by yourself")
    learner.next()


def tokens(learner: Learner) -> None:
    learner.step("A token got out")
    learner.run("m1")
    learner.choose("the part up to the last hyphen")
    learner.type("manager1", "docker swarm join-token --rotate worker")
    learner.next()


def promote(learner: Learner) -> None:
    learner.step("Who may be asked")
    learner.run("m1")
    expect(learner.page.locator(".node .icon-manager")).to_have_count(1)
    learner.choose("the node on which you asked")
    learner.next()


def three(learner: Learner) -> None:
    learner.step("How many can you lose?")
    learner.page.get_by_role("button", name="Solution").click()
    learner.page.locator(".solution").get_by_role("button", name="Run on m1").click()
    learner.answer("one")
    learner.choose("none")
    learner.next()


def back(learner: Learner) -> None:
    learner.step("Back to one")
    learner.page.get_by_role("button", name="Solution").click()
    for tries in range(1, 6):  # a node that was promoted just now is still being written to: Docker may say so
        learner.page.locator(".solution").get_by_role("button", name="Run on m1").click()
        learner.page.wait_for_function(DEMOTED, arg=tries)
        if "Manager worker2 demoted" in learner.screen("manager1"):
            break
    learner.next()
    expect(learner.page.locator(".ending")).to_contain_text("All steps are done")
    expect(learner.page.locator(".ending")).to_contain_text("first-service")


def test_a_service_is_seen_reached_and_moves_when_its_node_dies(browser: Browser, lab: Lab) -> None:
    with Server("first-service", "-l", lab.name) as server:
        learner = Learner(browser, server)
        learner.step("Say what you want")
        learner.run("m1")
        expect(learner.page.locator(".task.running")).to_have_count(3)
        port = learner.page.locator("a.port", has_text="nginx-service :8080")
        address = port.get_attribute("href") or ""
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(address, timeout=60) as answer:
            assert answer.status == 200
        expect(learner.page.locator(".debrief")).to_be_visible()
        learner.until("manager1", "converged")
        learner.page.locator("#checks").scroll_into_view_if_needed()
        learner.picture("web")
        learner.page.get_by_role("button", name="Dark or light").click()
        assert learner.violations() == []
        see_faults(learner)
        learner.page.locator("#tab-events").click()
        expect(learner.page.locator(".timeline")).to_contain_text("service nginx-service created")
        assert learner.complaints == []


def see_faults(learner: Learner) -> None:
    learner.menu("worker1", "Kill")
    expect(learner.page.locator(".node.down")).to_have_count(1)
    expect(learner.page.locator(".node:not(.down) .task.running")).to_have_count(3)
    learner.menu("worker1", "Start")
    expect(learner.page.locator(".node.down")).to_have_count(0)
    learner.menu("worker2", "Cut off")
    expect(learner.card("worker2").locator(".fault")).to_contain_text("cut")
    learner.picture("web-fault")
    learner.menu("worker2", "Heal")
    expect(learner.card("worker2").locator(".fault")).to_have_count(0)


def test_terminals_outlive_pages_servers_and_nodes(browser: Browser, lab: Lab) -> None:
    with Server("-l", lab.name) as server:
        learner = Learner(browser, server)
        learner.type("worker1", "echo first-$((40 + 2))")
        learner.until("worker1", "first-42")
        what_a_node_shows_can_do_nothing(learner)
        two_tabs(learner, f"http://localhost:{server.port}/")
        learner.type("worker1", "head -c 8000000 /dev/urandom | base64; echo all-$((90 + 9))")
        learner.until("worker1", "all-99")

        learner.menu("worker1", "Stop")
        expect(learner.page.locator("#panel-worker1 .veil")).to_be_visible()
        learner.menu("worker1", "Start")
        expect(learner.page.locator("#panel-worker1 .veil")).to_have_count(0)
        learner.type("worker1", "echo back-$((70 + 7))")
        learner.until("worker1", "back-77")

        assert server.end() == 0
        expect(learner.page.locator(".banner")).to_contain_text("comes back by itself")
        with Server("-l", lab.name, port=server.port):
            expect(learner.page.locator(".banner")).to_have_count(0)
            learner.until("worker1", "back-77")
            learner.type("worker1", "echo again-$((80 + 8))")
            learner.until("worker1", "again-88")
        assert learner.complaints == []


def what_a_node_shows_can_do_nothing(learner: Learner) -> None:
    title = learner.page.title()
    learner.page.evaluate("navigator.clipboard.writeText('mine')")
    learner.type(
        "worker1", r"printf '\033]52;c;dGhlaXJz\a\033]0;theirs\a\033]8;;javascript:alert(1)\alink\033]8;;\a<b>x'; echo"
    )
    learner.until("worker1", "link<b>x")
    assert learner.page.title() == title
    assert learner.page.evaluate("navigator.clipboard.readText()") == "mine"


def two_tabs(learner: Learner, address: str) -> None:
    first, learner.page = learner.page, learner.open(address)
    learner.tab("worker1")
    learner.until("worker1", "first-42")
    learner.type("worker1", "echo second-$((40 + 3))")
    learner.page.close()
    learner.page = first
    learner.until("worker1", "second-43")


def test_a_playground_has_nodes_that_come_and_go_files_and_all_terminals_at_once(
    browser: Browser, make_lab: Callable[..., Lab]
) -> None:
    lab = make_lab(workers=1)
    with Server("-l", lab.name) as server:
        learner = Learner(browser, server)
        learner.page.get_by_role("button", name="Add a node").click()
        expect(learner.card("worker2").locator(".light.good")).to_be_visible()
        learner.tab("worker2")
        learner.tab("manager1")
        learner.page.get_by_role("button", name="All nodes").click()
        learner.type("manager1", "echo on-$HOSTNAME-$((50 + 5))")
        learner.until("manager1", "on-manager1-55")
        learner.tab("worker2")
        learner.until("worker2", "on-worker2-55")
        learner.page.get_by_role("button", name="All nodes").click()

        learner.page.locator("#tab-files").click()
        learner.page.get_by_label("Path").fill("/home/docker/stack.yml")
        learner.page.locator("textarea.code").fill("services: {}\n")
        learner.page.get_by_role("button", name="Save").click()
        expect(learner.page.locator(".editor [role=status]")).to_have_text("Saved")
        assert lab.node("manager1").get("/home/docker/stack.yml") == b"services: {}\n"
        assert lab.node("manager1").expect("stat -c %U /home/docker/stack.yml").stdout.strip() == "docker"
        expect(learner.page.get_by_role("button", name="stack.yml")).to_be_visible()
        assert learner.violations() == []

        learner.menu("worker2", "Remove")
        expect(learner.card("worker2")).to_have_count(0)
        lab.down()
        expect(learner.page.locator(".banner")).to_contain_text("The lab was removed.")
        assert learner.complaints == []


def test_a_phone_is_wide_enough(browser: Browser, lab: Lab) -> None:
    with Server("first-service", "-l", lab.name) as server:
        phone = Learner(browser, server, size=PHONE, has_touch=True)
        phone.page.locator("article.step").wait_for()
        phone.picture("web-phone")
        for place in ("Lab", "Terminals", "Exercise"):
            phone.page.locator(".bottom").get_by_role("button", name=place).click()
            assert phone.overflow() <= 0
            assert phone.violations() == []
        phone.run("m1", nth=1)
        phone.until("manager1", "REPLICAS")
        assert phone.complaints == []


def test_a_keyboard_is_enough(browser: Browser, lab: Lab) -> None:
    with Server("-l", lab.name) as server:
        learner = Learner(browser, server)
        learner.page = learner.open(opening_file(lab.name, server.address).as_uri())  # as --open does
        learner.until("manager1", "$")
        learner.page.keyboard.press("F6")
        assert learner.page.evaluate("document.activeElement.id") == "map"
        learner.page.keyboard.press("Tab")
        learner.page.keyboard.press("Tab")
        learner.page.keyboard.press("Enter")
        expect(learner.page.get_by_role("menuitem").first).to_be_focused()
        learner.page.keyboard.press("ArrowDown")
        expect(learner.page.get_by_role("menuitem").nth(1)).to_be_focused()
        learner.page.keyboard.press("Escape")
        learner.page.keyboard.press("F6")
        learner.page.keyboard.type("echo keys-$((20 + 1))\n")
        learner.until("manager1", "keys-21")
        learner.page.keyboard.press("F6")
        assert learner.page.evaluate("document.activeElement.id") == "map"


def test_secrets_is_played_to_its_end_in_korean(browser: Browser, lab: Lab) -> None:
    with Server("secrets", "-l", lab.name, "--lang", "ko") as server:
        learner = Learner(browser, server, locale="ko-KR")
        at(learner, 1)
        edit(learner, 0, "store-1")
        learner.page.locator("label.choice").nth(2).click()
        learner.next()
        at(learner, 2)
        edit(learner, 0, "store-1")
        learner.next()
        at(learner, 3)
        node = learner.page.locator(".node", has=learner.page.locator(".task", has_text="store.1")).locator(
            ".node-name"
        )
        name = node.inner_text().strip()
        learner.page.get_by_role("button", name="풀이").click()
        learner.page.locator(".solution").get_by_role("button", name="@all에서 실행").click()
        for each in ("manager1", "worker1", "worker2"):
            learner.tab(each)
            learner.until(each, "docker ps -q")
        learner.tab(name)
        learner.page.wait_for_function(f"name => /^[0-9a-f]{{16}}\\s*$/m.test(({SCREEN})(name))", arg=name)
        password = re.search(r"^[0-9a-f]{16}\s*$", learner.screen(name), re.MULTILINE)
        assert password is not None
        learner.answer(password[0].strip())
        learner.answer("tmpfs", nth=1)
        learner.next()
        at(learner, 4)
        edit(learner, 0, "store-2")
        edit(learner, 1, "store.conf")
        learner.page.locator("label.choice").nth(1).click()
        learner.next()
        at(learner, 5)
        edit(learner, 0, "store-1")
        learner.next()
        expect(learner.page.locator(".ending")).to_contain_text("모든 단계를 마쳤습니다")
        assert learner.complaints == []


def at(learner: Learner, number: int) -> None:
    expect(learner.page.locator(".segments li").nth(number - 1).locator(".here")).to_be_visible()
    learner.page.locator("article.step h2").wait_for()


def edit(learner: Learner, nth: int, word: str) -> None:
    """Put the word where a block has ???, and run it."""
    block = learner.page.locator(".block-edit").nth(nth)
    text = block.locator("textarea")
    text.fill(text.input_value().replace("???", word))
    block.locator(".button.primary").click()
