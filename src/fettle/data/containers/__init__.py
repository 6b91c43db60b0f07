"""Containers: the forms of file that rows come in. A container knows lines and columns, not what they mean."""
