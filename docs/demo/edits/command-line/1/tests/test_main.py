import pathlib
import subprocess
import sys
import tempfile
import unittest


class MainTest(unittest.TestCase):
    def test_reports_on_a_file(self):
        with tempfile.TemporaryDirectory() as folder:
            text = pathlib.Path(folder, "text")
            text.write_text("to be or not to be")
            command = [sys.executable, "-m", "wordstat", str(text)]
            done = subprocess.run(command, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.splitlines()[0].split(), ["2", "to"])
