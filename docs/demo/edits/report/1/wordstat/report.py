"""The most frequent words as a table."""

from wordstat.frequencies import frequencies


def report(text, top=10):
    rows = frequencies(text).most_common(top)
    return "\n".join(f"{count:6} {word}" for word, count in rows)
