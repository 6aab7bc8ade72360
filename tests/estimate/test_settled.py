"""Settled rows that agree on a stratum are counted as censored and mentioned in the sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from chosen_counts import BALANCED, GAUSSIAN, Outcome, experiment, made

from basins.estimate import estimate_run
from basins.estimate.case import CaseEstimate
from basins.estimate.sentences import REMEDIES, WAITED, sentence
from basins.landscapes.deep_linear.strata import mask_to_modes
from basins.output.report.doubts import doubts

NEAR = '[[case]]\nname = "gaussian"\nlaw = { name = "near_planted", modes = [0], distance = 1e-200 }\n'


def of(path: Path, losses: list[float], cases: str = GAUSSIAN, hidden: tuple[int, ...] = (2, 2)) -> CaseEstimate:
    """The estimate of 50 rows of sigma = (2, 1), of which the first settled at these losses."""
    odd: dict[int, Outcome] = {id: ("censored", "settled", loss) for id, loss in enumerate(losses)}
    chosen = experiment(cases, trajectories=50, hidden=hidden)
    run = made(path, chosen, {chosen.cases[0].name: odd})
    found = estimate_run(run)
    [case] = found.cases
    assert (case.saddle, case.censored) == (0, len(losses))
    assert case.saddle_measure.lower == 0  # never a saddle in the lower bound
    assert case.saddle_measure.upper > len(losses) / 50
    alike = [one for one in doubts(found, []) if "settled rows" in one]
    assert len(alike) == ("settled rows" in sentence(case))
    return case


@pytest.mark.parametrize(
    ("loss", "modes", "said"),
    [
        (0.5, (0,), "All 3 settled rows whose loss identifies a stratum are beside one, I(3), S = {0}: evidence"),
        (2.5, (), "beside one, I(1), S = {}: evidence against the conjecture would look like this, if survival also"),
        (2.0, (1,), "beside one, I(2), S = {1}: all its saddles are strict, and their basins are null"),
    ],
)
def test_settled_rows_that_agree_are_mentioned(tmp_path: Path, loss: float, modes: tuple[int, ...], said: str) -> None:
    case = of(tmp_path, [loss, loss * (1 + 1e-9), loss])
    assert case.settled == {modes: 3}
    assert said in sentence(case)


@pytest.mark.parametrize("losses", [[0.5], [0.5, 2.5], [0.7, 0.7], [0.5, 0.5, 2.0]])
def test_a_single_row_or_rows_that_differ_are_not_mentioned(tmp_path: Path, losses: list[float]) -> None:
    case = of(tmp_path, losses)
    assert "settled rows" not in sentence(case)
    assert sum(case.settled.values()) == sum(loss != 0.7 for loss in losses)


def test_a_law_beside_the_stratum_is_no_evidence(tmp_path: Path) -> None:
    assert "the starts of this law lie beside it, so this is no evidence" in sentence(
        of(tmp_path / "near", [0.5] * 4, NEAR)
    )
    assert "evidence against the conjecture would look" in sentence(of(tmp_path / "other", [2.5] * 4, NEAR))


def test_one_hidden_layer_has_strict_saddles_only(tmp_path: Path) -> None:
    assert "are strict" in sentence(of(tmp_path, [0.5] * 4, hidden=(2,)))


def test_the_remedy_depends_on_the_law(tmp_path: Path) -> None:
    """A larger budget does not help where settled rows are not waited for."""
    case = of(tmp_path / "density", [0.5, 0.5])
    assert f"settled: 2; {REMEDIES['settled']}" in sentence(case)
    assert "budget" not in REMEDIES["settled"]
    null = of(tmp_path / "null", [0.5, 0.5], BALANCED)
    assert "settled rows" not in sentence(null)
    assert "--budget" in WAITED


def test_a_loss_identifies_a_stratum_only_if_it_is_unique(tmp_path: Path) -> None:
    """5^2 is 4^2 + 3^2: the critical values of S = {1,2} and S = {0} are one to eight digits."""
    chosen = experiment(trajectories=50, sigma=(5.0, 4.0, 3.0000001), hidden=(3, 3))
    strata = chosen.cases[0].problem.strata()
    odd: dict[int, Outcome] = {
        0: ("censored", "settled", strata.of([0]).loss),
        1: ("censored", "settled", strata.of([0, 1]).loss),
    }
    [case] = estimate_run(made(tmp_path, chosen, {"gaussian": odd})).cases
    assert case.settled == {mask_to_modes(0b011): 1}
