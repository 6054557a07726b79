"""The report as a person has it: in Chromium, clicked, zoomed, filtered and read."""

import heapq
import logging
import random
import time

import pytest
from selenium.webdriver import ActionChains, Keys

from dask_dispatcher import AsyncExecutor, DataNode, Report, op
from tests.report.synthetic import SyntheticRun, node
from tests.report.test_page import PAYLOADS
from tests.support import browser
from tests.support.waiting import eventually

log = logging.getLogger(__name__)
pytestmark = pytest.mark.skipif(bool(browser.missing()), reason=browser.missing() or "there is one")


@pytest.fixture
def story(tmp_path):
    """A run of known times: two loads, one score of each, one of them failing, and a best of both."""
    path = tmp_path / "story.html"
    loads = [node("load"), node("load")]
    scores = [node("score", load) for load in loads]
    best = node("best", *scores)
    slow = node("slow")
    run = SyntheticRun(path, [best, slow])
    run.ran(loads[0], 0, 10_000, "worker-1").ran(loads[1], 0, 30_000, "worker-2")
    run.ran(scores[0], 12_000, 20_000, "worker-1", moved=2_500_000)
    run.failed(
        scores[1],
        40_000,
        ValueError("as planned"),
        "worker-2",
        "Traceback: as planned\n",
        ("0: load, list of 3",),
    )
    run.written()
    run.ran(slow, 32_000, 60_000, "worker-1")
    run.ended(100_000, done=4, failed=2)
    return path


def canvas(page):
    return page.find("#timeline-canvas")


def shown_range(page):
    return page.js("[app.timeline.from, app.timeline.to]")


def point_of(page, label):
    """Return where the first span of a label is drawn, from the canvas's middle."""
    return page.js(
        """(() => { const t = app.timeline, m = app.model;
        for (let s = 0; s < m.spanCount; s++) if (m.nodeLabel(m.spanNode[s]) === arguments[0]) {
          const row = t.rowOf.get(m.spanWorker[s]) + app.lanes.laneOf[s];
          const box = t.canvas.getBoundingClientRect();
          return [Math.round(t.x(m.spanStart[s] + m.spanTook[s] / 2) - box.width / 2), Math.round(t.y(row) + t.rowHeight / 2 - box.height / 2)];
        } })()""",
        label,
    )


def click_on(page, label):
    x, y = point_of(page, label)
    page.js("document.querySelector('#timeline').scrollIntoView()")
    ActionChains(page.driver).move_to_element_with_offset(canvas(page), x, y).click().perform()


def test_what_it_says_of_a_run(page, story):
    page.open(story)
    assert page.text("#status") == "1 failed"
    assert "TestExecutor" in page.text("#subtitle")
    tiles = dict(zip(page.texts("#tiles dt"), page.texts("#tiles dd:not(.more)")))
    assert tiles["Took"] == "100 ms"
    assert tiles["Nodes"] == "6"
    assert tiles["Failed"] == "1"
    assert tiles["Data moved"] == "2.5 MB"
    labels = {row[0]: row for row in page.rows("#labels-table")}
    assert labels["load"][1:6] == ["2", "\u2013", "\u2013", "40 ms", "20 ms"]
    assert labels["slow"][4] == "60 ms"
    slowest = page.rows("#slowest-table")
    assert slowest[0] == ["slow", "60 ms", "32 ms", "worker-1"]
    assert "worker-1" in {row[0] for row in page.rows("#workers-table")}
    assert not page.js("document.querySelector('#notice').offsetParent")


def test_a_failure_has_its_traceback_line_and_arguments(page, story):
    page.open(story)
    text = page.text("#failures-list")
    assert "ValueError: as planned" in text
    assert "Traceback: as planned" in text
    assert "0: load, list of 3" in text
    assert "worker-2" in text
    assert "synthetic.py:" in text
    assert "return op(max, label=label)(0, 0, *needs)" in text
    assert page.text("#failure-count") == "1"


def test_a_click_on_the_timeline_shows_the_node(page, story):
    page.open(story)
    click_on(page, "slow")
    details = page.text("#details")
    assert details.startswith("slow\n")
    assert "60 ms, from 32 ms" in details
    assert page.js("document.activeElement.id") == "details"
    ActionChains(page.driver).send_keys(Keys.ESCAPE).perform()
    assert not page.find("#details").is_displayed()


def test_details_lead_from_node_to_node(page, story):
    page.open(story)
    click_on(page, "load")
    users = [
        button
        for button in page.driver.find_elements("css selector", "#details .link")
        if button.text == "score"
    ]
    users[0].click()
    assert page.text("#details h3") == "score"
    assert "2.5 MB" in page.text("#details")


def test_retries_and_lost_workers(page, tmp_path):
    path = tmp_path / "run.html"
    first, second = node("first"), node("second")
    run = SyntheticRun(path, [first, second])
    run.retried(first, 1_000, ConnectionError("away")).ran(first, 5_000, 1_000, attempt=2)
    run.lost(second, 3_000, "worker-2").ran(second, 4_000, 1_000, attempt=2).ended(7_000, done=2)
    page.open(path)
    assert page.text("#status") == "all done"
    assert page.text("#incident-count") == "2"
    retried, lost = page.rows("#incidents-table")
    assert retried == ["1 ms", "attempt 1 failed", "first", "ConnectionError: away", "worker-1"]
    assert lost == ["3 ms", "lost with its worker", "second", "the worker is gone", "worker-2"]
    assert "worker-2 lost" in {row[0] for row in page.rows("#workers-table")}
    tiles = dict(zip(page.texts("#tiles dt"), page.texts("#tiles dd.more")))
    assert tiles["Tried again"] == "1 loss, 1 worker lost"


def test_zooming_with_buttons_wheel_and_keys(page, story):
    page.open(story)
    start, end = shown_range(page)
    assert (start, end) == (0, 100_000)
    page.find("[data-timeline=in]").click()
    a, b = shown_range(page)
    assert (b - a) == pytest.approx(50_000)
    page.find("[data-timeline=fit]").click()
    assert shown_range(page) == [0, 100_000]
    page.keys("#timeline-canvas", "+", "+")
    a, b = shown_range(page)
    assert b - a == pytest.approx(36_000)
    page.keys("#timeline-canvas", Keys.ARROW_RIGHT)
    assert shown_range(page)[0] > a
    page.keys("#timeline-canvas", "0")
    assert shown_range(page) == [0, 100_000]
    page.js("document.querySelector('#timeline').scrollIntoView()")
    page.js(
        "app.timeline.canvas.dispatchEvent(new WheelEvent('wheel', {deltaY: -240, ctrlKey: true, clientX: 700, bubbles: true, cancelable: true}))"
    )
    a, b = shown_range(page)
    assert b - a == pytest.approx(100_000 / 2.718281828)
    ActionChains(page.driver).drag_and_drop_by_offset(canvas(page), -200, 0).perform()
    assert shown_range(page)[0] > a
    page.keys("#timeline-canvas", Keys.ENTER)
    assert page.find("#details").is_displayed()


def test_ticks_can_be_told_apart(page, story):
    page.open(story)
    for at, step, largest, text in (
        (0, 20_000, 90_000, "0 ms"),
        (11_150_000, 50_000, 12_000_000, "11.15 s"),
        (1_200_000, 200_000, 5_000_000, "1.2 s"),
        (3, 1, 9, "3 µs"),
        (4_000_000_000, 1_000_000_000, 5_000_000_000, "4,000 s"),
    ):
        assert page.js("formatTick(...arguments)", at, step, largest) == text


def test_the_timeline_is_drawn_in_the_labels_colours(page, story):
    page.open(story)
    script = """(() => { const t = app.timeline, c = t.canvas.getContext('2d'); const seen = {};
      const m = app.model;
      for (let s = 0; s < m.spanCount; s++) {
        const y = t.y(t.rowOf.get(m.spanWorker[s]) + app.lanes.laneOf[s]) + 4;
        const x = t.x(m.spanStart[s] + Math.min(m.spanTook[s], 4000) / 2);
        seen[m.nodeLabel(m.spanNode[s])] = [...c.getImageData(x, y, 1, 1).data].slice(0, 3).join();
      } return seen; })()"""
    seen = page.js(script)
    assert len({seen["load"], seen["slow"]}) == 2
    first = seen["slow"]
    page.find("#theme").click()  # light
    page.find("#theme").click()  # dark
    assert page.js("getComputedStyle(document.documentElement).colorScheme") == "dark"
    assert page.js(script)["slow"] != first


def test_filtering(page, story):
    page.open(story)
    ActionChains(page.driver).send_keys("/").send_keys("SCORE").perform()
    assert page.js("document.activeElement.id") == "filter"
    assert [row[0] for row in page.rows("#labels-table")] == ["score"]
    assert {row[0] for row in page.rows("#slowest-table")} == {"score"}
    ActionChains(page.driver).send_keys(Keys.ESCAPE).perform()
    assert len(page.rows("#labels-table")) == 4
    page.driver.find_element("xpath", "//ul[@id='legend']//button[contains(., 'load')]").click()
    assert page.js("document.querySelector('#filter').value") == "load"


def test_tables_sort(page, story):
    page.open(story)
    page.driver.find_element("xpath", "//div[@id='labels-table']//th/button[.='Label']").click()
    names = [row[0] for row in page.rows("#labels-table")]
    assert names == sorted(names)
    page.driver.find_element(
        "xpath", "//div[@id='labels-table']//th/button[starts-with(., 'Label')]"
    ).click()
    assert [row[0] for row in page.rows("#labels-table")] == names[::-1]


def test_the_graph_opens_label_by_label(page, tmp_path):
    path = tmp_path / "run.html"
    loads = [op(int, label="load")(str(n)) for n in range(70)]
    with AsyncExecutor() as executor:
        executor.run([op(sum, label="total")(loads)], observers=[Report(path)])
    page.open(path)
    assert page.js("document.querySelector('#collapse').checked")
    assert page.text("#graph-size") == "2 boxes, 1 line"
    box = page.driver.find_element(
        "xpath", "//*[name()='g' and @class='box '][.//*[name()='text' and .='load']]"
    )
    box.send_keys(Keys.ENTER)
    assert page.text("#graph-size") == "71 boxes, 70 lines"
    page.js("document.querySelector('#graph').scrollIntoView()")
    page.find("#collapse").click()
    page.find("#collapse").click()
    assert page.text("#graph-size") == "2 boxes, 1 line"


def test_colouring_by_function(page, tmp_path):
    path = tmp_path / "run.html"
    nodes = [op(int)("1") for _ in range(40)]
    for number, each in enumerate(nodes):
        each.label = f"load {number}"
    with AsyncExecutor() as executor:
        executor.run(nodes, observers=[Report(path)])
    page.open(path)
    assert page.js("document.querySelector('#grouping').value") == "function"
    assert [row[0] for row in page.rows("#labels-table")] == ["int"]
    page.js(
        "(() => { const s = document.querySelector('#grouping'); s.value = 'label'; s.dispatchEvent(new Event('change')); })()"
    )
    assert len(page.rows("#labels-table")) == 20
    page.find("#labels-table .more-rows").click()
    assert len(page.rows("#labels-table")) == 40


# Figures ------------------------------------------------------------------------------------------


def test_the_critical_path_and_what_bounded_the_run(page, story):
    page.open(story)
    assert page.js("app.critical.length") == 60_000  # `slow` alone; load and score are 30,000
    steps = [
        page.js("app.model.nodeLabel(arguments[0].id)", step)
        for step in page.js("app.bounded.steps")
    ]
    assert steps == ["slow"]
    bounded = page.js("[app.bounded.computing, app.bounded.queueing, app.bounded.overhead]")
    # It needed nothing, and its worker was busy for 30 of the 32 ms before it began.
    assert bounded == [60_000, 32_000, 8_000]
    assert "waited" in page.text("#bound")


def random_run(path, seed):
    generator = random.Random(seed)
    nodes = []
    for number in range(60):
        needs = generator.sample(nodes, min(len(nodes), generator.randint(0, 3)))
        nodes.append(node(f"n{number % 7}", *needs))
    run = SyntheticRun(path, nodes)
    took = {each: generator.randint(1, 50) * 100 for each in nodes}
    at = 0
    for each in nodes:
        run.ran(each, at, took[each])
        at += took[each]
    run.ended(at, done=len(nodes))
    return nodes, took


def list_schedule(nodes, took, slots):
    """Return the makespan of a list schedule that prefers what most work hangs on."""
    users = {each: [other for other in nodes if each in other.dependencies] for each in nodes}
    below = {}
    for each in reversed(nodes):
        below[each] = took[each] + max((below[user] for user in users[each]), default=0)
    left = {each: len(each.dependencies) for each in nodes}
    ready = [(-below[each], i) for i, each in enumerate(nodes) if not left[each]]
    heapq.heapify(ready)
    running, now = [], 0
    while ready or running:
        while ready and len(running) < slots:
            i = heapq.heappop(ready)[1]
            heapq.heappush(running, (now + took[nodes[i]], i))
        now, i = heapq.heappop(running)
        for user in users[nodes[i]]:
            left[user] -= 1
            if not left[user]:
                heapq.heappush(ready, (-below[user], nodes.index(user)))
    return now, max(below.values())


def test_predictions_agree_with_a_schedule_worked_out_here(page, tmp_path):
    path = tmp_path / "run.html"
    for seed in range(4):
        nodes, took = random_run(path, seed)
        page.open(path)
        work = sum(took.values())
        assert page.js("new ListSchedule(app.model).makespan(1)") == work
        for slots in (2, 3, 5, 60):
            expected, longest = list_schedule(nodes, took, slots)
            found = page.js("new ListSchedule(app.model).makespan(arguments[0])", slots)
            # Equal but for the order of equals, which either may break as it likes.
            assert max(longest, work / slots) <= found <= 1.05 * expected
            assert page.js("app.critical.length") == longest
        assert found == longest
        assert page.js("app.summary.work") == work


# Bad days -----------------------------------------------------------------------------------------


def test_hostile_text_stays_text(page, tmp_path):
    path = tmp_path / "evil.html"

    def fail(text):
        raise ValueError(text)

    def named(text):
        def function(*_):
            return 1

        function.__name__ = text
        return function

    nodes = [op(named(text.replace("\x00", "")), label=text)(1) for text in PAYLOADS.values()]
    nodes += [op(fail, label=text)(DataNode(text)) for text in PAYLOADS.values()]
    with AsyncExecutor() as executor:
        executor.run(nodes, raise_errors=False, observers=[Report(path)])
    assert path.stat().st_size < 2_000_000
    page.open(path)
    for failed in page.driver.find_elements("css selector", "#failures-list .link")[:5]:
        failed.click()
    assert page.js("window.pwned") is None
    assert (
        page.js(
            "document.querySelectorAll('img, iframe, object, embed, a:not([href^=\"#\"])').length"
        )
        == 0
    )
    assert page.js("document.querySelectorAll('script:not([type])').length") == 1
    assert page.js("performance.getEntriesByType('resource').length") == 0
    text = page.text("body")
    assert '<script>alert("x")</script>' in text
    assert "\\u202e" in text
    assert not set("\x00\x1b\u202e\u2066") & set(text)
    assert len(page.texts("#failures-list article")) == len(PAYLOADS)


def test_the_policy_stops_what_the_page_itself_would_never_do(page, story):
    page.open(story)
    error = page.js(
        "(() => { try { document.body.innerHTML = '<b>x</b>'; return ''; } catch (error) { return error.name; } })()"
    )
    assert error == "TypeError"
    page.driver.execute_script(
        "fetch('https://127.0.0.1:1/').catch(() => { window.refused = true; })"
    )
    assert eventually(lambda: page.js("window.refused"))
    problems = page.problems
    assert any("Trusted" in problem for problem in problems)
    assert any("Content Security Policy" in problem for problem in problems)


def test_a_report_cut_short_can_be_read(page, story):
    whole = story.read_text()
    blocks = whole.index('<script type="application/json">')
    cut = whole[: whole.rindex("</script>") - 40]
    assert len(cut) > blocks
    story.write_text(cut)
    page.open(story)
    assert "incomplete" in page.text("#notice")
    assert page.text("#status") == "unfinished"
    assert len(page.rows("#slowest-table")) == 4  # what the block before it holds


def test_a_run_under_way_can_be_read(page, tmp_path):
    path = tmp_path / "run.html"
    first = node("first")
    second = node("second", first)
    run = SyntheticRun(path, [second])
    run.ran(first, 0, 1_000).started(second, 2_000)
    run.written()
    page.open(path)
    assert page.text("#status") == "unfinished"
    assert "was not over" in page.text("#notice")
    assert page.js("app.model.state[0]") == page.js("RUNNING")


def test_before_anything_has_run_it_says_so(page, tmp_path):
    path = tmp_path / "run.html"
    Report(path)
    page.open(path)
    assert page.text("#status") == "not started"
    assert page.text("#verdict") == "Nothing has run yet."


def test_a_narrow_window(page, story):
    page.driver.set_window_size(500, 800)
    page.open(story)
    assert page.js("document.documentElement.scrollWidth <= innerWidth")
    assert page.js("app.timeline.plotWidth") > 200


def step(*_):
    return 1


def test_a_hundred_thousand_nodes(page, tmp_path):
    path = tmp_path / "large.html"
    generator = random.Random(1)
    factory = op(step)
    layer = [factory(n) for n in range(100)]
    for depth in range(999):
        layer = [factory(*generator.sample(layer, 3)) for _ in range(100)]
        for number, each in enumerate(layer):
            each.label = f"stage {depth % 30} of layer {depth} number {number}"
    with AsyncExecutor() as executor:
        executor.run(layer, observers=[Report(path)])
    assert path.stat().st_size < 25_000_000
    page.driver.get("about:blank")
    seconds = page.open(path)
    count = page.js("app.model.spanCount")
    assert count > 90_000
    opened = page.js(
        "performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd / 1000"
    )
    began = time.perf_counter()
    page.find("[data-timeline=in]").click()
    zoomed = time.perf_counter() - began
    # Told (--log-cli-level=INFO), not asserted: how fast it is depends on what else goes on here.
    size = path.stat().st_size / 1e6
    log.info(
        "%.1f MB; drawn after %.2f s, ready %.2f s, zoom %.2f s", size, opened, seconds, zoomed
    )
