"""What is wrong with a set as a whole: rows that contradict each other or do not belong, sameness, odd forms."""
