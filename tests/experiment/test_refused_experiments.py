"""Errors in an experiment are refused when it is loaded: in one line, with the place and a remedy."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st
from small_experiment import BASE, HEAD, experiment

from basins.errors import AssumptionError, BasinsError, DataError, ExperimentError
from basins.experiment import load
from basins.integrators.base import Settings

IRIS = '[data]\npath = "iris.csv"\ntargets = ["species"]\n'
SPECTRUM = '[data]\nsource = "spectrum"\nsigma = [2, 1]\nd_x = 3\n'


def swap(old: str, new: str) -> str:
    assert old in BASE
    return BASE.replace(old, new)


REFUSED: list[tuple[str, type[BasinsError], str]] = [
    # the file
    ("name = ", ExperimentError, "t.toml: not TOML: Invalid value (at end of document); correct that line"),
    (swap("name = ", "nam = "), ExperimentError, "t.toml: nam: unknown key 'nam'; did you mean 'name'?"),
    (
        swap("trajectories = 10", ""),
        ExperimentError,
        "t.toml: trajectories: missing; give a whole number of at least 1",
    ),
    (
        swap("= 10", "= 0"),
        ExperimentError,
        "t.toml: trajectories: trajectories = 0; give a whole number of at least 1, below 2^53",
    ),
    (swap("= 10", "= 10.5"), ExperimentError, "t.toml: trajectories: trajectories = 10.5; give a whole number"),
    (swap("= 10", "= true"), ExperimentError, "trajectories = true; give a whole number"),
    (swap("seed = 1", ""), ExperimentError, "t.toml: seed: missing; give a whole number from 0 to 2^64 - 1"),
    (swap("seed = 1", "seed = -1"), ExperimentError, "seed = -1; give a whole number from 0 to 2^64 - 1"),
    (swap("seed = 1", f"seed = {2**64}"), ExperimentError, f"seed = {2**64}; give"),
    (swap("seed = 1", "seed = nan"), ExperimentError, "seed = nan; give a whole number from 0"),
    (swap('"small"', '""'), ExperimentError, "t.toml: name: name = ''; give a text of one line"),
    (swap('"small"', '"a\\nb"'), ExperimentError, r"name = 'a\nb'; give a text of one line"),
    (
        "blocks_per_shard = 0\n" + BASE,
        ExperimentError,
        'blocks_per_shard = 0; give a whole number of at least 1, or "auto"',
    ),
    ("visits_every = -1\n" + BASE, ExperimentError, "visits_every = -1; give a whole number, 0 for none"),
    # data
    (swap(SPECTRUM, ""), ExperimentError, "t.toml: no table [data]; add [data]"),
    (
        swap('"spectrum"', '"spectre"'),
        ExperimentError,
        "t.toml: data.source: unknown source 'spectre'; did you mean 'spec",
    ),
    (swap('"spectrum"', '"sklearn:digit"'), ExperimentError, "did you mean 'sklearn:digits'?"),
    (swap('"spectrum"', "3"), ExperimentError, "t.toml: data.source: unknown source 3"),
    (swap("d_x = 3", "dx = 3"), ExperimentError, "t.toml: data.dx: unknown key 'dx'; did you mean 'd_x'?"),
    (swap("d_x = 3", ""), ExperimentError, "t.toml: data.d_x: missing; give a whole number of at least 1"),
    (swap("d_x = 3", "d_x = 1"), AssumptionError, "t.toml: data.d_x: Assumption 1: d_x = 1 is below d_y = 2"),
    (swap("[2, 1]", "[2, 2]"), AssumptionError, "t.toml: data.sigma: Assumption 3: singular values 0 and 1 are tied"),
    (swap("[2, 1]", "[1, 2]"), ExperimentError, "t.toml: data.sigma: singular values [1.0, 2.0] do not fall"),
    (
        swap("[2, 1]", "[2, nan]"),
        ExperimentError,
        "t.toml: data.sigma: singular values [2.0, nan] are not all positive",
    ),
    (swap("[2, 1]", "[]"), ExperimentError, "t.toml: data.sigma: singular values [] are not"),
    (swap("[2, 1]", '[2, "1"]'), ExperimentError, "t.toml: data.sigma: sigma[1] = '1'; give a list of singular values"),
    (
        swap(SPECTRUM, "[data]\nstandardise = true\n"),
        ExperimentError,
        "t.toml: data.path: missing; give a file, or source",
    ),
    (
        swap(SPECTRUM, '[data]\npth = "iris.csv"\n'),
        ExperimentError,
        "t.toml: data.pth: unknown key 'pth'; did you mean 'path'?",
    ),
    (swap("d_x = 3", 'd_x = 3\npath = "a.csv"'), ExperimentError, "t.toml: data: both path and source; take one out"),
    (swap(SPECTRUM, '[data]\npath = "none.csv"\n'), DataError, "none.csv: no such file; a path is relative to"),
    (
        swap(SPECTRUM, '[data]\npath = "iris.csv"\ntargets = ["specie"]\n'),
        DataError,
        "iris.csv: no column 'specie'; did you mean 'species'?",
    ),
    (
        swap(SPECTRUM, '[data]\npath = "iris.csv"\ntargets = "species"\n'),
        ExperimentError,
        "t.toml: data.targets: targets = 'species'; give a list of names",
    ),
    (
        swap(SPECTRUM, '[data]\npath = "iris.csv"\ntargets = ["species"]\nstandardise = true\n'),
        AssumptionError,
        "t.toml: data: X, Y: Assumption 2: the reduced target Ybar has rank 2 of d_y = 3",
    ),
    (
        swap(SPECTRUM, '[data]\nsource = "gaussian"\nsamples = 1\nd_x = 2\nd_y = 1\n'),
        DataError,
        "t.toml: data: X, Y: 1 sample is no data set; give at least two samples",
    ),
    # network
    (
        swap("[2, 2]", "[0, 2]"),
        ExperimentError,
        "t.toml: network.hidden: width 0; widths are whole numbers of at least 1",
    ),
    (swap("[2, 2]", "[2, -2]"), ExperimentError, "t.toml: network.hidden: width -2"),
    (swap("[2, 2]", "[2, 2.0]"), ExperimentError, "t.toml: network.hidden: hidden[1] = 2.0; give a list of widths"),
    (swap("[2, 2]", "[]"), ExperimentError, "t.toml: network.hidden: no hidden layer"),
    (
        swap("[2, 2]", "[2, 1]"),
        AssumptionError,
        "t.toml: network.hidden: Assumption 1: hidden width(s) [1] below d_y = 2",
    ),
    (
        swap("hidden = [2, 2]", "hiden = [2]"),
        ExperimentError,
        "t.toml: network.hiden: unknown key 'hiden'; did you mean",
    ),
    (
        swap("[law]", 'flow = "rawer"\n[law]'),
        ExperimentError,
        'network.flow: flow = \'rawer\'; give "reduced" or "raw"',
    ),
    (
        swap("[law]", 'flow = "raw"\n[law]'),
        ExperimentError,
        'network.flow: the raw flow needs X and Y; set flow = "reduced"',
    ),
    # law
    (swap('[law]\nname = "gaussian"\nscale = 0.5', ""), ExperimentError, "t.toml: no table [law]; add [law]"),
    (swap('name = "gaussian"', ""), ExperimentError, "t.toml: law.name: missing; give a law"),
    (
        swap('"gaussian"', '"gausian"'),
        ExperimentError,
        "t.toml: law.name: unknown law 'gausian'; did you mean 'gaussian'?",
    ),
    (swap('"gaussian"', '["gaussian"]'), ExperimentError, "t.toml: law.name: unknown law"),
    (swap("scale = 0.5", ""), ExperimentError, "t.toml: law.scale: law 'gaussian' needs scale"),
    (
        swap("scale = 0.5", "scal = 1"),
        ExperimentError,
        "t.toml: law.scal: law 'gaussian' has no parameter 'scal'; did you",
    ),
    (swap("0.5", "0"), ExperimentError, "t.toml: law.scale: scale = 0; give a scale above zero and finite"),
    (swap("0.5", "nan"), ExperimentError, "t.toml: law.scale: scale = nan"),
    (swap("0.5", "[0.5, 0.5]"), ExperimentError, "t.toml: law.scale: 2 scale(s) for 3 layers"),
    (
        swap('"gaussian"\nscale = 0.5', '"planted"\nmodes = [2]'),
        ExperimentError,
        "t.toml: law.modes: mode 2 is not among 0..1",
    ),
    (
        HEAD
        + '[data]\npath = "iris.csv"\ntargets = ["species"]\n[network]\nhidden = [4]\nflow = "raw"\n'
        + '[law]\nname = "planted"\nmodes = [0]\n',
        ExperimentError,
        'a planted start escapes in the raw flow: X X^T mixes the columns of W_1; set flow = "reduced"',
    ),
    # engine
    (BASE + "[engine]\nrtoll = 1", ExperimentError, "t.toml: engine.rtoll: unknown key 'rtoll'; did you mean 'rtol'?"),
    (BASE + "[engine]\nrtol = -1e-8", ExperimentError, "t.toml: engine.rtol: rtol = -1e-08; tolerances are positive"),
    (BASE + "[engine]\nrtol = 1e-14", ExperimentError, "t.toml: engine.rtol: rtol = 1e-14 is below 100 eps = 2.22e-14"),
    (BASE + "[engine]\natol = 0", ExperimentError, "t.toml: engine.atol: atol = 0.0; tolerances are positive"),
    (BASE + "[engine]\natol = nan", ExperimentError, "t.toml: engine.atol: atol = nan; tolerances are positive"),
    (BASE + '[engine]\nrtol = "1e-8"', ExperimentError, "t.toml: engine.rtol: rtol = '1e-8'; give a number"),
    (BASE + "[engine]\nt_end = 0", ExperimentError, "t.toml: engine.t_end: t_end = 0.0; give a time above zero"),
    (BASE + "[engine]\nt_end = nan", ExperimentError, "t.toml: engine.t_end: t_end = nan"),
    (BASE + "[engine]\ncertify = 1", ExperimentError, "t.toml: engine.certify: certify = 1; give true or false"),
    (
        BASE + "[engine]\ncertify = false",
        ExperimentError,
        "t.toml: engine.t_end: certify = false without t_end never stops",
    ),
    (BASE + "[engine]\nbudget = 0", ExperimentError, "t.toml: engine.budget: budget = 0; give evaluations, at least 1"),
    (BASE + "[engine]\ndelta = 2", ExperimentError, "t.toml: engine.delta: delta = 2.0; give a margin"),
    (
        BASE + '[engine]\nname = "referense"',
        ExperimentError,
        "t.toml: engine.name: unknown engine 'referense'; did you mean",
    ),
    (
        BASE + '[engine]\nname = "reference"\nmethod = "RK54"',
        ExperimentError,
        "t.toml: engine.method: engine 'reference' has no method 'RK54'",
    ),
    # cases and sweep
    (
        BASE + '[case]\nname = "a"',
        ExperimentError,
        "t.toml: case: case = {'name': 'a'}; give tables, each headed [[case]]",
    ),
    (BASE + "[[case]]\nseed = 2", ExperimentError, "t.toml: case 1: seed: unknown key 'seed'"),
    (BASE + "[[case]]\ntrajectories = 2", ExperimentError, "t.toml: case 1: name: missing"),
    (BASE + '[[case]]\nname = "a"\nlaw.scale = 0', ExperimentError, "t.toml: case 'a': law.scale: scale = 0"),
    (BASE + '[[case]]\nname = "a"\nlaw = 3', ExperimentError, "t.toml: case 'a': law: law = 3; give a table"),
    (
        BASE + '[[case]]\nname = "a"\n[[case]]\nname = "b"\ntrajectories = 9',
        ExperimentError,
        "t.toml: cases 'a' and 'b' have the same problem, law and engine settings; take one out",
    ),
    (
        BASE + '[[case]]\nname = "a"\n[[case]]\nname = "a"\nlaw.scale = 9',
        ExperimentError,
        "t.toml: two cases are called 'a'; rename one",
    ),
    (
        swap("scale = 0.5", "[sweep]\nlaw.scale = [0.5, 0.5]"),
        ExperimentError,
        "have the same problem, law and engine settings",
    ),
    (BASE + "[sweep]\nlaw.scale = 0.5", ExperimentError, "t.toml: sweep.law.scale: law.scale = 0.5; give a key a list"),
    (BASE + "[sweep]\nlaw.scale = []", ExperimentError, "t.toml: sweep.law.scale: law.scale = []; give a key a list"),
    (BASE + "[sweep]\nlaw = [1]", ExperimentError, "t.toml: sweep.law: law = [1]; give a key a list of values"),
    (BASE + "[sweep]\nlaws.scale = [1]", ExperimentError, "t.toml: sweep.laws: no table 'laws' to sweep"),
    (BASE + "[sweep]\ntrajectories = [1, 2]", ExperimentError, "t.toml: sweep.trajectories: no table 'trajectories'"),
    (BASE + "[sweep]\nlaw.scal = [1]", ExperimentError, "t.toml: law.scal = 1: law.scal: law 'gaussian' has no"),
    (
        swap("scale = 0.5", "[sweep]\nlaw.scale = [1, 0]"),
        ExperimentError,
        "t.toml: law.scale = 0: law.scale: scale = 0; give",
    ),
    (
        BASE + "[sweep]\nlaw.scale = [1, 2]",
        ExperimentError,
        "t.toml: sweep.law.scale: given twice: [law] has scale = 0.5; take scale out of [law], or law.scale out of",
    ),
    (
        BASE + '[sweep]\n"data.sigma" = [[3, 1]]',
        ExperimentError,
        "sweep.data.sigma: given twice: [data] has sigma = [2,",
    ),
    (BASE + "[sweep]\nnetwork.hidden = [[3, 3]]", ExperimentError, "sweep.network.hidden: given twice: [network] has"),
    (BASE + '[sweep]\nlaw.name = ["he"]', ExperimentError, "sweep.law.name: given twice: [law] has name = 'gaussian'"),
    (
        BASE + "[engine]\nrtol = 1e-9\n[sweep]\nengine.rtol = [1e-9, 1e-8]",
        ExperimentError,
        "t.toml: sweep.engine.rtol: given twice: [engine] has rtol = 1e-09; take rtol out of [engine], or engine.rtol",
    ),
    (
        BASE + '[sweep]\n"engine.rtol" = [1e-9]\nengine.rtol = [1e-8]',
        ExperimentError,
        't.toml: sweep.engine.rtol: given twice in [sweep]: engine.rtol; give it once: "engine.rtol" = [...]',
    ),
    (
        BASE + '[[case]]\nname = "a"\nengine.rtol = 1e-9\n[sweep]\nengine.rtol = [1e-8]',
        ExperimentError,
        "t.toml: sweep.engine.rtol: no case takes it: each sets engine.rtol itself, or another engine; take it out",
    ),
    (
        swap("scale = 0.5", '[[case]]\nname = "a"\nlaw = { name = "he" }\n[sweep]\nlaw.scale = [1, 2]'),
        ExperimentError,
        "t.toml: sweep.law.scale: no case takes it: each sets law.scale itself, or another law; take it out of [sweep]",
    ),
    # data files
    (swap(SPECTRUM, IRIS + "separator = 5\n"), ExperimentError, "data.separator: separator = 5; give one character"),
    (
        swap(SPECTRUM, IRIS + 'separator = ";;"\n'),
        ExperimentError,
        "data.separator: separator = ';;'; give one character",
    ),
    (swap(SPECTRUM, IRIS + 'decimal = ";"\n'), ExperimentError, 'data.decimal: decimal = \';\'; give "." or ","'),
    (swap(SPECTRUM, IRIS + 'thousands = "x"\n'), ExperimentError, "data.thousands: thousands = 'x'; give one of"),
    (swap(SPECTRUM, IRIS + 'thousands = "."\n'), DataError, "data.thousands: '.' is the decimal mark too; set decimal"),
    (
        swap(SPECTRUM, IRIS + 'encoding = "utf-9"\n'),
        DataError,
        "data.encoding: unknown encoding 'utf-9'; give one that",
    ),
    (swap(SPECTRUM, IRIS + 'encoding = "base64"\n'), DataError, "data.encoding: unknown encoding 'base64'"),
    (
        swap(SPECTRUM, IRIS + "index = true\n"),
        ExperimentError,
        "data.index: index = true; give a column's name, a list",
    ),
    (swap(SPECTRUM, IRIS + 'index = "id"\n'), DataError, "iris.csv: no column 'id'; choose one of sepal_length"),
    (
        swap(SPECTRUM, IRIS + 'index = "species"\n'),
        DataError,
        "column 'species' is index and more; name it in one place",
    ),
    (swap(SPECTRUM, IRIS + 'categorical = ["specie"]\n'), DataError, "no column 'specie'; did you mean 'species'?"),
    (
        swap(SPECTRUM, IRIS + 'inputs = ["sepal_width"]\ncategorical = ["petal_width"]\n'),
        DataError,
        "column 'petal_width' is in categorical, and neither input nor target; take it out",
    ),
    *(
        (
            swap(SPECTRUM, IRIS.replace('targets = ["species"]\n', "") + f"{other}{key} = ['a', 'a']\n"),
            DataError,
            f"t.toml: data.{key}: 'a' is named twice; name it once",
        )
        for key, other in (
            ("targets", ""),
            ("inputs", 'targets = ["species"]\n'),
            ("categorical", 'targets = ["species"]\n'),
            ("index", 'targets = ["species"]\n'),
        )
    ),
    (
        swap(SPECTRUM, '[data]\npath = "s3://bucket/iris.csv"\ntargets = ["y"]\n'),
        DataError,
        "s3://bucket/iris.csv: data are read from a file, not from an address; copy the file to this machine",
    ),
    (
        swap(SPECTRUM, f'[data]\npath = "{"a" * 300}.csv"\ntargets = ["y"]\n'),
        DataError,
        "a.csv: no such file (File name too long); check the path",
    ),
    (
        swap(SPECTRUM, '[data]\npath = "a\\u0000.csv"\ntargets = ["y"]\n'),
        DataError,
        "no such file (embedded null byte); check the path",
    ),
    (
        swap(SPECTRUM, '[data]\npath = "~nobody-of-this-name/a.csv"\ntargets = ["y"]\n'),
        DataError,
        "no home folder is known for ~; give the whole path",
    ),
]


@pytest.mark.parametrize(("text", "kind", "said"), REFUSED, ids=[said[:60] for _, _, said in REFUSED])
def test_errors_are_refused_in_one_line_with_place_and_remedy(text: str, kind: type[BasinsError], said: str) -> None:
    with pytest.raises(BasinsError) as refused:
        experiment(text)
    line = str(refused.value)
    assert said in line
    assert type(refused.value) is kind
    assert line.startswith("t.toml: ")
    assert "\n" not in line
    assert refused.value.remedy


def test_a_problem_too_large_for_memory_is_refused() -> None:
    large = '[data]\nsource = "gaussian"\nsamples = 16_000_000\nd_x = 16_000_000\nd_y = 1\n'
    with pytest.raises(ExperimentError, match="does not fit in this machine's memory; make data or network smaller"):
        experiment(swap(SPECTRUM, large))


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match=r"none.toml: no such file; give the path of a TOML file"):
        load(tmp_path / "none.toml")
    with pytest.raises(ExperimentError, match="not readable: Is a directory"):
        load(tmp_path)
    (tmp_path / "latin.toml").write_bytes('name = "größe"'.encode("latin-1"))
    with pytest.raises(ExperimentError, match=r"latin.toml: not UTF-8 text; save it as UTF-8"):
        load(tmp_path / "latin.toml")


def test_a_byte_order_mark_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "bom.toml").write_bytes(b"\xef\xbb\xbf" + BASE.encode())
    assert load(tmp_path / "bom.toml").digest == experiment(BASE).digest


VALUES: st.SearchStrategy[Any] = st.one_of(
    st.integers(-3, 2**65), st.floats(), st.booleans(), st.text(max_size=5), st.lists(st.integers(-1, 4), max_size=3)
)


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(["data", "network", "law", "engine"]), st.data())
def test_any_value_is_accepted_or_refused_in_one_line(table: str, draw: st.DataObject) -> None:
    """Any contents of a table give a valid experiment or a BasinsError of one line."""
    values = tomllib.loads(BASE)
    known = {
        "data": ["source", "sigma", "d_x", "path"],
        "network": ["hidden", "flow"],
        "law": ["name", "scale", "modes", "box"],
        "engine": list(Settings.__dataclass_fields__),
    }[table]
    changed = draw.draw(st.dictionaries(st.sampled_from(known), VALUES, min_size=1, max_size=2))
    if any(abs(x) > 10**6 for x in changed.values() if isinstance(x, int)):
        changed.pop("d_x", None)  # a valid width of 2^64 is a matter of memory
    values.setdefault(table, {}).update(changed)
    try:
        made = experiment(tomli_w.dumps(values))
    except BasinsError as error:
        refusal = str(error)
    else:
        refusal = ""
        assert experiment(made.text).digest == made.digest
    assert len(refusal.splitlines()) <= 1
