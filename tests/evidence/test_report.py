"""The report: its content, the escaping of names, and how a real browser shows it."""

from __future__ import annotations

import html
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from browser import browsing, chromium, look
from click.testing import CliRunner
from made_runs import CONTROL, GAUSSIAN, HEAD, Fates, experiment, made

from basins import cli
from basins.estimate.sentences import REMEDIES, at_most
from basins.experiment import Case
from basins.output.figures.staircase import Flows
from basins.output.report import content, report
from basins.run_tables import Run, open_run

N = 1500
NASTY = '<script>alert("1")</script> & "quoted" <img src=x onerror=alert(2)> $\\alpha$'


class Text(HTMLParser):
    """The words of a page, its tags, and the sources of its images."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words, self.tags, self.sources, self.links = list[str](), list[str](), list[str](), list[str]()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found = dict(attrs)
        self.sources += [found["src"] or ""] if "src" in found else []
        self.links += [found["href"] or ""] if "href" in found else []
        assert not any(name.startswith("on") for name in found)

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def fates(rng: np.random.Generator, saddles: dict[int, int] | None = None, censored: tuple[int, ...] = ()) -> Fates:
    visits = {id: [(0.05, 0, 0.02), (0.15, 1, 0.01)] for id in range(0, N, 3)}
    t = 0.2 * rng.uniform(size=N) ** -0.5
    t[list(censored)] = 50.0
    return Fates(t, saddles or {}, censored, visits, drift=1e-9, evaluations=rng.integers(50, 900, N))


HELD = Fates(1.0, dict.fromkeys(range(N), 1))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A name that is HTML, a case of each kind."""
    cases = f"[[case]]\nname = 'free {NASTY}'\nlaw = {{ name = 'gaussian', scale = 0.5 }}\n" + CONTROL
    of = experiment(N, cases, name="X", head=HEAD.replace("{name!r}", f"'{NASTY}'"))
    rng = np.random.default_rng(3)
    by_name = {case.name: HELD if case.law.null else fates(rng, censored=(7, 8)) for case in of.cases}
    return made(tmp_path_factory.mktemp("report") / "run", of, by_name)


@pytest.fixture(scope="module")
def page(run: Run) -> str:
    return report(run)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages whose figures are made but not drawn, for tests that check only words."""

    def picture(figure: object, caption: str, alt: str) -> content.Picture:
        return content.Picture("data:,", 1, 1, caption, alt)

    monkeypatch.setattr(content, "picture", picture)

    def sampled(run: Run, case: Case) -> Flows:
        return Flows(case.name, np.array([0.0, 1.0, 2.0]), np.array([[2.5, 1.0, 0.0]]))

    monkeypatch.setattr(content, "sampled", sampled)
    monkeypatch.setattr(content, "SAMPLES", 2)


# --- what it says ---------------------------------------------------------------------------------------------------


def test_the_report_has_the_verdict_its_bound_and_all_sections(run: Run, page: str) -> None:
    said = Text(page).text
    case = run.estimate().cases[0]
    for wanted in (
        "How much of the law of starts flows to a saddle instead?",
        f"No saddle among 1,500 trajectories, but 2 are censored (evaluation budget: 2; "
        f"{REMEDIES['evaluation budget']}). Each counts as a saddle in the bound: the saddle basins hold less than "
        f"{at_most(case.saddle_measure.upper)}",
        "label error: not measured",
        "it should read 100 % saddle there, and does (1,500 of 1,500)",
        "(saddle + censored) / N = 2 / 1,500",
        "The Kaplan-Meier estimator, which assumes random censoring, would be too low",
        "Predicted, H = 2: power law of exponent kappa = 3, a heuristic (theory.md 5)",
        "1,500 trajectories watched (every 1-th id), 1,000 saddles passed",
        "What could be wrong",
        "Censored: 2 of 1,500 trajectories (0.001333)",
        "Null laws, whose starts fill no volume: control.",
        "Drift of the invariants, which the flow keeps exactly: at most 1e-09",
        "distinct singular values",
        "sigma = [ 2.0, 1.0, ]",
        run.manifest.digest,
        "made with numpy",
    ):
        assert wanted in said, wanted


def test_report_figure_and_tables_have_one_p_value(run: Run, page: str) -> None:
    """The same number of samples everywhere, and the same words at the floor of the p-value."""
    from basins.output.figures.of_run import figure_of
    from basins.summary import summaries, tabulated
    from basins.summary.tails import SAMPLES, p_sentence, p_text

    fits = tabulated.tail_fits(summaries(run))
    assert len(fits)
    cells = [(row.kind, p_text(row.p_value, row.p_at_floor)) for row in fits.itertuples()]
    rows = re.findall(r"<tr>.*?</tr>", page, re.DOTALL)
    for kind, text in cells:
        assert [row for row in rows if kind in row and html.escape(text) in row], (kind, text)
    figure = figure_of(run, "survival", fits["case"].iloc[0])
    legend = " ".join(text.get_text() for text in figure.findobj(mpl.text.Text))
    for row in fits.itertuples():
        assert p_sentence(row.p_value, row.p_at_floor) in legend
        assert round(row.p_value * (SAMPLES + 1), 6) % 1 == 0
        assert row.p_at_floor == (row.p_value == 1 / (SAMPLES + 1))


def test_the_bound_of_survival_is_printed_once(page: str) -> None:
    case_text = Text(page.split("<section>")[1]).text
    assert case_text.count("2 / 1,500") == 1


def test_the_report_requests_nothing(run: Run, page: str) -> None:
    found = Text(page)
    assert found.sources
    assert all(source.startswith("data:image/svg+xml;base64,") for source in found.sources)
    assert found.links == ["data:,"]
    assert "default-src 'none'" in page
    assert "url(" not in page.split("</style>")[0]
    assert run.path not in page


def test_names_are_escaped(page: str) -> None:
    """A name that is a script shows as it was written, in the title, headings, tables and pictures' texts."""
    found = Text(page)
    assert "script" not in found.tags
    assert found.tags.count("img") == len(found.sources)
    assert found.text.count('<script>alert("1")</script> & "quoted"') > 5


@pytest.mark.usefixtures("undrawn")
def test_a_failed_control_comes_first(tmp_path: Path, rng: np.random.Generator) -> None:
    almost = Fates(1.0, dict.fromkeys(range(1, N), 1))
    run = made(tmp_path, experiment(N, GAUSSIAN + CONTROL), {"gaussian": fates(rng), "control": almost})
    said = Text(report(run)).text
    assert said.index("A control failed.") < said.index("the saddle basins hold less than")
    assert (
        "CONTROL FAILED: planted on I(3), S = {0}, it should read 100 % saddle there and reads 1,499 of 1,500" in said
    )
    assert "Not to be relied on, because the control failed: No saddle among" in said
    assert "until that is explained, no count of this run can be trusted" in said


@pytest.mark.usefixtures("undrawn")
def test_saddles_come_first(tmp_path: Path, rng: np.random.Generator) -> None:
    run = made(tmp_path, experiment(N), {"gaussian": fates(rng, {5: 1, 6: 0})})
    said = Text(report(run)).text
    assert said.index("Saddles were found.") < said.index("2 of 1,500 trajectories end on a saddle")
    assert "No control: no case of this run starts on a saddle's stable manifold" in said


# --- runs that have little ------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("undrawn")
def test_an_empty_run_says_so(tmp_path: Path) -> None:
    said = Text(report(made(tmp_path, experiment(N, GAUSSIAN + CONTROL), {}))).text
    assert "Nothing is counted yet. No case has its first shard" in said
    assert "Nothing to count yet: shard 0 is not there" in said
    assert "0 of 1,500" in said


@pytest.mark.usefixtures("undrawn")
def test_a_case_without_trajectories_is_named(tmp_path: Path, rng: np.random.Generator) -> None:
    said = Text(report(made(tmp_path, experiment(N, GAUSSIAN + CONTROL), {"gaussian": fates(rng)}))).text
    assert "Cases without trajectories: control." in said
    assert "This run is not finished. 2 of 4 shards are missing" in said
    assert "No control" in said


@pytest.mark.usefixtures("undrawn")
def test_only_censored_rows_bound_nothing(tmp_path: Path) -> None:
    said = Text(report(made(tmp_path, experiment(N), {"gaussian": Fates(1.0, {}, range(N))}))).text
    assert "Only censored rows: gaussian: these decide nothing, and bound nothing." in said
    assert "the saddle basins hold less than 1 of this law" in said
    assert "1,500 censored, whose way on is not known" in said


@pytest.mark.usefixtures("undrawn")
def test_without_visits_the_report_says_that_no_id_was_watched(tmp_path: Path) -> None:
    said = Text(report(made(tmp_path, experiment(N, visits_every=0), {"gaussian": Fates(1.0)}))).text
    assert "No id is watched (visits_every = 0), so nothing is known of the saddles passed on the way." in said


@pytest.mark.usefixtures("undrawn")
def test_the_counted_part_of_a_run_in_progress_is_reported(tmp_path: Path) -> None:
    run = made(tmp_path, experiment(5000), {"gaussian": Fates(1.0)}, shards=[0, 1, 3])
    said = Text(report(open_run(run.path))).text
    assert "2 of 5 shards are missing; each case is counted up to its first gap" in said
    assert "2,048 of 5,000" in said


@pytest.mark.usefixtures("undrawn")
def test_many_cases_have_rows_and_remarkable_ones_have_sections(tmp_path: Path, rng: np.random.Generator) -> None:
    cases = "".join(
        f'[[case]]\nname = "c{k}"\nlaw = {{ name = "gaussian", scale = {0.1 + k / 10:.1f} }}\n' for k in range(12)
    )
    by_name = {f"c{k}": Fates(1.0, {3: 1} if k == 9 else {}, (4,) if k == 11 else ()) for k in range(12)}
    page = report(made(tmp_path, experiment(20, cases), by_name))
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    assert headings[:8] == ["c0", "c1", "c2", "c3", "c4", "c5", "c9", "c11"]
    assert "4 more cases are only in the table." in page


# --- the command ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_command_writes_one_file_the_same_each_time(run: Run, tmp_path: Path, page: str) -> None:
    """In another process, with other hash seeds: the same bytes."""
    target = tmp_path / "out" / "page.html"
    command = [sys.executable, "-m", "basins.cli", "report", run.path, "-o", str(target)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == str(target)
    assert target.read_text("utf-8") == page
    assert [path.name for path in target.parent.iterdir()] == ["page.html"]


@pytest.mark.parametrize(
    ("run_path", "out", "said"),
    [("nowhere", "x.html", "not a run"), ("RUN", ".", "a folder"), ("s3x://a/b", "x.html", "s3x://")],
)
def test_refusals(
    run: Run, run_path: str, out: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli.main, ["report", run.path if run_path == "RUN" else run_path, "-o", out])
    assert done.exit_code == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_run_of_another_schema_is_refused(run: Run, tmp_path: Path) -> None:
    """Mixed versions: a manifest of another schema, and a shard of another schema in a run of this one."""
    import shutil

    there = tmp_path / "run"
    shutil.copytree(run.path, there)
    manifest = there / "manifest.json"
    text = manifest.read_text()
    manifest.write_text(re.sub(r'"schema": \d+', '"schema": 99', text))
    done = CliRunner().invoke(cli.main, ["report", str(there), "-o", str(tmp_path / "x.html")])
    assert done.exit_code == 2
    assert "schema version 99" in done.stderr
    manifest.write_text(text)
    import pyarrow.parquet as pq

    part = sorted(there.glob("blocks/*/part-00000000.parquet"))[0]
    table = pq.read_table(part)
    metadata = {**table.schema.metadata, b"basins.schema": b"99"}
    pq.write_table(table.replace_schema_metadata(metadata), part)
    done = CliRunner().invoke(cli.main, ["report", str(there), "-o", str(tmp_path / "x.html")])
    assert done.exit_code == 2
    assert "belongs to another schema" in done.stderr
    assert not (tmp_path / "x.html").exists()


# --- in a browser ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    if chromium() is None:
        pytest.skip("no Chromium on this machine: how the report looks is not tested here")
    with browsing() as where:
        yield where


@pytest.mark.parametrize("width", [400, 1400])
def test_a_browser_shows_the_report(address: str, page: str, width: int, tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    target.write_text(page, "utf-8")
    seen = look(address, target, width)
    assert seen["complaints"] == []
    assert seen["width"] == width
    assert seen["scroll"] <= width
    assert seen["outside"] == 0
    assert seen["smallest"] >= 12
    assert seen["scripts"] == 0
    assert len(seen["images"]) == page.count("<img ")
    for image in seen["images"]:
        assert image["complete"]
        assert image["natural"] > 100
        assert 300 <= image["width"] <= width
        assert image["height"] > 50
        assert image["alt"]
    assert "What could be wrong" in seen["text"]
    assert '<script>alert("1")</script>' in seen["text"]


def test_the_browser_check_finds_faults(address: str, tmp_path: Path) -> None:
    """The same check on a page with an error, a request, a wide block and small print finds all of them."""
    bad = tmp_path / "bad.html"
    bad.write_text(
        "<main><p style='font-size:9px'>small</p><div style='width:2000px'>wide</div>"
        "<img src='missing.png'><script>console.error('no'); throw new Error('thrown')</script></main>"
    )
    seen = look(address, bad, 400)
    said = " ".join(seen["complaints"])
    assert "console:" in said
    assert "exception:" in said
    assert "missing.png" in said
    assert seen["scroll"] > 400
    assert seen["smallest"] == 9
    assert seen["outside"] > 0
    assert seen["images"][0]["natural"] == 0
