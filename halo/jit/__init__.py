"""From a lowered pipeline to machine code, and from a call to its result."""
