"""Pipelines of the same kinds as the eleven, for which nothing was ever tuned: `python -m benchmarks more`."""
