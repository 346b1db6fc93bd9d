"""Lesson 13's page in a real browser: a picture dropped or chosen, its answer seen, and what goes wrong told."""

import base64
import io
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from tests.tools.kernels import ROOT
from tests.tools.lab import new_page, stop
from tests.tools.serving import CLASSES, service, write_classifier

SCREENSHOTS = ROOT / "tests" / "screenshots"
DROP = """([bytes, name, type]) => {
    const content = Uint8Array.from(atob(bytes), letter => letter.charCodeAt(0)), carried = new DataTransfer();
    carried.items.add(new File([content], name, {type}));
    for (const kind of ["dragenter", "dragover", "drop"])
        document.getElementById("zone").dispatchEvent(
            new DragEvent(kind, {dataTransfer: carried, bubbles: true, cancelable: true})); }"""
RED_OF = "canvas => [...canvas.getContext('2d').getImageData(0, 0, 256, 256).data].filter((_, i) => i % 4 === 0)"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The service with a network that is never unsure, and the same network in PyTorch."""
    folder = tmp_path_factory.mktemp("classifier")
    model = write_classifier(folder, threshold=0.1)
    with service(folder) as running:
        yield SimpleNamespace(address=running.address, model=model)


@pytest.fixture
def page(chromium_window, served):
    """The page, with all that it asked for and complained of."""
    page = new_page(chromium_window, width=1280, height=1000)
    page.asked, page.complaints = [], []
    page.on("request", lambda sent: page.asked.append(sent.url))
    page.on("console", lambda said: page.complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.goto(served.address)
    page.get_by_text("It knows 10 classes").wait_for()
    yield page
    page.close()


def chelsea(kind="JPEG"):
    file = io.BytesIO()
    Image.fromarray(data.chelsea()).save(file, kind)
    return file.getvalue()


def drop(page, content, name, kind):
    page.evaluate(DROP, [base64.b64encode(content).decode(), name, kind])


def answer(page):
    page.locator("#result[aria-busy=false]").wait_for()
    return page.locator("#answer").text_content()


def photograph(page, name):
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"13_page_{name}.png")


def expected(served, content):
    """Return (class, confidence) by PyTorch, from the square in the picture's middle."""
    picture = Image.open(io.BytesIO(content))
    side = min(picture.size)
    left, top = ((whole - side) / 2 for whole in picture.size)
    small = picture.resize((32, 32), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side))
    with torch.no_grad():
        logits, _ = served.model(torch.from_numpy(np.array(small)).permute(2, 0, 1)[None] / 255)
    confidence, best = (logits / 1.5).softmax(dim=1).max(dim=1)
    return CLASSES[best], confidence.item()


def test_a_dropped_picture_is_answered(page, served):
    drop(page, chelsea(), "chelsea.jpg", "image/jpeg")
    name, confidence = expected(served, chelsea())
    assert answer(page) == name
    rows = page.locator("#bars tr")
    assert rows.count() == 5
    assert rows.first.inner_text().split() == [name, f"{100 * confidence:.1f}", "%"]
    bars = page.locator("#bars .bar > div > div").evaluate_all(
        "all => all.map(bar => bar.getBoundingClientRect().width)"
    )
    assert bars == sorted(bars, reverse=True)
    assert bars[0] > bars[-1]
    assert page.locator("#picture").evaluate("image => image.decode().then(() => image.naturalWidth)") == 451
    photograph(page, "answer")
    assert not page.complaints
    assert all(url.startswith((served.address, "blob:", "data:")) for url in page.asked)


def test_grad_cam_lies_over_the_picture_and_can_be_taken_away(page):
    drop(page, chelsea(), "chelsea.jpg", "image/jpeg")
    answer(page)
    heat = page.locator("#map")
    assert heat.bounding_box() == page.locator("#picture").bounding_box()
    assert len(set(heat.evaluate(RED_OF))) > 20, "all of the map has one colour"
    assert "Grad-CAM" in heat.get_attribute("aria-label")
    page.get_by_role("checkbox", name="Grad-CAM").uncheck()
    assert not heat.is_visible()
    photograph(page, "picture")


def test_a_picture_is_chosen_with_the_keyboard(page, tmp_path):
    (tmp_path / "my cat.png").write_bytes(chelsea("PNG"))
    page.keyboard.press("Tab")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(tmp_path / "my cat.png")
    assert answer(page) in CLASSES
    assert page.locator("#picture").get_attribute("alt") == "Your picture, my cat.png"


def test_the_model_card_is_a_click_away_and_no_code(page, tmp_path):
    card = page.locator("#card")
    assert not card.locator("pre").is_visible()
    card.locator("summary").click()
    assert card.locator("pre").inner_text() == "# A test"
    photograph(page, "card")
    write_classifier(tmp_path)
    about = json.loads((tmp_path / "classifier.json").read_text(encoding="utf-8"))
    for written, shown in (("<b>bold</b>", True), ("", False)):
        (tmp_path / "classifier.json").write_text(json.dumps(about | {"card": written}), encoding="utf-8")
        with service(tmp_path) as running:
            page.goto(running.address)
            page.get_by_text("It knows 10 classes").wait_for()
            assert card.is_visible() is shown
            assert card.locator("pre").text_content() == written


@pytest.mark.parametrize(
    ("content", "name", "kind", "sentence"),
    [
        (b"This is a letter.", "letter.txt", "text/plain", "content type"),
        (b"This is a letter.", "letter.jpg", "image/jpeg", "This is no JPEG"),
        (b"", "empty.png", "image/png", "empty"),
        (bytes(9_000_000), "large.png", "image/png", "8,000,000 bytes"),
        (b"?", "unknown", "", "content type"),
    ],
    ids=["text", "text called a picture", "empty", "too large", "without a type"],
)
def test_what_is_refused_is_said(page, content, name, kind, sentence):
    drop(page, chelsea(), "chelsea.jpg", "image/jpeg")
    answer(page)
    drop(page, content, name, kind)
    alert = page.get_by_role("alert")
    alert.wait_for()
    assert alert.inner_text().startswith(f"{name}: ")
    assert sentence in alert.inner_text()
    assert not page.locator("#result").is_visible(), "the last answer is not this file's"
    if name == "letter.txt":
        photograph(page, "refused")
    drop(page, chelsea(), "chelsea.jpg", "image/jpeg")
    page.locator("#result").wait_for()
    assert not alert.is_visible()


def test_the_network_says_when_it_is_not_sure(chromium_window, tmp_path):
    write_classifier(tmp_path, threshold=0.99)
    with service(tmp_path) as running:
        page = new_page(chromium_window, width=1280, height=1000)
        page.goto(running.address)
        drop(page, chelsea(), "chelsea.jpg", "image/jpeg")
        assert answer(page) == "not sure"
        assert "best guess" in page.locator("#reason").inner_text()
        photograph(page, "not_sure")
        stop(running.process)
        drop(page, chelsea(), "chelsea.jpg", "image/jpeg")
        page.get_by_text("Is it still running?").wait_for()
        page.close()


def test_the_page_fits_a_telephone(chromium_window, served):
    page = new_page(chromium_window, width=390, height=844)
    page.goto(served.address)
    drop(page, chelsea(), "chelsea.jpg", "image/jpeg")
    answer(page)
    assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
    page.screenshot(path=SCREENSHOTS / "13_page_telephone.png", full_page=True)
    page.close()
