import unittest

from wordstat.lines import count_lines


class LinesTest(unittest.TestCase):
    def test_counts_lines(self):
        self.assertEqual(count_lines("a\nb\n"), 2)


if __name__ == "__main__":
    unittest.main()
