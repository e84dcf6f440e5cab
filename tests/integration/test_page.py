"""The search page in a real browser (Debian's chromium), on a real server: what a person does with it."""
import datetime
import json
import re
import shutil

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

from conftest import Server

HOURS, SERVICES = 2, ("payment", "cart", "auth")
TRAP = '<img src=x onerror="window.trapped=1"><script>window.trapped=1</script>'


def records():
    """600 records of the two hours up to now; every tenth is an error, each with what is easily damaged on the way."""
    now = datetime.datetime.now(datetime.timezone.utc)
    for i in range(600):
        t = now - datetime.timedelta(seconds=(599 - i) * HOURS * 3600 / 600 + 20)
        error = i % 10 == 0
        yield json.dumps({
            "timestamp": t.isoformat(timespec="microseconds").replace("+00:00", "Z"), "level": "ERROR" if error else "INFO",
            "service": SERVICES[i % 3], "host": f"host-{i % 4}", "n": i,
            "message": f"Payment {i} failed: timeout connecting to stripe" if error else f"request {i} done",
            "http": {"status": 502 if error else 200}, "big": 9007199254740993 + i, "ratio": "RATIO"}).replace('"RATIO"', "1.50")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    s = Server(tmp_path_factory.mktemp("page") / "data").start()
    s.ingest("\n".join(records()), stream="shop")
    s.ingest(json.dumps({"message": TRAP, "level": TRAP, TRAP: TRAP, "service": "trap"}), stream="traps")
    yield s
    s.stop()


@pytest.fixture(scope="module")
def chromium():
    path = shutil.which("chromium")
    assert path, "chromium is missing: scripts/deps.sh test installs it"
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium, server):
    """open_page(hash) is a page, of all records unless told otherwise; at the end it has asked nothing of another host and the console has no error."""
    contexts, said, asked = [], [], []

    def make(hash="#from=-3h", expected="status of 4", **options):
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10000)
        page.on("console", lambda m: m.type == "error" and expected not in m.text and said.append(m.text))
        page.on("pageerror", lambda e: said.append(str(e)))
        page.on("request", lambda r: asked.append(r.url))
        page.goto(server.url + "/" + hash)
        return page

    yield make
    for c in contexts:
        c.close()
    assert said == []
    assert [u for u in asked if not u.startswith(("http://127.0.0.1:", "data:", "blob:"))] == []


def search(page, q):
    page.get_by_label("Query").fill(q)
    page.keyboard.press("Enter")


def rows(page):
    return page.get_by_role("list", name="Records").locator(".record")


def status(page):
    return page.get_by_role("status")


def test_a_query_finds_records(open_page):
    page = open_page()
    expect(status(page)).to_contain_text(re.compile(r"^\d+ records"))
    page.keyboard.press("/")
    page.keyboard.type("level:ERROR timeout")
    page.keyboard.press("Enter")
    expect(status(page)).to_contain_text("60 records")
    expect(rows(page)).to_have_count(60)
    expect(rows(page).first).to_contain_text("Payment 590 failed")
    expect(rows(page).first.locator("mark")).to_have_text("timeout")
    expect(page.locator(".chart rect.bar.error")).not_to_have_count(0)
    expect(page.locator(".chart rect.bar.info")).to_have_count(0)
    expect(page.locator(".legend")).to_have_text("error 60")
    assert "q=level%3AERROR+timeout" in page.url and page.title().startswith("level:ERROR timeout")


def test_a_level_is_one_however_it_is_written(make_server, open_page):
    server = make_server("levels")
    now = datetime.datetime.now(datetime.timezone.utc).isoformat()
    server.ingest("\n".join(json.dumps({"timestamp": now, "level": x, "message": x}) for x in ("ERROR", "error", "Error", "INFO", "info")))
    page = open_page()
    page.goto(server.url)
    expect(page.locator(".legend")).to_have_text("error 3info 2")
    page.get_by_role("button", name="error 3").click()
    expect(status(page)).to_contain_text("3 records")


def test_an_error_stands_where_it_is(open_page):
    page = open_page()
    search(page, "level:ERROR ) x")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("at column 13")
    lines = alert.locator("pre").inner_text().split("\n")
    at = next(i for i, line in enumerate(lines) if line.strip() == "^")
    assert lines[at - 1][lines[at].index("^")] == ")"
    expect(alert.locator("p")).to_contain_text("hint: ")
    expect(page.locator(".editor .wrong")).to_have_text(")")
    expect(page.get_by_label("Query")).to_have_attribute("aria-invalid", "true")
    search(page, "level:ERROR")
    expect(alert).to_have_count(0)
    expect(rows(page)).to_have_count(60)


def test_a_record_unfolds_as_it_came(open_page):
    page = open_page("#q=n:590&from=-3h")
    rows(page).first.locator(".line").click()
    details = page.locator(".details")
    for name, value in (("big", "9007199254741583"), ("ratio", "1.50"), ("http.status", "502"), ("host", "host-2")):
        expect(details.locator("tr", has=page.get_by_role("rowheader", name=name, exact=True)).locator(".v")).to_have_text(value)
    details.get_by_role("button", name="JSON", exact=True).click()
    expect(details.locator(".raw")).to_contain_text('"ratio": 1.50')
    rows(page).first.locator(".line").click()
    expect(details).to_have_count(0)


def test_filtering_by_a_field(open_page):
    page = open_page()
    page.locator(".field-name", has_text="service").click()
    value = page.locator(".value", has_text="cart")
    value.hover()
    page.get_by_role("button", name="Only service cart").click()
    expect(page.get_by_label("Query")).to_have_value('service:="cart"')
    expect(status(page)).to_contain_text("200 records")
    assert set(page.locator(".record .c:nth-child(3)").all_text_contents()) == {"cart"}
    rows(page).first.locator(".line").click()
    page.get_by_role("button", name="Not host = this").click()
    expect(page.get_by_label("Query")).to_have_value(re.compile(r'service:="cart" -host:="host-\d"'))
    expect(status(page)).to_contain_text("150 records")


def test_a_link_shows_the_same(open_page):
    page = open_page("#q=level:ERROR&from=-3h&cols=host&cols=message")
    expect(status(page)).to_contain_text("60 records")
    rows(page).nth(3).locator(".line").click()
    text, url = rows(page).nth(3).inner_text(), page.url
    other = open_page(url.split("/")[-1])
    expect(other.get_by_label("Query")).to_have_value("level:ERROR")
    expect(other.locator(".head-name")).to_have_text(["host", "message"])
    expect(other.locator(".details")).to_have_count(1)
    assert rows(other).nth(3).inner_text() == text
    search(other, "n:1")
    expect(status(other)).to_contain_text("1 record")
    other.go_back()
    expect(status(other)).to_contain_text("60 records")


def test_the_link_of_a_record(open_page):
    page = open_page("#q=n:123&from=", permissions=["clipboard-read", "clipboard-write"])
    rows(page).first.locator(".line").click()
    page.locator(".details").get_by_role("button", name="Link").click()
    expect(status(page)).to_contain_text("copied")
    other = open_page(page.evaluate("navigator.clipboard.readText()").split("/")[-1])
    expect(rows(other)).to_have_count(1)
    expect(other.locator(".details")).to_contain_text("request 123 done")


def test_dragging_over_the_chart_zooms(open_page):
    page = open_page("#from=-2h")
    expect(page.locator(".chart rect.bar")).not_to_have_count(0)
    page.wait_for_load_state("networkidle")
    box = page.locator(".chart svg").bounding_box()
    page.mouse.move(box["x"] + box["width"] * .4, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * .6, box["y"] + 40, steps=4)
    page.mouse.up()
    expect(page.locator("#range")).to_contain_text("→")
    expect(status(page)).to_contain_text(re.compile(r"^1[0-4]\d records"))
    assert re.search(r"from=20\d\d-.*&to=20\d\d-", page.url)
    page.get_by_role("button", name="Zoom out").click()
    expect(status(page)).to_contain_text(re.compile(r"^2[0-9]\d records"))


def test_ranges(open_page):
    page = open_page("#q=n:*&from=-2d")
    page.keyboard.press("t")
    page.get_by_role("button", name="Last 3 hours").click()
    expect(status(page)).to_contain_text("600 records")
    page.keyboard.press("t")
    page.get_by_label("From", exact=True).fill("soon")
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("alert")).to_contain_text("from=soon is no time")
    page.keyboard.press("t")
    page.get_by_label("From", exact=True).fill("-40m")
    page.get_by_label("From", exact=True).press("Enter")
    expect(status(page)).to_contain_text(re.compile(r"^1[5-9]\d records"))
    page.keyboard.press("t")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_columns(open_page):
    page = open_page()
    page.locator("li", has_text="http.status").hover()
    page.get_by_role("button", name="Column http.status").click()
    expect(page.locator(".head-name")).to_have_text(["level", "service", "http.status", "message"])
    page.locator(".head .c", has_text="level").hover()
    page.get_by_role("button", name="Remove column level").click()
    page.locator(".head .c", has_text="service").hover()
    page.get_by_role("button", name="Move service right").click()
    expect(page.locator(".head-name")).to_have_text(["http.status", "service", "message"])
    page.get_by_role("button", name="Reset columns").click()
    expect(page.locator(".head-name")).to_have_text(["level", "service", "message"])


def test_rows_of_pipes(open_page):
    page = open_page("#from=-3h")
    search(page, "n:* | stats count(), max(n) as most by service, level")
    table = page.locator(".results")
    expect(table.locator("tbody tr")).to_have_count(6)
    table.get_by_role("button", name="most").click()
    assert table.locator("tbody tr").first.inner_text().split() == ["auth", "INFO", "180", "599"]
    page.get_by_role("button", name='Show records with service:="auth" level:="INFO"').click()
    expect(status(page)).to_contain_text("180 records")
    search(page, "n:* | stats count() by bin(10m), level")
    expect(page.locator(".chart rect.bar.error")).not_to_have_count(0)
    search(page, "n:* | timechart span=10m count() by service")
    expect(page.locator(".legend")).to_have_text("authcartpayment")  # as many of each: by name


def patterns(page):
    return page.locator(".patterns tbody tr")


def test_patterns(open_page):
    page = open_page("#from=-3h&q=n:*")
    expect(rows(page)).not_to_have_count(0)
    page.keyboard.press("p")
    expect(status(page)).to_contain_text("2 patterns · 600 records")
    expect(patterns(page).nth(0)).to_contain_text("540")
    expect(patterns(page).nth(0)).to_contain_text("90%")
    expect(patterns(page).locator(".pattern")).to_have_text(
        ["request <*> done", "Payment <*> failed: timeout connecting to stripe"])
    expect(patterns(page).locator(".pattern var")).to_have_text(["<*>", "<*>"])
    expect(page.locator(".new")).to_have_count(0)
    expect(page.locator(".chart rect.bar.error")).not_to_have_count(0)
    for key in "jjo":
        page.keyboard.press(key)
    expect(page.locator(".pattern").nth(1)).to_be_focused()
    expect(patterns(page).nth(1).locator("pre").first).to_have_text("Payment 590 failed: timeout connecting to stripe")
    page.keyboard.press("Enter")
    expect(page.locator(".patterns pre")).to_have_count(0)
    patterns(page).nth(1).get_by_role("button", name="Only Payment").click()
    expect(status(page)).to_contain_text("60 records")
    expect(rows(page)).to_have_count(60)
    expect(rows(page).first).to_contain_text("Payment 590 failed")
    page.go_back()
    expect(patterns(page)).to_have_count(2)
    patterns(page).nth(1).get_by_role("button", name="Not Payment").click()
    expect(status(page)).to_contain_text("1 pattern · 540 records")
    expect(page.locator(".pattern")).to_have_text(["request <*> done"])
    page.get_by_role("button", name="Patterns", exact=True).click()
    expect(status(page)).to_contain_text(re.compile("^540 records"))


def test_patterns_of_a_field_and_their_link(open_page):
    page = open_page("#from=-3h&q=n:*%20|%20stats%20count()")
    page.get_by_role("button", name="Patterns", exact=True).click()
    expect(page.get_by_label("Query")).to_have_value("n:*")
    page.get_by_label("Patterns of the field").select_option("host")
    expect(page.locator(".pattern")).to_have_text(["<*>"])
    expect(patterns(page)).to_contain_text("100%")
    other = open_page(page.url.split("/")[-1])
    expect(other.locator(".pattern")).to_have_text(["<*>"])
    other = open_page("#from=-3h&q=n:*&patterns=nothing")
    expect(other.locator(".pattern")).to_have_text(["without nothing"])
    other.get_by_role("button", name="Not records without nothing").click()
    expect(other.get_by_role("heading", name="No records here")).to_be_visible()
    expect(other.get_by_label("Query")).to_have_value("n:* nothing:*")
    search(other, "x )")
    expect(other.get_by_role("alert")).to_contain_text("at column 3")


def test_new_patterns(make_server, open_page):
    server = make_server("new")
    now = datetime.datetime.now(datetime.timezone.utc)
    server.ingest("\n".join(json.dumps({
        "timestamp": (now - datetime.timedelta(minutes=50 - i)).isoformat(), "message": f"tick {i}"}) for i in range(50)))
    page = open_page()
    page.goto(server.url + "/#patterns=message")
    expect(page.locator(".pattern")).to_have_text(["tick <*>"])
    page.get_by_role("button", name="New", exact=True).click()
    expect(page.get_by_role("heading", name="No new patterns")).to_be_visible()
    server.ingest(json.dumps({"message": "breaker 7 opens", "timestamp": now.isoformat()}))
    page.keyboard.press("r")
    expect(page.locator(".pattern")).to_have_text(["newbreaker <*> opens"])
    expect(status(page)).to_contain_text("1 new pattern")
    assert "new=1" in page.url
    page.get_by_role("button", name="New", exact=True).click()
    expect(page.locator(".pattern")).to_have_text(["tick <*>", "newbreaker <*> opens"])
    search(page, "breaker")
    expect(page.locator(".pattern")).to_have_text(["newbreaker <*> opens"])
    search(page, "")
    page.get_by_role("button", name="Live", exact=True).click()
    expect(rows(page)).to_have_count(51)


def test_context_and_keys(open_page):
    page = open_page("#q=level:ERROR&from=-3h&stream=shop")
    expect(rows(page)).to_have_count(60)
    for key in "jjj":
        page.keyboard.press(key)
    expect(rows(page).nth(2).locator(".line")).to_be_focused()
    page.keyboard.press("o")
    expect(page.locator(".details")).to_contain_text("Payment 570 failed")
    page.keyboard.press("c")
    sheet = page.get_by_role("dialog", name="Context")
    expect(sheet.locator(".anchor")).to_contain_text("Payment 570 failed")
    numbers = """list => list.map(e => Number(/(?:request|Payment) (\\d+)/.exec(e.textContent)[1]))"""
    expect(sheet.locator(".record")).to_have_count(13)
    assert sheet.locator(".m").evaluate_all(numbers) == list(range(450, 600, 12)), "of the same service and host"
    sheet.get_by_role("button", name="host: host-2").click()
    sheet.get_by_role("button", name="service: payment").click()
    expect(sheet.locator(".record")).to_have_count(21)
    assert sheet.locator(".m").evaluate_all(numbers) == list(range(560, 581)), "of the same stream"
    sheet.get_by_role("button", name="20 older").click()
    expect(sheet.locator(".record")).to_have_count(41)
    page.keyboard.press("Escape")
    expect(sheet).to_have_count(0)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Help")).to_be_visible()
    page.keyboard.press("Escape")
    assert page.url.endswith("open=" + rows(page).nth(2).get_attribute("data-id"))


def test_completion(open_page):
    page = open_page()
    expect(rows(page)).not_to_have_count(0)
    page.get_by_label("Query").click()
    page.keyboard.type("ser")
    expect(page.locator(".suggestions li")).to_have_text(re.compile("service"))
    page.keyboard.press("Tab")
    expect(page.locator(".suggestions li")).to_have_count(4)
    page.keyboard.type("ca")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Query")).to_have_value("service:cart")
    page.keyboard.press("Enter")
    expect(status(page)).to_contain_text("200 records")


def test_live(make_server, open_page):
    server = make_server("live")
    page = open_page(expected="net::ERR_")
    page.goto(server.url + "/#q=live_one&live=1")
    expect(page.get_by_role("heading", name="No records here")).to_be_visible()
    server.ingest(json.dumps({"msg": "live_one arrives", "level": "WARN"}))
    expect(rows(page)).to_have_count(1)
    expect(rows(page).first.locator(".m")).to_have_text("live_one arrives")
    server.ingest(json.dumps({"message": "live_one again"}) + "\n" + json.dumps({"message": "another"}))
    expect(rows(page)).to_have_count(2)
    expect(rows(page).first).to_contain_text("again")
    server.stop()
    expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
    server.start()
    server.ingest(json.dumps({"message": "live_one after a break"}))
    expect(rows(page).first).to_contain_text("after a break")
    expect(rows(page)).to_have_count(3)
    expect(page.get_by_role("alert")).to_have_count(0)
    page.get_by_role("button", name="Live", exact=True).click()
    assert "live=1" not in page.url


def test_more_pages(open_page):
    page = open_page("#from=-3h&q=n:*")
    expect(rows(page)).to_have_count(200)
    for n in (400, 600):
        page.locator("main").evaluate("e => e.scrollTo(0, e.scrollHeight)")
        expect(rows(page)).to_have_count(n)
    assert len(set(page.locator(".record").evaluate_all("list => list.map(e => e.dataset.id)"))) == 600


def test_records_are_text(open_page):
    page = open_page("#stream=traps")
    rows(page).first.locator(".line").click()
    expect(page.locator(".details")).to_contain_text(TRAP)
    page.locator(".field-name").first.click()
    page.wait_for_load_state("networkidle")
    assert page.evaluate("window.trapped") is None


def test_only_its_own_script_runs(open_page):
    """Even a script that got into the page would not run: the policy names the bytes that may."""
    page = open_page(expected="Content Security Policy")
    expect(rows(page)).not_to_have_count(0)
    blocked = page.evaluate("""() => new Promise(done => {
        addEventListener("securitypolicyviolation", e => done(e.violatedDirective));
        const s = document.createElement("script"); s.textContent = "window.trapped = 1"; document.head.append(s);
        setTimeout(() => done("nothing blocked"), 2000);
    })""")
    assert blocked.startswith("script-src") and page.evaluate("window.trapped") is None


def test_a_server_that_is_gone(open_page, make_server):
    other = make_server("gone")
    page = open_page(expected="ERR_CONNECTION_REFUSED")
    expect(rows(page)).not_to_have_count(0)
    page.goto(other.url)
    expect(page.get_by_role("heading", name="No records here")).to_be_visible()
    other.stop()
    search(page, "x")
    expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
    other.start()
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("alert")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_dark_and_light(open_page, scheme):
    page = open_page(color_scheme=scheme)
    background = "getComputedStyle(document.body).backgroundColor"
    first = page.evaluate(background)
    assert (sum(map(int, re.findall(r"\d+", first))) < 150) == (scheme == "dark")
    page.keyboard.press("d")
    second = page.evaluate(background)
    assert second != first
    page.reload()
    assert page.evaluate(background) == second


def faults(page):
    """What axe finds: names that lack, colours too close, roles that do not fit. Not while a search is under way: what
    it replaces fades."""
    expect(page.locator(".progress.on")).to_have_count(0)
    return [f"{v['id']}: {v['nodes'][0]['html'][:200]}" for v in Axe().run(page).response["violations"]]


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_for_everyone(open_page, scheme):
    page = open_page("#from=-3h&q=n:[590 TO 594]", color_scheme=scheme)
    rows(page).nth(2).locator(".line").click()
    page.locator(".field-name").first.click()
    expect(page.locator(".value")).not_to_have_count(0)
    assert faults(page) == []
    for key in "t?":
        page.keyboard.press(key)
        expect(page.get_by_role("dialog")).to_be_visible()
        assert faults(page) == []
        page.keyboard.press("Escape")
    page.get_by_role("button", name="Context").click()
    expect(page.get_by_role("dialog").locator(".anchor")).to_be_visible()
    assert faults(page) == []
    page.keyboard.press("Escape")
    search(page, "n:* | stats count() by level")
    expect(page.locator(".results td")).not_to_have_count(0)
    assert faults(page) == []
    page.goto(page.url.split("#")[0] + "#from=-3h&patterns=message")
    page.reload()
    page.locator(".pattern").first.click()
    expect(page.locator(".patterns pre")).not_to_have_count(0)
    assert faults(page) == []
    page.goto(page.url.split("#")[0] + "#q=a)")
    page.reload()
    expect(page.get_by_role("alert")).to_be_visible()
    assert faults(page) == []


def test_on_a_phone(open_page):
    page = open_page(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    expect(rows(page)).not_to_have_count(0)
    narrow = "document.documentElement.scrollWidth <= innerWidth && document.querySelector('main').scrollWidth <= innerWidth"
    assert page.evaluate(narrow)
    rows(page).first.locator(".line").tap()
    expect(page.locator(".details")).to_be_visible()
    assert page.evaluate(narrow)
    page.get_by_role("button", name="Fields").first.tap()
    page.locator(".field-name", has_text="service").tap()
    page.get_by_role("button", name="Only service cart").tap()
    page.get_by_role("button", name="Close the fields").tap()
    expect(status(page)).to_contain_text("200 records")
    page.get_by_role("button", name="Patterns").tap()
    page.locator(".pattern").first.tap()
    expect(page.locator(".patterns pre")).not_to_have_count(0)
    assert page.evaluate(narrow)
    page.get_by_role("button", name="Only ").first.tap()
    expect(page.locator(".patterns")).to_have_count(0)
    search(page, "x )")
    expect(page.get_by_role("alert")).to_contain_text("at column 3")
    page.locator("#range").tap()
    expect(page.get_by_role("button", name="Apply")).to_be_in_viewport()
