"""What a schedule is made of."""
