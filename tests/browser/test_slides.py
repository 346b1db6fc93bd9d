"""The slides of every lesson, opened from the file with no network. `make browser`."""

from types import SimpleNamespace

import nbformat
import pytest

from tests.tools import lab_page
from tests.tools.kernels import ROOT, lesson_paths
from tests.tools.lab import new_page
from tests.tools.slides import build_slides, copy_parts

SCREENSHOTS = ROOT / "tests" / "screenshots" / "slides"
TOO_WIDE = """() => { const slide = Reveal.getCurrentSlide();
    return [...slide.querySelectorAll('.jp-RenderedMarkdown, .jp-OutputArea, img, table')]
        .filter(part => part.getBoundingClientRect().right > slide.getBoundingClientRect().right + 2)
        .map(part => part.textContent.trim().slice(0, 80) || part.alt); }"""
CAN_BE_READ = """() => { const slide = Reveal.getCurrentSlide();
    return slide.scrollHeight <= slide.clientHeight + 2 || getComputedStyle(slide).overflowY === 'auto'; }"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slides")
    copy_parts(folder)
    return folder


@pytest.fixture(scope="module", params=lesson_paths(), ids=lambda path: path.stem)
def slides(request, folder, chromium_window):
    """A lesson's slides in the browser, and every address that the page asked for."""
    page, asked = new_page(chromium_window, width=1280, height=800), []
    page.on("request", lambda sent: asked.append(sent.url))
    page.goto(build_slides(request.param, folder).as_uri())
    page.wait_for_function("() => window.Reveal && Reveal.isReady()")
    yield SimpleNamespace(path=request.param, page=page, asked=asked)
    page.close()


def test_nothing_is_asked_of_the_network(slides):
    assert slides.asked
    assert not [url for url in slides.asked if not url.startswith(("file:", "data:", "blob:"))]


def test_pictures_and_formulas_are_shown(slides):
    assert not lab_page.broken_images(slides.page, inside="body")
    assert not lab_page.raw_formulas(slides.page, inside=".jp-RenderedMarkdown")
    cells = nbformat.read(slides.path, as_version=4).cells
    if any("$$" in cell.source for cell in cells if cell.cell_type == "markdown"):
        assert slides.page.locator("mjx-container svg").count() > 0


def test_stored_outputs_are_shown(slides):
    cells = nbformat.read(slides.path, as_version=4).cells
    shown = [cell for cell in cells if cell.metadata.get("slideshow", {}).get("slide_type") != "skip"]
    stored = [output for cell in shown for output in cell.get("outputs", [])]
    pictures = [output for output in stored if {"image/png", "image/jpeg"} & output.get("data", {}).keys()]
    assert slides.page.locator(".jp-OutputArea-output").count() == len(stored)
    assert slides.page.locator(".jp-OutputArea-output img").count() == len(pictures)


def test_notes_are_for_the_speaker(slides):
    page = slides.page
    cells = nbformat.read(slides.path, as_version=4).cells
    notes = [cell for cell in cells if cell.metadata.get("slideshow", {}).get("slide_type") == "notes"]
    assert page.locator("aside.notes").count() == len(notes) > 0
    assert not any(note.is_visible() for note in page.locator("aside.notes").all())
    shown = page.locator(".slides section section").evaluate_all(
        "all => all.map(slide => [...slide.children].filter(part => part.tagName !== 'ASIDE')"
        ".map(part => part.textContent).join(''))"
    )
    assert not [text[:80] for text in shown if "Instructor's note" in text]


def test_every_slide_can_be_read(slides):
    page = slides.page
    places = page.evaluate("() => Reveal.getSlides().map(slide => Object.values(Reveal.getIndices(slide)).slice(0, 2))")
    assert len(places) > 10
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    for number, place in enumerate(places, start=1):
        page.evaluate("place => Reveal.slide(...place)", place)
        name = f"{slides.path.stem}_{number:02}.jpg"
        page.screenshot(path=SCREENSHOTS / name, type="jpeg", quality=70)
        assert page.evaluate("() => Reveal.getCurrentSlide().innerText.trim().length > 0"), f"{name} is empty"
        assert not page.evaluate(TOO_WIDE), f"{name}: wider than the slide"
        assert page.evaluate(CAN_BE_READ), f"{name}: higher than the slide, and cannot be scrolled"


def test_the_space_bar_shows_the_rest_of_a_long_slide_and_then_goes_on(slides):
    page = slides.page
    page.evaluate("() => Reveal.slide(0, 0)")
    page.evaluate(
        "() => { Reveal.getCurrentSlide().insertAdjacentHTML('beforeend', '<div style=height:900px></div>'); }"
    )
    page.keyboard.press("Space")
    assert page.evaluate("() => [Reveal.getSlidePastCount(), Reveal.getCurrentSlide().scrollTop > 100]") == [0, True]
    for _ in range(3):
        page.keyboard.press("Space")
    assert page.evaluate("() => Reveal.getSlidePastCount()") > 0
