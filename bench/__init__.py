"""What things cost, as ratios between alternating runs on the same machine. No test asserts a time."""
