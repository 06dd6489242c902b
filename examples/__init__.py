"""Programs in halo, each with a reference in NumPy or SciPy: `python -m examples.blur`."""
