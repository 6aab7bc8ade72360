"""The output of `basins verify`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rich.console import Console

from basins.errors import RunError
from basins.estimate.sentences import at_most, modes_text
from basins.experiment import Case
from basins.landscapes.deep_linear.problem import Problem
from basins.landscapes.deep_linear.strata import mask_to_modes
from basins.output.console.screen import columns, counted, heading, indented, paragraph
from basins.store import Manifest
from basins.verify import ProvedCheck, Trouble, Verification
from basins.verify.labels import CheckedRow, LabelCheck

LISTED = 20
"""The largest numbers of lines printed about damage and about rows; --json has all."""


def print_verification(out: Console, manifest: Manifest, found: Verification) -> None:
    """Print what was checked, what is damaged, and the result of the label checks."""
    heading(out, "verify", found.run)
    if not any(one.trouble is Trouble.manifest for one in found.findings):
        _bytes(out, found)
        if found.labels is not None:
            _labels(out, manifest, found.labels)
            if found.missing and found.labels.rows:
                paragraph(out, "This counts only for the shards that exist now; verify again when there are more")
        if found.proofs is not None:
            _proofs(out, manifest, found.proofs)
    for one in found.findings[:LISTED]:
        aside = found.set_aside is not None and one not in found.left
        paragraph(out, f"{'set aside' if aside else 'DAMAGED'}: {one}", style="" if aside else "bold red")
    if len(found.findings) > LISTED:
        paragraph(out, f"... and {counted(len(found.findings) - LISTED, 'more line')}")
    for path in found.foreign[:LISTED]:
        # pandas, pyarrow and other readers of a whole folder ignore names that begin with these.
        taken = not path.rpartition("/")[2].startswith((".", "_"))
        harm = "; move it away before another program reads the whole folder" * taken
        paragraph(out, f"foreign, and left alone: {path}{harm}")
    if len(found.foreign) > LISTED:
        paragraph(out, f"... and {counted(len(found.foreign) - LISTED, 'more foreign file')}")
    if found.set_aside is not None:
        paragraph(
            out,
            f"Damaged files were moved to {found.set_aside} in the run; nothing was deleted. Give the run's command "
            "again to compute the missing shards.",
        )
    out.print()


def _bytes(out: Console, found: Verification) -> None:
    paragraph(
        out,
        f"{counted(found.good, 'shard')} of {found.shards:,} without fault, {found.trajectories:,} trajectories: "
        "digests, footers, pages, rows, blocks",
    )
    if found.missing:
        paragraph(out, f"{counted(found.missing, 'shard')} missing (so far): give the run's command to continue")
    if found.without_digests:
        paragraph(
            out, f"{counted(found.without_digests, 'shard')} without digests so far: checked by their own footers"
        )
    again = found.again
    if again is not None and again.skipped:
        paragraph(out, f"no block was computed again: {again.skipped}")
    elif again is not None:
        same = "bit for bit the same" if not again.findings else "NOT ALL THE SAME"
        may = f", except {counted(again.outside, 'row')} outside the promise about bytes" * (again.outside > 0)
        paragraph(out, f"{counted(again.blocks, 'block')} computed again: {same}{may}")


def _labels(out: Console, manifest: Manifest, labels: LabelCheck) -> None:
    for name, why in labels.skipped.items():
        paragraph(out, f"labels of case {name} were not checked: {why}")
    if not labels.rows:
        paragraph(out, "no label was checked")
        return
    out.print()
    table = columns("verdict", "law", "checked", "agree", "disagree", "undecided", "wrong, at most (95 %)", text=(0, 1))
    for group, rows in labels.groups.items():
        if isinstance(rows, Counter):
            resolved = [f"{rows[word]:,} {word}" for word in ("minimum", "saddle") if rows[word]]
            text = f"now {', '.join(resolved)}" if resolved else "all undecided again"
            table.add_row(group.verdict, group.law, f"{rows.total():,}", "", "", f"{rows['undecided']:,}", text)
        else:
            agreed = rows.checked - rows.disagreed - rows.undecided
            numbers = [f"{k:,}" for k in (rows.checked, agreed, rows.disagreed, rows.undecided)]
            table.add_row(group.verdict, group.law, *numbers, at_most(rows.upper))
    indented(out, table)
    for line in [*_others(manifest, labels)][:LISTED]:
        paragraph(out, line, style="bold red" if "DISAGREES" in line else "")
    paragraph(out, f"kept in {labels.path}, for `basins estimate`")


def _proofs(out: Console, manifest: Manifest, proofs: ProvedCheck) -> None:
    again = f"; {counted(proofs.again, 'start')} proved again" * (proofs.again > 0)
    paragraph(
        out,
        f"{counted(proofs.starts, 'row')} of proofs without fault, {proofs.proved:,} proved to flow to a global "
        f"minimum: digests, footers, rows{again}",
    )
    if proofs.missing:
        paragraph(out, f"{counted(proofs.missing, 'shard')} of a sample not proved yet: give its command to continue")
    for folder in proofs.others:
        paragraph(out, f"not read, from another version of the proof: {folder}")
    for line in contradictions(manifest, proofs)[:LISTED]:
        paragraph(out, line, style="bold red")


def contradictions(manifest: Manifest, proofs: ProvedCheck) -> list[str]:
    """One line for each row whose label contradicts a proof."""
    return [
        f"WRONG LABEL: id {one.id} of case {manifest.case(one.case).name} is labelled saddle, and its start is proved "
        f"to flow to a global minimum (basins show RUN --case {one.case} --id {one.id} --reintegrate)"
        for one in proofs.contradictions
    ]


def _others(manifest: Manifest, labels: LabelCheck) -> Iterator[str]:
    """The rows that do not agree: first those that disagree, then the undecided ones."""
    order = {"disagreed": 0, "undecided": 1}
    rows = [one for one in labels.rows if one.found in order and one.row.verdict != "censored"]
    for one in sorted(rows, key=lambda one: order[one.found]):
        case = manifest.case(one.row.case)
        word = "DISAGREES" if one.found == "disagreed" else "undecided"
        yield (
            f"{word}: id {one.row.id} of case {case.name} is {_limit(case, one.row.verdict, one.row.modes)}; 100 times "
            f"tighter it is {_tighter(case, one)} (basins show RUN --case {case.key} --id {one.row.id} --reintegrate)"
        )


def _tighter(case: Case, one: CheckedRow) -> str:
    return f"censored ({one.reason})" if one.verdict == "censored" else _limit(case, one.verdict, one.modes)


def _limit(case: Case, verdict: str, modes: int | None) -> str:
    critical = case.landscape.critical
    if modes is None or modes == critical.global_minimum:
        return verdict
    if not isinstance(case.landscape, Problem):
        return f"{verdict}, {critical.describe(modes).name}"
    return f"{verdict} S = {modes_text(mask_to_modes(modes))}"


def refusal(found: Verification) -> RunError | None:
    """The error for a run that is still damaged, None if it is not."""
    if not found.left:
        return None
    first, more = found.left[0], len(found.left) - 1
    troubles = {one.trouble for one in found.left}
    if Trouble.manifest in troubles:
        remedy = "put back a copy of it, or run the experiment into another --out: no shard can be checked without it"
    elif troubles == {Trouble.computed}:
        remedy = "keep this run and report it: the same run must give the same bytes"
    elif troubles == {Trouble.data}:
        remedy = f"put back a copy of {first.path}: the rows are as they were, and no other file has its data"
    else:
        remedy = "`basins verify RUN --repair` sets damage aside, and the run's command computes it again"
    return RunError(f"damaged: {first}{f'; and {more} more' * (more > 0)}", where=found.run, remedy=remedy)
