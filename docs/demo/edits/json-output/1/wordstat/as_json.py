"""The frequencies as JSON."""

import json

from wordstat.frequencies import frequencies


def as_json(text):
    return json.dumps(frequencies(text), sort_keys=True)
