"""Bundle -> scores: what an answer is worth, and how sure one may be of it."""
