"""The workflows that come with the pack, one by one, for tests that look at each."""

from __future__ import annotations

import pytest

from tests.host.templates.__main__ import WORKFLOWS

EDITOR = sorted(WORKFLOWS.glob("*.json"))
API = sorted((WORKFLOWS / "api").glob("*.json"))

by_editor_form = pytest.mark.parametrize("path", EDITOR, ids=lambda path: path.stem)
by_api_form = pytest.mark.parametrize("path", API, ids=lambda path: path.stem)
