"""One file for each family of personal data and secrets: a text in, stretches out; texts have plain digits by then."""
