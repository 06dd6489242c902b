"""From Python functions and objects to a typed pipeline."""
