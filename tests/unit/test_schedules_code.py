"""``to_code``: the text runs without lrsweep, has the same rates at every step, and reads as if written by hand."""

from __future__ import annotations

import dataclasses
import io
import subprocess
import sys
import tokenize
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lrsweep
from lrsweep.errors import NeedsMetric, ScheduleError
from lrsweep.schedules import Grouped, Schedule, grouped, schedule
from lrsweep.schedules.code import TARGETS
from lrsweep.schedules.code.decays import FORMULAS
from lrsweep.schedules.code.factors import RISES
from lrsweep.schedules.code.parts import PARTS
from lrsweep.schedules.registry import COMPOSITIONS
from lrsweep.schedules.warmup import RISES as WARMUP_SHAPES
from tests.drawn_compositions import LONG_ENOUGH, any_composition
from tests.drawn_schedules import any_schedule, usual_schedule
from tests.emitted import executed, one_of_each, rates_of

# A busy machine may be slow; a law is about values, not about time.
law = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

FAMILIES = {s.family: s for s in one_of_each()}

HORIZONS = [1, 2, 7, 1000]

VARIATIONS: list[dict[str, Any]] = [
    {},
    {"floor": 0.1, "warmup": 0.1},
    {"warmup": "3 steps", "hold": "2 steps", "warmup_shape": "cosine", "warmup_start": 0.2},
    {"warmup": 0.2, "warmup_shape": "polynomial", "warmup_power": 3.0, "noise": 0.3, "noise_seed": 5},
    {"hold": 0.25, "floor": 0.5, "noise": 1.0},
    {"warmup": 0.3, "warmup_shape": "exponential", "warmup_start": 0.01},
    {"warmup": 0.3, "warmup_shape": "constant", "warmup_start": 0.5},
]

IN_PARTS = {
    "sequence": lrsweep.sequence(
        (schedule("wsd", warmup="5 steps", cooldown="7 steps", shape="1-sqrt"), 0.5),
        (schedule("cosine", floor=0.1, noise=0.2), 0.5),
        warmup=0.1,
        floor=0.01,
    ),
    "extended": schedule("one_cycle", cycle_momentum=True).extended(1.5),
    "cooled_down": schedule("constant", warmup=0.1).cooled_down(at=0.8, over=0.15, shape="1-sqrt"),
}


def assert_same_rates(s: Schedule, total_steps: int, peak_lr: float) -> None:
    own = executed(s.to_code("python", total_steps, peak_lr))
    found = [own["rate"](step) for step in range(total_steps + 1)]
    np.testing.assert_allclose(found, rates_of(s, total_steps, peak_lr), rtol=1e-12, atol=1e-12, err_msg=repr(s))
    assert all(type(rate) is float for rate in found)
    assert own["rate"](total_steps + 1) == own["rate"](10 * total_steps) == found[-1]
    momenta = s.momenta(total_steps)
    assert ("momentum" in own) == (momenta is not None)
    if momenta is not None:
        found = [own["momentum"](step) for step in range(total_steps)]
        np.testing.assert_allclose(found, momenta, rtol=1e-12, atol=1e-12, err_msg=repr(s))


# ── what a reader sees ───────────────────────────────────────────────────────────────────────────────────────────────

TEXT = '''\
"""The learning rate of every update.

lrsweep.schedule('exponential', final=0.5, floor=0.25, warmup='2 steps')

Update i is counted from 0. A warm-up of w updates comes before the decay, whose own
clock runs from update w to the end; after the end the last value holds.

The code needs the standard library, and no lrsweep. It is yours: change it and pass it
on as you like.
"""

import math

TOTAL_STEPS = 6
PEAK_LR = 0.3
WARMUP_STEPS = 2
DECAY_STEPS = TOTAL_STEPS - WARMUP_STEPS
FINAL = 0.5
FLOOR = 0.25


def rate(step: int) -> float:
    """The learning rate of update ``step``, counted from 0."""
    return PEAK_LR * factor(step)


def factor(step: int) -> float:
    """The rate as a fraction of the peak."""
    if step < 0 or step % 1:
        raise ValueError(f"step must be a whole number of 0 or more, not {step!r}")
    step = min(int(step), TOTAL_STEPS)
    if step < WARMUP_STEPS:
        return (step + 1) / (WARMUP_STEPS + 1)
    own_step = step - WARMUP_STEPS
    value = decay(own_step / DECAY_STEPS)
    return FLOOR + (1.0 - FLOOR) * value


def decay(u: float) -> float:
    """final^u; with stairs: final^(floor(stairs·u) / stairs); u runs from 0 to 1."""
    return math.pow(FINAL, u)
'''


def test_the_text_reads_as_if_written_by_hand() -> None:
    """Named constants, one function per thing, and nothing that these settings do not need."""
    s = schedule("exponential", final=0.5, floor=0.25, warmup="2 steps")
    assert s.to_code("python", total_steps=6, peak_lr=0.3) == TEXT


def test_a_schedule_without_a_formula_is_a_table() -> None:
    """One number per step of the decay and one for after it; warm-up and floor stay code."""
    text = schedule("table", values=(1.0, 0.5), warmup="1 step", floor=0.5).to_code("python", total_steps=5)
    assert "\nDECAY_TABLE = (1.0, 0.75, 0.5, 0.5, 0.5)\n" in text
    assert "value = DECAY_TABLE[own_step]\n    return FLOOR + (1.0 - FLOOR) * value\n" in text
    rate = executed(text)["rate"]
    assert [rate(step) for step in range(6)] == [0.5, 1.0, 0.875, 0.75, 0.75, 0.75]


def test_every_family_has_a_formula_or_a_reason() -> None:
    """A new family needs an entry: a table of a long training would be right, but nobody reads it."""
    assert set(FORMULAS) == set(FAMILIES) - {"table", "function"}  # which are not formulas themselves
    assert set(PARTS) == set(COMPOSITIONS)
    assert set(RISES) == set(WARMUP_SHAPES)


def texts() -> dict[str, str]:
    """Texts of all kinds by a file's name."""
    # A horizon at which everything has several steps, and all numbers of a table fill several lines.
    found = {
        f"{s.family}_{place}.py": s.with_settings(**more).to_code("python", 64, 3e-4)
        for s in FAMILIES.values()
        if s.family != "function"  # the permission to run code is no setting
        for place, more in enumerate(VARIATIONS)
    }
    found["function.py"] = FAMILIES["function"].to_code("python", 64, 3e-4)
    for target in TARGETS:
        found |= {f"{s.family}_{target}.py": s.to_code(target, 64, 3e-4) for s in IN_PARTS.values()}
        found[f"{target}.py"] = schedule("cosine").to_code(target, 64, 3e-4)
    found["grouped.py"] = GROUPS.to_code("python", 64, 3e-4)
    found["grouped_torch.py"] = GROUPS.to_code("torch", 64, 3e-4)
    found["moving_torch.py"] = MOVING_GROUPS.to_code("torch", 64, 3e-4)
    return found


GROUPS = grouped({"backbone": (schedule("cosine", warmup=0.1), 0.1), "head": schedule("linear")})
MOVING_GROUPS = grouped(
    {"first": schedule("cyclic", cycle_momentum=True), "se'cond": schedule("linear"), 'th"ird\\': schedule("linear")},
    weight_decay=schedule("cosine", floor=0.5, warmup=0.1),
)


def test_ruff_finds_nothing_to_say(tmp_path: Path) -> None:
    """Neither as a linter nor as a formatter, whether lines end at column 88 or later."""
    for name, text in texts().items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    # RUF002 takes · for a mistyped dot.
    rules = "E,F,W,I,B,UP,N,C4,SIM,RUF,PTH,RET,ARG,S,PLE,PLW,TID"
    lint = ["check", "--isolated", "--target-version=py311", f"--select={rules}", "--ignore=RUF002"]
    formats = [["format", "--check", "--isolated", f"--line-length={columns}"] for columns in (88, 100, 120)]
    for options in ([*lint, "--line-length=88"], *formats):
        run = subprocess.run([sys.executable, "-m", "ruff", *options, str(tmp_path)], capture_output=True, text=True)
        assert run.returncode == 0, run.stdout + run.stderr


def test_no_number_is_longer_than_it_needs_to_be() -> None:
    """Each number in each text is the shortest that reads as the same float."""
    for name, text in texts().items():
        tokens = tokenize.generate_tokens(io.StringIO(text).readline)
        numbers = [token.string for token in tokens if token.type == tokenize.NUMBER]
        assert len(numbers) >= 5
        for number in numbers:
            assert number in (repr(float(number)), repr(int(float(number)))), name


def test_a_text_is_the_same_each_time() -> None:
    """Equal schedules give equal texts, in a process whose strings hash otherwise too."""
    code = (
        "import lrsweep; s = lrsweep.schedule('knots', noise=0.1, warmup=0.1);"
        "g = lrsweep.grouped({'a': s, 'b': (s, 0.5), 'c': lrsweep.schedule('step')});"
        "print(s.to_code('keras', 64, 0.1) + g.to_code('torch', 64, 0.1))"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    }
    assert len(printed) == 1


# ── the rates ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", FAMILIES)
def test_the_text_of_every_family_has_its_rates(name: str) -> None:
    """At every step and after the end, on horizons from 1 on, whatever comes before the decay or goes over it; the
    momentum too."""
    s = FAMILIES[name]
    if "cycle_momentum" in s.settings_dict():
        s = s.with_settings(cycle_momentum=True)
    for more in VARIATIONS:
        varied = dataclasses.replace(s, **more)
        for total_steps in HORIZONS:
            if total_steps >= 6 or not isinstance(more.get("warmup"), str):
                assert_same_rates(varied, total_steps, 0.3)


@law
@given(any_schedule(), st.integers(1, 40) | st.sampled_from(HORIZONS), st.floats(1e-6, 10))
def test_the_text_has_the_rates_for_any_settings(s: Schedule, total_steps: int, peak_lr: float) -> None:
    """The strangest settings too; jumps come at the same steps."""
    assert_same_rates(s, total_steps, peak_lr)


@law
@given(usual_schedule(), st.integers(1, 300))
def test_the_text_has_the_rates_for_settings_of_a_search(s: Schedule, total_steps: int) -> None:
    """What a sweep finds can be taken away as code."""
    assert_same_rates(s, total_steps, 0.1)


@settings(law, max_examples=60)
@given(any_composition(reactive=False), st.sampled_from([LONG_ENOUGH, 157]))
def test_the_text_of_a_composition_has_its_rates(s: Schedule, total_steps: int) -> None:
    """Sequences, extended and cooled-down schedules, one inside the other too."""
    assert_same_rates(s, total_steps, 0.1)


@pytest.mark.parametrize("name", IN_PARTS)
def test_parts_on_their_own_clocks_keep_their_counts(name: str) -> None:
    """A count in a part is of the part's own steps."""
    for total_steps in (40, 100, 1000):
        assert_same_rates(IN_PARTS[name], total_steps, 0.1)


def test_drops_come_at_the_step_that_a_reader_counts() -> None:
    """3 times 0.1 is a little more than 0.3, and the drop at 0.3 of 10 still comes at step 3."""
    dropped = {
        "step": executed(schedule("step", every=0.1, gamma=0.5).to_code("python", 10))["rate"],
        "multistep": executed(schedule("multistep", at=(0.1 * 3, 0.7), gamma=0.5).to_code("python", 10))["rate"],
        "piecewise": executed(schedule("piecewise", at=(0.1 * 3,), values=(1.0, 0.5)).to_code("python", 10))["rate"],
    }
    assert [dropped["step"](step) for step in range(4)] == [1.0, 0.5, 0.25, 0.125]
    assert [dropped["multistep"](step) for step in range(8)] == [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.25]
    assert [dropped["piecewise"](step) for step in range(4)] == [1.0, 1.0, 1.0, 0.5]


@pytest.mark.parametrize("step", [-1, 0.5, float("nan"), float("inf"), -float("inf")])
def test_what_is_no_step_is_refused(step: float) -> None:
    """Below 0, between two steps, or not finite: a ValueError that names it. A whole number of any kind is a step."""
    own = executed(schedule("cyclic", cycle_momentum=True).to_code("python", 10))
    for ask in (own["rate"], own["factor"], own["momentum"]):
        with pytest.raises(ValueError, match=f"step must be a whole number of 0 or more, not {step!r}"):
            ask(step)
        assert ask(3) == ask(3.0) == ask(np.int64(3))


def test_the_text_runs_where_nothing_is_installed(tmp_path: Path) -> None:
    """In a Python without site-packages it is imported and gives the rates."""
    text = schedule("knots", points=(1.0, 0.5, 0.0), warmup="1 step", noise=0.5).to_code("python", 9, 0.1)
    (tmp_path / "rates.py").write_text(text, encoding="utf-8")
    code = (
        "import importlib.util, sys; sys.path.insert(0, sys.argv[1]); import rates\n"
        "assert not importlib.util.find_spec('numpy') and not importlib.util.find_spec('lrsweep')\n"
        "print(*map(rates.rate, range(10)))"
    )
    run = subprocess.run([sys.executable, "-ISc", code, str(tmp_path)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    expected = rates_of(schedule("knots", points=(1.0, 0.5, 0.0), warmup="1 step", noise=0.5), 9, 0.1)
    np.testing.assert_allclose([float(rate) for rate in run.stdout.split()], expected, rtol=1e-12)


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────────────

KNOWN = "target must be one of 'python', 'torch', 'transformers', 'optax', 'keras', not"


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("pytorch", f"to_code: {KNOWN} 'pytorch'. Did you mean 'torch'?"),
        ("Keras", f"to_code: {KNOWN} 'Keras'. Did you mean 'keras'?"),
        ("matlab", f"to_code: {KNOWN} 'matlab'."),
        (None, f"to_code: {KNOWN} None."),
        ([], f"to_code: {KNOWN} []."),
    ],
)
def test_an_unknown_target_is_told_with_the_known_ones(target: Any, text: str) -> None:
    """What was given, one that is near, and all that exist."""
    with pytest.raises(ScheduleError) as error:
        schedule("cosine").to_code(target, 10)
    assert str(error.value) == text


def test_all_problems_of_a_call_are_told_at_once() -> None:
    """Target, horizon and peak in one message."""
    with pytest.raises(ScheduleError) as error:
        schedule("cosine").to_code("tourch", 0, -1)
    assert str(error.value) == (
        "to_code: 3 problems\n"
        f"  {KNOWN} 'tourch'. Did you mean 'torch'?\n"
        "  total_steps must be a whole number of 1 or more, not 0: the number of updates\n"
        "  peak_lr must be a finite number above 0, not -1: the largest rate"
    )


def test_what_reacts_to_a_metric_is_refused_with_the_way_to_its_table() -> None:
    """The message's own way works: replay the metrics, and take the table's code."""
    s = schedule("plateau", patience=0, gamma=0.5)
    for reactive in (s, lrsweep.sequence((s, 1.0))):
        with pytest.raises(
            NeedsMetric, match=r"s\.replay\(metrics, total_steps\).*Table\.from_rates\(rates\)\.to_code"
        ):
            reactive.to_code("python", 4)
    rates = s.replay({1: 1.0, 2: 2.0}, total_steps=4, peak_lr=0.4)
    rate = executed(lrsweep.schedules.Table.from_rates(rates).to_code("python", 4, peak_lr=rates.max()))["rate"]
    assert [rate(step) for step in range(5)] == [0.4, 0.4, 0.2, 0.2, 0.2]


# ── groups ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("groups", [GROUPS, MOVING_GROUPS], ids=["plain", "moving"])
def test_the_text_of_groups_has_the_rates_of_each(groups: Grouped) -> None:
    """``rate(group, step)``, whatever the names of the groups are; the weight decay's factor is there too."""
    own = executed(groups.to_code("python", 50, 0.3))
    for name, rates in groups.rates(50, 0.3).items():
        found = [own["rate"](name, step) for step in range(50)]
        np.testing.assert_allclose(found, rates, rtol=1e-12, atol=1e-12)
    if groups.weight_decay:
        factors = [own["weight_decay_factor"](step) for step in range(50)]
        np.testing.assert_allclose(factors, groups.weight_decay.rates(50), rtol=1e-12)
        assert list(own["MOMENTA"]) == ["first"]


def test_layers_with_one_curve_share_its_code() -> None:
    """A curve is written once, however many groups follow it."""
    layers = lrsweep.layerwise(schedule("cosine"), [f"layer {place}" for place in range(12)], decay=0.5)
    text = layers.to_code("python", 10)
    assert text.count("def ") == 3  # rate, factor and decay
    assert executed(text)["rate"]("layer 10", 5) == pytest.approx(0.25, rel=1e-12)


def test_groups_refuse_what_a_schedule_refuses() -> None:
    """Targets that know no groups, and a group that needs a metric, by its name."""
    with pytest.raises(ScheduleError, match="target must be one of 'python', 'torch', not 'optax'"):
        GROUPS.to_code("optax", 10)
    with pytest.raises(NeedsMetric, match="to_code of group 'head': 'plateau' reacts to a metric"):
        grouped({"head": schedule("plateau")}).to_code("python", 10)
