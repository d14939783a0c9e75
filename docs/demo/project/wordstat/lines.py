"""Counts lines."""


def count_lines(text):
    return len(text.splitlines())
