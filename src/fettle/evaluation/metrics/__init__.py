"""What answers are worth against what was expected: a file for each kind of answer, and its metrics by name."""
