"""A button that takes a ZIP file of a folder for each class, in JupyterLab and on Colab (lesson 14)."""

import html
from pathlib import Path

import ipywidgets as widgets

from utils.uploads import classes_in, unpack


class FolderUpload(widgets.VBox):
    """The button; `folder` is where the classes lie: what it was given, or None until a ZIP file has been taken."""

    def __init__(self, place, folder=None):
        is_zip = folder is not None and Path(folder).suffix.lower() == ".zip" and Path(folder).is_file()
        self.place, self.folder = place, unpack(Path(folder), place) if is_zip else folder
        wide = widgets.Layout(width="auto")  # for all of its words
        self.upload = widgets.FileUpload(
            description="a ZIP file of your folder", accept=".zip", multiple=False, layout=wide
        )
        self.sentence = widgets.HTML()
        if folder is None and Path(place).is_dir():
            self.sentence.value = (
                f"What was sent earlier is still there: <code>folder = {self.again()}</code> takes it."
            )
        super().__init__([self.upload, self.sentence])
        self.upload.observe(self.take, names="value")

    def take(self, change=None):
        """Unpack what was uploaded, or say what is wrong with it; what was taken before stays."""
        value = self.upload.value
        files = list(value.values()) if isinstance(value, dict) else list(value)  # ipywidgets 7, or 8
        if not files:
            return
        try:
            self.folder = unpack(bytes(files[-1]["content"]), self.place)
        except (ValueError, OSError) as error:
            self.sentence.value = f"<b>Not taken:</b> {html.escape(str(error))}."
            return
        classes = ", ".join(sorted(path.name for path in self.folder.iterdir() if path.is_dir()))
        self.sentence.value = (
            f"Taken, with the folders {html.escape(classes)}. Run the next cells. Another time, with this notebook "
            f"opened anew, <code>folder = {self.again()}</code> takes it again."
        )

    def again(self):
        """Return, as code, the path under which what was sent can be found another time."""
        return html.escape(f"Path({str(self.folder or classes_in(self.place))!r})")


def upload_folder(place, folder=None):
    """Return a button for a ZIP file, which is unpacked into the folder `place`; a cell that ends on it shows it.

    folder: one's own folder, where it lies on this machine already, or the path of a ZIP file of it; else None.
    Raises ValueError, in a sentence, where that ZIP file cannot be taken.
    """
    return FolderUpload(place, folder)
