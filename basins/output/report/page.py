"""Renders the report of a run as one HTML page."""

from __future__ import annotations

from importlib.resources import files as resources
from typing import TYPE_CHECKING

from basins.extras import importing
from basins.output.report.content import Page, content
from basins.summary.reading import Reading

if TYPE_CHECKING:
    from basins.comparison.several import Path
    from basins.run_tables import Run


def report(run: Run) -> str:
    """The report of a run, finished or in progress, as HTML. Raises RunError for a damaged run, MissingExtraError if
    the extra `report` is not installed."""
    return page(Reading(run))


def report_of_several(*runs: Path) -> str:
    """The page of two runs or more, by path or opened. Raises as `report` does."""
    from basins.output.report.several import content_of_several

    return rendered(content_of_several(*runs))


def page(read: Reading) -> str:
    """The report of a run whose parts are read through `read`, so that they can be shared with other output."""
    return rendered(content(read))


def rendered(page: Page) -> str:
    """A page as HTML. Raises MissingExtraError without Jinja2."""
    with importing("jinja2", "a report"):
        from jinja2 import Environment, StrictUndefined
    here = resources("basins.output.report")
    css = here.joinpath("style.css").read_text("utf-8")
    template = here.joinpath("report.html.jinja").read_text("utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)
    return environment.from_string(template).render(page=page, css=css)
