"""Pictures of the running service for the README: docs/images/page.png, page-phone.png, swagger-ui.png and pool.png.

    python scripts/make_screenshots.py [--url http://127.0.0.1:8080] [--out docs/images]

Without --url it starts the service itself, on the settings of the current folder, and stops it again. Needs
Chromium and requirements-dev.txt.
"""

import argparse
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

CHECKOUT = Path(__file__).resolve().parents[1]
START_TIMEOUT = 120.0  # seconds; a first start loads the places
KOELN = 2886242
CLIENTS = 16
CHART_SECONDS = 45
SEARCHES = [
    "cities?q=san&limit=50",
    "cities?q=lomdon",
    "cities?q=kopenhagn",
    "airports?q=inter",
    "countries/DE/cities",
]


def main() -> None:
    arguments = _arguments()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with _service(arguments.url) as url, _chromium() as browser:
        _page(browser, url, arguments.out / "page.png")
        _phone(browser, url, arguments.out / "page-phone.png")
        _swagger_ui(browser, url, arguments.out / "swagger-ui.png")
        _pool(browser, url, arguments.out / "pool.png")
    for picture in sorted(arguments.out.glob("*.png")):
        print(f"{picture}: {picture.stat().st_size / 1000:.0f} kB")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Make the README's pictures from the running service.")
    parser.add_argument("--url", help="address of a service that runs already")
    parser.add_argument(
        "--out", type=Path, default=CHECKOUT / "docs" / "images", help="folder of the pictures"
    )
    return parser.parse_args()


@contextmanager
def _service(url: str | None) -> Iterator[str]:
    if url:
        yield url.rstrip("/")
        return
    address = f"127.0.0.1:{_free_port()}"
    gunicorn = Path(sys.executable).with_name("gunicorn")
    process = subprocess.Popen([gunicorn, "swagger_server.wsgi", "-w", "2", "-b", address], cwd=CHECKOUT)
    try:
        _wait_until_it_answers(process, f"http://{address}/health/ready")
        yield f"http://{address}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _wait_until_it_answers(process: "subprocess.Popen[bytes]", url: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.2)


@contextmanager
def _chromium() -> Iterator[Browser]:
    path = shutil.which("chromium") or sys.exit("Chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


def _page(browser: Browser, url: str, picture: Path) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 1240}, reduced_motion="reduce")
    _show_city(page, url)
    page.screenshot(path=picture)


def _phone(browser: Browser, url: str, picture: Path) -> None:
    page = browser.new_page(
        viewport={"width": 360, "height": 740},
        device_scale_factor=2,
        color_scheme="dark",
        reduced_motion="reduce",
    )
    _show_city(page, url)
    page.screenshot(path=picture)


def _show_city(page: Page, url: str) -> None:
    page.goto(f"{url}/#city={KOELN}", wait_until="networkidle")
    expect(page.get_by_role("article", name="Nearest airports").get_by_role("listitem")).to_have_count(8)


def _swagger_ui(browser: Browser, url: str, picture: Path) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 1240})
    page.goto(f"{url}/v1/ui/", wait_until="networkidle")
    expect(page.locator(".opblock").first).to_be_visible()
    page.screenshot(path=picture)


def _pool(browser: Browser, url: str, picture: Path) -> None:
    """Under load, so that there is something to be seen; a service with /pool."""
    page = browser.new_page(viewport={"width": 1280, "height": 760})
    page.goto(f"{url}/pool")
    with _load(url):
        expect(page.locator(".connections tr.in-use")).not_to_have_count(0, timeout=60_000)
        for _ in range(CHART_SECONDS):
            time.sleep(1)
        expect(page.locator(".connections tr.in-use").nth(1)).to_be_visible(timeout=60_000)
        page.screenshot(path=picture)


@contextmanager
def _load(url: str) -> Iterator[None]:
    """Clients that search for places of all kinds of names, one after the other, within the block."""
    over = threading.Event()

    def search() -> None:
        while not over.is_set():
            with suppress(OSError):
                urllib.request.urlopen(f"{url}/v1/{random.choice(SEARCHES)}", timeout=10).close()
            over.wait(random.expovariate(20))

    clients = [threading.Thread(target=search) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        yield
    finally:
        over.set()
        for client in clients:
            client.join()


if __name__ == "__main__":
    main()
