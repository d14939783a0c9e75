"""Splits a text into words."""

import re

WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")


def words(text):
    return [word.lower() for word in WORD.findall(text)]
