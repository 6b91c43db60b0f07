"""Rows to files in the forms that other tools and services take, each with its own rules and limits."""
