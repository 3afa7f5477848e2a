"""The widgets of Train LoRA that say how a run is judged while it trains."""

from comfy_api.latest import io


def validation_inputs() -> list[io.Input]:
    return [
        io.Int.Input(
            "validate_every_epochs",
            default=1,
            min=0,
            max=10_000,
            advanced=True,
            tooltip="Measure after every so many epochs how well the LoRA does, the first time also the base model "
            "without it; the verdict comes from it. Raise it where an epoch is shorter than a minute. 0: never.",
        ),
        io.Float.Input(
            "held_out_share",
            default=0.0,
            min=0.0,
            max=0.5,
            step=0.01,
            advanced=True,
            tooltip="Share of the pictures that are only measured and never trained, 0 to 0.5: at least 2, at most 16, "
            "none of fewer than 8. They tell learning from memorising. 0.1 for sets that can spare them; 0: train "
            "them all.",
        ),
        io.Boolean.Input(
            "two_prompts",
            default=False,
            advanced=True,
            tooltip="On: at the end twelve pictures are drawn and compared, captions word for word and the trigger "
            "word alone, with the LoRA and without. Makes the verdict surer where nothing is held out.",
        ),
        io.String.Input(
            "class_words",
            default="",
            advanced=True,
            tooltip="What kind of thing is trained, such as girl or cat, for the test that compares it with the "
            "trigger word. Empty: the tag that most captions have in common.",
        ),
        io.Int.Input(
            "validation_seed",
            default=0,
            min=0,
            max=2**53 - 1,
            control_after_generate=False,
            advanced=True,
            tooltip="Seed of which pictures are held out, and of the noise they are measured with. Change it to hold "
            "out others.",
        ),
    ]
