"""The space of a study file: families by word, counts, weight decay, and what is said of single families."""

from __future__ import annotations

import json

import pytest

from lrsweep.errors import StudyError
from lrsweep.schedules import Options, Search, core_names, schedule
from lrsweep.study import ResolvedStudy, SpaceSpec, parse_study
from lrsweep.study.extra import Choices
from lrsweep.study.spaces import SEARCHABLE
from tests.studies import FACTS


def text_of(space: str, study: str = "") -> str:
    """The space begins on line 6."""
    return f'[study]\nname = "q"\nworkload = "digits"\n{study}\n[space]\n{space}\n[budget]\ntrials = 6\n'


def space_of(space: str) -> SpaceSpec:
    return parse_study(text_of(space), "s.toml").space


def resolved(space: str = "", study: str = "") -> ResolvedStudy:
    return parse_study(text_of(space, study), "s.toml").resolved(FACTS)


def problems(space: str) -> list[str]:
    with pytest.raises(StudyError) as raised:
        parse_study(text_of(space), "s.toml")
    return [str(problem) for problem in raised.value.problems]


def test_families_by_word() -> None:
    """The core is what is searched by default; all are those that have a default for everything."""
    assert space_of('families = "core"').families == core_names()
    assert space_of('families = "all"').families == SEARCHABLE
    assert {"plateau", "knots"} < set(SEARCHABLE)
    assert not {"table", "function"} & set(SEARCHABLE)


def test_families_by_word_are_those_that_a_script_can_follow() -> None:
    """A file of rates is written before, so no reactive one; flags are for those that are mapped."""
    script = '[study]\nname = "q"\nworkload.command = "train {lr_table}"\n[space]\npeak_lr = [0.1, 1]\n'
    found = parse_study(f'{script}families = "all"\n[budget]\ntrials = 6', "s.toml").space.families
    assert set(SEARCHABLE) - set(found) == {"plateau", "threshold", "slope", "greedy"}
    flags = '[study]\nname = "q"\n[study.workload]\ncommand = "train {steps}"\nfamilies.tanh = "{peak_lr} {low} {high}"'
    with pytest.raises(StudyError, match=r"none of the core has flags"):
        parse_study(f'{flags}\n[space]\npeak_lr = [0.1, 1]\nfamilies = "core"\n[budget]\ntrials = 6', "s.toml")


# ── a warm-up as a count ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_warm_up_may_be_a_count_that_stays_the_same_on_every_rung() -> None:
    """No rung is shorter than twice the count: 200 is, for 101 steps."""
    assert space_of('warmup = " 50  steps"').warmup == "50 steps"
    assert space_of('warmup = "0 steps"').warmup == 0.0
    assert resolved('warmup = "100 steps"').rungs == (200, 600)
    assert resolved('warmup = "101 steps"').rungs == (600,)
    assert resolved('warmup = "30 steps"').space.to_json()["warmup"] == "30 steps"


def test_a_count_inside_a_family_holds_its_rungs_long_too() -> None:
    """A cool-down of 150 steps would be most of a training of 200."""
    assert resolved('settings.wsd.cooldown = "150 steps"').rungs == (600,)
    assert resolved('settings.wsd.cooldown = {choices = ["20 steps", "150 steps"]}').rungs == (600,)
    assert resolved('settings.wsd.cooldown = {choices = [0.2, "150 steps"]}').rungs == (600,)


def test_a_warm_up_as_long_as_the_training_is_refused() -> None:
    """Once the horizon is known."""
    with pytest.raises(StudyError) as raised:
        resolved('warmup = "600 steps"')
    assert str(raised.value) == (
        "s.toml: 1 problem\n  line 6, space.warmup: 600 steps leave nothing of a full training of 600. Give fewer, or "
        "a longer study.horizon."
    )


@pytest.mark.parametrize("given", ['"50"', '"50 epochs"', '"-5 steps"', '"1.5 steps"'])
def test_a_warm_up_in_another_unit_is_refused(given: str) -> None:
    """Steps are what a schedule counts."""
    [problem] = problems(f"warmup = {given}")
    assert problem.startswith("line 6, space.warmup: ")
    assert 'nor a count such as "200 steps"' in problem


# ── weight decay ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_weight_decay_is_one_for_all_optimizers_or_a_table_of_them() -> None:
    """A number, or a range that is searched."""
    assert space_of("weight_decay = [1e-5, 0.1]").weight_decay == {"sgd": (1e-5, 0.1), "adamw": (1e-5, 0.1)}
    assert space_of("weight_decay = {sgd = [0, 0.01], adamw = 1}").weight_decay == {"sgd": (0.0, 0.01), "adamw": 1.0}


def test_a_fixed_weight_decay_is_the_optimizers_setting() -> None:
    """In trials, and so in the generation; the optimizer's own written out is the same study."""
    study = resolved("weight_decay.sgd = 0.001")
    assert study.optimizer("sgd").settings == {"momentum": 0.9, "weight_decay": 0.001}
    assert study.optimizer("adamw").settings["weight_decay"] == 0.01
    assert resolved("weight_decay = {sgd = 0, adamw = 0.01}").generation == resolved().generation


def test_weight_decay_belongs_to_the_space() -> None:
    """Values of both can be compared, searches not."""
    studies = [resolved(), resolved("weight_decay.sgd = 0.001"), resolved("weight_decay.sgd = [0.0, 0.001]")]
    assert len({study.generation for study in studies}) == 3
    assert len({study.meaning for study in studies}) == 1
    assert "weight_decay" not in studies[0].spec()["space"]


def test_a_wrong_weight_decay_is_told_with_its_place() -> None:
    """One line for one value, and one per optimizer of a table."""
    assert problems("weight_decay = -1") == [
        "line 6, space.weight_decay: -1 is not a number from 0, or a rising range such as [1e-5, 0.1]."
    ]
    assert [each.partition(": ")[2] for each in problems('weight_decay = {sdg = 0, sgd = "a", adam = 0.1}')] == [
        "unknown optimizer 'sdg'. Did you mean 'sgd'? Known: sgd, adamw, sgd_plain, sgd_dampened, nesterov, rmsprop, "
        "adam.",
        "'a' is not a number from 0, or a rising range such as [1e-5, 0.1].",
        "adam is not in space.optimizers. Add it there, or take this line out.",
    ]
    text = '[study]\nname = "q"\nworkload.command = "train"\n[space]\nweight_decay = 0.1\n[budget]\ntrials = 6'
    with pytest.raises(StudyError, match=r"line 5, space\.weight_decay: a script has an optimizer of its own"):
        parse_study(text, "s.toml")


# ── single families ──────────────────────────────────────────────────────────────────────────────────────────────────

SETTINGS = """
[space.settings.wsd]
cooldown = [0.1, 0.3]
shape = {choices = ["linear", "1-sqrt"]}
[space.settings.step]
gamma = [0.1, 0.5]
every = 0.25
[space.settings.exponential]
stairs = [1, 8]
[space.settings.one_cycle]
final = {low = 1e-6, high = 0.1, log = true}
start = {choices = [0.04, 0.1]}
"""


def test_what_a_family_draws_can_be_other_ranges_choices_and_fixed_values() -> None:
    """A list keeps the family's scale; what the family does not search by itself can be searched too."""
    space = space_of(SETTINGS)
    assert space.searched("wsd") == {"cooldown": Search(0.1, 0.3), "shape": Options(("linear", "1-sqrt"))}
    assert space.searched("step") == {"gamma": Search(0.1, 0.5, log=True)}
    assert space.fixed("step") == {"every": 0.25}
    assert space.searched("exponential")["stairs"] == Search(1, 8, whole=True)
    assert space.searched("one_cycle")["final"] == Search(1e-6, 0.1, log=True)
    assert space.searched("one_cycle")["start"] == Choices((0.04, 0.1))
    assert (space.searched("cosine"), space.fixed("cosine")) == ({}, {})


def test_drawn_and_pinned_values_make_the_familys_settings() -> None:
    """A list is put together of both, and in order."""
    space = space_of('families = ["multistep", "wsd"]\n[space.settings.multistep]\nat.1 = 0.9')
    settings = space.settings_of("multistep", {"at.2": 0.3, "gamma": 0.1})
    assert schedule("multistep", **settings) == schedule("multistep", at=(0.3, 0.9), gamma=0.1)
    assert space.searched("multistep").keys() == {"at.2", "gamma"}
    assert space_of('settings.wsd.shape = "1-sqrt"').settings_of("wsd", {"cooldown": 0.5}) == {
        "cooldown": 0.5,
        "shape": "1-sqrt",
    }


def test_settings_belong_to_the_space_and_the_familys_own_say_nothing() -> None:
    """Written out, a family's own range and default are the same generation."""
    own = "[space.settings.step]\ngamma = [0.05, 0.7]\nevery = [0.1, 0.5]\n[space.settings.wsd]\nshape = 'linear'"
    assert resolved(own).generation == resolved().generation
    studies = [resolved(), resolved("settings.step.every = 0.5"), resolved("settings.step.every = [0.1, 0.4]")]
    assert len({study.generation for study in studies}) == 3
    assert len({study.meaning for study in studies}) == 1
    spec = resolved(SETTINGS).spec()
    assert json.loads(json.dumps(spec)) == spec
    assert spec["space"]["settings"]["step"] == {"gamma": [0.1, 0.5, True], "every": 0.25}
    assert spec["space"]["settings"]["wsd"] == {"cooldown": [0.1, 0.3, False], "shape": ["linear", "1-sqrt"]}


def test_wrong_settings_are_told_all_at_once_with_their_places() -> None:
    """Ten in one file: names, kinds, ends, and what does not go together."""
    text = """families = ["wsd", "step", "multistep", "exponential", "plateau"]
[space.settings.wsd]
coldown = 0.1
cooldown = [0.3, 0.1]
shape = "sqrt"
warmup = 0.1
[space.settings.step]
gamma = [0.5, 2]
[space.settings.multistep]
at = [0.1, 0.5]
[space.settings.exponential]
stairs = [1.5, 3]
[space.settings.plateau]
mode = "max"
[space.settings.cosine]
x = 1"""
    choices = "or {choices = [...]}"
    assert problems(text) == [
        "line 8, space.settings.wsd.coldown: unknown setting of wsd 'coldown'. Did you mean 'cooldown'? Known: "
        "cooldown, "
        "shape, warmup_shape, warmup_start, warmup_power, hold, noise, noise_seed.",
        "line 9, space.settings.wsd.cooldown: [0.3, 0.1] is not a range [low, high] with low < high, a table "
        "{low, high, "
        "log, whole} or {choices}, or one value. This is how much of the decay's own clock the final descent to "
        "0 takes.",
        f"line 10, space.settings.wsd.shape: 'sqrt' is not one of 'linear', 'cosine', '1-sqrt', 'exponential' "
        f"{choices}. "
        "This is the curve along which the cool-down falls.",
        "line 11, space.settings.wsd.warmup: warmup is the same for all families. Write it under [space].",
        f"line 13, space.settings.step.gamma: [0.5, 2] is not a number in (0, 1], a rising range of these {choices}. "
        "This is what each drop multiplies the rate by.",
        "line 15, space.settings.multistep.at: at is a list. Say each of its numbers by its place: at.1, at.2.",
        "line 17, space.settings.exponential.stairs: [1.5, 3] is not a whole number from 0 to 1000000, a rising "
        "range of "
        f"these {choices}. This is the number of equal stairs, the last drop at the end; 0 is a smooth curve.",
        "line 19, space.settings.plateau.mode: which way the metric is better is study.direction. Take this line out.",
        "line 20, space.settings.cosine: unknown family of this space 'cosine'. Known: wsd, step, multistep, "
        "exponential, "
        "plateau. Or add it to space.families.",
        "line 21, space.settings.cosine.x: unknown setting of cosine 'x'. Known: warmup_shape, warmup_start, "
        "warmup_power, hold, noise, noise_seed.",
    ]


def test_settings_that_do_not_go_together_are_refused() -> None:
    """Two momenta in the wrong order, although each is allowed."""
    [problem] = problems("[space.settings.one_cycle]\ncycle_momentum = true\nmomentum_low = 0.99\nmomentum_high = 0.9")
    assert problem.startswith("line 6, space.settings.one_cycle: momentum_low 0.99 is above momentum_high 0.9; ")


ADVICE = "A trial could get this: change a value or a range here or under [space]"


@pytest.mark.parametrize(
    ("space", "told"),
    [
        ("warmup = [0.0, 0.5]\nsettings.cosine.hold = [0.0, 0.6]", "warmup 0.5 and hold 0.6 are 1.1 of the training; "),
        ("warmup = 0.5\nsettings.cosine.hold = 0.5", "warmup 0.5 and hold 0.5 are 1 of the training; "),
        ("warmup = 0.1\nsettings.cosine.hold = {choices = [0.95, 0.2]}", "warmup 0.1 and hold 0.95 are 1.05 of the "),
        ("families = ['tanh']\nsettings.tanh.low = [-1.0, 1.0]", "low 1 is not below high 0; "),
        (
            "families = ['tanh']\nsettings.tanh = {low = [0.1, 0.9], high = [0.2, 1.0]}",
            "low 0.9 is not below high 0.2; ",
        ),
        (
            "warmup = [0.0, 0.1]\nsettings.cosine.warmup_shape = {choices = ['linear', 'constant']}",
            "warmup_start must be above 0 for a warm-up of shape 'constant', not 0: ",
        ),
        (
            "families = ['one_cycle']\nsettings.one_cycle = {momentum_low = [0.8, 0.97]}",
            "momentum_low 0.97 is above momentum_high 0.95; ",
        ),
    ],
)
def test_ranges_of_which_some_point_is_no_schedule_are_refused(space: str, told: str) -> None:
    """The worst ends are tried with each other, the warm-up's and those of what the file says nothing of."""
    [problem] = problems(space)
    family = space.partition("settings.")[2].partition(" ")[0].partition(".")[0]
    assert problem.startswith(f"line 7, space.settings.{family}: {told}")
    assert problem.endswith(f". {ADVICE}.")


@pytest.mark.parametrize(
    "space",
    [
        "warmup = [0.0, 0.4]\nsettings.cosine.hold = [0.0, 0.5]",
        "families = ['tanh']\nsettings.tanh = {low = [-1.0, 0.1], high = [0.2, 1.0]}",
        "families = ['cyclic']\nwarmup = 0.5\nsettings.cyclic.hold = 0.6",
        "families = ['multistep']\n[space.settings.multistep]\nat.1 = 0.9",
        "families = ['wsd']\nwarmup = '100 steps'\nsettings.wsd = {hold = '50 steps', cooldown = '50 steps'}",
    ],
    ids=["shares", "apart", "rises by itself", "put in order", "counts that fit"],
)
def test_ranges_of_which_every_point_is_a_schedule_are_taken(space: str) -> None:
    """A family that rises by itself gets no warm-up, and a list that ascends is put in order."""
    assert resolved(space).space.settings


@pytest.mark.parametrize(
    ("space", "told"),
    [
        (
            "warmup = '300 steps'\nsettings.cosine.hold = [0.1, 0.6]",
            "warmup '300 steps', hold 0.6 (360 steps) take 660 steps, and there are 600",
        ),
        (
            "warmup = '100 steps'\nsettings.cosine.hold = [0.1, 0.6]",
            "warmup '100 steps', hold 0.6 (120 steps) take 220 steps, and there are 200",
        ),
        (
            "warmup = [0.1, 0.4]\nsettings.cosine.hold = {choices = [0.1, '370 steps']}",
            "warmup 0.4 (240 steps), hold '370 steps' take 610 steps, and there are 600",
        ),
    ],
    ids=["full horizon", "rung", "choice"],
)
def test_counts_that_a_rung_has_no_room_for_are_refused(space: str, told: str) -> None:
    """Once the horizon is known: what a share takes of it is added to what does not shrink with it."""
    with pytest.raises(StudyError) as raised:
        resolved(space)
    [problem] = raised.value.problems
    assert str(problem).startswith(f"line 7, space.settings.cosine: schedule 'cosine': {told}: ")
    assert str(problem).endswith(f"{ADVICE}, study.horizon or search.rungs.")


def test_what_goes_together_may_depend_on_the_metrics_direction() -> None:
    """An accuracy can rise by half of its best, and no positive loss can fall by as much as it is."""
    space = "families = ['plateau']\nsettings.plateau.threshold = [0.5, 1.5]"
    assert resolved(space, study='metric = "val_acc"').direction == "maximize"
    with pytest.raises(StudyError, match=r"space\.settings\.plateau: threshold must be below 1 where"):
        resolved(space)
