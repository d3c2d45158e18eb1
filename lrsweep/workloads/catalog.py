"""What a study file may write about each workload, and where its class lives; loads neither torch nor any data.

A name with a colon is the user's own workload, ``"package.module:Name"`` or ``"file.py:Name"``: its class alone knows
its settings, and is loaded only where it is trained.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from lrsweep.errors import InvalidInput, did_you_mean
from lrsweep.records import Json, WorkloadFacts, WorkloadSpec
from lrsweep.workloads.setting import Choice, FilePath, Flag, Number, Texts, Whole, WorkloadSetting


@dataclass(frozen=True)
class Entry:
    """A workload as the catalog knows it. ``home`` is ``"module:Class"``, imported only where it is trained."""

    name: str
    home: str
    about: str
    settings: tuple[WorkloadSetting, ...] = ()
    metrics: tuple[str, ...] = ("loss", "acc", "recall", "precision")
    """the names of its ``facts.metrics``, so that a study file can be checked without torch"""
    table: str | None = None
    """its name in ``lrsweep.workloads.tables``, where it can say what it is without torch"""

    def has(self, setting: str) -> bool:
        """Whether it has that setting: ``entry("mnist").has("synthetic")``."""
        return any(each.name == setting for each in self.settings)


# ── the settings that several have ───────────────────────────────────────────────────────────────────────────────────


def _batch_size(default: int) -> WorkloadSetting:
    return WorkloadSetting(
        "batch_size", about="the number of examples per step", default=default, allowed=Whole(1, 65536), silent=True
    )


def _model(about: str, *words: str) -> WorkloadSetting:
    return WorkloadSetting("model", about=about, default=words[0], allowed=Choice(words))


_SYNTHETIC = WorkloadSetting(
    "synthetic",
    about="whether random data of the true shapes are trained on: only the speed means anything then",
    default=False,
    allowed=Flag(),
    silent=True,
)

_FINE_TUNING = (
    WorkloadSetting(
        "init",
        about="a checkpoint to begin with: a state_dict as torch.save wrote it",
        default=None,
        allowed=FilePath(),
        silent=True,
    ),
    WorkloadSetting(
        "new_head",
        about="whether the last layer comes from the seed all the same, for a checkpoint with other classes",
        default=False,
        allowed=Flag(),
        silent=True,
    ),
    WorkloadSetting(
        "freeze",
        about="the parts of the model that are not trained, by their names",
        default=[],
        allowed=Texts('["layer1", "layer2"]'),
        silent=True,
    ),
    WorkloadSetting(
        "layer_decay",
        about="the rate of each layer as a share of that of the layer after it; the last has the schedule's own",
        default=1.0,
        allowed=Number(0.01, 1.0),
        silent=True,
    ),
    WorkloadSetting(
        "head_rate",
        about="the rate of the last layer as a multiple of the schedule's",
        default=1.0,
        allowed=Number(0.0, 1000.0),
        silent=True,
    ),
)

_MNIST_MODEL = _model("the network: a convolutional one, or an MLP of 784-128-10 units", "cnn", "mlp")
_CIFAR_MODEL = _model("the network: a residual one of 20 layers, or the wide one of 18", "resnet20", "resnet18")
_IMAGES = (_SYNTHETIC, *_FINE_TUNING)

# ── the workloads ────────────────────────────────────────────────────────────────────────────────────────────────────

_ENTRIES: Mapping[str, Entry] = MappingProxyType(
    {
        found.name: found
        for found in (
            Entry(
                "digits",
                home="lrsweep.workloads.digits:Digits",
                about="1,797 handwritten digits of 8x8 pixels from scikit-learn; trains on a CPU in seconds",
                settings=(
                    _model("the network: an MLP of 64-64-10 units, or a small convolutional one", "mlp", "cnn"),
                    WorkloadSetting(
                        "noise",
                        about="the standard deviation of Gaussian noise added to pixels between 0 and 1",
                        default=0.0,
                        allowed=Number(0.0, 1.0),
                    ),
                    _batch_size(64),
                ),
                table="digits",
            ),
            Entry(
                "logistic",
                home="lrsweep.workloads.logistic:Logistic",
                about="logistic regression on a table that ships with scikit-learn",
                settings=(
                    WorkloadSetting(
                        "table",
                        about="the data: scikit-learn's tables by their names",
                        default="breast_cancer",
                        allowed=Choice(("breast_cancer", "wine", "iris", "digits")),
                    ),
                    _batch_size(16),
                ),
                table="logistic",
            ),
            Entry(
                "mnist",
                home="lrsweep.workloads.mnist:Mnist",
                about="70,000 handwritten digits of 28x28 pixels",
                settings=(_MNIST_MODEL, _batch_size(64), *_IMAGES),
            ),
            Entry(
                "fashion_mnist",
                home="lrsweep.workloads.fashion_mnist:FashionMnist",
                about="70,000 pictures of clothes of 28x28 pixels",
                settings=(_MNIST_MODEL, _batch_size(64), *_IMAGES),
            ),
            Entry(
                "cifar10",
                home="lrsweep.workloads.cifar10:Cifar10",
                about="60,000 colour pictures of 32x32 pixels in 10 classes",
                settings=(_CIFAR_MODEL, _batch_size(128), *_IMAGES),
            ),
            Entry(
                "cifar100",
                home="lrsweep.workloads.cifar100:Cifar100",
                about="60,000 colour pictures of 32x32 pixels in 100 classes",
                settings=(_CIFAR_MODEL, _batch_size(128), *_IMAGES),
            ),
            Entry(
                "char_lm",
                home="lrsweep.workloads.char_lm:CharLm",
                metrics=("loss", "perplexity", "acc"),
                about="a small causal transformer that learns to go on with a text",
                settings=(
                    WorkloadSetting(
                        "text",
                        about="the text file to learn",
                        default=None,
                        allowed=FilePath(),
                        silent=True,
                        needed=True,
                    ),
                    WorkloadSetting(
                        "tokens",
                        about="what a token is: each byte of the file, or each character of its UTF-8 text",
                        default="bytes",
                        allowed=Choice(("bytes", "characters")),
                    ),
                    WorkloadSetting(
                        "context",
                        about="the number of tokens in a window",
                        default=64,
                        allowed=Whole(2, 4096),
                        silent=True,
                    ),
                    _batch_size(32),
                    *_IMAGES,
                ),
            ),
        )
    }
)

# ── asking ───────────────────────────────────────────────────────────────────────────────────────────────────────────

_NAME = r"[^\W\d]\w*"
_OWN = re.compile(rf"(?:{_NAME}(?:\.{_NAME})*|[^:]+\.py):{_NAME}")
OWN_FORMS = '"file.py:Name" (from the working folder) or "package.module:Name"'


def workload_names() -> tuple[str, ...]:
    return tuple(_ENTRIES)


def is_own(name: str) -> bool:
    """Whether this is a workload of the user's: no built-in name has a colon."""
    return ":" in name


def entry(name: str) -> Entry:
    """A built-in workload. Raises InvalidInput when there is none of that name."""
    found = _ENTRIES.get(name)
    if found is None:
        raise InvalidInput(_unknown_workload(name))
    return found


def metrics(name: str) -> tuple[str, ...] | None:
    """As a study names them, such as ``val_loss``; None where only the workload itself knows them."""
    found = _ENTRIES.get(name)
    return None if found is None else tuple(f"val_{metric}" for metric in found.metrics)


def home(name: str) -> str:
    """``"module:Class"`` of a built-in workload. Raises InvalidInput when there is none of that name."""
    return entry(name).home


def check(spec: WorkloadSpec) -> list[tuple[str, str]]:
    """Everything that is wrong, as (key, text): the key is ``"name"`` or a setting's.

    Of a workload of the user's only the form of its name is seen here: its class checks the settings.
    """
    if is_own(spec.name):
        if _OWN.fullmatch(spec.name):
            return []
        return [("name", f"{spec.name!r} is not the name of your own workload, which is {OWN_FORMS}.")]
    found = _ENTRIES.get(spec.name)
    if found is None:
        return [("name", _unknown_workload(spec.name))]
    known = {setting.name: setting for setting in found.settings}
    problems = []
    for key, given in spec.settings.items():
        if key not in known:
            text = f"unknown setting of the workload {spec.name!r}.{did_you_mean(key.lower(), known)}"
            problems.append((key, f"{text} It has {_listed(known)}."))
        elif problem := known[key].problem(given):
            problems.append((key, problem))
    if spec.settings.get("synthetic") is not True:
        problems += [
            (key, f"missing: the workload {spec.name!r} needs {setting.about}, {setting.allowed.wanted}.")
            for key, setting in known.items()
            if setting.needed and key not in spec.settings
        ]
    return problems


def complete(spec: WorkloadSpec) -> WorkloadSpec:
    """The same workload with every setting written out but the silent ones; the user's own stays as it is.

    Raises InvalidInput with all that ``check`` finds.
    """
    problems = check(spec)
    if problems:
        raise InvalidInput("; ".join(f"workload {key}: {text}" for key, text in problems))
    if is_own(spec.name):
        return spec
    written: dict[str, Json] = {}
    for setting in entry(spec.name).settings:
        default = setting.normal(setting.default)
        value = setting.normal(spec.settings[setting.name]) if setting.name in spec.settings else default
        if not (setting.silent and value == default):
            written[setting.name] = value
    return WorkloadSpec(spec.name, written)


def needs_torch(name: str) -> bool:
    """Whether torch is needed to say what the workload is."""
    found = _ENTRIES.get(name)
    return found is None or found.table is None


def facts_without_torch(spec: WorkloadSpec) -> WorkloadFacts:
    """Of a workload that needs none. Raises InvalidInput as loading it does."""
    from lrsweep.workloads import tables  # with numpy

    settings, table = complete(spec).settings, entry(spec.name).table
    assert table is not None
    made: Callable[[Mapping[str, Json]], tables.Table] = getattr(tables, table)
    return made(settings).facts


def _unknown_workload(name: str) -> str:
    guess = did_you_mean(name.lower(), _ENTRIES)
    return f"unknown workload {name!r}.{guess} Known: {_listed(_ENTRIES)}; or your own as {OWN_FORMS}."


def _listed(names: Sequence[str] | Mapping[str, object]) -> str:
    return ", ".join(names)
