import unittest

from wordstat.frequencies import frequencies


class FrequenciesTest(unittest.TestCase):
    def test_counts(self):
        self.assertEqual(frequencies("a b A")["a"], 2)
