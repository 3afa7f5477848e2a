"""Auto Tag: the captions that are trained, by a tagger, from files or from other nodes, edited by rules and by hand."""

from collections.abc import Sequence
from contextlib import closing

from comfy_api.latest import io

from ..trainer_core.captions.advisor import advise
from ..trainer_core.captions.board import TaggingBoard, board_model, keep_board, sidecar_digests
from ..trainer_core.captions.rule_text import read_replacements, read_tags
from ..trainer_core.captions.rules import CaptionRules
from ..trainer_core.captions.sidecars import WrittenSidecar, as_read, read_sidecars, with_digests, write_sidecars
from ..trainer_core.dataset.types import Dataset
from ..trainer_core.dataset.wording import many
from ..trainer_core.tagging.answers import AnswerStore
from ..trainer_core.tagging.asking import Asking
from ..trainer_core.tagging.captioning import CaptionerOptions
from ..trainer_core.tagging.finding import find_tagger
from ..trainer_core.tagging.tagger import TaggerModel
from . import host
from .auto_tag_inputs import FROM_FILES, auto_tag_inputs
from .from_graph import only
from .types import DatasetSocket

_BOARD = "lora_atelier_board"
"""Key under which the page finds the board of this run."""
_REMEDY = "Choose a smaller tagger, or close what else uses the GPU."


class AutoTag(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LoraAtelierAutoTag",
            display_name="Auto Tag",
            category="LoRA Atelier",
            description="Writes a caption for each picture, by a tagger or from what you have, puts the trigger word "
            "in front, and takes out what the LoRA should absorb. Edit tags shows all pictures with their captions. "
            "Caption files stay as they are unless you ask.",
            search_aliases=[
                "caption",
                "tags",
                "tagger",
                "trigger word",
                "wd14",
                "deepdanbooru",
                "blip",
                "florence",
                "自动打标",
                "打标",
                "标签",
                "触发词",
                "反推",
                "自動標記",
                "觸發詞",
            ],
            is_input_list=True,
            is_output_node=True,  # or ComfyUI would not send the board again when everything is cached
            inputs=auto_tag_inputs(),
            outputs=[
                DatasetSocket.Output("dataset", tooltip="The same pictures with the captions that are trained."),
                io.String.Output("captions", tooltip="One line per picture: its file name and its caption."),
                io.String.Output(
                    "report",
                    tooltip="What was noticed, and for tags on nearly every picture whether to absorb or to keep them.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls, dataset: list[Dataset], method: list[str], existing: list[str], threshold: list[float],
        trigger_word: list[str], remove_tags: list[str], add_tags: list[str], character_threshold: list[float],
        remove_kinds: list[str], replace_tags: list[str], ignore_tags: list[str], underscores: list[bool],
        order: list[str], fewest_tags: list[int], most_tags: list[int], beams: list[int], most_tokens: list[int],
        fewest_tokens: list[int], prefix: list[str], detail: list[str], write_files: list[bool], edits: list[str],
        captions: list[str] | None = None,
    ) -> io.NodeOutput:  # fmt: skip
        rules = CaptionRules(
            trigger_word=only(trigger_word).strip(),
            existing=only(existing),
            threshold=only(threshold) or None,
            character_threshold=only(character_threshold) or None,
            underscores=only(underscores),
            order=only(order),
            fewest_tags=only(fewest_tags),
            most_tags=only(most_tags),
            ignore_tags=read_tags(only(ignore_tags)),
            replace_tags=read_replacements(only(replace_tags)),
            remove_tags=read_tags(only(remove_tags)),
            remove_kinds=read_tags(only(remove_kinds)),
            add_tags=read_tags(only(add_tags)),
        )
        options = CaptionerOptions(
            beams=only(beams),
            fewest_tokens=only(fewest_tokens),
            most_tokens=only(most_tokens),
            prefix=only(prefix),
            detail=only(detail),
        )
        model = None if only(method) == FROM_FILES else find_tagger(only(method), host.tagger_places(), options)
        sidecars = read_sidecars(only(dataset))
        store = _asked(only(dataset), model) if model else None
        board = TaggingBoard(
            dataset=only(dataset),
            rules=rules,
            edits=only(edits),
            model=board_model(model),
            texts=tuple(captions) if captions is not None else None,
            sidecars=sidecar_digests(sidecars),
        )
        found = board.compose(store)
        written = []
        if only(write_files):
            written = list(write_sidecars(found.dataset, as_read(only(dataset), sidecars)))
        lines = [*found.remarks, *_told(written), *(advice.line for advice in advise(found.dataset))]
        host.show_lines(cls, lines)
        return io.NodeOutput(
            with_digests(found.dataset, written),
            "\n".join(f"{image.path.name}: {image.caption}" for image in found.dataset.images),
            "\n".join(lines),
            ui={_BOARD: [keep_board(host.boards_folder(), board)]},
        )


def _asked(dataset: Dataset, model: TaggerModel) -> AnswerStore:
    """Answers are kept, so only pictures that are new to the model make ComfyUI's own models leave."""
    asking = Asking(dataset, model, device=host.device(), caches=host.answers_folder())
    if asking.is_done:
        return asking.store
    progress = host.Progress()
    with host.machine_to_ourselves(host.Work(f"tagging with {model.name}"), _REMEDY), closing(asking.steps()) as steps:
        for report in steps:
            progress.reached(report.done, report.total)
    return asking.store


def _told(written: Sequence[WrittenSidecar]) -> list[str]:
    """Nothing where no files were to be written."""
    refused = [f"{entry.path.name} is not written: {entry.reason}" for entry in written if entry.state == "refused"]
    count = sum(entry.state == "written" for entry in written)
    return [f"{many(count, 'caption file')} written", *refused] if written else []
