"""The widgets of Smart Crop, and the sockets through which other nodes say where subjects are."""

from comfy_api.latest import io

from . import host
from .types import DatasetSocket


def smart_crop_inputs() -> list[io.Input]:
    return [*_main_inputs(), *_advanced_inputs(), *_sockets()]


def _main_inputs() -> list[io.Input]:
    return [
        DatasetSocket.Input("dataset", tooltip="Pictures from Load Dataset."),
        io.Int.Input(
            "width",
            default=512,
            min=32,
            max=2048,
            step=8,
            tooltip="Width of the trained pictures in pixels, 32 to 2048. 512 for SD1.5, 1024 for "
            "SDXL, 32 for the demo base.",
        ),
        io.Int.Input(
            "height",
            default=512,
            min=32,
            max=2048,
            step=8,
            tooltip="Height of the trained pictures in pixels, 32 to 2048. 512 or 768 for SD1.5, "
            "1024 for SDXL, 32 for the demo base.",
        ),
        io.Combo.Input(
            "method",
            options=["focus", "center"],
            default="focus",
            tooltip="focus finds what the picture shows and keeps it in the window: by mask, boxes, faces, or by "
            "what stands out. center cuts around the middle: choose it if your pictures are framed already.",
        ),
        io.Boolean.Input(
            "buckets",
            default=False,
            tooltip="On: each picture keeps nearly its own shape, at about the same number of "
            "pixels, and less is cut away. Turn it on for sets that mix tall and wide pictures.",
        ),
    ]


def _advanced_inputs() -> list[io.Input]:
    return [
        io.Int.Input(
            "bucket_step",
            default=0,
            min=0,
            max=64,
            step=8,
            advanced=True,
            tooltip="Pixels that divide the sides of buckets, 8 to 64. 0: 64, which every model trains well, or 8 "
            "below 256 pixels. Smaller steps cut less and make more buckets.",
        ),
        io.Int.Input(
            "smallest_bucket_side",
            default=0,
            min=0,
            max=2048,
            step=8,
            advanced=True,
            tooltip="Shortest side of a bucket in pixels, up to 2048. 0: half the smaller side of the training size, "
            "at most 256.",
        ),
        io.Int.Input(
            "largest_bucket_side",
            default=0,
            min=0,
            max=4096,
            step=8,
            advanced=True,
            tooltip="Longest side of a bucket in pixels, up to 4096. 0: twice the larger side of the training size. "
            "Less than that shrinks wide pictures far below the wanted number of pixels.",
        ),
        io.Boolean.Input(
            "enlarge",
            default=False,
            advanced=True,
            tooltip="On: pictures smaller than the training size are enlarged to it, and the LoRA learns their blur. "
            "Off: they are trained at the largest size they fill.",
        ),
        io.Boolean.Input(
            "zoom",
            default=False,
            advanced=True,
            tooltip="On: the window closes in on a subject that is known by mask, box or face, but never below the "
            "training size. Turn it on for small subjects in large pictures.",
        ),
        io.Boolean.Input(
            "pad",
            default=False,
            advanced=True,
            tooltip="On: where a known subject does not fit into the window, the picture is padded instead of cutting "
            "it. Try buckets first: padding is learned too, unless it is masked.",
        ),
        io.Combo.Input(
            "face_model",
            options=[host.NO_FACE_MODEL, *host.list_face_models()],
            default=host.NO_FACE_MODEL,
            advanced=True,
            tooltip="A face detector of your own in models/face_detection: YuNet (.onnx) for photos, or a cascade "
            "such as lbpcascade_animeface (.xml) for drawings. It needs OpenCV. none: what stands out is kept.",
        ),
        io.String.Input(
            "overrides",
            default="",
            multiline=True,
            advanced=True,
            tooltip="Windows set by hand, one line a picture: a.png: left, top, right, bottom in pixels; "
            "b.png: 0.5, 0.3 as shares of width and height; c.png: left. They come before everything else.",
        ),
    ]


def _sockets() -> list[io.Input]:
    return [
        io.Mask.Input(
            "masks",
            optional=True,
            tooltip="Masks of the subjects, one a picture in the dataset's order, from Remove Background or SAM3 on "
            "Dataset Pictures. They lead the crop and travel with it.",
        ),
        io.BoundingBox.Input(
            "boxes",
            optional=True,
            force_input=True,
            tooltip="Boxes around the subjects, one list a picture in the dataset's order, from a face or object "
            "detector on Dataset Pictures.",
        ),
        io.Image.Input(
            "pictures",
            optional=True,
            tooltip="The pictures on which the boxes were found, where they are not as large as the files: connect "
            "Dataset Pictures, so that the boxes are scaled.",
        ),
    ]
