"""The arithmetic of the engines' benchmark, and those of its parts that must train what they are compared with."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from torch.func import vmap
from torch.nn import functional

from lrsweep.records import EngineSettings, Record, TrainingPlan
from tests.benchmarks.engines import convolutions, many
from tests.benchmarks.engines.__main__ import Running
from tests.benchmarks.engines.arrangements import Arrangement, Way, one_after_the_other, side_by_side
from tests.benchmarks.engines.asked import arguments, asked_by, likely
from tests.benchmarks.engines.auto import Auto
from tests.benchmarks.engines.lockstep import Rows
from tests.benchmarks.engines.loops import Counted, Plans, training_by
from tests.benchmarks.engines.many import Lists, Measured, Run
from tests.benchmarks.engines.occupancy import Desk, Halving
from tests.benchmarks.engines.picture import lines_of, picture
from tests.benchmarks.engines.problem import PROBLEMS, RECIPES, Opened

REPOSITORY = Path(__file__).parents[2]

ONE, TWO = Arrangement(Way.TORCH_FUSED), Arrangement(Way.ENGINE)
FOUR, EIGHT = Arrangement(Way.FUSED, slots=4), Arrangement(Way.FUSED, slots=8)


@pytest.fixture(scope="module")
def digits() -> Opened:
    torch.set_num_threads(1)
    return PROBLEMS["digits-mlp"].opened(torch.device("cpu"))


def measured() -> Measured:
    """Two rounds and a duel of two windows; EIGHT could not run."""
    speeds = {
        (ONE, False): [100.0, 140.0],
        (TWO, False): [90.0, 90.0],
        (FOUR, False): [300.0, 300.0],
        (ONE, True): [100.0, 200.0],
        (FOUR, True): [300.0, 400.0],
    }
    runs = [
        Run(arrangement, 600, number, 10, 1.0, is_duel, speed)
        for (arrangement, is_duel), each in speeds.items()
        for number, speed in enumerate(each)
    ]
    return Measured(runs, {EIGHT: "memory was short"})


def test_a_ratio_is_of_windows_of_one_duel() -> None:
    """3 in the first duel and 2 in the second, not the quotient of two medians."""
    found = many.figures(measured(), [ONE, TWO], [FOUR, EIGHT], {600: Auto(FOUR, 41.26)})["horizons"]["600"]
    assert found["best_sequential"] == "torch fused"
    assert found["best_fused"] == "fused/4"
    assert found["fused_times_sequential"] == {"n": 2, "median": 2.5, "min": 2.0, "max": 3.0}
    assert found["auto_times_sequential"] == found["fused_times_sequential"]
    assert (found["auto"], found["auto_seconds"]) == ("fused/4", 41.3)


def test_the_goals_are_ratios_of_baselines_that_can_run() -> None:
    """Of one process each, whatever is fastest; without a GPU there is no graph, and no ratio to one."""
    loader, pair, graph = Arrangement(Way.DATALOADER), Arrangement(Way.TORCH_FUSED, processes=2), Arrangement(Way.GRAPH)
    found = measured()
    found.runs += [
        Run(each, 600, number, 10, 1.0, is_duel, speed)
        for each, speed in ((loader, 20.0), (pair, 200.0))
        for is_duel in (False, True)
        for number in range(2)
    ]
    found.absent[graph] = "a CUDA graph needs a GPU"
    sequential = [ONE, TWO, loader, pair, graph]
    assert many.fighters(found, sequential, [FOUR, EIGHT], 600, TWO) == [pair, ONE, loader, FOUR, TWO]
    given = many.figures(found, sequential, [FOUR, EIGHT], {600: Auto(FOUR)})["horizons"]["600"]
    assert (given["best_sequential"], given["best_eager"]) == (pair.name, ONE.name)
    assert {name: each["median"] for name, each in given.items() if "_times_" in name} == {
        f"{what}_times_{rival}": median
        for what in ("fused", "auto")
        for rival, median in (("sequential", 1.75), ("eager", 2.5), ("dataloader", 17.5))
    }
    assert "times the eager baseline, torch fused (2.00 to 3.00, n = 2)" in many.table(
        {"digits-mlp": many.figures(found, sequential, [FOUR], {600: Auto(FOUR)})}
    )


def test_what_is_far_slower_in_the_first_round_has_no_other() -> None:
    """Each side by itself and at each horizon; 1.5 times is not too slow."""
    speeds = {ONE: 150.0, TWO: 100.0, FOUR: 900.0, EIGHT: 590.0}

    class Instant:
        def count(self, arrangement: Arrangement, horizon: int, seconds: float) -> list[Counted]:
            speed = 900.0 if horizon == 200 else speeds[arrangement]
            return [Counted(round(horizon * speed), 3600.0)]

    for times, rounds in ((1.5, 1), (None, 3)):
        found = many.measure(Instant(), [*speeds], [600, 200], Lists(3, 1, 1.0, times), lambda _: None)  # type: ignore[arg-type]
        assert {each: len(found.speeds(each, 600)) for each in speeds} == {ONE: 3, TWO: 3, FOUR: 3, EIGHT: rounds}
        assert all(len(found.speeds(each, 200)) == 3 for each in speeds)
        assert list(found.dropped) == ([(EIGHT, 600)] if times else [])


def test_results_that_come_together_wait_for_each_other() -> None:
    """One after the other, two seconds each; the next begins when it comes."""
    desk = Desk(seconds=2.0)
    for number in range(3):
        desk.came(number, at=10.0)
    assert [desk.done(by=time) for time in (11.9, 12.0, 13.9, 16.0)] == [[], [0], [], [1, 2]]
    desk.came(3, at=30.0)
    assert desk.done(by=31.9) == []
    assert desk.done(by=32.0) == [3]


def test_a_run_that_is_cut_keeps_what_it_has(tmp_path: Path) -> None:
    """After each piece the file has all that came before, and says that more was to come."""
    given = ["--quick", "--device", "cpu", "--parts", "many", "--out", str(tmp_path)]
    running = Running(asked_by(arguments(given)), tmp_path / "engines.json")
    running.result |= {"many": {"digits-mlp": many.figures(measured(), [ONE], [FOUR], {600: Auto(FOUR)})}}
    running.done("many digits-mlp")
    kept = json.loads((tmp_path / "engines.json").read_text())
    assert not kept["is_whole"]
    assert kept["many"]["digits-mlp"]["horizons"]["600"]["auto"] == "fused/4"
    assert [file.name for file in sorted(tmp_path.iterdir())] == ["engines.json", "engines.svg"]


def test_a_run_without_full_is_short_on_a_cpu_alone() -> None:
    """Half an hour: fewer slots, fewer horizons, and of the last problem what was best before."""
    short, full = (asked_by(arguments([*each, "--device", "cpu"])) for each in ([], ["--full"]))
    assert short.problems == full.problems == ("digits-mlp", "digits-cnn", "mnist-cnn")
    assert [short.horizons_of(name) for name in short.problems] == [(600, 200), (600,), (600,)]
    assert {full.horizons_of(name) for name in full.problems} == {(600, 200)}
    assert sum(short.expected().values()) < 1800 < 3600 < sum(full.expected().values())
    assert (short.lists.drop, full.lists.drop) == (1.5, None)


def test_the_best_two_of_each_side_go_on_to_the_next_problem() -> None:
    """And the baselines with them."""
    three, loader = Arrangement(Way.FOREACH), Arrangement(Way.DATALOADER)
    found = measured()
    found.runs += [Run(each, 600, 0, 10, 1.0, False, speed) for each, speed in ((three, 10.0), (loader, 5.0))]
    assert likely(found, [loader, three, TWO, ONE], [FOUR, EIGHT], 600) == ([ONE, TWO, loader], [FOUR])


def test_what_cannot_run_is_in_the_table_with_its_reason() -> None:
    """And takes no part in what is best."""
    found = {"digits-mlp": many.figures(measured(), [ONE, TWO], [FOUR, EIGHT], {600: Auto(reason="not asked")})}
    [line] = [line for line in many.table(found).splitlines() if "fused/8" in line]
    assert line.split() == ["fused/8", "-", "memory", "was", "short"]
    assert "fused (fused/4) is 2.50 times torch fused (2.00 to 3.00, n = 2)" in many.table(found)


def test_the_picture_has_a_line_for_each_way_and_is_whole() -> None:
    """The fastest of those one after the other comes first, because it is the one that is named."""
    problem = many.figures(measured(), [TWO, ONE], [FOUR, EIGHT], {600: Auto(reason="not asked")})
    lines = lines_of(problem, "600")
    assert [(line.name, line.level) for line in lines] == [
        ("torch fused", 120.0),
        ("lrsweep sequential", 90.0),
        ("fused", None),
    ]
    drawn = picture(
        {
            "many": {"a & b": json.loads(json.dumps(problem))},
            "machine": {"gpu": None, "cpu": "x", "cores": 2},
            "versions": {"torch": "2", "cuda": None},
            "rounds": 2,
            "date": "2026-01-01",
        }
    )
    assert "a &amp; b" in drawn
    assert ElementTree.fromstring(drawn).tag.endswith("svg")


def test_no_arrangement_has_more_threads_than_the_machine_has_cores() -> None:
    """On two cores: one process of two threads, or two of one."""
    both = [*one_after_the_other("cpu", 2), *side_by_side("cpu", 2, [4])]
    assert max(each.processes * each.threads for each in both) == 2
    assert {(each.processes, each.threads) for each in both} == {(1, 1), (1, 2), (2, 1)}
    assert {each.processes for each in one_after_the_other("cpu", 1)} == {1}


def test_the_best_third_of_a_rung_goes_on() -> None:
    """The first one does in any case, and of six the second best; 1.5 is the second best of four, and does not."""
    for values, promoted in (([6, 5, 4, 3, 2, 1], [0, 1, 2, 3, 4, 5]), ([1, 3, 2, 1.5, 4, 1.2], [0, 5])):
        halving = Halving(trials=36, rungs=2)
        trials = [halving.next() for _ in values]
        assert trials == [(trial, 0) for trial in range(6)]
        for trial, value in enumerate(values):
            halving.told(trial, 0, value)
        assert [halving.next() for _ in promoted] == [(trial, 1) for trial in promoted]


def test_the_search_keeps_a_sixth_of_its_trials_in_flight() -> None:
    """Of 36 trials 6; one more when one is told."""
    halving = Halving(trials=36, rungs=1)
    asked = [halving.next() for _ in range(8)]
    assert asked.index(None) == 6
    halving.told(0, 0, 1.0)
    assert halving.next() == (6, 0)
    assert halving.next() is None


def test_a_sweep_is_over_when_every_trial_was_told() -> None:
    """Not when the last was asked for."""
    halving = Halving(trials=5, rungs=2)
    asked = 0
    while not halving.is_over:
        job = halving.next()
        assert job is not None
        asked += 1
        halving.told(*job, value=float(asked))
    assert halving.is_asked_out
    assert asked == 6


@pytest.mark.parametrize("layout", convolutions.LAYOUTS)
@pytest.mark.parametrize("shape", convolutions.SHAPES[:4], ids=lambda shape: shape.name)
def test_the_convolutions_are_the_one_that_vmap_computes(shape: convolutions.Shape, layout: str) -> None:
    """Outputs and gradients, for three models with weights of their own."""
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(3, 2, shape.inputs, 9, 8, generator=generator, dtype=torch.float64)
    if layout == "NHWC":
        inputs = inputs.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
    inputs.requires_grad_()
    weights = torch.randn(
        3, shape.outputs, shape.inputs, shape.window, shape.window, generator=generator, dtype=torch.float64
    ).requires_grad_()
    outputs = vmap(lambda one, weight: functional.conv2d(one, weight, padding=shape.padding))(inputs, weights)
    towards = torch.randn(outputs.shape, generator=generator, dtype=torch.float64)
    wanted = outputs, *torch.autograd.grad(outputs, (inputs, weights), towards)
    for convolve in convolutions.WAYS.values():
        outputs = convolve(inputs, weights, shape.padding)
        for given, expected in zip(
            (outputs, *torch.autograd.grad(outputs, (inputs, weights), towards)), wanted, strict=True
        ):
            torch.testing.assert_close(given, expected, rtol=1e-12, atol=1e-12)


def losses_of_engine(opened: Opened, plan: TrainingPlan) -> list[float]:
    from lrsweep.engines import sequential

    records: list[Record] = []
    sequential.train(plan, opened.workload, records.append)
    return [loss for record in records for loss in record.train_losses.tolist()]


def test_rows_that_move_in_step_train_what_the_engine_trains(digits: Opened) -> None:
    """What would be one CUDA graph: eight updates of both recipes, after a reset too."""
    recipes = [RECIPES["sgd"], RECIPES["adamw"]]
    rows = Rows(digits, [optimizer for optimizer, _ in recipes])
    plans = Plans(digits, ["sgd", "adamw"], first_seed=10)
    feed = digits.workload.feed()
    for _ in range(2):
        pair = [plans.next(8, 1), plans.next(8, 1)]
        assert [each.optimizer.name for each in pair] == ["sgd", "adamw"]
        seeds = [each.seed for each in pair]
        rows.reset(seeds)
        rates = torch.tensor([each.schedule.rates(8, each.peak_lr).tolist() for each in pair])
        losses = []
        for step in range(8):
            rows.update(*feed(seeds, [step, step]), rates[:, step])
            losses.append(rows.losses.clone())
        rows.evaluate()
        wanted = torch.tensor([losses_of_engine(digits, each) for each in pair])
        torch.testing.assert_close(torch.stack(losses, dim=1), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("way", [Way.DATALOADER, Way.FOR_LOOP, Way.FOREACH, Way.TORCH_FUSED, Way.ENGINE])
def test_a_training_asks_its_clock_after_every_update(way: Way, digits: Opened) -> None:
    """Nine times for nine updates; and it ends at once when the clock says so."""
    training = training_by(way, digits)
    asked = 0

    def is_over() -> bool:
        nonlocal asked
        asked += 1
        return asked == last

    last = 0
    assert not training(Plans(digits, ["sgd"], 1).next(9), is_over)
    assert asked == 9
    asked, last = 0, 4
    assert training(Plans(digits, ["sgd"], 1).next(9), is_over)
    assert asked == 4


def test_plans_take_the_recipes_in_turn_with_seeds_of_their_own(digits: Opened) -> None:
    """With the settings of the engine that is to train them."""
    plans = Plans(digits, ["sgd", "adamw"], first_seed=4)
    three = [plans.next(20, compiled=True) for _ in range(3)]
    assert [(each.seed, each.optimizer.name) for each in three] == [(4, "sgd"), (5, "adamw"), (6, "sgd")]
    assert {each.engine for each in three} == {EngineSettings(compile=True)}


def test_the_command_runs_with_torch_torchvision_and_numpy_alone() -> None:
    """Everything else that lrsweep depends on is hidden from a process that loads random digits and asks for help."""
    script = textwrap.dedent(
        """
        import sys
        from importlib.machinery import PathFinder

        HIDDEN = {"alembic", "matplotlib", "mlflow", "optuna", "pandas", "psycopg", "pydantic", "pydantic_core",
                  "pytest", "ray", "scipy", "sklearn", "sqlalchemy"}

        class Hiding:
            @staticmethod
            def find_spec(name, path=None, target=None):
                return None if name.partition(".")[0] in HIDDEN else PathFinder.find_spec(name, path, target)

        sys.meta_path[:] = [Hiding if finder is PathFinder else finder for finder in sys.meta_path]

        import torch
        from tests.benchmarks.engines import __main__
        from tests.benchmarks.engines.problem import PROBLEMS
        opened = PROBLEMS["digits-cnn"].opened(torch.device("cpu"), synthetic=True)
        print(*opened.workload.batch(0, 0)[0].shape)
        """
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.stdout.split() == ["64", "64"], done.stderr
