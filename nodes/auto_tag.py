"""Auto Tag: the captions that are trained."""

from comfy_api.latest import io

from ..trainer_core.dataset.types import Dataset
from ..trainer_core.tagging.captions import edit_captions
from .types import DatasetSocket


class AutoTag(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LoraAtelierAutoTag",
            display_name="Auto Tag",
            category="LoRA Atelier",
            description="Puts the trigger word in front of each caption, and adds or removes tags. Caption "
            "files stay as they are.",
            search_aliases=[
                "caption",
                "tags",
                "trigger word",
                "自动打标",
                "打标",
                "标签",
                "触发词",
                "自動標記",
                "觸發詞",
            ],
            inputs=[
                DatasetSocket.Input("dataset", tooltip="Pictures from Smart Crop or Load Dataset."),
                io.Combo.Input(
                    "method",
                    options=["captions from files"],
                    default="captions from files",
                    tooltip="Where captions come from. captions from files: the .txt file beside each picture.",
                ),
                io.String.Input(
                    "trigger_word",
                    default="",
                    tooltip="A word that calls your subject in prompts, put first in every training "
                    "caption. Choose one that means nothing yet, such as mochi_cat. Empty: none is added.",
                ),
                io.String.Input(
                    "remove_tags",
                    default="",
                    tooltip="Tags to take out of every caption, separated by commas. Remove what always "
                    "belongs to your subject (hair colour, markings), so that the trigger word learns it.",
                ),
                io.String.Input(
                    "add_tags",
                    default="",
                    tooltip="Tags to add to every caption, separated by commas. Add what all pictures share "
                    "but what is not your subject, such as photo or white background.",
                ),
            ],
            outputs=[
                DatasetSocket.Output(
                    "dataset",
                    tooltip="The same pictures with the captions that are trained.",
                ),
                io.String.Output("captions", tooltip="One line per picture: its file name and its caption."),
            ],
        )

    @classmethod
    def execute(
        cls, dataset: Dataset, method: str, trigger_word: str, remove_tags: str, add_tags: str
    ) -> io.NodeOutput:
        captioned = edit_captions(
            dataset,
            trigger_word=trigger_word.strip(),
            remove_tags=_split(remove_tags),
            add_tags=_split(add_tags),
        )
        return io.NodeOutput(captioned, "\n".join(f"{image.path.name}: {image.caption}" for image in captioned.images))


def _split(tags: str) -> tuple[str, ...]:
    """Tags between commas, Chinese and Japanese ones too."""
    parts = tags.replace("\n", ",").replace("，", ",").replace("、", ",").split(",")
    return tuple(tag.strip() for tag in parts if tag.strip())
