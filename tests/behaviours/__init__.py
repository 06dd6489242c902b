"""What Halide's own tests assert, item by item of its list, with their numbers."""
