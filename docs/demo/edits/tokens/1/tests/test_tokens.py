import unittest

from wordstat.tokens import words


class TokensTest(unittest.TestCase):
    def test_lower_case(self):
        self.assertEqual(words("One two"), ["one", "two"])

    def test_apostrophes_stay(self):
        self.assertEqual(words("don't stop"), ["don't", "stop"])

    def test_numbers_are_no_words(self):
        self.assertEqual(words("4 seasons"), ["seasons"])
