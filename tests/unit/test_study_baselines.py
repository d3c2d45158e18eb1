"""``[baseline]`` of a study file: what the user runs today."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lrsweep.errors import StudyError
from lrsweep.records import WorkloadFacts
from lrsweep.schedules import schedule
from lrsweep.study import Baseline, load_study, parse_study
from tests.studies import FACTS, SCRIPT, problems, read, resolved, text_of


def baseline_of(tables: str, facts: WorkloadFacts = FACTS, **more: Any) -> Baseline | None:
    return read(tables, **more).resolved(facts).baseline


def test_a_family_with_its_settings_is_a_baseline() -> None:
    """Of the space's first optimizer unless another is named; it may lie outside the space."""
    tables = '[baseline]\nfamily = "cosine"\nsettings = {warmup = "50 steps", floor = 0.1}\npeak_lr = 3'
    assert baseline_of(tables) == Baseline(schedule("cosine", warmup="50 steps", floor=0.1), 3.0, "sgd")
    other = f'{tables}\noptimizer = "nesterov"\noptimizer_settings = {{momentum = 0.95}}'
    assert baseline_of(other) == Baseline(
        schedule("cosine", warmup="50 steps", floor=0.1), 3.0, "nesterov", {"momentum": 0.95}
    )
    assert resolved(tables).generation == resolved().generation
    assert resolved(tables).spec()["baseline"]["schedule"]["family"] == "cosine"
    assert baseline_of("") is None


def test_a_reactive_baseline_hears_the_studys_metric() -> None:
    """More accuracy is better."""
    found = baseline_of('[baseline]\nfamily = "plateau"\npeak_lr = 1', study='metric = "val_acc"')
    assert found is not None
    assert found.schedule == schedule("plateau", mode="max")


def test_a_file_of_json_is_a_baseline_relative_to_the_study(tmp_path: Path) -> None:
    """Wherever the command is started."""
    (tmp_path / "now.json").write_text(schedule("wsd", cooldown=0.3).to_json())
    (tmp_path / "s.toml").write_text(text_of('[baseline]\nfile = "now.json"\npeak_lr = 0.1'))
    found = load_study(tmp_path / "s.toml").resolved(FACTS).baseline
    assert found == Baseline(schedule("wsd", cooldown=0.3), 0.1, "sgd")
    (tmp_path / "now.json").write_text('{"family": "wsd", "coldown": 1}')
    with pytest.raises(StudyError, match=r"line 7, baseline.*coldown"):
        load_study(tmp_path / "s.toml")
    (tmp_path / "now.json").unlink()
    with pytest.raises(StudyError, match=r"line 8, baseline\.file: 'now\.json' cannot be read: No such file"):
        load_study(tmp_path / "s.toml")


def test_a_scheduler_of_pytorch_is_a_baseline() -> None:
    """Halved after 300 of 600 updates; the peak is the rate that its optimizer begins with."""
    tables = '[baseline]\nscheduler = "StepLR"\nsettings = {step_size = 300, gamma = 0.5}\npeak_lr = 0.2'
    found = baseline_of(tables)
    assert found is not None
    rates = found.schedule.rates(600, peak_lr=found.peak_lr)
    assert (rates[0], rates[299], rates[300], rates[599]) == (0.2, 0.2, 0.1, 0.1)
    one_cycle = '[baseline]\nscheduler = "OneCycleLR"\nsettings = {max_lr = 0.5, total_steps = 600}\npeak_lr = 0.2'
    found = baseline_of(one_cycle)
    assert found is not None
    assert found.peak_lr == 0.5


def test_a_scheduler_that_pytorch_does_not_make_is_told_why() -> None:
    """When the horizon is known, before anything is trained."""
    with pytest.raises(
        StudyError, match=r"baseline: torch\.optim\.lr_scheduler has no 'SteppLR'\. Did you mean 'StepLR'"
    ):
        baseline_of('[baseline]\nscheduler = "SteppLR"\npeak_lr = 0.2')
    with pytest.raises(StudyError, match=r"StepLR cannot be made of \{\}: .*It takes step_size, gamma, last_epoch"):
        baseline_of('[baseline]\nscheduler = "StepLR"\npeak_lr = 0.2')


def test_a_script_without_a_baseline_has_its_own_schedule() -> None:
    """What it gives attach; a function of its own cannot be called from a file."""
    script = '[study]\nname = "q"\nworkload.command = "python train.py"\n[budget]\ntrials = 3\n'
    facts = replace(SCRIPT, baseline=(schedule("linear", warmup=0.1).to_json(), 0.05))
    found = parse_study(script, "s.toml")
    assert found.resolved(facts).baseline == Baseline(schedule("linear", warmup=0.1), 0.05, "script")
    assert found.resolved(facts).generation == found.resolved(SCRIPT).generation
    assert found.resolved(SCRIPT).baseline is None
    assert found.resolved(replace(facts, baseline=('{"family": "function", "path": "a.b:c"}', 0.05))).baseline is None
    own = parse_study(f'{script}[baseline]\nfamily = "cosine"\npeak_lr = 1\nextra = {{width = 8}}', "s.toml")
    assert own.resolved(facts).baseline == Baseline(schedule("cosine"), 1.0, "script", extra={"width": 8})


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        ("peak_lr = 1", "line 7, baseline: nothing says what it is. Add one of family, file, scheduler, such as "
                        "family = "
                        '"cosine".'),
        ('family = "cosine"', "line 7, baseline.peak_lr: missing. Add the largest rate, a number above 0."),
        ('family = "cosine"\nscheduler = "StepLR"\npeak_lr = 1',
         "line 9, baseline.scheduler: family is given too. Keep one of them."),
        ('family = "cosin"\npeak_lr = 1', "line 8, baseline.family: unknown family 'cosin'. Did you mean 'cosine'?"),
        ('family = "cosine"\nsettings = {finale = 1}\npeak_lr = 1', "line 9, baseline.settings: schedule 'cosine': "),
        ('family = "cosine"\npeak_lr = 1\noptimizer = "adamx"', "line 10, baseline.optimizer: unknown optimizer "
                                                                "'adamx'."),
        ('family = "cosine"\npeak_lr = 1\noptimizer_settings = {beta1 = 0.9}',
         "line 10, baseline.optimizer_settings.beta1: unknown setting of sgd 'beta1'."),
        ('family = "cosine"\npeak_lr = 1\nextra = {width = 8}',
         "line 10, baseline.extra: only a script takes parameters of yours. Take it out."),
    ],
)  # fmt: skip
def test_a_baseline_that_cannot_be_meant_is_refused(tables: str, expected: str) -> None:
    """With its place."""
    [problem] = problems(text_of(f"[baseline]\n{tables}"))
    assert problem.startswith(expected)


COSINE = '{cosine = "--sched cosine --lr {peak_lr} --steps {steps} --warm {warmup}"}'


@pytest.mark.parametrize(
    ("workload", "tables", "expected"),
    [
        (f'command = "train", steps = 600, families = {COSINE}', 'family = "linear"',
         "line 8, baseline.family: the script has no flags for 'linear', so it would not hear of it. Take one of "
         "cosine, or add its flags under [study.workload.families]."),
        (f'command = "train", steps = 600, families = {COSINE}', 'file = "linear.json"',
         "line 8, baseline.file: the script has no flags for 'linear', so it would not hear of it. Take one of "
         "cosine, or add its flags under [study.workload.families]."),
        (f'command = "train", steps = 600, families = {COSINE}', 'scheduler = "LinearLR"',
         "line 8, baseline.scheduler: the script makes its rates of flags, and a scheduler of PyTorch's has none. Take "
         "one of cosine as family."),
        (f'command = "train", steps = 600, families = {COSINE}', 'family = "cosine"\nsettings = {floor = 0.1}',
         "line 9, baseline.settings: {floor} in neither the command nor the flags of 'cosine': the script would not "
         "hear it. Add it there, or take it out."),
        ('command = "train --table {lr_table}", steps = 600', 'family = "plateau"',
         "line 8, baseline.family: 'plateau' cannot be the baseline here: its rates follow from the metric while it "
         "trains, and a file of rates is written before."),
        ('command = "train --table {lr_table}", steps = 600', 'scheduler = "ReduceLROnPlateau"',
         "line 8, baseline.scheduler: 'ReduceLROnPlateau' cannot be the baseline here: its rates follow from the "
         "metric"),
        ('command = "train", gpus_per_training = 2', 'family = "plateau"',
         "line 8, baseline.family: 'plateau' cannot be the baseline here: its rates follow from the metric while it "
         "trains, and with gpus_per_training above 1"),
    ],
)  # fmt: skip
def test_a_baseline_that_a_script_would_not_hear_is_refused(
    workload: str, tables: str, expected: str, tmp_path: Path
) -> None:
    """Flags that are not there, and schedules that react where nothing is heard, with the place and what to do."""
    (tmp_path / "linear.json").write_text(schedule("linear").to_json())
    begin = f'[study]\nname = "q"\nmetric = "val_loss"\nworkload = {{{workload}}}\n[space]\npeak_lr = [0.01, 0.1]\n'
    (tmp_path / "s.toml").write_text(f"{begin}[baseline]\n{tables}\npeak_lr = 1\n[budget]\ntrials = 3\n")
    with pytest.raises(StudyError) as raised:
        load_study(tmp_path / "s.toml")
    [problem] = map(str, raised.value.problems)
    assert problem.startswith(expected)


def test_a_baseline_that_a_script_hears_is_taken(tmp_path: Path) -> None:
    """A family with its flags, and one that reacts where the script attaches."""
    begin = '[study]\nname = "q"\nmetric = "val_loss"\n[space]\npeak_lr = [0.01, 0.1]\n[budget]\ntrials = 3\n'
    flags = f'{begin}[study.workload]\ncommand = "train"\nsteps = 600\nfamilies = {COSINE}\n'
    heard = '[baseline]\nfamily = "cosine"\nsettings = {warmup = 0.1}\npeak_lr = 1\n'
    assert parse_study(flags + heard, "s.toml").resolved(SCRIPT).baseline == Baseline(
        schedule("cosine", warmup=0.1), 1.0, "script"
    )
    reacts = f'{begin}[study.workload]\ncommand = "train"\n[baseline]\nfamily = "plateau"\npeak_lr = 1\n'
    found = parse_study(reacts, "s.toml").resolved(SCRIPT).baseline
    assert found is not None
    assert found.schedule.needs_metric
