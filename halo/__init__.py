"""halo."""
