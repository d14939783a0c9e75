"""Counts words."""

from collections import Counter

from wordstat.tokens import words


def frequencies(text):
    return Counter(words(text))
