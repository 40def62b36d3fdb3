"""One visit to the page in a browser of its own, with everything that it asked for and complained of."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Page, Playwright, Request

from tests.helpers import Daemon

CHROMIUM = "chromium"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE = 30_000
"""Milliseconds; how long the browser waits for what a test expects."""


def launch(playwright: Playwright) -> Browser:
    return playwright.chromium.launch(executable_path=shutil.which(CHROMIUM), args=FLAGS)


class Visit:
    """A page of its own context (no cookie, no cache of others). `faults`: errors of scripts, and broken policies.

    `before` is called with the page when nothing has been loaded yet.
    """

    def __init__(
        self,
        browser: Browser,
        daemon: Daemon,
        path: str = "/",
        before: Callable[[Page], None] | None = None,
        **options: Any,
    ) -> None:
        self.host = f"127.0.0.1:{daemon.place.port}"
        self.faults: list[str] = []
        self.requests: list[str] = []
        self.context = browser.new_context(**options)
        self.context.set_default_timeout(PATIENCE)
        self.page: Page = self.context.new_page()
        self.context.on("request", self._asked)
        self.page.on("websocket", lambda socket: self.requests.append(socket.url))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", self._complained)
        if before is not None:
            before(self.page)
        self.page.goto(f"http://{self.host}{path}")

    def _asked(self, request: Request) -> None:
        self.requests.append(request.url)

    def _complained(self, message: ConsoleMessage) -> None:
        refused = ("Failed to load resource", "WebSocket connection to")  # what the daemon refuses is no fault
        if message.type == "error" and not message.text.startswith(refused):
            self.faults.append(message.text)

    def strangers(self) -> set[str]:
        """Every host that was asked for anything, but the daemon."""
        return {urlsplit(url).netloc for url in self.requests if urlsplit(url).scheme != "blob"} - {self.host}

    def asked(self, part: str) -> list[str]:
        return [url for url in self.requests if part in url]

    def close(self) -> None:
        self.context.close()
