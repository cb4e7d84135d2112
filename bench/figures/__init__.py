"""The figures, one for each question."""
