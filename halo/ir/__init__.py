"""What programs are: types of nodes, algebra on them, and how they print."""
