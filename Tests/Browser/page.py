#!/usr/bin/python3
"""Uses the page as administrators do: page.py SCENARIO BASE-URL MILTER-SOCKET CONTROL-SOCKET

Ends with 0 and "ok SCENARIO", or with an assertion.
"""

import sys
import threading
from urllib.parse import quote

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from browser import NARROW, Browser, Control
from milter import Session

HOSTILE = "<script>window.pwned=1</script>\"'><img src=x onerror=window.pwned=1>\u202egnp.exe"
# What the page makes of it: the same letters, and the mark that would turn them round spelled out.
SHOWN = "<script>window.pwned=1</script>\"'><img src=x onerror=window.pwned=1>U+202Egnp.exe"
LONG = "z" * 5_000


class Traffic:
    """Goes on until it is stopped: bob beyond his limit, so that there are always decisions to see."""

    def __init__(self, milter):
        self.milter = milter
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.is_over.wait(0.2):
            with Session(self.milter, ip="192.0.2.7", user="bob") as session:
                session.mail("bob@example.org")

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.is_over.set()
        self.thread.join()


def key(name):
    return "#/key/" + quote(name, safe="")


def actions(base, milter, control):
    """Logs in, opens a key from the list, blocks, releases and allows it; reading alone shows no buttons."""
    with Browser(base) as browser, Traffic(milter):
        browser.open()
        browser.wait_text("#connection", "live")
        browser.wait_text("#who", "read only")
        link = browser.wait(
            "bob among the busiest keys", lambda: browser.find("[data-slot=keys] a.key[href='#/key/user%3Abob']")
        )
        browser.js("arguments[0].click()", link)
        browser.wait_text("h1", "user:bob")
        assert not browser.find("[data-slot=block]").is_displayed(), "reading alone offers to block"

        browser.log_in(control.token("alice"))
        browser.wait_text("#who", "alice")
        browser.wait_text("[data-slot=sentences]", "Refused by cap")
        browser.wait("buttons", lambda: browser.find("[data-slot=block]").is_displayed())

        browser.find("[data-slot=block]").click()
        span = browser.find("#order [name=for]")
        span.clear()
        span.send_keys("2h")
        browser.find("#order [name=reason]").send_keys("password stolen")
        assert "refused for 2h" in browser.text("#order .consequence"), browser.text("#order")
        browser.find("#order .primary").click()
        browser.wait("bob is blocked in the daemon", lambda: control.blocked() == ["user:bob"])
        (penalty,) = control.ask("/v1/penalties")
        assert "password stolen" in penalty["reason"], penalty
        browser.wait_text("[data-slot=sentences]", "Blocked until")
        browser.wait_text("[data-slot=actions]", "alice (web)")

        browser.find("[data-slot=release]").click()
        browser.wait("it asks before", lambda: browser.find("#order .primary").is_displayed())
        assert control.blocked() == ["user:bob"], "released without a confirmation"
        browser.find("#order .primary").click()
        browser.wait("bob is free in the daemon", lambda: control.blocked() == [])

        browser.find("[data-slot=allow]").click()
        rule = browser.wait("the rules", lambda: browser.find("#order [name=rule] option[value=cap]"))
        rule.click()
        browser.wait("a limit can be given", lambda: browser.find("#order [name=limit]").is_displayed())
        browser.find("#order [name=limit]").send_keys("500 per 1h")
        browser.find("#order .primary").click()
        override = browser.wait("the override in the daemon", lambda: control.ask("/v1/overrides"))[0]
        assert override["target"] == "user:bob" and override["rule"] == "cap", override
        take_back = browser.wait("it can be taken back", lambda: browser.find("[data-slot=overrides] button"))
        take_back.click()
        browser.wait("it is taken back", lambda: control.ask("/v1/overrides") == [])

        # A wrong order is explained where it was given.
        browser.find("[data-slot=block]").click()
        span = browser.find("#order [name=for]")
        span.clear()
        span.send_keys("soon")
        browser.find("#order .primary").click()
        browser.wait("the problem is told", lambda: "soon" in browser.text("#order .problem"))
        browser.find("#order [value=cancel]").click()

        browser.find("#log").click()
        browser.wait_text("#who", "read only")
        browser.wait("no buttons any more", lambda: not browser.find("[data-slot=block]").is_displayed())
        browser.check(
            expected_complaints=["/v1/penalties - Failed to load resource: the server responded with a status of 400"]
        )


def again(base, milter, control):
    """A login outlives a reload, and a browser that has lost its word for orders asks for another login."""
    with Browser(base) as browser:
        browser.open(key("user:bob"))
        browser.log_in(control.token("alice"))
        browser.wait_text("#log", "Log out")

        def block():
            browser.wait("it can be blocked", lambda: browser.find("[data-slot=block]").is_displayed())
            browser.find("[data-slot=block]").click()
            browser.find("#order .primary").click()

        browser.open("?again#/key/user%3Abob")
        block()
        browser.wait("bob is blocked in the daemon", lambda: control.blocked() == ["user:bob"])
        control.ask("/v1/penalties", "DELETE", key="user:bob")

        # It goes while the page is open: the order is refused, and why is clear.
        browser.js("localStorage.clear()")
        block()
        browser.wait("the refusal", lambda: browser.text("#order .problem"))
        browser.wait_text("#log", "Log in again")
        browser.find("#order [value=cancel]").click()
        assert control.blocked() == []

        browser.open("?cleared#/key/user%3Abob")
        browser.wait_text("#log", "Log in again")
        browser.wait_text("#who", "alice")
        browser.wait_text(".subject", "Log in again to block, release or allow.")
        assert not browser.find("[data-slot=block]").is_displayed(), "offers what will be refused"
        browser.log_in(control.token("ann"))
        browser.wait_text("#who", "ann")
        block()
        browser.wait("bob is blocked in the daemon", lambda: control.blocked() == ["user:bob"])
        browser.find("#log").click()
        browser.wait_text("#who", "read only")
        assert browser.js("return localStorage.getItem('csrf')") is None, "the word outlives the login"
        browser.check(
            expected_complaints=["/v1/penalties - Failed to load resource: the server responded with a status of 403"]
        )


def locked(base, milter, control):
    """Where reading needs a login, nothing is shown or asked before; a wrong token is told to be wrong."""
    with Browser(base) as browser:
        browser.open()
        browser.wait("the login dialog", lambda: browser.all("#login[open]"))
        field = browser.find("#login [name=token]")
        field.send_keys("wrong")
        browser.find("#login .primary").click()
        browser.wait_text("#login .problem", "wrong")
        assert browser.text("main") == "", browser.text("main")
        browser.gather()
        assert not [url for url in browser.asked if "/v1/" in url and not url.endswith("/v1/session")], browser.asked
        field.clear()
        field.send_keys(control.token("alice"))
        browser.find("#login .primary").click()
        browser.wait_text("#connection", "live")
        control.ask("/v1/web-tokens", "DELETE", name="alice")
        browser.wait("a revoked token leads back to the login", lambda: browser.all("#login[open]"))
        browser.check(expected_complaints=["401", "EventSource", "ERR_INCOMPLETE_CHUNKED_ENCODING"])


def live(base, milter, control):
    """Decisions come without a reload, a pause holds them, and a lost connection shows and mends."""
    with Browser(base) as browser:
        browser.open()
        browser.wait_text("#connection", "live")
        browser.js("window.sameDocument = true")
        with Session(milter, ip="192.0.2.8", user="carol") as session:
            passed = [session.mail("carol@example.org") for _ in range(4)]
        assert passed == [True, True, False, False], passed
        browser.wait_text("[data-slot=decisions]", "user:carol")
        browser.wait_text("[data-slot=episodes]", "user:carol")
        browser.wait(
            "figures of the last minute", lambda: browser.text(".tile:nth-child(2) .big") not in ("", "–", "0")
        )
        browser.wait(
            "it is told to who listens",
            lambda: "user:carol" in browser.js("return document.getElementById('announced').textContent"),
        )

        browser.find("[data-slot=pause]").click()
        with Session(milter, ip="192.0.2.9", user="dave") as session:
            [session.mail("dave@example.org") for _ in range(4)]
        browser.wait_text("[data-slot=episodes]", "user:dave")
        assert "user:dave" not in browser.text("[data-slot=decisions]"), "shown in spite of the pause"
        browser.find("[data-slot=pause]").click()
        browser.wait_text("[data-slot=decisions]", "user:dave")

        # A flood: one line with a count, and a page that answers.
        with Session(milter, ip="192.0.2.8", user="carol") as session:
            for _ in range(400):
                session.mail("carol@example.org")
        browser.wait(
            "one line counts them",
            lambda: browser.js("""
            return [...document.querySelectorAll('[data-slot=decisions] > li .times')]
              .some((one) => Number(one.textContent.replace(/\\D/g, '')) > 100)"""),
        )
        assert len(browser.all("[data-slot=decisions] > li")) < 60
        assert browser.js("return window.sameDocument"), "the page was loaded anew"

        browser.cdp("Network.enable")
        browser.cdp(
            "Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0, uploadThroughput=0
        )
        browser.wait_text("#connection", "connection lost", 40)
        browser.cdp(
            "Network.emulateNetworkConditions", offline=False, latency=0, downloadThroughput=-1, uploadThroughput=-1
        )
        browser.wait_text("#connection", "live", 60)
        # The network's loss as Chromium plays it leaves an open stream alone; a daemon that restarts does not.
        count = browser.js("streams.at(-1).dispatchEvent(new Event('error')); return streams.length")
        browser.wait("another stream", lambda: browser.js("return streams.length") > count)
        browser.wait_text("#connection", "live")
        with Session(milter, ip="192.0.2.10", user="fred") as session:
            [session.mail("fred@example.org") for _ in range(4)]
        browser.wait_text("[data-slot=decisions]", "user:fred")
        browser.check(expected_complaints=["ERR_INTERNET_DISCONNECTED"])


def hidden(base, milter, control):
    """Nobody looks: no connection is held, of which browsers have few. It goes on where it is looked at."""
    with Browser(base) as browser:
        browser.open()
        browser.wait_text("#connection", "live")
        browser.js("""
            window.states = [];
            new MutationObserver(() => states.push(document.getElementById('connection').innerText))
              .observe(document.getElementById('connection'), { subtree: true, childList: true, attributes: true });""")
        watchers = lambda: control.ask("/v1/status")["watchers"]
        browser.wait("a watcher", lambda: watchers() == 1)
        browser.hide()
        browser.wait("the daemon has no watcher", lambda: watchers() == 0)
        assert browser.js("return streams.every((one) => one.readyState === EventSource.CLOSED)")
        browser.unhide()
        browser.wait("a watcher", lambda: watchers() == 1)
        browser.wait_text("#connection", "live")
        with Session(milter, ip="192.0.2.8", user="gina") as session:
            [session.mail("gina@example.org") for _ in range(4)]
        browser.wait_text("[data-slot=decisions]", "user:gina")
        states = browser.js("return states")
        assert not [one for one in states if "lost" in one], states
        browser.check()


def mistyped(base, milter, control):
    """What is no key is told once, and not asked again."""
    with Browser(base) as browser:
        browser.open("#/key/%00%1b")
        browser.wait_text("[data-slot=sentences]", "key")
        browser.js("window.dispatchEvent(new Event('focus')); document.dispatchEvent(new Event('visibilitychange'))")
        asked = lambda: browser.js(
            "return performance.getEntriesByType('resource').filter((one) => one.name.includes('key=')).length"
        )
        count = browser.wait("it was asked", asked)
        assert count <= 3, count
        assert browser.js("return streams.length") == 0, "a stream of what is no key"
        assert not browser.find("#toast").is_displayed(), browser.text("#toast")
        assert not browser.find("[data-slot=acts]").is_displayed(), "offers to block what is no key"
        # Another view goes on as ever; meanwhile nothing more was asked of this one.
        browser.go(key("user:bob"))
        browser.wait_text("#connection", "live")
        browser.check(expected_complaints=["400"])


def stateless(base, milter, control):
    """Without a state there is no history: told where it would be, and nowhere else."""
    with Browser(base) as browser:
        browser.open(key("user:bob"))
        browser.wait_text("[data-slot=history-note]", "there is no history")
        browser.wait_text("#connection", "live")
        assert not browser.find("#toast").is_displayed(), browser.text("#toast")
        browser.check(expected_complaints=["/v1/history"])


def faults(base, milter, control):
    """What is wrong with the daemon stands above everything; what is wrong with who reads does not."""
    with Browser(base) as browser:
        # A view that does not ask for the state by itself.
        browser.open(key("user:bob"))
        browser.wait_text("#connection", "live")

        def banner(**faults):
            return browser.js(
                """
                return import('/shell.js').then(({ faultsBanner }) => {
                  faultsBanner({ faults: arguments[0] });
                  return document.getElementById('banner').innerText;
                });""",
                faults,
            )

        assert banner(dropped_watchers=3, skipped_records=900, dropped_connections=7) == ""
        assert banner(dropped_history=2, dropped_connections=7) == "Since the start: 2 dropped history."
        assert "1 connection " in banner(dropped_connections=8), banner(dropped_connections=8)
        # The daemon has started anew.
        assert banner(dropped_connections=0) == ""
        browser.check()


def hostile(base, milter, control):
    """What clients chose is text, wherever it is shown, and does not move the page apart."""
    users = [HOSTILE, b"caf\xe9\xff\x80", LONG]
    for user in users:
        with Session(milter, ip="192.0.2.66", helo=HOSTILE, user=user) as session:
            for _ in range(4):
                session.mail(raw_sender(), queue_id=HOSTILE)
        with Session(milter, ip="192.0.2.67", helo=LONG, user=user) as session:
            session.mail(LONG.encode() + b"@x.example", recipients=[HOSTILE + "@y.example"])
    # After the refusals the control socket knows the keys by the names that the page has to show.
    keys = sorted(
        {counter["key"] for counter in control.ask("/v1/keys", limit=100) if counter["key"].startswith("user:")}
    )
    assert len(keys) == 3, [one[:80] for one in keys]
    evil = next(one for one in keys if "script" in one)
    for one in keys:
        control.ask("/v1/penalties", "POST", {"key": one, "for": "1h", "reason": HOSTILE})
    with Browser(base) as browser:
        browser.open()
        browser.log_in(control.token("alice"))
        browser.wait_text("#connection", "live")
        for user in users:
            for helo in (HOSTILE, LONG, b"\xff\xfe"):
                with Session(milter, ip="192.0.2.68", helo=helo, user=user) as session:
                    session.mail(raw_sender(), queue_id=HOSTILE)
        for slot in ("decisions", "keys", "penalties", "episodes"):
            browser.wait(
                f"the name in {slot}",
                lambda: SHOWN
                in browser.js("return document.querySelector(arguments[0]).textContent", f"[data-slot={slot}]"),
            )
        for size in ((1280, 800), NARROW):
            browser.resize(size)
            browser.check_layout()
        assert_only_text(browser)
        for one in keys:
            browser.go(key(one))
            browser.wait_text("h1", one[:40] if one != evil else "user:" + SHOWN)
            browser.wait("why", lambda: browser.text("[data-slot=sentences]"))
            browser.wait_text("[data-slot=actions]", SHOWN)
            browser.find("[data-slot=block]").click()
            assert_only_text(browser)
            browser.check_layout()
            browser.find("#order [value=cancel]").click()
        # The key's address leads back to the key: it can be released.
        browser.go(key(evil))
        browser.wait_text("h1", "user:" + SHOWN)
        browser.find("[data-slot=release]").click()
        browser.find("#order .primary").click()
        browser.wait("it is released in the daemon", lambda: evil not in control.blocked())
        browser.go(f"#/rule/{LONG}")
        browser.wait_text("h1", "zzzz")
        browser.check_layout()
        browser.check(expected_complaints=["/v1/rule"])


def raw_sender():
    return HOSTILE.encode() + b"\xff@x.example"


def assert_only_text(browser):
    found = browser.js(
        "return document.querySelectorAll('main script, main img, main iframe, dialog img, dialog script').length"
    )
    assert found == 0, "a client's text became an element"
    turned = browser.js("return document.body.innerText.includes('\\u202e')")
    assert not turned, "a mark that turns text round is shown as it is"


def tables(base, milter, control):
    """Without Chart.js there are tables; with it each chart can be a table."""
    with Traffic(milter):
        with Browser(base, without_charts=True) as browser:
            browser.open()
            browser.wait("a table of traffic", lambda: len(browser.all("[data-slot=traffic] tbody tr")) == 60)
            assert "libjs-chart.js" in browser.text("[data-slot=traffic]")
            assert not browser.find("[data-slot=traffic] canvas").is_displayed()
            browser.go(key("user:bob"))
            browser.wait("a table of its history", lambda: len(browser.all("[data-slot=history] tbody tr")) == 48)
            browser.check(expected_complaints=["chart.js"])
        with Browser(base) as browser:
            browser.open()
            browser.wait(
                "a chart that says what it shows",
                lambda: "out" in (browser.find("[data-slot=traffic] canvas").get_attribute("aria-label") or ""),
            )
            browser.find("[data-slot=traffic-toggle]").click()
            browser.wait("its table", lambda: browser.find("[data-slot=traffic] table").is_displayed())
            browser.find("[data-slot=cases-toggle]").click()
            browser.wait("the table of the cases", lambda: len(browser.all("[data-slot=cases-table] tbody tr")) == 60)
            browser.check()


def keyboard(base, milter, control):
    """All of it without a mouse, with the focus in sight, and none of it lost when figures change."""
    with Browser(base) as browser, Traffic(milter):
        browser.open()
        browser.log_in(control.token("alice"))
        browser.wait_text("[data-slot=keys]", "user:bob")

        def press(*keys):
            ActionChains(browser.driver).send_keys(*keys).perform()

        browser.js("document.activeElement.blur()")
        press("/")
        assert browser.js("return document.activeElement.id") == "sought"
        press("bob", Keys.ENTER)
        browser.wait_text("h1", "user:bob")
        assert browser.js("return document.activeElement.tagName") == "H1", "the focus stays behind"
        press("b")
        browser.wait("the dialog", lambda: browser.all("#order[open]"))
        press(Keys.ESCAPE)
        browser.wait("the dialog is gone", lambda: not browser.all("#order[open]"))
        assert control.blocked() == []
        press("n")
        browser.wait_text("[data-slot=keys]", "user:bob")
        press("j")
        focused = browser.js("return document.activeElement.className")
        assert focused in ("key", "rule"), focused
        # Lines change several times a second, and each has a link that may have the focus.
        browser.wait("a decision", lambda: browser.all("[data-slot=decisions] a.key"))
        browser.js("document.querySelector('[data-slot=decisions] a.key').focus()")
        before = browser.text("[data-slot=decisions]")
        browser.wait("the count changes", lambda: browser.text("[data-slot=decisions]") != before)
        assert browser.js("return document.activeElement.classList.contains('key')"), "the focus was lost"
        for _ in range(3):
            press(Keys.TAB)
        style = browser.js("return getComputedStyle(document.activeElement).outlineStyle")
        assert style == "solid", f"the focus cannot be seen: {style}"
        theme = browser.js("return getComputedStyle(document.body).backgroundColor")
        browser.js("document.activeElement.blur()")
        press("t")
        assert browser.js("return getComputedStyle(document.body).backgroundColor") != theme
        browser.open()
        browser.wait_text("#connection", "live")
        assert browser.js("return getComputedStyle(document.body).backgroundColor") != theme, "the theme is forgotten"
        press("?")
        browser.wait("the shortcuts", lambda: browser.all("#shortcuts[open]"))
        press(Keys.ESCAPE)
        nameless = browser.js("""
            return [...document.querySelectorAll('button, a, input, select')].filter((one) => one.checkVisibility()
              && !(one.textContent.trim() || one.getAttribute('aria-label') || one.labels?.length))
              .map((one) => one.outerHTML)""")
        assert not nameless, f"without a name: {nameless}"
        browser.check()


def rule(base, milter, control):
    """What a rule would have done at other limits: drawn and as a table, with its open episodes."""
    with Session(milter, ip="192.0.2.7", user="erin") as session:
        for _ in range(4):
            session.mail("erin@example.org")
    with Browser(base) as browser:
        browser.open()
        link = browser.wait("the rule in the list", lambda: browser.find("[data-slot=rules] a.rule[href='#/rule/cap']"))
        browser.js("arguments[0].click()", link)
        browser.wait_text("h1", "cap")
        browser.wait_text("[data-slot=facts]", "2 per 1h")
        browser.wait_text("[data-slot=description]", "At most two an hour.")
        browser.wait_text("[data-slot=episodes]", "user:erin")
        browser.wait("keys that stand over limits", lambda: browser.all("[data-slot=standing] tr"))
        browser.wait("the chart", lambda: browser.find("[data-slot=ladder] canvas").get_attribute("aria-label"))
        browser.find("[data-slot=ladder-toggle]").click()
        browser.wait(
            "the limit in force in the table", lambda: "in force" in browser.text("[data-slot=ladder] tr.current")
        )
        # What it refused is in no history: a nought is no promise.
        assert "≥ 0" in browser.text("[data-slot=ladder] tr.current"), browser.text("[data-slot=ladder]")
        browser.check()


def narrow(base, milter, control):
    """A telephone's screen: no horizontal scrolling, on any view."""
    with Browser(base, size=NARROW, dark=True) as browser, Traffic(milter):
        for hash, words in (("#/", "user:bob"), (key("user:bob"), "user:bob"), ("#/rule/cap", "cap")):
            browser.open(hash)
            browser.wait_text("main", words)
            browser.wait_text("#connection", "live")
            browser.check_layout()
            wide = browser.beyond_the_edge()
            assert not wide, f"beyond the edge: {wide}"
        browser.check()


if __name__ == "__main__":
    scenario, base, milter, control = sys.argv[1:]
    globals()[scenario](base, milter, Control(control))
    print("ok", scenario)
