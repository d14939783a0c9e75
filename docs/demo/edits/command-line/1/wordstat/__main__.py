import sys

from wordstat.report import report

print(report(sys.argv[1]))
