"""The widgets of Caption Options."""

from comfy_api.latest import io


def caption_options_inputs() -> list[io.Input]:
    return [
        io.Boolean.Input(
            "shuffle",
            default=False,
            tooltip="On: tags come in another order at every visit, so none counts more for coming first. Usual for "
            "tags; sentences keep their words in order, and trigger words stay in front.",
        ),
        io.Int.Input(
            "keep_first",
            default=0,
            min=0,
            max=100,
            tooltip="Tags in front that stay there and are never left out, 0 to 100. Trigger words do so anyway; raise "
            "it to keep more than them.",
        ),
        io.Float.Input(
            "caption_dropout",
            default=0.0,
            min=0.0,
            max=1.0,
            step=0.01,
            tooltip="Share of visits with an empty caption, 0 to 1. 0.05 to 0.1 for a style that should show without "
            "words; 0 for characters, which should come only when called.",
        ),
        io.Float.Input(
            "tag_dropout",
            default=0.0,
            min=0.0,
            max=1.0,
            step=0.01,
            tooltip="Share of tags that a visit leaves out, 0 to 1. 0.1 makes a LoRA less strict about prompts. What "
            "is left out becomes part of the trigger word, so keep it low.",
        ),
        io.Boolean.Input(
            "wildcards",
            default=False,
            tooltip="On: words in curly brackets with upright bars between them are a choice, made anew at every "
            "visit. Off: brackets are text.",
        ),
        io.String.Input(
            "keep_separator",
            default="",
            advanced=True,
            tooltip="A mark that says caption by caption which tags stay: those before it in front, those after a "
            "second one at the end. Three upright bars are usual. Captions without it follow keep_first. Empty: none.",
        ),
    ]
