import pathlib
import sys

from wordstat.report import report

print(report(pathlib.Path(sys.argv[1]).read_text()))
