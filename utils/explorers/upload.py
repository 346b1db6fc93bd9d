"""A button that takes a ZIP file of a folder for each class, in JupyterLab and on Colab (lesson 14)."""

import html

import ipywidgets as widgets

from utils.uploads import unpack


class FolderUpload(widgets.VBox):
    """The button; `folder` is None until a ZIP file has been taken, then where its classes lie."""

    def __init__(self, place):
        self.place, self.folder = place, None
        wide = widgets.Layout(width="auto")  # for all of its words
        self.upload = widgets.FileUpload(
            description="a ZIP file of your folder", accept=".zip", multiple=False, layout=wide
        )
        self.sentence = widgets.HTML()
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
        self.sentence.value = f"Taken, with the folders {html.escape(classes)}. Run the next cells."


def upload_folder(place):
    """Return a button for a ZIP file, which is unpacked into the folder `place`; a cell that ends on it shows it."""
    return FolderUpload(place)
