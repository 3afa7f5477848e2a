"""The one error the core raises on purpose: what happened, and what to change."""


class TrainingError(ValueError):
    """A problem the user can fix. Its text is one line: what happened, then what to change."""
