"""What a person does on the page, for tests that drive it in a real browser."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PICTURES = os.environ.get("RINGTRUE_SCREENSHOTS")  # a folder to keep screenshots in


@contextlib.contextmanager
def opened(browser, server):
    """Open the page; complain of script errors and of requests to anywhere else."""
    context = browser.new_context(accept_downloads=True, permissions=["microphone"])
    page, trouble = context.new_page(), []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("console", lambda line: trouble.append(line.text) if "Content Security" in line.text else None)
    home = f"127.0.0.1:{server.port}"
    page.on(
        "request",
        lambda asked: home in asked.url or asked.url[:5] in ("blob:", "data:") or trouble.append(asked.url),
    )
    page.set_default_timeout(20_000)
    page.goto(f"http://{home}/")
    yield page
    context.close()
    assert trouble == []


def give(page, *files):
    page.set_input_files("#files", [{"name": n, "mimeType": "audio/wav", "buffer": b} for n, b in files])


def come_true(page, expression):
    """Wait; Playwright's own wait for an expression evaluates a string, which the page's policy forbids."""
    for _ in range(100):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(expression)


def saved(page, card, kind, folder):
    """Save a card as HTML or JSON, as a person would; gives the file."""
    with page.expect_download() as download:
        page.click(f"{card} .actions button:has-text('{kind}')")
    path = Path(folder) / download.value.suggested_filename
    download.value.save_as(path)
    return path


def keep(page, name):
    if PICTURES:
        page.screenshot(path=str(Path(PICTURES) / f"{name}.png"), full_page=True)
