"""`basins report`: a run on one self-contained page. Needs the extra `report`.

content.py has its content, doubts.py what could be wrong, report.html.jinja and style.css its look. The template
escapes everything that comes from the experiment (names, text). Figures are SVG in the page, and a content policy in
its head keeps it from loading anything. It contains no clock, path or host, so the same run gives the same bytes.
"""

from basins.output.report.page import page, report, report_of_several

__all__ = ["page", "report", "report_of_several"]
