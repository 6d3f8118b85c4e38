"""The page in a real browser: files, microphone, errors, downloads, keyboard, contrast; nothing goes elsewhere."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fastapi")
from serve_client import Server  # conftest puts these there
from serve_page import come_true, give, keep, opened, saved

from ringtrue.inference.runtime import SHIPPED, find_model

GATE = Path(__file__).parents[1] / "inference" / "gate"


def test_files_become_a_table_and_cards(page, clip):
    evil = "<img src=x onerror=alert(1)>.wav"
    give(page, ("first.wav", clip), ("broken.mp3", b"no sound"), (evil, clip))
    page.wait_for_selector("#r2")
    page.wait_for_selector("#rows .error")
    assert page.locator(".card").count() == 2 and page.locator("#rows tr").count() == 3
    assert evil in page.inner_text("#r2 h2") and page.locator("#r2 img").count() == 0
    card = page.locator("#r0")
    for words in (
        "How strong the evidence is",
        "Measured on 40 bona fide and 40 spoof development clips",
        "How it is spoken",
    ):
        assert words in card.inner_text()
    assert card.locator(".pitch").count() > 50
    keep(page, "files")


def test_the_timeline_plays_and_obeys_the_keyboard(page, clip):
    give(page, ("first.wav", clip))
    page.wait_for_selector("#r0 .timeline").click(position={"x": 5, "y": 40})
    come_true(page, "document.querySelector('#r0 audio').currentTime > 0.1")
    page.keyboard.press("Space")
    page.keyboard.press("End")
    come_true(page, "document.querySelector('#r0 .timeline').getAttribute('aria-valuenow') > 4.9")
    assert "evidence here" in page.get_attribute("#r0 .timeline", "aria-valuetext")


def test_the_microphone_is_judged_while_it_is_heard(page):
    page.click("#record")
    page.wait_for_selector("#live-scale svg")
    assert "What was heard so far" in page.inner_text("#live-words")
    keep(page, "microphone")
    page.wait_for_timeout(1_200)
    page.click("#stop")
    page.wait_for_selector("#r0 .timeline")
    assert page.inner_text("#r0 h2").startswith("microphone-")


def test_reports_are_saved_and_need_nothing_else(page, clip, tmp_path, browser):
    give(page, ("first.wav", clip))
    page.wait_for_selector("#r0")
    assert json.loads(saved(page, "#r0", "JSON", tmp_path).read_text())["verdict"]["schema"] == 1
    path = saved(page, "#r0", "HTML", tmp_path)
    text = path.read_text()
    assert "<script" not in text and "src=" not in text and "How far to trust this" in text
    assert "Click to listen" not in text and "Recordings go to" not in text and " UTC" in text
    report = browser.new_page()
    report.goto(path.as_uri())
    assert report.locator(".timeline rect").count() > 100
    keep(report, "report")
    report.close()


def test_the_detector_that_ships_on_wide_and_narrow_screens(browser, encode, tmp_path_factory):
    """A source is named, silence is no decision, and nothing is wider than the narrowest phone."""
    server = Server(find_model(SHIPPED), tmp_path_factory.mktemp("serve"))
    names = ("ru-vm-incorrect-mailbox-mel_spsi.flac", "it-pm-invalid-option.flac")
    files = [(name, (GATE / name).read_bytes()) for name in names]
    files += [
        ("silence.wav", encode("wav", np.zeros(80_000, np.float32))),
        ("notes.wav", b"only words " * 20),
        ("a name that is longer than a row of the table has room for on any telephone.flac", files[1][1]),
    ]
    with opened(browser, server) as page:
        give(page, *files)
        for row in (0, 1, 2, 4):
            page.wait_for_selector(f"#r{row}")
        assert "lie nearer to their own system" in page.inner_text("#r0")
        assert "no decision" in page.inner_text("#rows tr:nth-child(3)")
        assert "too little speech" in page.inner_text("#r2 .verdict")
        keep(page, "shipped-wide")
        for scheme in ("dark", "light"):
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": 320, "height": 700})
            come_true(page, "document.querySelector('#r0 .scale').viewBox.baseVal.width < 300")  # drawn again
            assert page.evaluate("document.documentElement.scrollWidth") <= 320
            keep(page, f"shipped-320-{scheme}")
        inner = "[...document.querySelectorAll('#list td, .card :is(p, td, th, li, svg, h2, button)')]"
        beyond = (
            "filter((one) => one.getBoundingClientRect().right > innerWidth - 14).map((one) => one.outerHTML)"
        )
        assert page.evaluate(f"{inner}.{beyond}") == []
    assert server.stop() == 0


def test_a_service_that_does_not_answer_is_named(page):
    page.route("**/v1/models", lambda route: route.fulfill(status=502, body="a proxy"))
    page.reload()
    page.wait_for_selector("#problem:has-text('The service does not answer as it should')")
    keep(page, "no-service")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_audit_finds_nothing_to_complain_of(page, clip, scheme):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="the audit needs axe: ringtrue[dev]"
    )
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.set_viewport_size({"width": 390, "height": 800})
    give(page, ("first.wav", clip), ("broken.mp3", b"no sound"))
    page.wait_for_selector("#r0")
    keep(page, f"narrow-{scheme}")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    found = axe.Axe().run(page).response["violations"]
    assert [(one["id"], [node["html"][:90] for node in one["nodes"]]) for one in found] == []
