"""One file for each thing that may be wrong with the wording of a text: a text in, stretches or a verdict out."""
