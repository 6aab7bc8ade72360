"""`basins report`: a run on one page that needs nothing else. Needs the extra `report`.

content.py says what is on it, doubts.py what could be wrong, report.html.jinja and style.css how it looks. Everything
from the experiment (names, text) is escaped by the template; figures are SVG in the page, and a content policy in its
head keeps it from loading anything at all. No clock, path or host is on it: the same run gives the same bytes.
"""

from basins.output.report.page import page, report

__all__ = ["page", "report"]
