"""The widgets of Load Dataset: which folders first, how files are read behind "show advanced"."""

from comfy_api.latest import io

from .folders import NO_FOLDER


def load_dataset_inputs(folders: list[str]) -> list[io.Input]:
    return [*_main_inputs(folders), *_reading_inputs()]


def _main_inputs(folders: list[str]) -> list[io.Input]:
    return [
        io.Combo.Input(
            "folder",
            options=folders,
            tooltip="Folder of training pictures: a sub-folder of ComfyUI's input/ or datasets/. A "
            "caption is a .txt file named like its picture. Folders elsewhere need a datasets: line "
            "in extra_model_paths.yaml.",
        ),
        io.Combo.Input(
            "regularisation",
            options=[NO_FOLDER, *folders],
            default=NO_FOLDER,
            tooltip="Folder of 10 to 20 ordinary pictures of the same kind of thing (cats, if you train your "
            "cat), captioned or not, so that the LoRA does not forget them. Leave at none unless every "
            "picture starts to look like your subject.",
        ),
        io.Int.Input(
            "repeats",
            default=1,
            min=1,
            max=1000,
            tooltip="How often each training picture is seen in one epoch, 1 to 1000. Raise it for "
            "small sets: 10 pictures x 10 repeats x 10 epochs = 1000 steps. A folder named like "
            "10_name sets its own number.",
        ),
    ]


def _reading_inputs() -> list[io.Input]:
    return [
        io.Int.Input(
            "smallest_side",
            default=64,
            min=1,
            max=4096,
            advanced=True,
            tooltip="Pictures with a side shorter than this many pixels are skipped, 1 to 4096. Raise it to keep "
            "thumbnails out.",
        ),
        io.Float.Input(
            "largest_aspect",
            default=4.0,
            min=1.0,
            max=100.0,
            step=0.1,
            advanced=True,
            tooltip="Pictures longer than this, long side over short side, are skipped, 1 to 100. Comic strips and "
            "screenshots of long pages are better cut up first.",
        ),
        io.String.Input(
            "background",
            default="white",
            advanced=True,
            tooltip="Colour behind transparent pictures: a name such as white or grey, or #rrggbb. What hides under "
            "full transparency is never trained.",
        ),
        io.Boolean.Input(
            "transparency_as_mask",
            default=False,
            advanced=True,
            tooltip="On: the visible part of a transparent picture becomes its mask, which Smart Crop follows. A mask "
            "file beside the picture (name-masklabel.png) comes first.",
        ),
        io.Combo.Input(
            "caption_lines",
            options=["join", "pick"],
            default="join",
            advanced=True,
            tooltip="What a caption file of several lines means. join: one caption. pick: one caption a line, and "
            "each visit of the picture draws one of them.",
        ),
        io.Float.Input(
            "most_unusable",
            default=20.0,
            min=0.0,
            max=100.0,
            step=1.0,
            advanced=True,
            tooltip="Percent of files that may be unusable, 0 to 100. Above it loading stops, as something is wrong "
            "with the folder. 100 goes on with whatever is left; 0 stops at any bad file.",
        ),
    ]
