"""``lrsweep import``: a real Optuna database and a real MLflow one, into a real store; our copy in optuna-dashboard."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any
from urllib.request import urlopen
from wsgiref.simple_server import WSGIRequestHandler, make_server

import optuna
import pytest

from lrsweep.cli import importing
from lrsweep.cli.importing import import_into, told
from lrsweep.errors import InvalidInput, SettingsError
from lrsweep.records import Direction, Origin, SweepStatus, TrialState
from lrsweep.settings import read_settings
from lrsweep.store import open_store
from lrsweep.sweep.beginning import used_up
from lrsweep.sweep.importing import Stranger, foreign_trials, from_optuna
from lrsweep.sweep.optuna_copy import add_copy, open_copy
from lrsweep.sweep.search import frozen_trial
from lrsweep.sweep.stored import resolved_from
from tests.sweeps import a_complete_trial, a_study

STUDY = """
[study]
name = "digits"
workload = "digits"
[space]
families = ["cosine", "linear"]
optimizers = ["sgd"]
[budget]
trials = 10
"""


def their_study(file: Path, *, direction: Direction = "minimize") -> str:
    """Three complete trials that fit, under names of their own, and two that do not; and four that failed."""
    url = f"sqlite:///{file}"
    study = optuna.create_study(storage=url, study_name="theirs", direction=direction)
    for _ in range(4):
        trial = study.ask()
        trial.suggest_categorical("scheduler", ["cosine", "linear", "lambda"])
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
    distributions: dict[str, Any] = {
        "scheduler": optuna.distributions.CategoricalDistribution(("cosine", "linear", "lambda")),
        "lr": optuna.distributions.FloatDistribution(1e-5, 10.0, log=True),
    }
    for value, (name, rate) in enumerate(
        [("cosine", 0.1), ("linear", 0.2), ("cosine", 0.3), ("lambda", 0.1), ("cosine", 9.0)]
    ):
        study.add_trial(
            optuna.create_trial(
                params={"scheduler": name, "lr": rate}, distributions=distributions, value=0.25 * (value + 1)
            )
        )
    return url


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits.toml").write_text(STUDY)
    return tmp_path


def imported(source: str, home: Path, **given: Any) -> Any:
    options = {"metric": None, "same_metric": False, **given}
    return import_into(source, "digits.toml", read_settings({"LRSWEEP_HOME": str(home / "lr")}), say=print, **options)


def rows(home: Path) -> list[Any]:
    store = open_store(f"sqlite:///{home / 'lr' / 'results.db'}")
    try:
        return list(store.trials("digits"))
    finally:
        store.close()


def test_an_optuna_study_comes_in_under_the_users_word_for_its_values_and_once(home: Path) -> None:
    """As foreign trials of a new sweep that waits; what does not fit is counted with its reason; no address is kept."""
    url = their_study(home / "their.db")
    found = imported(f"optuna:{url}#theirs", home, same_metric=True)
    assert (found.kept, found.tried, found.known) == (3, 0, 0)
    assert found.refused == {
        "the family 'lambda' is not known here": 1,
        "cosine.sgd.peak_lr lies outside its range": 1,
    }
    trials = rows(home)
    assert [trial.copied_from for trial in trials] == ["optuna:theirs#4", "optuna:theirs#5", "optuna:theirs#6"]
    assert [trial.value for trial in trials] == [0.25, 0.5, 0.75]
    assert {trial.origin for trial in trials} == {Origin.FOREIGN}
    assert trials[1].params == {"family": "linear", "optimizer": "sgd", "linear.sgd.peak_lr": 0.2}
    again = imported(f"optuna:{url}#theirs", home, same_metric=True)
    assert (again.kept, again.known) == (0, 3)
    assert len(rows(home)) == 3


def test_an_mlflow_experiment_gives_points_alone_unless_told_otherwise(home: Path) -> None:
    """Two of ten trials, the best of each family; a run without the metric gives none."""
    from mlflow import MlflowClient

    from lrsweep.settings import make_homes
    from lrsweep.tracking.connection import load_mlflow, ready

    load_mlflow()
    homes = make_homes(read_settings({"LRSWEEP_HOME": str(home / "lr")}))
    with ready(homes.mlflow_uri, artifact_root=homes.artifact_root, timeout_seconds=10) as uri:
        client = MlflowClient(uri)
    experiment = client.create_experiment("theirs")
    for name, rate, loss in [("cosine", 0.1, 0.5), ("cosine", 0.2, 0.25), ("linear", 0.1, 0.75), ("linear", 0.3, None)]:
        run = client.create_run(experiment).info.run_id
        client.log_param(run, "lr_scheduler_type", name)
        client.log_param(run, "learning_rate", rate)
        client.log_param(run, "optimizer", "SGD")
        if loss is not None:
            client.log_metric(run, "val_loss", loss)
        client.set_terminated(run)
    found = imported("mlflow:theirs", home)
    assert (found.kept, found.tried) == (0, 2)
    assert found.refused["no value"] == 1
    trials = rows(home)
    assert {trial.state for trial in trials} == {TrialState.FAILED}
    assert {trial.params[f"{trial.params['family']}.sgd.peak_lr"] for trial in trials} == {0.2, 0.1}
    with pytest.raises(SettingsError, match=r"and does not say which way val_acc is better\. Add --direction"):
        imported("mlflow:theirs", home, metric="val_acc")
    with pytest.raises(SettingsError, match="--direction is maximize, and the study says minimize of val_loss"):
        imported("mlflow:theirs", home, direction="maximize")
    with pytest.raises(InvalidInput, match=r"MLflow has no experiment 'ours'\. It has 'theirs'"):
        imported("mlflow:ours", home)


def test_a_rate_scale_of_somebody_elses_is_a_parameter_like_any_other(tmp_path: Path) -> None:
    """Only of runs that lrsweep wrote is it the raised rate of a rung, which is no point."""
    from mlflow import MlflowClient

    from lrsweep.tracking.connection import load_mlflow, ready
    from lrsweep.tracking.importing import strange_runs

    load_mlflow()
    artifacts = tmp_path / "artifacts"
    with ready(f"sqlite:///{tmp_path}/mlflow.db", artifact_root=artifacts, timeout_seconds=10) as uri:
        client = MlflowClient(uri)
    experiment = client.create_experiment("theirs")
    for kind, scale in [(None, "linear"), (None, "0.5"), ("search", "1.0"), ("search", "2.0")]:
        run = client.create_run(experiment, tags={"lrsweep.kind": kind} if kind else None).info.run_id
        client.log_param(run, "rate_scale", scale)
        client.set_terminated(run)
    found = strange_runs(uri, "theirs", "val_loss", artifact_root=artifacts)
    assert sorted(run.params["rate_scale"] for run in found) == ["0.5", "1.0", "linear"]


def test_what_cannot_be_imported_is_told(home: Path) -> None:
    """A source of no kind, a file that is not there, a study that is not in it, another direction."""
    with pytest.raises(SettingsError, match="the source of an import is optuna:URL#STUDY"):
        imported("postgres://ann:secret@db", home)
    with pytest.raises(InvalidInput, match=r"there is no file none\.db"):
        from_optuna("sqlite:///none.db", "theirs")
    url = their_study(home / "their.db", direction="maximize")
    with pytest.raises(InvalidInput, match=r"has no Optuna study 'ours'\. It has 'theirs'"):
        from_optuna(url, "ours")
    with pytest.raises(InvalidInput, match=r"there a larger value is better and in digits\.toml a smaller one"):
        imported(f"optuna:{url}#theirs", home, same_metric=True)


def test_of_another_metric_the_best_are_taken_the_way_it_is_better(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of five trials may be a point, so the largest accuracy comes in and not the smallest."""
    accuracies = {0.1: 0.5, 0.2: 0.9, 0.3: 0.7}
    found = [Stranger(f"m#{rate}", {"family": "cosine", "lr": rate}, each) for rate, each in accuracies.items()]
    monkeypatch.setattr(importing, "_from_mlflow", lambda *_: found)  # reading MLflow is shown above
    (home / "digits.toml").write_text(STUDY.replace("trials = 10", "trials = 5"))
    assert imported("mlflow:theirs", home, metric="val_acc", direction="maximize").tried == 1
    assert [trial.params["cosine.sgd.peak_lr"] for trial in rows(home)] == [0.2]


def test_a_point_that_was_trained_with_several_seeds_comes_in_once() -> None:
    """Two of ten trials may be points: the best one, and the next best that is another."""
    rates = {1: 0.1, 2: 0.1, 3: 0.2, 4: 0.3}
    strangers = [
        Stranger(f"m#{place}", {"family": "cosine", "lr": rate, "optimizer": "sgd"}, place / 4)
        for place, rate in rates.items()
    ]
    found, refused = foreign_trials(
        a_study(families=("cosine",), trials=10), "s", strangers, "minimize", same_metric=False
    )
    assert [row.params["cosine.sgd.peak_lr"] for row in found] == [0.1, 0.2]
    assert list(refused.values()) == [1, 1]
    assert refused["the same point as a better one"] == 1


@pytest.mark.parametrize("same_metric", [True, False])
def test_a_value_that_is_no_finite_number_is_left_out_and_told(home: Path, same_metric: bool) -> None:
    """Optuna takes infinity for the value of a complete trial; what comes after it comes in all the same."""
    url = their_study(home / "their.db")
    study = optuna.load_study(study_name="theirs", storage=url)
    [known] = [trial for trial in study.trials if trial.number == 4]
    for value in (float("inf"), 0.125):
        params = {**known.params, "lr": 0.4}
        study.add_trial(optuna.create_trial(params=params, distributions=known.distributions, value=value))
    found = imported(f"optuna:{url}#theirs", home, same_metric=same_metric)
    assert found.refused["no finite value"] == 1
    assert 0.4 in [trial.params.get("cosine.sgd.peak_lr") for trial in rows(home)]


def test_a_sweep_that_an_import_begins_is_begun_as_any(home: Path) -> None:
    """Its exponents are frozen; a budget in time has its fifth; and what comes into a finished one asks for another."""
    (home / "digits.toml").write_text(STUDY.replace("trials = 10", 'wall_clock = "1h"'))
    url = their_study(home / "their.db")
    found = imported(f"optuna:{url}#theirs", home)
    assert (found.tried, found.is_over) == (3, False)
    store = open_store(f"sqlite:///{home / 'lr' / 'results.db'}")
    [sweep] = store.sweeps("digits")
    assert sweep.settings["rate_exponents"].keys() == {"sgd"}
    [row] = store.studies("digits")
    lease = store.acquire_lease("digits", "a driver", seconds=60)
    settings = used_up(resolved_from(row))
    store.update_sweep(lease, sweep.sweep_id, status=SweepStatus.FINISHED, settings=settings)
    store.release_lease(lease)
    store.close()
    more = optuna.load_study(study_name="theirs", storage=url)
    more.add_trial(more.trials[4])
    late = imported(f"optuna:{url}#theirs", home)
    assert (late.tried, late.is_over) == (1, True)
    assert any("`lrsweep run --new` starts another one" in line for line in told(late))


def test_parameters_are_understood_under_many_names() -> None:
    """Our own, a Trainer's, a schedule's JSON; texts as MLflow keeps them."""
    study = a_study(warmup=0.1)
    strangers = [
        Stranger("a", {"family": "wsd", "wsd.cooldown": "0.3", "optimizer": "adamw", "wsd.adamw.peak_lr": "0.01"}, 1.0),
        Stranger(
            "b", {"lr_scheduler_type": "linear", "warmup_ratio": 0.1, "learning_rate": 0.01, "optim": "AdamW"}, 1.0
        ),
        Stranger("c", {"lrsweep.schedule": '{"family": "cosine", "warmup": 0.1}', "optimizer": "sgd", "lr": 0.1}, 1.0),
        Stranger("d", {"family": "wsd", "lr": 0.1, "optimizer": "lion"}, 1.0),
        Stranger("e", {"family": "linear", "optimizer": "sgd"}, 1.0),
        Stranger("f", {"hidden": 64}, 1.0),
    ]
    found, refused = foreign_trials(study, "s", strangers, "minimize", same_metric=True)
    assert [row.params for row in found] == [
        {"family": "wsd", "optimizer": "adamw", "wsd.adamw.peak_lr": 0.01, "wsd.cooldown": 0.3},
        {"family": "linear", "optimizer": "adamw", "linear.adamw.peak_lr": 0.01},
        {"family": "cosine", "optimizer": "sgd", "cosine.sgd.peak_lr": 0.1},
    ]
    assert sorted(text.split("(")[0].strip() for text in refused) == [
        "no peak rate",
        "no schedule family",
        "the optimizer 'lion' is not searched",
    ]


class Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Nothing on standard error."""


def test_optuna_dashboard_opens_our_copy(tmp_path: Path) -> None:
    """Its own pages ask for the study and for its trials, and get both; a baseline beside the space is among them."""
    dashboard = pytest.importorskip("optuna_dashboard")
    study = a_study()
    copy = open_copy(f"sqlite:///{tmp_path / 'optuna.db'}", study)
    add_copy(copy, frozen_trial(a_complete_trial(0, 0.25), [], study))
    beside = {"family": "tanh", "optimizer": "sgd", "peak_lr": 9.0, "schedule": "{}", "settings": {}, "extra": {}}
    add_copy(copy, frozen_trial(a_complete_trial(1, 0.5, params=beside, distributions={}), [], study))
    server = make_server("127.0.0.1", 0, dashboard.wsgi(copy._storage), handler_class=Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:

        def asked(path: str) -> Any:
            with urlopen(f"http://127.0.0.1:{server.server_port}/api/{path}", timeout=60) as answer:
                return json.load(answer)

        [summary] = asked("studies")["study_summaries"]
        assert summary["study_name"] == f"quick@{study.generation[:8]}"
        trials = asked(f"studies/{summary['study_id']}?after=0")["trials"]
        assert [trial["values"] for trial in trials] == [[0.25], [0.5]]
        assert {"name": "cosine.sgd.peak_lr", "param_external_value": "0.1"}.items() <= trials[0]["params"][2].items()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
