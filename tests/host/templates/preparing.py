"""The templates that prepare a dataset and train nothing."""

from __future__ import annotations

from typing import Any

from .graph import DEMO_FOLDER, TRIGGER, Node, Stage, Template
from .training import CROP_AND_TAG, PICTURES

_LANGUAGE_MODEL = "qwen3vl_4b_fp8_scaled.safetensors"
_ASK = (
    "Describe this picture in one sentence for training an image model: what is seen, its pose, clothing, place and "
    "light. No introduction."
)
_CAPTIONS = "Captions · 标注"


def preparing_templates() -> list[Template]:
    return [prepare_a_dataset(), tag_a_dataset(), caption_with_a_language_model()]


def prepare_a_dataset() -> Template:
    """Read, crop, tag, check: everything to be looked at before a night of training."""
    nodes = _cropped({"width": 64, "height": 64, "buckets": True})
    nodes |= {
        "pictures": Node(type="PreviewImage", title="Pictures, worst first · 图片总览", links={"images": "load.sheet"}),
        "proof": Node(type="PreviewImage", title="Proof sheet · 裁剪总览", links={"images": "crop.proof_sheet"}),
        "tag": _tag({}, {}),
        "captions": _text(_CAPTIONS, "tag.captions"),
        "check": Node(type="LoraAtelierCheckDataset", settings={"batch_size": 2}, links={"dataset": "tag.dataset"}),
        "report": _text("Report · 检查报告", "check.report"),
    }
    stages = (
        Stage(PICTURES, (("load", "pictures"),)),
        Stage(CROP_AND_TAG, (("crop", "proof"), ("tag", "captions"))),
        Stage("3 Check · 检查", (("check", "report"),)),
    )
    return Template(name="prepare_a_dataset", nodes=nodes, stages=stages, photo=("proof", "captions"))


def tag_a_dataset() -> Template:
    """A tagger, its advice, and the editor."""
    nodes = _cropped({})
    nodes |= {
        "tag": _tag({"method": "wd-vit-tagger-v3", "existing": "overwrite"}, {}),
        "captions": _text(_CAPTIONS, "tag.captions"),
        "advice": _text("Advice · 建议", "tag.report"),
    }
    stages = (
        Stage(PICTURES, (("load",), ("crop",))),
        Stage("2 Tag · 打标", (("tag",), ("captions", "advice"))),
    )
    return Template(name="tag_a_dataset", nodes=nodes, stages=stages, photo=("tag", "captions"))


def caption_with_a_language_model() -> Template:
    """Any node that turns a picture into text writes the captions."""
    nodes = _cropped({})
    nodes |= {
        "pictures": Node(
            type="LoraAtelierDatasetPictures",
            settings={"largest_side": 768, "cropped": True},
            links={"dataset": "crop.dataset"},
        ),
        "model": Node(type="CLIPLoader", settings={"clip_name": _LANGUAGE_MODEL, "type": "ideogram4"}),
        "writer": Node(
            type="TextGenerate",
            settings={"prompt": _ASK, "max_length": 120, "sampling_mode": "off"},
            links={"clip": "model.CLIP", "image": "pictures.images"},
        ),
        "tag": _tag({"existing": "overwrite"}, {"captions": "writer.generated_text"}),
        "captions": _text(_CAPTIONS, "tag.captions"),
    }
    stages = (
        Stage(PICTURES, (("load",), ("crop",))),
        Stage("2 Caption · 标注", (("pictures", "model"), ("writer",))),
        Stage("3 Edit · 编辑", (("tag", "captions"),)),
    )
    return Template(name="caption_with_a_language_model", nodes=nodes, stages=stages, photo=("pictures", "writer"))


def _cropped(crop: dict[str, Any]) -> dict[str, Node]:
    return {
        "load": Node(type="LoraAtelierLoadDataset", settings={"folder": DEMO_FOLDER, "regularisation": "none"}),
        "crop": Node(type="LoraAtelierSmartCrop", settings=crop, links={"dataset": "load.dataset"}),
    }


def _tag(settings: dict[str, Any], links: dict[str, str]) -> Node:
    return Node(
        type="LoraAtelierAutoTag",
        settings={"trigger_word": TRIGGER, **settings},
        links={"dataset": "crop.dataset", **links},
    )


def _text(title: str, source: str) -> Node:
    return Node(type="PreviewAny", title=title, links={"source": source})
