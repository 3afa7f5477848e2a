"""Which of the tags that a tagger scored become words of a caption."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial

import numpy as np

from ..tagging.tagger import TagAnswer, TaggerModel
from .rules import CaptionRules
from .tags import TagPatterns, shown_tag


class TagChoice:
    """The thresholds, limits and order of `rules`, where they leave it open those of `model`."""

    def __init__(self, rules: CaptionRules, model: TaggerModel) -> None:
        self.threshold = model.threshold if rules.threshold is None else rules.threshold
        character_threshold = rules.character_threshold
        self._general = _least_score(self.threshold)
        self._character = _least_score(
            model.character_threshold if character_threshold is None else character_threshold
        )
        self._rules = rules
        self._is_ignored = cache(TagPatterns(rules.ignore_tags).match)
        self.spelled = cache(partial(shown_tag, underscores=rules.underscores))

    def tags(self, answer: TagAnswer) -> list[str]:
        """The tags of one picture as they stand in its caption; of equal scores the first by alphabet."""
        ranked = self._ranked(answer.general, self._general) + self._ranked(answer.character, self._character)
        if missing := max(0, self._rules.fewest_tags - len(ranked)):
            below = [entry for entry in self._ranked(answer.general, 0.0) if -entry[0] < self._general]
            ranked += sorted(below)[:missing]
        ranked.sort()
        if self._rules.most_tags:
            ranked = ranked[: self._rules.most_tags]
        tags = [self.spelled(tag) for _, tag in ranked]
        return sorted(tags, key=str.casefold) if self._rules.order == "alphabet" else tags

    def _ranked(self, scores: Mapping[str, float], least: float) -> list[tuple[float, str]]:
        return [(-score, tag) for tag, score in scores.items() if score >= least and not self._is_ignored(tag)]


def _least_score(threshold: float) -> float:
    """Models answer in float32, in which 0.35 is a little less than 0.35."""
    return min(threshold, float(np.float32(threshold)))
