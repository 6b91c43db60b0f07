"""Draw the score table of a stored report as an SVG picture that fetches nothing.

python docs/draw_scores.py BUNDLE OUT.svg
"""

import io
import re
import sys
from pathlib import Path

from rich.console import Console

from fettle.app.listing import show_report
from fettle.cli import show
from fettle.storage.workspace import open_workspace

show.OUT = Console(record=True, width=112, file=io.StringIO())
show.show_scores(show_report(open_workspace(), sys.argv[1]).as_json())
drawn = show.OUT.export_svg(title=f"fettle evaluate {sys.argv[1]}")
drawn = re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL)
drawn = drawn.replace("Fira Code", "DejaVu Sans Mono")
Path(sys.argv[2]).write_text(drawn, encoding="utf-8")
