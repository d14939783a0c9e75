"""Counts sentences."""

import re


def count_sentences(text):
    return len(re.findall(r"[.!?]+(?:\s|$)", text))
