"""What it takes until a challenger is shown to be better, one rule at a time."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from lrsweep.selection.nights import Night, NightVerdict, Outcomes, Rules, judge, judgements
from lrsweep.selection.nights.challenging import FALSE, level_of
from tests.nights_by_hand import HERE, USUAL, challenged, night, outcomes, quiet, verdicts


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


def test_a_suspect_that_is_never_trained_lapses() -> None:
    """Its trainings fail night after night: 30 nights after its first it is asked for no more."""
    first = challenged(night(0), {"wsd": 0.5}, 0)
    found = judgements([first, *quiet(40, start=1)], Rules(worth=0.1))
    asked = [each.needs_challengers for each in found[1:]]
    assert asked == [True] * 29 + [False] * 11
    assert found[-1].verdict is NightVerdict.HOLDS


def test_who_was_shown_by_other_rules_is_shown_again() -> None:
    """Nights whose verdicts have named nobody: the next with pairs names whom they show, and by itself it would wait;
    whom they have named waits."""
    nights = [
        *quiet(5),
        *(challenged(each, {"wsd": 0.5}, place) for place, each in enumerate(quiet(5, start=5), start=5)),
    ]
    rules, before = Rules(worth=0.1), [each.key for each in nights[:-1]]
    silent, named = dict.fromkeys(before, ()), {**dict.fromkeys(before, ()), before[-2]: ("wsd",)}
    assert judgements(nights, rules)[-1].standing == "wsd"
    last = judgements(nights, rules, silent)[-1]
    assert (last.verdict, last.shown, last.standing) == (NightVerdict.CHALLENGER_BETTER, "wsd", None)
    waits = judgements(nights, rules, named)[-1]
    assert (waits.verdict, waits.shown, waits.standing) == (NightVerdict.UNDECIDED, None, "wsd")


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


def test_all_levels_of_challengers_add_up_to_what_may_be_claimed_wrongly() -> None:
    """10,000 challengers of 2,000 nights come near to it, and not over it."""
    nights = sum(level_of(1, night) or 0.0 for night in range(1, 2_000)) / (level_of(1, 3) or math.nan) / 3
    challengers = sum(level_of(place, 3) or 0.0 for place in range(1, 10_000)) * 3
    assert 0.99 < nights <= 1.0
    assert 0.99 * FALSE < challengers <= FALSE


def risen_from(start: int, nights: list[Night]) -> list[Night]:
    """All canaries rise by five seed deviations with the ``start``-th night; challengers' pairs stay as they are."""
    return [
        replace(
            each,
            canary=Outcomes({seed: cost + 0.5 for seed, cost in each.canary.costs.items()}),
            canary_baseline=Outcomes({seed: cost + 0.5 for seed, cost in each.canary_baseline.costs.items()}),
        )
        if place >= start
        else each
        for place, each in enumerate(nights)
    ]


@pytest.mark.parametrize(("first", "shown", "drifted"), [(18, 20, 25), (19, 21, 21), (17, 19, 21)])
def test_a_challenger_that_a_drift_follows_is_found_once(first: int, shown: int, drifted: int) -> None:
    """Shown some nights before the drift, on its night, or on a night that counts on after it; it stands on."""
    nights = [challenged(night(place), {"wsd": 0.5}, place) if place >= first else night(place) for place in range(40)]
    found = judgements(risen_from(drifted - 1, nights), Rules(worth=0.1))
    assert found[drifted].charts[0].shift is not None
    assert [one.key for one in found if one.verdict is NightVerdict.CHALLENGER_BETTER] == [f"night {shown}"]
    assert {one.standing for one in found[shown + 1 :]} == {"wsd"}
    assert found[drifted + 1].compared[0].nights == 3


def test_a_challenger_that_lost_its_gain_in_a_drift_stands_no_longer() -> None:
    """As many nights as show a gain have to be without one: one night, which says little, is not enough."""
    nights = [challenged(night(place), {"wsd": 0.5}, place) if place >= 18 else night(place) for place in range(24)]
    nights += [challenged(night(place), {"wsd": -0.5}, place) for place in range(24, 30)]
    found = judgements(risen_from(24, nights), Rules(worth=0.1))
    assert found[25].verdict is NightVerdict.WORKLOAD_DRIFTED
    assert found[25].next_step.startswith("challengers train at the full horizon, wsd among them, and limits")
    assert [one.standing for one in found[24:28]] == ["wsd", "wsd", None, None]


def test_on_another_device_nobody_stands() -> None:
    """What was shown there is no claim here, where the challenger is found by nights of its own."""
    there = [challenged(each, {"wsd": 0.5}, place) for place, each in enumerate(quiet(4))]
    here = replace(HERE, device="cuda")
    moved = [challenged(night(place, around=here), {"wsd": 0.5}, place) for place in range(4, 8)]
    found = judgements([*there, *moved], Rules(worth=0.1))
    assert [one.standing for one in found] == [None, None, None, "wsd", None, None, None, "wsd"]
    assert [place for place, one in enumerate(found) if one.verdict is NightVerdict.CHALLENGER_BETTER] == [2, 6]
