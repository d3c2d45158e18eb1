"""Which engine is chosen, from measurements that a script makes up."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from scipy import stats

from lrsweep.errors import Interrupted
from lrsweep.executors import choosing
from lrsweep.executors.choosing import Ratio, Rest
from lrsweep.executors.chosen import crew_for, measuring_plans, rest_of
from lrsweep.executors.engine_option import EngineOption
from lrsweep.executors.process import capacity
from lrsweep.records import Crew, Purpose
from lrsweep.scripts.command import Command
from lrsweep.study import BudgetSpec
from tests.measured import AUTO, FUSED, GIB, LONG, ONE, Scripted, asked, chosen, fused
from tests.sweeps import a_study, a_training


# ── whether it is worth measuring ────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "rest",
    [
        Rest(steps=14_900, at_once=64),
        Rest(steps=1e6, at_once=64, seconds=14.9),
        Rest(steps=59_000, at_once=3),
    ],
    ids=["few steps", "the deadline is near", "few at a time"],
)
def test_what_is_soon_over_is_trained_one_after_the_other_without_a_word(rest: Rest, tmp_path: Path) -> None:
    """Nothing but the sequential engine is measured, and no file is written."""
    measurer = Scripted({ONE: 1000.0, **fused(9000.0)})
    assert asked(measurer, tmp_path / "engines.json", rest=rest) == [repr(ONE)]
    assert measurer.tried == [ONE]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("speed", "is_taken"), [(1500.0, True), (1490.0, False), ("no", False)])
def test_what_takes_less_than_a_minute_is_worth_a_look(speed: float | str, is_taken: bool, tmp_path: Path) -> None:
    """Eight slots at half the speed again are taken, less is not, and neither is kept."""
    measurer = Scripted({ONE: 1000.0, **fused(9000.0), Crew(1, 8): speed})
    said: list[str] = []
    crew = crew_for(AUTO, a_study(), Rest(15_000, 64), measurer, tmp_path / "engines.json", say=said.append)
    assert crew == (Crew(1, 8) if is_taken else ONE)
    assert measurer.tried == [ONE, Crew(1, 8)]
    told = "engine: fused with 8 slots in 1 process, 1.5 times as fast as sequential in 1 process in one look"
    assert said == ([told] if is_taken else [])
    assert list(tmp_path.iterdir()) == []


def test_a_minute_of_training_is_worth_measuring(tmp_path: Path) -> None:
    """60,000 steps at 1,000 a second."""
    measurer = Scripted({ONE: 1000.0, **fused("no", "no")})
    asked(measurer, tmp_path / "engines.json", rest=Rest(steps=60_000, at_once=64))
    assert Crew(1, 2) in measurer.tried


@pytest.mark.parametrize(("steps", "seconds"), [(60_000, 0.1), (120_000, 0.2), (1e6, 0.25), (1e9, 0.25)])
def test_bursts_are_longer_where_the_rest_is(steps: float, seconds: float) -> None:
    """A six-hundredth of it, between a tenth of a second and a quarter."""
    measurer = Scripted({ONE: 1000.0, **fused(2000.0, 2000.0)})
    chosen(measurer, Rest(steps, 64))
    assert measurer.seconds[-1] == pytest.approx(seconds)


def test_the_rest_of_a_sweep_is_what_its_trials_cost_and_the_finals() -> None:
    """Rungs of 30 and 90 steps: of 10 trials 4 reach the second; no more at once than there are trials or finals."""
    study = replace(a_study(), trials=10, total_steps=0)
    assert rest_of(study, trials_left=10, at_once=64) == Rest(660.0, 10)
    assert rest_of(study, trials_left=100, at_once=16, seconds=5.0) == Rest(6600.0, 16, 5.0)
    assert rest_of(replace(study, total_steps=1660), trials_left=5, at_once=64) == Rest(1330.0, 11)


def test_the_finals_of_a_search_that_has_ended_are_trained_side_by_side() -> None:
    """A thousand steps are eleven trainings of 90, a few less where some are trained, and exactly what is queued."""
    study = replace(a_study(), trials=10, total_steps=1660)
    assert rest_of(study, trials_left=0, at_once=10) == Rest(1000.0, 10)
    ended = [a_training(number, 1, value=0.1, purpose=Purpose.FINAL) for number in range(5)]
    assert rest_of(study, trials_left=0, at_once=10, trainings=ended) == Rest(550.0, 6)
    queued = [a_training(number, 1, purpose=Purpose.FINAL) for number in range(2)]
    assert rest_of(study, trials_left=0, at_once=10, trainings=[*ended, *queued]) == Rest(180.0, 2)
    assert rest_of(study, trials_left=3, at_once=10, trainings=[*ended, *queued]).at_once == 6


def test_a_search_that_goes_by_the_clock_keeps_as_many_in_flight_as_ever() -> None:
    """Its trials are a guess, and it asks on when so many are told."""
    study = replace(a_study(), trials=10, total_steps=660, budget=BudgetSpec(wall_clock=3600.0))
    assert rest_of(study, trials_left=0, at_once=10).at_once == 10


# ── what is tried ────────────────────────────────────────────────────────────────────────────────────────────────────
def test_slots_grow_as_long_as_they_pay() -> None:
    """3 and 4 % more with 16 and 32 than with 8: 8 are enough, and 51 are not tried."""
    measurer = Scripted({ONE: 1000.0, **fused(1500.0, 2500.0, 4000.0, 4120.0, 4160.0), Crew(1, 51): 9000.0})
    assert chosen(measurer).crew == Crew(1, 8)
    assert measurer.tried == [ONE, *(Crew(1, slots) for slots in (2, 4, 8, 16, 32))]


def test_one_size_that_does_not_pay_does_not_end_the_growth() -> None:
    """What the machine did beside may have cost it both of its bursts."""
    measurer = Scripted({ONE: 1000.0, **fused(1500.0, 2500.0, 1700.0, 6000.0)})
    assert chosen(measurer, Rest(1e6, 20)).crew == Crew(1, 16)


def test_more_slots_than_the_search_fills_are_never_tried() -> None:
    """Ten at once: 2, 4 and 8 slots, behind which 2 wait, and 3 in each of two processes, behind which 2 wait each."""
    speeds: dict[Crew, float | str] = {ONE: 1000.0, **fused(2000.0, 4000.0, 6000.0, 9000.0)}
    measurer = Scripted({**speeds, Crew(2): 1000.0, Crew(2, 3): 12000.0})
    choice = chosen(measurer, Rest(1e6, 10), cores=2)
    assert choice.crew == Crew(2, 3)
    assert measurer.tried == [ONE, Crew(2), Crew(1, 2), Crew(1, 4), Crew(1, 8), Crew(2, 3)]


@pytest.mark.parametrize(("at_once", "most"), [(4, 2), (5, 3), (10, 8), (16, 13), (64, 51)])
def test_the_most_slots_leave_a_quarter_as_many_waiting(at_once: int, most: int) -> None:
    """51 slots and 12 that wait are 63 of 64; 52 would have 13 behind them. As many as a process really takes."""
    measurer = Scripted({ONE: 1000.0, **{Crew(1, slots): 1000.0 * slots for slots in range(2, 65)}})
    assert chosen(measurer, Rest(1e6, at_once)).crew == Crew(1, most)
    assert capacity(most) <= at_once < capacity(most + 1)


def test_memory_ends_the_growth_before_it_is_full() -> None:
    """A slot holds 1 GiB: 8 of them hold 9 GiB, 16 would hold 17, and half of what is free is 16."""
    measurer = Scripted({ONE: 1000.0, **fused(2000.0, 4000.0, 8000.0, 16000.0)}, GIB, 32 * GIB)
    choice = chosen(measurer)
    assert choice.crew == Crew(1, 8)
    assert Crew(1, 16) not in measurer.tried
    assert choice.notes == (
        "fused with 16 slots in 1 process would need about 17.0 GiB of memory, and 32.0 GiB are free",
    )


def test_memory_forbids_processes_too() -> None:
    """One holds 1 GiB: two fit into half of 4 GiB, four do not; and with 8 slots it holds 9, of which two do not."""
    speeds: dict[Crew, float | str] = {ONE: 1000.0, Crew(2): 2000.0, Crew(4): 4000.0}
    few = Scripted(speeds, free_bytes=4 * GIB)
    assert chosen(few, cores=4).crew == Crew(2)
    assert Crew(4) not in few.tried
    many = Scripted({**speeds, **fused(3000.0, 6000.0, 12000.0, 12000.0)}, GIB, 34 * GIB)
    assert chosen(many, cores=2).crew == Crew(1, 8)
    assert not any(crew.processes == 2 and crew.slots for crew in many.tried)


def test_a_model_that_cannot_be_fused_is_no_error(tmp_path: Path) -> None:
    """The reason is told, and larger ones are not tried."""
    measurer = Scripted({ONE: 1000.0, **fused("the model drops out by itself", 9000.0)})
    said = asked(measurer, tmp_path / "engines.json")
    assert said[-1] == repr(ONE)
    assert "  fused with 2 slots in 1 process: the model drops out by itself" in said
    assert Crew(1, 4) not in measurer.tried


def test_memory_that_runs_out_leaves_what_was_before() -> None:
    """With 8 slots it failed, so 4 are the most."""
    measurer = Scripted({ONE: 1000.0, **fused(2000.0, 3000.0, "out of memory")})
    choice = chosen(measurer)
    assert choice.crew == Crew(1, 4)
    assert [burst.reason for burst in choice.bursts] == [None, None, None, "out of memory"]


@pytest.mark.parametrize(
    ("device", "cores", "processes"),
    [("cpu", 1, [1]), ("cpu", 2, [1, 2]), ("cpu", 6, [1, 2, 4, 6]), ("NVIDIA H200", 1, [1, 2, 4])],
)
def test_processes_are_as_many_as_the_device_may_serve(device: str, cores: int, processes: list[int]) -> None:
    """The cores of a CPU; up to four on a GPU, whatever the cores."""
    measurer = Scripted({Crew(number): 1000.0 * number for number in range(1, 9)}, device=device)
    choice = chosen(measurer, cores=cores)
    assert [crew.processes for crew in measurer.tried if crew.slots is None] == processes
    assert choice.crew == Crew(processes[-1])


def test_processes_that_do_not_pay_end_the_growth() -> None:
    """Four are no faster than two: eight are not tried."""
    measurer = Scripted({ONE: 1000.0, Crew(2): 1800.0, Crew(4): 1850.0, Crew(8): 9000.0})
    assert chosen(measurer, cores=8).crew == Crew(2)
    assert Crew(8) not in measurer.tried


@pytest.mark.parametrize("slow", [0, 1])
def test_one_slow_moment_does_not_end_the_growth(slow: int) -> None:
    """The faster of two bursts counts: something else had the machine in the other one."""
    measurer = Scripted(
        {ONE: 1000.0, **fused(2000.0, 4000.0, 4000.0)},
        noise=lambda crew, time: 0.3 if crew == Crew(1, 4) and time == slow else 1.0,
    )
    assert chosen(measurer).crew == Crew(1, 4)


# ── what is chosen ───────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_interval_is_students() -> None:
    """For ten repeats; as scipy has it for the logarithms."""
    assert pytest.approx(stats.t.ppf(0.975, choosing.REPEATS - 1), abs=1e-3) == choosing.T_95
    ratios = [1.1, 1.3, 0.9, 1.2, 1.4, 1.0, 1.05, 1.25, 1.15, 1.35]
    logs = [math.log(each) for each in ratios]
    low, high = stats.t.interval(0.95, 9, loc=sum(logs) / 10, scale=stats.sem(logs))
    ratio = Ratio.of(Crew(1, 8), ONE, ratios)
    assert (ratio.low, ratio.high) == pytest.approx((math.exp(low), math.exp(high)), rel=1e-4)
    assert ratio.is_clear


@pytest.mark.parametrize(("factor", "crew"), [(1.0, Crew(1, 4)), (3.0, ONE)])
def test_fused_is_taken_only_where_the_whole_interval_says_so(factor: float, crew: Crew) -> None:
    """1.5 times as fast in the middle: clear where every repeat says it; not where they range from 0.5 to 4.5."""
    measurer = Scripted(
        {ONE: 1000.0, **fused(1200.0, 1500.0, 1500.0)},
        noise=lambda crew, time: (factor if time % 2 else 1 / factor) if crew == Crew(1, 4) and time > 1 else 1.0,
    )
    choice = chosen(measurer)
    assert choice.crew == crew
    [ratio] = choice.ratios
    assert ratio.value == pytest.approx(1.5)


def test_ten_repeats_take_turns_in_who_is_first() -> None:
    """After the bursts: sequential and fused, fused and sequential, …"""
    measurer = Scripted({ONE: 1000.0, **fused(2000.0, 2000.0)})
    chosen(measurer)
    two = Crew(1, 2)
    assert measurer.calls[-20:] == [ONE, two, two, ONE] * 5


def test_what_drifts_while_it_is_measured_favours_nobody() -> None:
    """A machine that becomes slower with each burst: the ratio is 1, and the simpler one is taken."""
    calls = 0

    def slower(crew: Crew, time: int) -> float:
        nonlocal calls
        calls += 1
        return 1.05 if crew.slots and time < 2 else 0.99**calls

    measurer = Scripted({ONE: 1000.0, **fused(1000.0, "no")}, noise=slower)
    choice = chosen(measurer)
    assert choice.crew == ONE
    assert choice.ratios[0].value == pytest.approx(1.0, abs=1e-3)


def test_fused_is_compared_with_the_fastest_sequential_one() -> None:
    """Three times as fast as one process, and slower than four of them."""
    speeds: dict[Crew, float | str] = {Crew(1): 1000.0, Crew(2): 2000.0, Crew(4): 4000.0}
    measurer = Scripted({**speeds, **fused(2000.0, 3000.0, 3000.0), Crew(2, 4): 3000.0})
    choice = chosen(measurer, cores=4)
    assert choice.crew == Crew(4)
    assert [(ratio.first, ratio.second) for ratio in choice.ratios] == [(Crew(4), ONE)]


def test_fused_has_to_beat_one_process_too() -> None:
    """Two lucky bursts show two processes as the fastest sequential way; in the repeats they are the slowest of all."""
    luck = {Crew(2): 0.5, Crew(1, 2): 0.75}
    measurer = Scripted(
        {ONE: 1000.0, Crew(2): 1100.0, **fused(1200.0, "no")},
        noise=lambda crew, time: luck.get(crew, 1.0) if time > 1 else 1.0,
    )
    choice = chosen(measurer, cores=2)
    assert choice.crew == ONE
    assert [(ratio.first, ratio.second, ratio.is_clear) for ratio in choice.ratios] == [
        (Crew(1, 2), Crew(2), True),
        (Crew(1, 2), ONE, False),
        (Crew(2), ONE, False),
    ]


@pytest.mark.parametrize(("spread", "crew"), [(1.0, Crew(2)), (4.0, ONE)])
def test_several_processes_are_taken_only_where_they_are_clearly_faster(spread: float, crew: Crew) -> None:
    """The same rule: the whole interval."""
    measurer = Scripted(
        {ONE: 1000.0, Crew(2): 1300.0},
        noise=lambda crew, time: (spread if time % 2 else 1 / spread) if crew == Crew(2) and time > 1 else 1.0,
    )
    assert chosen(measurer, cores=2).crew == crew


def test_what_fails_in_a_repeat_has_proved_nothing() -> None:
    """The memory was enough in the first bursts, and then it was not."""
    measurer = Scripted(
        {ONE: 1000.0, **fused(5000.0, 5000.0)},
        noise=lambda crew, time: 0.0 if crew == Crew(1, 2) and time == 6 else 1.0,
    )
    choice = chosen(measurer)
    assert choice.crew == ONE
    assert choice.ratios == ()


def test_fused_alone_is_fused_however_slow(tmp_path: Path) -> None:
    """Its slots are found out; it is not compared, but for a model that cannot be fused."""
    measurer = Scripted({ONE: 1000.0, **fused(100.0, 200.0, 201.0)})
    assert asked(measurer, tmp_path / "engines.json", option=FUSED)[-1] == repr(Crew(1, 4))
    assert measurer.calls.count(ONE) == 2

    refused = asked(Scripted({ONE: 1000.0}), tmp_path / "others.json", option=FUSED)
    assert refused[-1] == repr(ONE)
    assert any("it was not to be measured" in line for line in refused)


def test_fused_is_measured_however_little_is_left(tmp_path: Path) -> None:
    """It was asked for; only how many slots are best is open."""
    measurer = Scripted({ONE: 1000.0, **fused(2000.0, 4000.0, 4000.0)})
    said = asked(measurer, tmp_path / "engines.json", option=FUSED, rest=Rest(steps=100, at_once=8))
    assert said[-1] == repr(Crew(1, 4))


@pytest.mark.parametrize(
    ("option", "at_once", "crew"),
    [(AUTO, 1, ONE), (FUSED, 0, Crew(1, 1)), (FUSED, 1, Crew(1, 1)), (FUSED, 3, Crew(1, 3))],
)
def test_a_few_trials_leave_nothing_to_measure(option: EngineOption, at_once: int, crew: Crew, tmp_path: Path) -> None:
    """Of a sweep whose last trials are still to be trained: there are no others that could wait behind them."""
    measurer = Scripted({})
    assert asked(measurer, tmp_path / "engines.json", option=option, rest=Rest(9e9, at_once)) == [repr(crew)]
    assert measurer.calls == []


def test_what_was_asked_for_by_numbers_is_not_measured(tmp_path: Path) -> None:
    """Nor is anything said."""
    measurer = Scripted({})
    option = EngineOption.parsed("fused:16x2")
    assert asked(measurer, tmp_path / "engines.json", option=option) == [repr(Crew(2, 16))]
    assert measurer.calls == []


@pytest.mark.parametrize(
    ("text", "at_once", "crew", "told"),
    [
        ("fused:64", 10, Crew(1, 10), "fused:10 is trained in the place of fused:64"),
        ("fused:16x2", 10, Crew(2, 5), "fused:5x2 is trained in the place of fused:16x2"),
        ("fused:2x16", 10, Crew(10, 1), "fused:1x10 is trained in the place of fused:2x16"),
        ("fused:4", 0, Crew(1, 1), "fused:1 is trained in the place of fused:4"),
    ],
)
def test_slots_that_nobody_could_fill_are_not_made(
    text: str, at_once: int, crew: Crew, told: str, tmp_path: Path
) -> None:
    """However many were asked for: an update of the empty ones would cost as much. One sentence says so."""
    option = EngineOption.parsed(text)
    [said, taken] = asked(Scripted({}), tmp_path / "engines.json", option=option, rest=Rest(9e9, at_once))
    assert taken == repr(crew)
    assert said == f"at most {max(1, at_once)} of the 60 trials are in flight: {told}"


@pytest.mark.parametrize("text", ["fused:10", "fused:5x2", "sequential:16"])
def test_what_can_be_filled_is_trained_as_it_was_asked_for(text: str, tmp_path: Path) -> None:
    """Also many processes of the sequential engine: one without a training costs nothing."""
    option = EngineOption.parsed(text)
    said = asked(Scripted({}), tmp_path / "engines.json", option=option, rest=Rest(9e9, 10))
    assert said == [repr(option.crew)]


def test_scripts_are_not_measured(tmp_path: Path) -> None:
    """``auto`` leaves them as they are."""
    study = replace(a_study(), workload=Command("python train.py").spec())
    measurer = Scripted({})
    assert crew_for(AUTO, study, LONG, measurer, tmp_path / "engines.json") == ONE
    assert measurer.calls == []


def test_without_a_measurement_it_is_one_after_the_other(tmp_path: Path) -> None:
    """With the reason."""
    measurer = Scripted({ONE: "it diverged"})
    assert asked(measurer, tmp_path / "engines.json") == [
        "engine: sequential in 1 process, because it could not be measured: it diverged",
        repr(ONE),
    ]


def test_a_signal_ends_the_measurement(tmp_path: Path) -> None:
    """What ``tick`` raises goes through."""

    def tick() -> None:
        raise Interrupted(2, "interrupted")

    with pytest.raises(Interrupted):
        crew_for(AUTO, a_study(), LONG, Scripted({ONE: 1000.0}), tmp_path / "engines.json", tick=tick)


def test_the_plans_are_like_the_sweeps_own() -> None:
    """The optimizers in turn at their lowest rates, which do not diverge; seeds of their own; nothing is kept."""
    plans = measuring_plans(a_study(), 4)
    assert [plan.optimizer.name for plan in plans] == ["sgd", "adamw", "sgd", "adamw"]
    assert [plan.peak_lr for plan in plans] == [0.01, 0.0001, 0.01, 0.0001]
    assert len({plan.seed for plan in plans}) == len({plan.training_id for plan in plans}) == 4
    assert {(plan.horizon, plan.evaluations, plan.checkpoint_url) for plan in plans} == {(30, 20, None)}
    assert all(plan.training_id.startswith("measure-") for plan in plans)
