"""Containers of documents and of annotated sentences: CoNLL, Markdown, HTML, XML."""
