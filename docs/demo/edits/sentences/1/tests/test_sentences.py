import unittest

from wordstat.sentences import count_sentences


class SentencesTest(unittest.TestCase):
    def test_counts(self):
        self.assertEqual(count_sentences("Really? Yes. It is 1.5 km."), 3)
