"""A real headless Chromium, driven over its DevTools protocol: measures a page's layout and collects its errors."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)
PATIENCE = 60.0

MEASURE = """JSON.stringify({
  width: document.documentElement.clientWidth,
  scroll: document.documentElement.scrollWidth,
  smallest: Math.min(...[...document.querySelectorAll('body *')]
    .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) && e.offsetParent !== null)
    .map(e => parseFloat(getComputedStyle(e).fontSize))),
  text: document.body.innerText,
  elements: [...document.querySelectorAll('main h2, main p, main table, main img')].length,
  outside: [...document.querySelectorAll('main > *, section > *, figure, img')]
    .filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5).length,
  images: [...document.images].map(i => {
    const box = i.getBoundingClientRect();
    return {natural: i.naturalWidth, complete: i.complete, width: box.width, height: box.height, alt: i.alt};
  }),
  scripts: document.scripts.length,
})"""


def chromium() -> str | None:
    """The browser's path, None if it is not installed."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def browsing() -> Iterator[str]:
    """Start a browser with a fresh profile, give its DevTools address, and end it afterwards."""
    program = chromium()
    assert program is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [program, *OPTIONS, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield f"http://127.0.0.1:{_port(process, Path(profile) / 'DevToolsActivePort')}"
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _port(process: subprocess.Popen[bytes], file: Path) -> int:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"the browser ended with status {process.returncode}")
        if file.exists() and (lines := file.read_text().split()):
            return int(lines[0])
        time.sleep(0.05)
    raise TimeoutError("the browser did not say its port")


def look(address: str, page: Path, width: int, screenshot: Path | None = None, dark: bool = False) -> dict[str, Any]:
    """The page at this width: the numbers of MEASURE, and `complaints`: console errors, exceptions, failed requests and
    requests for anything but the page itself."""
    return asyncio.run(asyncio.wait_for(_look(address, page, width, screenshot, dark), PATIENCE))


async def _look(address: str, page: Path, width: int, screenshot: Path | None, dark: bool) -> dict[str, Any]:
    async with aiohttp.ClientSession() as session:
        async with session.put(f"{address}/json/new?about:blank") as answer:
            target = await answer.json()
        async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=1 << 28) as socket:
            tab = _Tab(socket)
            for domain in ("Page", "Runtime", "Log", "Network"):
                await tab.call(f"{domain}.enable")
            size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
            await tab.call("Emulation.setDeviceMetricsOverride", **size)
            if dark:
                scheme = [{"name": "prefers-color-scheme", "value": "dark"}]
                await tab.call("Emulation.setEmulatedMedia", features=scheme)
            await tab.call("Page.navigate", url=page.as_uri())
            await tab.event("Page.loadEventFired")
            measured = await tab.call("Runtime.evaluate", expression=MEASURE)
            found: dict[str, Any] = json.loads(measured["result"]["value"])
            if screenshot is not None:
                shot = await tab.call("Page.captureScreenshot", captureBeyondViewport=True, clip=await tab.whole(width))
                screenshot.write_bytes(base64.b64decode(shot["data"]))
            found["complaints"] = [said for event in tab.events if (said := _complaint(event, page))]
        async with session.get(f"{address}/json/close/{target['id']}"):
            return found


def _complaint(event: dict[str, Any], page: Path) -> str | None:
    of = event["params"]
    match event["method"]:
        case "Runtime.exceptionThrown":
            return f"exception: {of['exceptionDetails'].get('text')}"
        case "Runtime.consoleAPICalled" if of["type"] in ("error", "warning", "assert"):
            return f"console: {of['args']}"
        case "Log.entryAdded" if of["entry"]["level"] in ("error", "warning"):
            return f"log: {of['entry']['text']}"
        case "Network.loadingFailed":
            return f"failed: {of.get('errorText')}"
        case "Network.requestWillBeSent":
            url = of["request"]["url"]
            if url != page.as_uri() and not url.startswith("data:"):
                return f"asked for: {url}"
    return None


class _Tab:
    """One tab: calls and their answers, with events in between."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket, self.numbers, self.events = socket, itertools.count(1), list[dict[str, Any]]()

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self.numbers)
        await self.socket.send_json({"id": number, "method": method, "params": params})
        while True:
            said = await self.socket.receive_json()
            if said.get("id") == number:
                if "error" in said:
                    raise RuntimeError(f"{method}: {said['error']}")
                result: dict[str, Any] = said["result"]
                return result
            if "method" in said:
                self.events.append(said)

    async def event(self, method: str) -> None:
        while not any(said["method"] == method for said in self.events):
            said = await self.socket.receive_json()
            if "method" in said:
                self.events.append(said)

    async def whole(self, width: int) -> dict[str, float]:
        size = (await self.call("Page.getLayoutMetrics"))["cssContentSize"]
        return {"x": 0, "y": 0, "width": width, "height": size["height"], "scale": 1}
