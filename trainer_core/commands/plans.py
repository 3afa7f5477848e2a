"""presets and from-kohya: settings to start from."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, get_args

from ..errors import TrainingError
from ..files import read_json, write_json
from ..kohya.importing import KohyaImport, read_kohya, settings_file
from ..training.again import plan_from_lora
from ..training.plan import TrainingPlan
from ..training.presets import MEMORIES, Family, Preset, Subject, preset, presets
from .arguments import Answer, add_command


def add_plan_commands(commands) -> None:
    starts = add_command(commands, "presets", _presets, "settings to start from; with all three, each with its reason")
    starts.add_argument("subject", nargs="?", choices=get_args(Subject), help="what is trained")
    starts.add_argument("family", nargs="?", choices=get_args(Family), help="family of the base model")
    starts.add_argument("memory", nargs="?", type=int, metavar="GB", help="memory of the GPU")

    imports = add_command(commands, "from-kohya", _from_kohya, "make a job file of settings of kohya's sd-scripts")
    imports.add_argument("settings", help="a .toml, .json or shell script, or the command line in quotes")
    imports.add_argument("--out", type=Path, metavar="JOB.json", help="job file to write; printed only unless given")


def job_of_kohya(settings: str) -> tuple[Path, KohyaImport]:
    """The settings as a job file NAME_job.json, written beside them, or into the current folder for a command line.

    Raises:
        TrainingError: they cannot be imported, or another job file of that name is there.
    """
    found = read_kohya(settings)
    file = settings_file(settings)
    path = (file.parent if file else Path()) / f"{found.job['name']}_job.json"
    _write_job(path, found.job)
    return path, found


def plan_like(lora: Path, job_file: Path, plan: TrainingPlan) -> tuple[TrainingPlan, list[str]]:
    """The plan of a LoRA, under what the job file's own "plan" says, and remarks, a line each. `plan`: the job file's,
    as it is read from it.

    Raises:
        TrainingError: the LoRA does not say how it was trained, or the two do not go together.
    """
    found, told = plan_from_lora(lora)
    own = read_json(job_file).get("plan", {})
    like, kept = found.to_json(), plan.to_json()
    for part, value in own.items():
        given = {name: kept[part][name] for name in value} if isinstance(value, dict) else kept[part]
        like[part] = like[part] | given if isinstance(value, dict) else given
    line = f"as {lora.name}, but for the job file's own {', '.join(own)}" if own else f"as {lora.name}"
    return TrainingPlan.from_json(like), [*told, line]


def remarks(found: KohyaImport) -> list[str]:
    """What a person should know of an import, a line each."""
    lost = [f"not taken over: {line}" for line in found.unsupported]
    return [*lost, *(f"note: {line}" for line in found.notes)]


def _presets(options: argparse.Namespace) -> Answer:
    if options.memory is not None:
        return _preset(preset(options.subject, options.family, options.memory))
    asked = (options.subject, options.family)
    found = [one for one in presets() if asked in _shortened(one)]
    rows = [{"subject": one.subject, "family": one.family, "memory": one.memory} for one in found]
    return {"presets": rows, "memories": list(MEMORIES)}, [one.name for one in found]


def _shortened(found: Preset) -> tuple[tuple[str | None, str | None], ...]:
    """What may be asked for to see this preset in the list."""
    return (None, None), (found.subject, None), (found.subject, found.family)


def _preset(found: Preset) -> Answer:
    settings = {"crop": found.crop(), "plan": found.plan()}
    reasons = {choice.field: choice.reason for choice in found.choices}
    width = max(map(len, reasons))
    lines = [f"{choice.field:{width}}  {json.dumps(choice.value):11}  {choice.reason}" for choice in found.choices]
    in_job = ["", "for a job file:", *json.dumps(settings, indent=2)[2:-2].splitlines()]
    return {"name": found.name, **settings, "reasons": reasons}, [found.name, *lines, *in_job]


def _from_kohya(options: argparse.Namespace) -> Answer:
    found = read_kohya(options.settings)
    answer = {"settings": found.job, "unsupported": list(found.unsupported), "notes": list(found.notes)}
    if not options.out:
        return answer, [json.dumps(found.job, indent=2, ensure_ascii=False), *remarks(found)]
    _write_job(options.out, found.job)
    return {**answer, "job": str(options.out)}, [f"job file: {options.out}", *remarks(found)]


def _write_job(path: Path, job: dict[str, Any]) -> None:
    """Write a job file; one that says the same may be there already."""
    if path.exists():
        if read_json(path) == job:
            return
        raise TrainingError(f"{path} is there already and says something else. Train that file, or name another.")
    write_json(path, job)
