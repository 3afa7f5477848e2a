"""What single pictures lack: sharpness, light, colour, their whole area."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from ..dataset.measures import BRIGHT, DARK, Measures
from ..dataset.types import Dataset, DatasetImage
from ..dataset.wording import FileNames
from .findings import Finding, about

_BLURRED, _SOFT = 30.0, 75.0
"""Sharpness. Of 166 sharp photographs 1 % lie below 30 and 5 % below 73; blurred by sigma 2 of 512 pixels, 95 % do."""
_FAR_BELOW = 0.1
"""Of the set's median sharpness, in sets that are soft by nature: flat drawings, fog, watercolours."""
_DARK_LUMA, _BRIGHT_LUMA = 40.0, 215.0
"""Of 166 photographs about 5 % lie beyond either."""
_MIDDLE_LUMA = 104.0
"""The median of the same photographs."""
_MOST_OF_IT = 0.6
_MANY = 0.15
"""Share of a set from which dark or bright pictures are worth a change of the noise."""
FLAT = 2.0
"""Contrast in grey levels below which a picture shows nothing."""
_LEAST_BAR = 0.02


def picture_findings(dataset: Dataset, names: FileNames) -> list[Finding]:
    """Flat, blurred, dark, bright, grey, letterboxed and transparent pictures, regularisation pictures included."""
    measured = [image for image in dataset.images if image.measures]
    flat = [image for image in measured if image.measures.contrast < FLAT]
    shown = [image for image in measured if image.measures.contrast >= FLAT]
    return [
        *_flat(flat, names),
        *_blur(shown, names),
        *_light(shown, names),
        *_bars(shown, names),
        *_grey(shown, names),
        *_transparency(dataset.images, names),
    ]


def is_dark(measures: Measures) -> bool:
    return measures.luma < _DARK_LUMA or measures.dark_share > _MOST_OF_IT


def is_bright(measures: Measures) -> bool:
    return measures.luma > _BRIGHT_LUMA or measures.bright_share > _MOST_OF_IT


def _flat(images: Sequence[DatasetImage], names: FileNames) -> list[Finding]:
    def colour(image: DatasetImage) -> str:
        luma = image.measures.luma
        return "all black" if luma < DARK else "all white" if luma > BRIGHT else "one flat colour"

    return about(
        "flat",
        "stop",
        images,
        names,
        one="shows nothing but one colour",
        several="show nothing but one colour",
        advice="Take such pictures out: the LoRA would learn to draw nothing",
        labels=[colour(image) for image in images],
    )


def _blur(images: Sequence[DatasetImage], names: FileNames) -> list[Finding]:
    """By fixed limits in a set that is mostly sharp; in one that is soft by nature only what falls far behind."""
    sharpness = {image.path: _sharpness(image.measures) for image in images}
    soft = [image for image in images if sharpness[image.path] < _SOFT]
    if 2 * len(soft) > len(images) > 1:
        limit = _FAR_BELOW * median(sharpness.values())
        blurred = [image for image in soft if sharpness[image.path] < limit]
        return [*_blurred(blurred, names), *_soft_set(len(soft), len(images))]
    blurred = [image for image in soft if sharpness[image.path] < _BLURRED]
    slightly = [image for image in soft if sharpness[image.path] >= _BLURRED]
    return [
        *_blurred(blurred, names),
        *about(
            "soft",
            "note",
            slightly,
            names,
            one="is a little soft",
            several="are a little soft",
            advice="Nothing need be done if softness is meant; else use sharper pictures",
            labels="soft",
        ),
    ]


def _sharpness(measures: Measures) -> float:
    """As if a dark picture were brightened to middle brightness: halving the light quarters the Laplacian's energy."""
    gain = _MIDDLE_LUMA / max(measures.luma, 1.0) if measures.luma < _DARK_LUMA else 1.0
    return measures.sharpness * gain**2


def _blurred(images: Sequence[DatasetImage], names: FileNames) -> list[Finding]:
    return about(
        "blurred",
        "warn",
        images,
        names,
        one="is blurred",
        several="are blurred",
        advice="Use sharper copies, or leave such pictures out: the LoRA learns the blur",
        labels="blurred",
    )


def _soft_set(soft: int, total: int) -> list[Finding]:
    return [
        Finding(
            kind="soft set",
            level="note",
            text=f"{soft:,} of {total:,} pictures have little fine detail, so softness is taken for their style",
            advice="If they are photographs, use sharper ones; drawings and flat colours are fine",
            values={"count": soft, "total": total},
        )
    ]


def _light(images: Sequence[DatasetImage], names: FileNames) -> list[Finding]:
    dark = [image for image in images if is_dark(image.measures)]
    bright = [image for image in images if is_bright(image.measures) and not is_dark(image.measures)]
    findings = about(
        "dark",
        "note",
        dark,
        names,
        one="is very dark",
        several="are very dark",
        advice="Nothing need be done if the dark is meant; else brighten such pictures",
        labels="dark",
    )
    findings += about(
        "bright",
        "note",
        bright,
        names,
        one="is very bright",
        several="are very bright",
        advice="Nothing need be done if the white is meant; else darken such pictures",
        labels="bright",
    )
    extreme = [image for image in (*dark, *bright) if not image.is_regularisation]
    total = sum(not image.is_regularisation for image in images)
    if total and len(extreme) >= _MANY * total:
        findings.append(
            Finding(
                kind="extreme light",
                level="note",
                text=f"{len(extreme):,} of {total:,} training pictures are very dark or very bright "
                f"({len(extreme) / total:.0%})",
                advice="Turn on multires noise, 6 to 10 iterations with a discount of 0.3 to 0.8: without it the model "
                "draws everything of middle brightness",
                values={"count": len(extreme), "total": total, "share": f"{len(extreme) / total:.0%}"},
            )
        )
    return findings


def _bars(images: Sequence[DatasetImage], names: FileNames) -> list[Finding]:
    barred = [image for image in images if image.measures.bars >= _LEAST_BAR]
    return about(
        "bars",
        "warn",
        barred,
        names,
        one="has an even bar along its border",
        several="have even bars along their borders",
        advice="Trim bars off, or set crops that leave them out: the LoRA learns to draw them",
        labels=[f"bar of {image.measures.bars:.0%}" for image in barred],
    )


def _grey(images: Sequence[DatasetImage], names: FileNames) -> list[Finding]:
    """Said only where it is not the whole set: then it is what the LoRA is meant to learn."""
    training = [image for image in images if not image.is_regularisation]
    grey = [image for image in training if image.measures.is_grey]
    return about(
        "grey",
        "note",
        grey if len(grey) < len(training) else [],
        names,
        one="has no colour, the others do",
        several="have no colour, the others do",
        advice='Say "monochrome" in the captions of such pictures, or leave them out',
        labels="no colour",
    )


def _transparency(images: Sequence[DatasetImage], names: FileNames) -> list[Finding]:
    transparent = [image for image in images if image.background and image.mask is None]
    return about(
        "transparency",
        "note",
        transparent,
        names,
        one="is transparent and lies on a plain background",
        several="are transparent and lie on a plain background",
        advice="Name the background in the captions, or let transparency become a mask when you load the folder",
        labels=[f"transparent, on {image.background}" for image in transparent],
    )
