"""Debian's Chromium without a window, watched: what it asks for, and what it complains of."""

import http.client
import json
import shutil
import socket
import tempfile
import time
import urllib.parse

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

WIDE, NARROW = (1280, 800), (390, 844)

# Violations of the Content-Security-Policy, and the streams that the page has opened.
WATCH = """
window.violations = [];
document.addEventListener('securitypolicyviolation', (event) => {
  violations.push(event.violatedDirective + ' ' + event.blockedURI);
});
window.streams = [];
window.EventSource = class extends EventSource {
  constructor(address) { super(address); streams.push(this); }
};
"""


class Browser:
    def __init__(self, base, size=WIDE, dark=False, without_charts=False):
        self.base = base
        self.profile = tempfile.mkdtemp(prefix="mw-chromium.")
        options = webdriver.ChromeOptions()
        for argument in (
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--disable-background-networking",
            "--disable-component-update",
            "--no-first-run",
            "--disable-sync",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            f"--user-data-dir={self.profile}",
        ):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
        self.driver.set_page_load_timeout(30)
        self.asked = []
        self.complaints = []
        self.cdp("Page.addScriptToEvaluateOnNewDocument", source=WATCH)
        if without_charts:
            self.cdp("Network.enable")
            self.cdp("Network.setBlockedURLs", urls=["*/chart.js"])
        self.resize(size)
        self.cdp(
            "Emulation.setEmulatedMedia",
            features=[
                {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
                {"name": "prefers-reduced-motion", "value": "reduce"},
            ],
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.driver.quit()
        shutil.rmtree(self.profile, ignore_errors=True)

    def cdp(self, method, **parameters):
        return self.driver.execute_cdp_cmd(method, parameters)

    def resize(self, size):
        self.size = size
        width, height = size
        self.cdp(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )

    def open(self, hash="#/"):
        self.driver.get(self.base + "/" + hash)

    def go(self, hash):
        self.js("location.hash = arguments[0]", hash)

    def js(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def hide(self):
        self.driver.minimize_window()
        self.wait("the page is hidden", lambda: self.js("return document.hidden"))

    def unhide(self):
        self.driver.set_window_rect(0, 0, *self.size)
        self.wait("the page can be seen", lambda: self.js("return !document.hidden"))

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector="body"):
        return self.js("return document.querySelector(arguments[0])?.innerText ?? ''", selector)

    def wait(self, what, condition, seconds=20):
        """Waits until a condition holds; what it found."""
        end = time.monotonic() + seconds
        problem = None
        while time.monotonic() < end:
            try:
                found = condition()
                if found:
                    return found
            except Exception as error:  # the page is being drawn anew
                problem = error
            time.sleep(0.05)
        raise AssertionError(f"not within {seconds} s: {what} ({problem}); the page says:\n{self.text()[:3000]}")

    def wait_text(self, selector, words, seconds=20):
        return self.wait(f"{selector} says {words!r}", lambda: words in self.text(selector), seconds)

    def log_in(self, token):
        self.wait(
            "the login dialog or its button", lambda: self.all("#login[open]") or self.find("#log").is_displayed()
        )
        if not self.all("#login[open]"):
            self.find("#log").click()
        field = self.wait("the token's field", lambda: self.find("#login[open] [name=token]"))
        field.send_keys(token)
        self.find("#login .primary").click()
        self.wait("nobody is asked for a token any more", lambda: not self.all("#login[open]"))

    def gather(self):
        """Takes over what was logged."""
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] in ("Network.requestWillBeSent", "Network.webSocketCreated"):
                parameters = message["params"]
                self.asked.append(parameters.get("request", parameters)["url"])
        self.complaints += [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] != "DEBUG"]

    def check(self, expected_complaints=()):
        """Nothing outside was asked, nothing went wrong, no policy was violated, no script was smuggled in."""
        self.gather()
        # Of the browser's own windows; none of these leaves it.
        inside = (self.base + "/", "about:", "chrome:", "data:")
        outside = [url for url in self.asked if not url.startswith(inside)]
        assert self.asked and not outside, f"asked outside: {outside}"
        complaints = [one for one in self.complaints if not any(words in one for words in expected_complaints)]
        assert not complaints, f"the console says: {complaints}"
        assert self.js("return window.violations") == [], self.js("return window.violations")
        assert self.js("return window.pwned") is None, "a script of a client ran"

    def check_layout(self):
        """No horizontal scrolling: of the page, that is; tables may cut what is long."""
        # A telephone's innerWidth grows with what does not fit.
        width = self.js("return document.documentElement.scrollWidth")
        assert width <= self.size[0], (
            f"the page is {width} wide in a window of {self.size[0]}; beyond the edge: {self.beyond_the_edge()}"
        )

    def beyond_the_edge(self):
        """What sticks out, though nothing around it scrolls or cuts it off; the innermost first."""
        return self.js(
            """
            const isCut = (one) => {
              for (let above = one.parentElement; above && above !== document.body; above = above.parentElement) {
                if (getComputedStyle(above).overflowX !== 'visible') return true;
              }
              return false;
            };
            return [...document.querySelectorAll('body *')].reverse().filter((one) => one.checkVisibility()
              && one.getBoundingClientRect().right > arguments[0] + 1 && !one.closest('.hidden') && !isCut(one))
              .map((one) => `${Math.round(one.getBoundingClientRect().right)} ${one.outerHTML.slice(0, 160)}`)""",
            self.size[0],
        )


class UNIXConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(self.path)


class Control:
    """The control socket."""

    def __init__(self, path):
        self.path = path

    def ask(self, path, method="GET", body=None, **parameters):
        connection = UNIXConnection(self.path)
        query = "?" + urllib.parse.urlencode(parameters, quote_via=urllib.parse.quote) if parameters else ""
        connection.request(
            method, path + query, json.dumps(body) if body else None, {"Content-Type": "application/json"}
        )
        answer = connection.getresponse()
        found = json.loads(answer.read() or b"null")
        connection.close()
        assert answer.status < 300, f"{method} {path}: {answer.status} {found}"
        return found

    def token(self, name):
        return self.ask("/v1/web-tokens", "POST", {"name": name, "for": "1h"})["token"]

    def blocked(self):
        return [penalty["key"] for penalty in self.ask("/v1/penalties")]
