import unittest

from wordstat.as_json import as_json


class AsJsonTest(unittest.TestCase):
    def test_sorted(self):
        self.assertEqual(as_json("b a b"), '{"a": 1, "b": 2}')
