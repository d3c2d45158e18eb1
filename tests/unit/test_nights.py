"""Nights by hand: what each rule of a verdict needs, one at a time."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from lrsweep.errors import InvalidInput
from lrsweep.selection.nights import Judgement, Night, NightVerdict, Outcomes, Rules, Surroundings, judge, judgements
from lrsweep.selection.nights.challenging import FALSE, level_of
from lrsweep.selection.nights.drifting import LEVEL, Course, Divergences

HERE = Surroundings("cpu", {"torch": "2.15.0", "numpy": "2.4"}, "d1", "c1")
USUAL = (-0.1, 0.0, 0.1)
"""Of a night's three seeds, around its level."""
LEVELS = (1.0, 1.02, 0.98, 1.01, 0.99)
"""Of nights in which nothing changes, over and over."""


def outcomes(place: int, level: float | None, noise: Sequence[float] = USUAL) -> Outcomes:
    """Three fresh seeds; None: all of them diverged."""
    seeds = [10 * place + number for number in range(len(noise))]
    if level is None:
        return Outcomes(diverged=frozenset(seeds))
    return Outcomes({seed: level + off for seed, off in zip(seeds, noise, strict=True)})


def night(place: int, level: float | None = None, around: Surroundings = HERE, baseline: float | None = None) -> Night:
    """The ``place``-th night; ``level`` moves its canary from where it usually is."""
    usual = LEVELS[place % len(LEVELS)]
    return Night(
        key=f"night {place}",
        champion="step",
        rung=200,
        surroundings=around,
        canary=outcomes(place, usual if level is None else level),
        baseline="cosine",
        canary_baseline=outcomes(place, usual + 0.5 if baseline is None else baseline, (0.05, -0.1, 0.05)),
    )


def quiet(count: int, start: int = 0, around: Surroundings = HERE) -> list[Night]:
    return [night(place, around=around) for place in range(start, start + count)]


def challenged(one: Night, gains: Mapping[str, float | None], place: int, level: float = 2.0) -> Night:
    """The champion at the full horizon, and challengers that are so much better; None: the challenger diverges."""
    champion = outcomes(place, level)
    arms = {
        name: outcomes(place, None if gain is None else level - gain, (-0.12, 0.02, 0.1))
        for name, gain in gains.items()
    }
    return replace(one, full=champion, challengers=arms)


def verdicts(found: Sequence[Judgement]) -> list[str]:
    return [one.verdict.value for one in found]


def test_nights_in_which_nothing_changes_hold() -> None:
    """Limits need three nights; from the fourth on each holds, and nobody asks for challengers."""
    found = judgements(quiet(30))
    assert verdicts(found) == ["undecided"] * 3 + ["holds"] * 27
    assert not any(one.needs_challengers for one in found)
    assert found[0].reason.startswith("0 nights before tonight, and limits need 3")
    assert found[0].next_step == "2 nights more and there are limits"
    assert found[-1].reason.startswith(
        "nothing is shown to have changed: the canary of champion came to 0.99 (3 seeds)"
    )
    assert found[-1].charts[0].nights == 29


def test_the_limits_of_one_night_are_a_prediction_interval() -> None:
    """Three nights of 1, 2 and 3 with one seed each: 2 ± 14.09 · 1 · sqrt(1/3 + 1), by Student's t of 2 degrees."""
    course = Course()
    for value in (1.0, 2.0, 3.0):
        assert course.limits(1) is None
        course.add([value])
    limits = course.limits(1)
    assert limits is not None
    assert limits.high == pytest.approx(2 + 14.0890 * math.sqrt(4 / 3), rel=1e-4)
    assert limits.low == pytest.approx(2 - 14.0890 * math.sqrt(4 / 3), rel=1e-4)


def test_one_bad_night_asks_for_challengers_and_is_no_drift() -> None:
    """However far out it lies; the nights after it hold again, once challengers have been asked for three times."""
    nights = [*quiet(20), night(20, level=100.0), *quiet(10, start=21)]
    found = judgements(nights)
    assert found[20].verdict is NightVerdict.UNDECIDED
    assert found[20].needs_challengers
    assert "came to 100 (3 seeds), outside the limits" in found[20].reason
    assert NightVerdict.WORKLOAD_DRIFTED not in {one.verdict for one in found}
    assert [one.needs_challengers for one in found[20:25]] == [True, True, True, False, False]


def test_one_bad_night_does_not_hide_a_drift_after_it() -> None:
    """It is held to where nights are expected, so that a rise by five seed deviations later is still seen."""
    risen = [night(place, level=1.5, baseline=2.0) for place in range(41, 44)]
    found = judgements([*quiet(20), night(20, level=100.0), *quiet(20, start=21), *risen])
    drift = next(one for one in found if one.verdict is NightVerdict.WORKLOAD_DRIFTED)
    assert drift.key in ("night 42", "night 43")


def test_a_drift_is_one_verdict_and_limits_start_anew() -> None:
    """All canaries rise by five seed deviations: it is seen within three nights, said once, and is the new usual."""
    risen = [replace(each, key=f"risen {each.key}") for each in quiet(12, start=20)]
    risen = [
        replace(
            each,
            canary=Outcomes({seed: cost + 0.5 for seed, cost in each.canary.costs.items()}),
            canary_baseline=Outcomes({seed: cost + 0.5 for seed, cost in each.canary_baseline.costs.items()}),
        )
        for each in risen
    ]
    found = judgements([*quiet(20), *risen])
    when = [place for place, one in enumerate(found) if one.verdict is NightVerdict.WORKLOAD_DRIFTED]
    assert len(when) == 1
    assert 21 <= when[0] <= 22
    drift = found[when[0]]
    assert drift.needs_challengers
    assert drift.reason.startswith("the canary of champion has moved from 1 to 1.51, 5.1 deviations from seed to seed")
    assert verdicts(found[when[0] + 1 : when[0] + 4]) == ["undecided"] * 3
    assert found[-1].verdict is NightVerdict.HOLDS
    assert found[-1].since == found[when[0] + 1].key


def test_a_champion_that_loses_its_lead_is_seen_where_nights_vary() -> None:
    """Nights move both arms together by a lot; only the champion's lead over the baseline tells that it changed."""
    swings = (0.0, 3.0, -2.0, 1.0, -3.0, 2.0, -1.0)
    nights = []
    for place in range(26):
        level = 5.0 + swings[place % 7] + LEVELS[place % 5]
        nights.append(night(place, level=level + (0.5 if place >= 20 else 0.0), baseline=level + 0.5))
    found = judgements(nights)
    drift = next(one for one in found if one.verdict is NightVerdict.WORKLOAD_DRIFTED)
    champion, lead = drift.charts
    assert champion.shift is None
    assert lead.shift is not None
    assert lead.shift.by == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("around", "said"),
    [
        (replace(HERE, device="cuda"), "the device changed from cpu to cuda"),
        (
            replace(HERE, versions={"torch": "2.16.0", "numpy": "2.4"}),
            "the version of torch changed from 2.15.0 to 2.16.0",
        ),
        (replace(HERE, versions={"numpy": "2.4"}), "the version of torch changed from 2.15.0 to none"),
    ],
)
def test_another_device_or_version_is_said_and_is_no_drift(around: Surroundings, said: str) -> None:
    """With it all values move by five seed deviations; limits start anew, and soon hold again."""
    moved = [
        replace(each, canary=Outcomes({seed: cost + 0.5 for seed, cost in each.canary.costs.items()}))
        for each in quiet(10, start=20, around=around)
    ]
    found = judgements([*quiet(20), *moved])
    assert NightVerdict.WORKLOAD_DRIFTED not in {one.verdict for one in found}
    assert found[20].verdict is NightVerdict.UNDECIDED
    assert found[20].reason.startswith(f"{said}, so that limits and comparisons start anew: ")
    assert not found[20].needs_challengers
    assert found[20].since == "night 20"
    assert found[20].next_step == "2 nights more and there are limits"
    assert verdicts(found[21:]) == ["undecided"] * 2 + ["holds"] * 7


@pytest.mark.parametrize("change", [{"champion": "wsd"}, {"baseline": "linear"}, {"rung": 300}])
def test_another_champion_baseline_or_rung_starts_anew(change: dict[str, str | int]) -> None:
    """Its trainings are others, so that a change of values says nothing."""
    moved = [replace(each, **change) for each in quiet(6, start=10)]  # type: ignore[arg-type]
    found = judgements([*quiet(10), *moved])
    assert verdicts(found[10:13]) == ["undecided"] * 3
    assert found[10].since == "night 10"
    assert found[-1].verdict is NightVerdict.HOLDS


def test_a_commit_starts_nothing_anew_and_is_named_beside_a_drift() -> None:
    """Code is what a night watches: with each night's commit limits would never be."""
    nights = [replace(each, surroundings=replace(HERE, commit=f"c{place}")) for place, each in enumerate(quiet(20))]
    later = [
        replace(night(place, level=1.5, baseline=2.0), surroundings=replace(HERE, commit=f"c{place}"))
        for place in range(20, 23)
    ]
    found = judgements([*nights, *later])
    assert found[19].verdict is NightVerdict.HOLDS
    drift = next(one for one in found if one.verdict is NightVerdict.WORKLOAD_DRIFTED)
    place = int(drift.key.removeprefix("night "))
    assert drift.reason.endswith(f"; the commit changed from c{place - 1} to c{place}")
    assert judge([*nights, later[0]], Rules(restarts=("device", "commit"))).since == "night 20"


def test_a_challenger_needs_two_nights_that_confirm_it() -> None:
    """A gain of five deviations is a suspicion on its first night, and a verdict on its third, not before."""
    nights = [
        *quiet(5),
        *(challenged(each, {"wsd": 0.5}, place) for place, each in enumerate(quiet(6, start=5), start=5)),
    ]
    found = judgements(nights, Rules(worth=0.1))
    assert verdicts(found[5:]) == ["undecided", "undecided", "challenger better", *["undecided"] * 3]
    first, second, third, after = found[5:9]
    assert [each.compared[0].confirmed for each in (first, second, third)] == [0, 1, 2]
    assert first.compared[0].suspected_since == "night 5"
    assert second.needs_challengers
    assert second.challengers == ("wsd",)
    assert third.reason.startswith(
        "wsd is better than the champion by 0.5 on the mean of 9 pairs of fresh seeds, over worth 0.1, suspected on "
        "night night 5 and confirmed by 2 nights since"
    )
    assert third.next_step.startswith("promote wsd")
    assert third.compared[0].gain == pytest.approx(0.5)
    assert after.standing == "wsd"
    assert not after.needs_challengers
    assert after.reason.startswith("an earlier night has shown wsd to be better, and nobody has acted on it")


def test_nights_that_do_not_confirm_do_not_count() -> None:
    """A first night of 30 seeds shows a gain beyond doubt; later ones that gain less than worth confirm nothing."""
    seeds = range(1_000, 1_030)
    strong = replace(
        night(0),
        full=Outcomes(dict.fromkeys(seeds, 2.0)),
        challengers={"wsd": Outcomes({seed: 1.5 + USUAL[seed % 3] for seed in seeds})},
    )
    flat = [challenged(each, {"wsd": 0.05}, place) for place, each in enumerate(quiet(5, start=1), start=1)]
    found = judgements([strong, *flat], Rules(worth=0.1))
    last = found[-1].compared[0]
    assert last.gain_interval is not None
    assert last.gain_interval.low > 0.2
    assert (last.suspected_since, last.confirmed) == ("night 0", 0)
    assert "challenger better" not in verdicts(found)
    gains = [challenged(each, {"wsd": 0.5}, place) for place, each in enumerate(quiet(2, start=1), start=1)]
    assert verdicts(judgements([strong, *gains], Rules(worth=0.1))) == ["undecided"] * 2 + ["challenger better"]


def test_a_suspicion_that_lapses_is_none() -> None:
    """One night of a gain and two of a loss: the second night was asked for, and after it the champion holds."""
    gains = (0.5, -0.6, -0.6)
    before = quiet(5)
    nights = [challenged(night(5 + place), {"wsd": gain}, 5 + place) for place, gain in enumerate(gains)]
    found = judgements([*before, *nights], Rules(worth=0.1))
    assert verdicts(found[5:]) == ["undecided", "holds", "holds"]
    assert [one.needs_challengers for one in found[5:]] == [True, True, False]
    assert found[5].next_step.startswith("wsd and the champion train with fresh seeds until 2 nights confirm the gain")
    assert found[6].next_step == "the canary alone, on the next night on which something has changed"


def test_a_gain_of_less_than_worth_is_none() -> None:
    """Ten nights show the gain itself beyond doubt, and not that it is worth a change, though it may be by a little."""
    for gain in (0.09, 0.103):
        nights = [challenged(each, {"wsd": gain}, place) for place, each in enumerate(quiet(10))]
        assert "challenger better" not in verdicts(judgements(nights, Rules(worth=0.1)))
        assert "challenger better" in verdicts(judgements(nights, Rules(worth=0.0)))


def test_without_a_worth_it_is_half_the_champions_deviation() -> None:
    """Three seeds at 2 ± 0.1 deviate by 0.1."""
    found = judge([challenged(night(0), {"wsd": 0.5}, 0)])
    assert found.compared[0].worth == pytest.approx(0.05)


def test_seeds_that_an_earlier_night_used_are_left_out() -> None:
    """The same three seeds ten times are three pairs, and one night of the canary."""
    first = challenged(night(0), {"wsd": 0.5}, 0)
    found = judgements([replace(first, key=f"again {place}") for place in range(10)], Rules(worth=0.0))
    assert "challenger better" not in verdicts(found)
    assert found[-1].stale_seeds == (0, 1, 2)
    assert found[-1].charts[0].nights == 1
    assert found[-1].reason == "no fresh seed of the champion's canary came to an end tonight"


@pytest.mark.parametrize("diverging_nights", [10, 1])
def test_a_challenger_that_diverges_more_is_not_better(diverging_nights: int) -> None:
    """Whatever its mean: one of its seeds diverges on each night, or on the first, and none of the champion's."""
    nights = []
    for place, each in enumerate(quiet(10)):
        one = challenged(each, {"wsd": 0.5}, place)
        arm = one.challengers["wsd"]
        lost = min(arm.costs)
        if place < diverging_nights:
            one = replace(one, challengers={"wsd": replace(arm.without({lost}), diverged=frozenset({lost}))})
        nights.append(one)
    found = judgements(nights, Rules(worth=0.0))
    assert found[-1].compared[0].gain == pytest.approx(0.5, abs=0.05)
    assert found[-1].compared[0].diverged == diverging_nights
    assert "challenger better" not in verdicts(found)


def test_a_challenger_that_trains_where_the_champion_diverges_is_better() -> None:
    """There are no pairs to compare, and Fisher's exact test shows it."""
    nights = [
        replace(challenged(each, {"wsd": 0.0}, place), full=outcomes(place, None))
        for place, each in enumerate(quiet(5))
    ]
    found = judgements(nights, Rules(worth=0.1))
    better = next(one for one in found if one.verdict is NightVerdict.CHALLENGER_BETTER)
    assert better.compared[0].gain is None
    assert "no longer comes to a value" in better.reason
    assert "with 9 of 9 seeds the champion diverged, it with 0" in better.reason


def test_pairs_start_anew_on_another_device() -> None:
    """Two nights of a gain there and one here are not three."""
    there = [challenged(each, {"wsd": 0.5}, place) for place, each in enumerate(quiet(2))]
    moved = [
        challenged(each, {"wsd": 0.5}, place)
        for place, each in enumerate(quiet(3, start=2, around=replace(HERE, device="cuda")), start=2)
    ]
    found = judgements([*there, *moved], Rules(worth=0.1))
    assert verdicts(found) == ["undecided"] * 4 + ["challenger better"]
    assert found[2].compared[0].pairs == 3


def test_divergences_are_told_beside_the_mean() -> None:
    """One seed of three diverges: the mean is that of the others, and holds."""
    one = night(20)
    lost = replace(one, canary=Outcomes({200: 0.9, 202: 1.1}, frozenset({201})))
    found = judge([*quiet(20), lost])
    assert found.verdict is NightVerdict.HOLDS
    assert found.charts[0].tonight == pytest.approx(1.0)
    assert found.diverged == (1, 3)
    assert found.diverged_before == (0, 60)
    assert found.reason.endswith("the champion's diverged with 1 of 3 seeds (0 of 60 in the nights before)")


def test_a_champion_that_begins_to_diverge_is_a_drift() -> None:
    """All seeds of two nights, after 20 nights without a divergence; on the first of them challengers are asked for."""
    nights = [*quiet(20), night(20), night(21)]
    nights[20:] = [replace(each, canary=outcomes(place, None)) for place, each in enumerate(nights[20:], start=20)]
    found = judgements(nights)
    assert found[20].verdict is NightVerdict.UNDECIDED
    assert found[20].needs_challengers
    assert found[21].verdict is NightVerdict.WORKLOAD_DRIFTED
    assert "diverged with 100% of the seeds of the last 2 nights, before that with 0%" in found[21].reason


def test_divergences_that_were_always_there_are_no_drift() -> None:
    """One of three seeds diverges every night."""
    divergences = Divergences()
    for _ in range(100):
        divergences.add(3, 1)
        assert divergences.shift() is None


def test_a_training_that_ignores_its_seed_has_no_drift_in_one_night() -> None:
    """All values are equal, then others: no spread was seen, and two equal nights are still not thrice that far out."""
    flat = [
        Night(f"{place}", "step", 200, HERE, outcomes(place, 1.0 if place < 10 else 0.9, (0.0, 0.0, 0.0)))
        for place in range(14)
    ]
    found = judgements(flat)
    assert verdicts(found[3:10]) == ["holds"] * 7
    assert found[10].verdict is NightVerdict.UNDECIDED


def test_figures_are_in_the_metric_s_own_direction() -> None:
    """An accuracy is given as costs below zero, and told as it is."""
    nights = [
        Night(f"{place}", "step", 200, HERE, outcomes(place, -0.9 - LEVELS[place % 5] / 100)) for place in range(10)
    ]
    chart = judge(nights, Rules(direction="maximize")).charts[0]
    assert chart.tonight == pytest.approx(0.9099)
    assert chart.limits is not None
    assert chart.limits.low < 0.91 < chart.limits.high
    assert chart.before == pytest.approx(0.91, abs=1e-3)


def test_all_levels_of_challengers_add_up_to_what_may_be_claimed_wrongly() -> None:
    """10,000 challengers of 2,000 nights come near to it, and not over it."""
    nights = sum(level_of(1, night) or 0.0 for night in range(1, 2_000)) / (level_of(1, 3) or math.nan) / 3
    challengers = sum(level_of(place, 3) or 0.0 for place in range(1, 10_000)) * 3
    assert 0.99 < nights <= 1.0
    assert 0.99 * FALSE < challengers <= FALSE


def test_all_levels_of_drifts_add_up_to_less_than_one_a_year() -> None:
    """365 nights, 3 charts, 7 windows."""
    assert 0.29 < 365 * 3 * 7 * LEVEL < 0.31


def test_rows_and_judgements_pass_through_json() -> None:
    """A row comes back as it was; a judgement is plain JSON."""
    one = challenged(replace(night(3), canary=Outcomes({30: 1.0}, frozenset({31}))), {"wsd": 0.5, "rex": None}, 3)
    assert Night.from_json(json.loads(json.dumps(one.to_json()))) == one
    written = json.loads(json.dumps(judge([*quiet(3), one]).to_json(), allow_nan=False))
    assert written["format"] == 1
    assert written["verdict"] == "undecided"
    assert [each["name"] for each in written["compared"]] == ["rex", "wsd"]


def test_what_cannot_be_a_night_is_refused() -> None:
    """Each with what was given and what is wanted."""
    with pytest.raises(InvalidInput, match=r"a cost of a night is nan of seed 1; a seed that diverged is named"):
        Outcomes({1: math.nan})
    with pytest.raises(InvalidInput, match=r"seed 1 of a night has a cost and has diverged"):
        Outcomes({1: 0.5}, frozenset({1}))
    with pytest.raises(InvalidInput, match=r"night 'night 0' is given twice"):
        judge([night(0), night(0)])
    with pytest.raises(InvalidInput, match=r"no night is given"):
        judge([])
    with pytest.raises(InvalidInput, match=r"restarts of a night's rules has 'gpu'; it takes device, versions, data"):
        Rules(restarts=("gpu",))
    with pytest.raises(InvalidInput, match=r"worth of a night's rules is -1"):
        Rules(worth=-1.0)
    with pytest.raises(InvalidInput, match=r"night 'x' has format 2, and this lrsweep reads up to 1"):
        Night.from_json({"format": 2, "key": "x"})


def test_what_a_night_says_does_not_hang_on_later_nights() -> None:
    """A driver that asks each night gets what one gets that asks in the end."""
    nights = [*quiet(6), night(6, level=9.0), *quiet(3, start=7)]
    assert [judge(nights[: end + 1]) for end in range(len(nights))] == judgements(nights)
