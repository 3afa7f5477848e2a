"""The health report: what is wrong with a dataset before a night is spent on it, and what to do."""
