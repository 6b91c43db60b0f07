"""Draw the score table of a stored report as an SVG picture.

python docs/draw_scores.py BUNDLE OUT.svg
"""

import sys

from rich.console import Console

from fettle.app.evaluating import show_report
from fettle.cli import show
from fettle.storage.workspace import open_workspace

show.OUT = Console(record=True, width=112, file=open("/dev/null", "w"))
show.show_scores(show_report(open_workspace(), sys.argv[1]).as_json())
show.OUT.save_svg(sys.argv[2], title=f"fettle evaluate {sys.argv[1]}")
