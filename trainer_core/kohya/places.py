"""Files and folders that a job names: found where sd-scripts' settings meant them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..files import expanded


class Places:
    """Looks beside the settings, which lie in `here`, then in the current folder, as sd-scripts do. `missing` holds
    what is in neither."""

    def __init__(self, here: Path) -> None:
        self._folders = (here, Path())
        self.missing: list[str] = []

    def found(self, job: dict[str, Any]) -> dict[str, Any]:
        """The job with whole paths, so that its file may lie anywhere. What is missing stays as it is written."""
        if "base_model" in job:
            job = job | {"base_model": self._path(job["base_model"])}
        if "dataset" in job:
            job = job | {"dataset": self._dataset(job["dataset"])}
        return job | {"plan": job["plan"] | {"adapter": self._adapter(job["plan"]["adapter"])}}

    def _dataset(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._dataset(source) for source in value]
        return value | {name: self._path(value[name]) for name in ("folder", "regularisation") if value.get(name)}

    def _adapter(self, value: dict[str, Any]) -> dict[str, Any]:
        found = {"start_from": self._path(value["start_from"])} if value.get("start_from") else {}
        if merges := value.get("merge_first"):
            pairs = [entry.rpartition(":") for entry in merges.split("; ")]
            found["merge_first"] = "; ".join(f"{self._path(name)}:{strength}" for name, _, strength in pairs)
        return value | found

    def _path(self, name: str) -> str:
        path = expanded(name)
        for folder in self._folders:
            if os.path.exists(folder / path):
                return str((folder / path).absolute())
        self.missing.append(name)
        return name
