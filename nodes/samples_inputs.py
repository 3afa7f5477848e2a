"""The widgets of Samples."""

from comfy_api.latest import io

from .drawing_inputs import drawing_inputs


def samples_inputs() -> list[io.Input]:
    return [
        io.String.Input(
            "prompts",
            default="",
            multiline=True,
            tooltip="One picture a line, with the trigger word in it. A line may end with settings of its own: "
            "--n negative, --w width, --h height, --d seed, --s steps, --l cfg, --ss sampler. # in front leaves a line "
            "out. Empty: nothing is drawn.",
        ),
        io.String.Input(
            "negative",
            default="",
            multiline=True,
            tooltip="What to keep out of the pictures of lines without --n. May be empty.",
        ),
        io.Int.Input(
            "every_epochs",
            default=1,
            min=0,
            max=10_000,
            tooltip="Draw after every so many epochs, and after the last. Raise it where drawing takes longer than "
            "training. 0: only before the first step.",
        ),
        io.Boolean.Input(
            "before_first",
            default=True,
            tooltip="On: also draw before the first step, which shows what the base model makes of the prompts.",
        ),
        *drawing_inputs(),
    ]
