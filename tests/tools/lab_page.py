"""What can be wrong with a notebook in JupyterLab's page, and hands for its widgets. The server is tests/tools/lab.py.

The notebook must be shown with the setting windowing="none", so that every cell is in the page.
"""

import io
import re
import time
import zipfile

import numpy as np
from PIL import Image

from tests.tools.lab import PANEL, outputs

SLOW_SECONDS = 30  # for a picture, a formula or a widget to arrive
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
CELLS = ".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Notebook .jp-Cell"
IDLE = f"() => {PANEL}.sessionContext.session.kernel.status === 'idle'"


# --- detectors: each returns a list of sentences, empty where all is well ---------------------------------------------


def error_outputs(page):
    """Errors that a cell has printed, or that a widget shows."""
    found = [
        f"cell {number}: {output['ename']}: {output['evalue']}"
        for number, cell in enumerate(outputs(page))
        for output in cell
        if output["output_type"] == "error"
    ]
    shown = page.locator(f"{CELLS} .jupyter-widgets [data-mime-type='application/vnd.jupyter.error']")
    return found + [f"in a widget: {text[-200:]}" for text in shown.all_inner_texts()]


def broken_images(page, inside=CELLS):
    """Pictures that did not arrive."""
    script = """images => images.filter(image => !image.complete || image.naturalWidth === 0)
        .map(image => image.alt || image.src.slice(0, 80))"""
    return page.locator(f"{inside} img").evaluate_all(script)


def raw_formulas(page, inside=f"{CELLS} .jp-RenderedMarkdown"):
    """TeX that is left as text outside of code, and formulas that MathJax refused."""
    script = """areas => areas.map(area => {
        const copy = area.cloneNode(true);
        copy.querySelectorAll('code, pre, mjx-container, svg').forEach(part => part.remove());
        return copy.textContent; })"""
    texts = page.locator(inside).evaluate_all(script)
    tex = re.compile(r"\$\$|\\[a-zA-Z]+|\$[^\s$][^$\n]*\$")
    found = [f"left as text: {match[0]}" for text in texts for match in tex.finditer(text)]
    refused = page.locator(f"{inside} :is(mjx-merror, .MathJax_Error, [data-mjx-error], [data-mml-node=merror])")
    return found + [f"refused: {text}" for text in dict.fromkeys(refused.all_text_contents())]


def missing_widgets(page):
    """Widgets that a cell has shown and that the page does not; one that was closed again, like a bar, is no fault."""
    found = []
    for number in widget_cells(page):
        cell = page.locator(CELLS).nth(number)
        words = re.search(r"(Error (displaying|creating) widget|Loading widget).*", cell.inner_text())
        # JupyterLab hides the place of a widget that was closed.
        if words or not cell.locator(".jupyter-widgets, .jp-OutputArea-output.lm-mod-hidden").count():
            found.append(f"cell {number}: {words[0] if words else 'no widget is shown'}")
    return found


DETECTORS = [error_outputs, broken_images, raw_formulas, missing_widgets]


def faults(page):
    """Return {detector's name: what it found}, when all is well or SLOW_SECONDS have passed."""
    deadline = time.monotonic() + SLOW_SECONDS
    while True:
        found = {detector.__name__: detector(page) for detector in DETECTORS}
        if not any(found.values()) or time.monotonic() > deadline:
            return found
        page.wait_for_timeout(200)


# --- widgets ---------------------------------------------------------------------------------------------------------


def widget_cells(page):
    """Return the numbers of the cells that show a widget."""
    return [
        number
        for number, cell in enumerate(outputs(page))
        if any(WIDGET_VIEW in output.get("data", {}) for output in cell)
    ]


def cells_with(page, pattern):
    """Return the numbers of the cells in whose source a pattern is found."""
    script = f"() => {PANEL}.content.model.toJSON().cells.map(cell => [].concat(cell.source).join(''))"
    sources = page.evaluate(script)
    return {number for number, source in enumerate(sources) if re.search(pattern, source, re.MULTILINE)}


def explorers(page):
    """Return {cell's number: its output area} for the cells that show a widget with controls."""
    areas = {number: page.locator(CELLS).nth(number).locator(".jp-OutputArea").first for number in widget_cells(page)}
    return {number: area for number, area in areas.items() if controls(area)}


def drag(page, handle):
    """Drag a slider's handle to the middle of its track, or to its end where it is in the middle."""
    handle.scroll_into_view_if_needed()
    track = handle.locator("xpath=ancestor::*[contains(@class, 'noUi-target')]").bounding_box()
    place = handle.bounding_box()
    x, y = place["x"] + place["width"] / 2, place["y"] + place["height"] / 2
    share = 0.98 if abs((x - track["x"]) / track["width"] - 0.5) < 0.15 else 0.5
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(track["x"] + share * track["width"], y, steps=4)
    page.mouse.up()


def choose(page, select):
    """Choose the entry after the present one, or the first after the last."""
    now, number = select.evaluate("list => [list.selectedIndex, list.options.length]")
    select.select_option(index=(now + 1) % number)


def press(page, button):
    button.click()


def upload(page, button):
    """Hand a file over, as somebody would who chooses one: a PNG, or a ZIP of two folders where that is asked for.

    The picture is a gradient of colours.
    """
    colours = np.indices((3, 48, 64)).sum(axis=0).astype(np.uint8).transpose(1, 2, 0) * 2
    content = io.BytesIO()
    Image.fromarray(colours).save(content, format="png")
    with page.expect_file_chooser() as chooser:
        button.click()
    file = {"name": "colours.png", "mimeType": "image/png", "buffer": content.getvalue()}
    if chooser.value.element.get_attribute("accept") == ".zip":
        folders = io.BytesIO()
        with zipfile.ZipFile(folders, "w") as archive:
            for name in ("colours", "more colours"):
                archive.writestr(f"mine/{name}/1.png", content.getvalue())
        file = {"name": "mine.zip", "mimeType": "application/zip", "buffer": folders.getvalue()}
    chooser.value.set_files(file)


def press_another(page, group):
    """Press the first button of a group that is not the chosen one."""
    group.locator("button:not(.mod-active), input[type=radio]:not(:checked)").first.click()


# What a person can hold, in the order in which it is tried: buttons last, since they may put everything back.
HANDS = {
    ".noUi-handle": drag,
    "select": choose,
    ".widget-toggle-buttons": press_another,
    ".widget-radio": press_another,
    "input[type=checkbox]": press,
    "button.widget-upload": upload,
    "button:not(.widget-toggle-buttons button, .widget-upload)": press,
}


def controls(area):
    """Return the controls in an output area: [(its name, its locator, what a hand does with it)]."""
    found = []
    for selector, hand in HANDS.items():
        part = area.locator(f".jupyter-widgets{selector}, .jupyter-widgets {selector}")
        found += [(name_of(part.nth(i)), part.nth(i), hand) for i in range(part.count()) if part.nth(i).is_visible()]
    return found


def can_be_used(control):
    """Whether a control is enabled: some are not before another has been used."""
    disabled = "part => part.disabled || part.closest('[disabled]') !== null"
    return not control[1].evaluate(disabled)


def name_of(control):
    """Return what stands on a control, or beside it."""
    label = control.locator("xpath=ancestor-or-self::*[contains(@class, 'jupyter-widgets')][1]")
    return " ".join(label.inner_text().split()[:4]) or label.get_attribute("class")


def picture(area):
    """Return every picture in an output area as data, or "hidden": what a person sees of it."""
    script = """images => images.map(image => {
        if (getComputedStyle(image).visibility === 'hidden' || !image.offsetParent) return 'hidden';
        const canvas = document.createElement('canvas');
        [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
        canvas.getContext('2d').drawImage(image, 0, 0);
        return canvas.toDataURL(); })"""
    return area.locator(".jupyter-widgets img").evaluate_all(script)


def words(area):
    """Return the words in an output area's widgets."""
    return area.locator(".jupyter-widgets").first.inner_text()


def operate(page, area, control, seconds=SLOW_SECONDS):
    """Use a control as a person would; return whether the picture, or the sentence, changes within so many seconds."""
    _, part, hand = control
    look = picture if hand is not upload or picture(area) else words  # a folder that is handed over gets a sentence
    before = look(area)
    assert before, "the explorer shows no picture"
    hand(page, part)
    deadline = time.monotonic() + seconds
    while (changed := look(area) != before) is False and time.monotonic() < deadline:
        page.wait_for_timeout(50)
    page.wait_for_function(IDLE)
    return changed


def operate_all(page, area):
    """Use every control once, the disabled ones when they are enabled; return the names of those without an answer."""
    left, silent = controls(area), []
    while control := next(filter(can_be_used, left), None):
        left.remove(control)
        if not operate(page, area, control):
            silent.append(control[0])
    return silent + [f"{name} (never enabled)" for name, _, _ in left]


def photograph(page, folder, stem):
    """Write pictures of the open notebook, from its head to its foot, as stem_01.jpg and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"{stem}_[0-9][0-9].jpg"):
        old.unlink()
    scroller = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-WindowedPanel-outer").first
    height, step = scroller.evaluate("panel => [panel.scrollHeight, panel.clientHeight]")
    for number, top in enumerate(range(0, height, step), start=1):
        scroller.evaluate("(panel, top) => { panel.scrollTop = top; }", top)
        scroller.screenshot(path=folder / f"{stem}_{number:02}.jpg", type="jpeg", quality=70)
