import unittest

from wordstat.report import report


class ReportTest(unittest.TestCase):
    def test_most_frequent_first(self):
        self.assertEqual(report("b a a", top=1), "     2 a")
