"""Measurements of what README states: `python -m benchmarks [name ...]`. Never part of a test: machines differ."""
