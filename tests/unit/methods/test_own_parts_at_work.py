"""A user's parts in a project: those that are documented work, and what fails in one is told as its fault."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from built import BuiltOnce, copied
from documents import blocks
from typed import type_in

from fsarctl.config.dataset_table import DatasetConfig
from fsarctl.config.model_table import ModelConfig
from fsarctl.config.plugins import _source, find_part
from fsarctl.datasets.shapes.classes import CLASSES
from fsarctl.datasets.shapes.rendering import render_clip, write_video
from fsarctl.errors import ConfigError, FsarctlError, InputError
from fsarctl.methods.build import build_model, text_use
from fsarctl.methods.catalogue import describe
from fsarctl.methods.protocol import Lesson, Scores
from fsarctl.models.backbone import load_backbone
from fsarctl.models.backbone_catalogue import architecture

Write = Callable[..., Path]
VIDEOS = "videos"


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes modules of a package, ``theirs``, that can be imported: write(metrics="...")."""
    folder = tmp_path / "site" / "theirs"
    folder.mkdir(parents=True)
    monkeypatch.syspath_prepend(str(folder.parent))

    def forget() -> None:
        for name in [each for each in sys.modules if each.partition(".")[0] == "theirs"]:
            del sys.modules[name]
        _source.cache_clear()
        architecture.cache_clear()

    def written(**modules: str) -> Path:
        for name, text in {"__init__": "", **modules}.items():
            (folder / f"{name}.py").write_text(text)
        forget()
        return folder

    yield written
    forget()


@pytest.fixture
def project(built_once: BuiltOnce, tmp_path: Path) -> Path:
    """A frozen model on two classes, none of which is a base class, with their frames."""

    def build(folder: Path) -> None:
        for each in [shape for shape in CLASSES if shape.split == "test"][:2]:
            (folder / VIDEOS / each.label).mkdir(parents=True)
            for number in range(3):
                write_video(
                    folder / VIDEOS / each.label / f"{number}.mp4", render_clip(each.label, number, 0)
                )
        (folder / "fsarctl.toml").write_text(
            f'[datasets.mine]\nkind = "folder"\nroot = "{VIDEOS}"\n'
            '[model]\nbackbone = "tiny"\nweights = "shipped"\nstrategy = "frozen"\nscore = "video"\n'
            "[eval]\nway = 2\nepisodes = 6\nshots = [1]\n"
        )
        type_in(folder, "extract")

    return copied(built_once("own parts", build), tmp_path / "project")


METRIC = '--set=model.metric="theirs.metrics:own"'


def by_method(project: Path) -> None:
    """Let the method be theirs."""
    file = project / "fsarctl.toml"
    text = file.read_text().replace('strategy = "frozen"\nscore = "video"', 'method = "theirs.methods:Own"')
    file.write_text(text)


def documented(heading: str) -> str:
    """The Python of a section of docs/parts.md."""
    text = (Path(__file__).parents[3] / "docs" / "parts.md").read_text(encoding="utf-8")
    section = text.split(f"## {heading}\n")[1].split("\n## ")[0]
    found = [each.text for each in blocks("python") if each.document == "docs/parts.md"]
    return "\n".join(each for each in found if each in section)


def test_the_documented_method_trains_nothing_evaluates_and_predicts(write: Write, project: Path) -> None:
    write(methods=documented("A method").replace("class Nearest", "class Own"))
    by_method(project)
    type_in(project, "run")
    units = json.loads(type_in(project, "status", "--json").stdout)["units"]
    assert {each["state"] for each in units} == {"done"}
    assert not [each["slot"] for each in units if each["slot"].startswith("train")]
    assert "eval mine 1-shot theirs.methods:Own" in {each["slot"] for each in units}
    refused = type_in(project, "train", expect=3).stderr
    assert "method 'theirs.methods:Own' trains nothing" in refused
    clip = next((project / VIDEOS).rglob("0.mp4"))
    said = json.loads(type_in(project, "predict", "--support", VIDEOS, str(clip), "--json").stdout)
    assert said["model"]["strategy"] == "theirs.methods:Own"
    assert said["clips"][0]["top"][0]["class"] == clip.parent.name  # which is one of its support
    page = project / "report.html"
    type_in(project, "report", "--output", str(page))
    assert "theirs.methods:Own" in page.read_text()


PARAMETERLESS = """
import torch
from fsarctl.methods import FewShotMethod, Scores


class Own(FewShotMethod):
    prefix_is_constant = alone_is_constant = True

    def __init__(self, backbone, *, frames, options, precision, generator):
        super().__init__(backbone, frames)

    def prefix(self, frames):
        features = self.backbone.visual(frames.flatten(0, -4))
        return features.view(*frames.shape[:-3], -1).mean(-2)

    def alone(self, prefix):
        return torch.nn.functional.normalize(prefix, dim=-1)

    def score_features(self, support, query, text, *, way=None, query_mode="joint"):
        return Scores(query @ support.unflatten(-2, (way, -1)).mean(-2).mT)
"""


def test_a_method_without_parameters_that_does_not_say_so_trains_nothing(
    write: Write, shapes: Path, tmp_path: Path
) -> None:
    write(methods=PARAMETERLESS)
    mine = copied(shapes, tmp_path / "mine")
    typed = type_in(
        mine,
        "run",
        "--set",
        'model.method="theirs.methods:Own"',
        "--set",
        "eval.shots=[1]",
        "--set",
        "eval.episodes=4",
        "--set",
        "model.visual_layers=2",
        "--set",
        "model.text_layers=8",
    )
    assert "there is nothing to train" in typed.stderr
    assert "theirs.methods:Own" in typed.stdout


def test_the_documented_metrics_score(write: Write, project: Path) -> None:
    write(metrics=documented("A metric"))
    for name in ("nearest_frame", "WeightedFrames"):
        type_in(project, "run", f'--set=model.metric="theirs.metrics:{name}"')


def test_a_method_whose_only_weights_are_a_frozen_backbones_needs_no_base_classes(project: Path) -> None:
    by_method(project)
    text = (project / "fsarctl.toml").read_text().replace("theirs.methods:Own", "protonet")
    (project / "fsarctl.toml").write_text(text + '[model.options]\nbackbone = "frozen"\n')
    said = type_in(project, "run").stdout
    assert "ProtoNet" in said


METRICS = {
    "raises": (
        "    return {}['x']",
        "metric 'theirs.metrics:own' failed: KeyError: 'x' (theirs/metrics.py:4)",
    ),
    "a signature": ("", "metric 'theirs.metrics:own' failed: TypeError: own() takes 1 positional argument"),
    "nan": (
        "    return torch.full((*queries.shape[:-2], prototypes.shape[-3]), float('nan'))",
        "metric 'theirs.metrics:own' gave scores that are not finite (nan) in episode 0 (classes ",
    ),
    "a shape": ("    return queries.mean()", "metric 'theirs.metrics:own' gave (), not scores of shape ("),
}


@pytest.mark.parametrize("case", METRICS)
def test_a_metric_that_fails_is_named_and_nothing_is_published(
    write: Write, project: Path, case: str
) -> None:
    body, words = METRICS[case]
    text = f"import torch\n\ndef own(queries, prototypes):\n{body}\n"
    write(metrics=text if body else "def own(queries):\n    return queries\n")
    refused = type_in(project, "run", METRIC, expect=3)
    assert words in refused.stderr
    assert "bug in fsarctl" not in refused.stderr
    assert "eval" not in type_in(project, "cache", "ls").stdout


METHODS = {
    "raises": ("alone", "        return {}['x']", "failed: KeyError: 'x' (theirs/methods.py:"),
    "no structure": (
        "score_features",
        "        return query",
        "score_features gave a Tensor, not fsarctl.methods.Scores",
    ),
    "a shape": ("score_features", "        return Scores(query)", "score_features gave ("),
    "clips": (
        "prefix",
        "        return frames.mean((0, 1))",
        "prefix gave (3, 64, 64), not (1, ...), one for each clip",
    ),
    "nothing": ("alone", "        pass", "alone gave a NoneType, not a Tensor"),
    "nan": (
        "score_features",
        "        return Scores((query @ support.mT) / 0 * 0)",
        "gave scores that are not finite (nan)",
    ),
    "constructor": ("__init__", "        raise KeyError('y')", "failed: KeyError: 'y' (theirs/methods.py:"),
}


@pytest.mark.parametrize("case", METHODS)
def test_a_method_that_fails_is_named_and_nothing_is_published(
    write: Write, project: Path, case: str
) -> None:
    function, body, words = METHODS[case]
    before, rest = documented("A method").replace("class Nearest", "class Own").split(f"    def {function}(")
    signature, _, after = rest.partition("\n")
    after = after[after.find("\n\n") :] if "\n\n" in after else ""
    write(methods=f"{before}    def {function}({signature}\n{body}\n{after}")
    by_method(project)
    refused = type_in(project, "run", "--set", "eval.frozen=false", expect=3)
    assert "method 'theirs.methods:Own'" in refused.stderr
    assert words in refused.stderr
    assert "bug in fsarctl" not in refused.stderr
    assert "eval" not in type_in(project, "cache", "ls").stdout


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def own():\n    pass\n", "'theirs.backbones:own' is a function, not a mapping of embed_dim"),
        ("own = {'embed_dim': 32}\n", "is a configuration without embed_dim and vision_cfg"),
        (
            "class own:\n"
            "    configuration = {'embed_dim': 32, 'vision_cfg': {'layers': 2}, 'text_cfg': {}}\n"
            "    def make(configuration):\n"
            "        return configuration['x']\n",
            "backbone 'theirs.backbones:own' failed: KeyError: 'x' (theirs/backbones.py:4)",
        ),
        (
            "class own:\n"
            "    configuration = {'embed_dim': 32, 'vision_cfg': {'layers': 2}, 'text_cfg': {}}\n"
            "    def make(configuration):\n"
            "        pass\n",
            "make gave a NoneType, not a module with visual",
        ),
        (
            "own = {'embed_dim': 32, 'vision_cfg': {'layers': 2, 'width': 'wide'}, 'text_cfg': {}}\n",
            "failed: TypeError",
        ),
    ],
)  # fmt: skip
def test_a_backbone_that_is_none(write: Write, text: str, words: str) -> None:
    write(backbones=text)
    with pytest.raises(FsarctlError) as refused:
        load_backbone("theirs.backbones:own", "random")
    assert words in refused.value.message


NAMES = """
import json as loads
from os import path
if True:
    guarded = 1
try:
    import absent_everywhere
except ImportError:
    absent_everywhere = None
first, *rest = range(3)
with open(__file__) as opened:
    pass
for each in ():
    pass
class Holder:
    inner = 1
    def method(self):
        local = 1
def make():
    global made
    made = 1
"""


def test_a_name_that_a_module_does_not_hold_is_told_before_anything_is_done(
    write: Write, project: Path
) -> None:
    folder = write(metrics=NAMES + "raise SystemExit('nobody imports this to look')\n")
    for name in (
        *(
            "loads",
            "path",
            "guarded",
            "absent_everywhere",
            "first",
            "rest",
            "opened",
            "each",
            "Holder",
            "make",
        ),
        *("made", "Holder.inner"),
    ):
        ModelConfig(metric=f"theirs.metrics:{name}")
    for name in ("nosuch", "inner", "local", "method", "json", "os"):
        with pytest.raises(ConfigError, match=f"metrics.py holds no {name}"):
            ModelConfig(metric=f"theirs.metrics:{name}")
    for command in (("status",), ("config", "show"), ("run", "--dry-run")):
        said = type_in(project, *command, '--set=model.metric="theirs.metrics:nosuch"', expect=3).stderr
        assert "metrics.py holds no nosuch" in said
    # An edit is seen at once, as in a notebook.
    (folder / "metrics.py").write_text("nosuch = len\n")
    ModelConfig(metric="theirs.metrics:nosuch")


@pytest.mark.parametrize(
    "text",
    ["from os.path import *", "def __getattr__(name): return 1", "globals()['own'] = 1",
     "import sys\nsys.modules[__name__].own = 1", "exec('own = 1')"],
)  # fmt: skip
def test_what_is_known_at_run_time_alone_is_not_refused(write: Write, text: str) -> None:
    write(metrics=f"{text}\n")
    ModelConfig(metric="theirs.metrics:own")


def test_names_are_looked_for_in_every_group(write: Write) -> None:
    write(parts="pass\n", wrong="def own(:\n")
    for setting in ("metric", "method", "backbone"):
        with pytest.raises(ConfigError, match=r"parts.py holds no own"):
            ModelConfig(**{setting: "theirs.parts:own"})  # type: ignore[arg-type]
        with pytest.raises(InputError, match=r"SyntaxError: .*wrong.py:1\)"):
            ModelConfig(**{setting: "theirs.wrong:own"})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"parts.py holds no own"):
        DatasetConfig(kind="theirs.parts:own")
    find_part("metrics", "theirs:parts.own", ()).require()  # type: ignore[union-attr]


def test_an_attribute_error_of_an_import_is_not_a_missing_name(write: Write) -> None:
    write(metrics="import os\nos.nosuch\nown = 1\n")
    part = find_part("metrics", "theirs.metrics:own", ())
    assert part is not None
    with pytest.raises(InputError, match=r"cannot be imported: AttributeError: .* \(theirs/metrics.py:2\)"):
        part.load()


PRINTING = {
    "metrics": """
print("imported")


def own(queries, prototypes):
    print("called")
    return queries.mean((-2, -1))[..., None] - prototypes.mean((-2, -1))[..., None, :]
""",
    "datasets": """
def own(project, settings):
    print("asked")
    files = (project / settings["root"]).rglob("*.mp4")
    return {"test": [(f"{each.parent.name}/{each.name}", each.parent.name, each) for each in files]}
""",
}


def test_what_parts_print_gets_into_no_document(write: Write, project: Path) -> None:
    kind = '--set=datasets.mine.kind="theirs.datasets:own"'
    for words, printed in (
        (("run", METRIC), ("imported", "called")),
        (("data", "check", kind), ("asked",)),
        (("methods",), ("imported",)),
    ):
        write(**PRINTING)  # what is imported already prints no more
        said = type_in(project, *words, "--json", FSARCTL_MODEL_METRIC="theirs.metrics:own")
        assert json.loads(said.stdout)
        assert set(printed) <= set(said.stderr.split("\n"))


def test_an_import_that_ends_python_is_named(write: Write) -> None:
    write(ends="import sys\nsys.exit(5)\n")
    ends = find_part("metrics", "theirs.ends:own", ())
    assert ends is not None
    with pytest.raises(InputError, match=r"cannot be imported: SystemExit: 5 \(theirs/ends.py:2\)"):
        ends.load()


RANDOM = """
import torch
from torch import nn

from fsarctl.methods import FewShotMethod, Scores


class Metric(nn.Module):
    def __init__(self, *, embed, frames, generator):
        super().__init__()
        self.linear = nn.Linear(embed, 4)
        self.drawn = nn.Parameter(torch.rand(4, generator=generator))

    def forward(self, queries, prototypes):
        queries, prototypes = (self.linear(each.mean(-2)) * self.drawn for each in (queries, prototypes))
        return queries @ prototypes.mT


class Own(FewShotMethod):
    def __init__(self, backbone, *, frames, options, precision, generator):
        super().__init__(backbone, frames)
        self.linear = nn.Linear(3, 4)
        self.drawn = nn.Parameter(torch.rand(4, generator=generator))

    def prefix(self, frames):
        return frames.mean((-1, -2, -4))

    def alone(self, prefix):
        return nn.functional.dropout(self.linear(prefix) * self.drawn, training=self.training)

    def score_features(self, support, query, text, *, way=None, query_mode="joint"):
        return Scores(query @ support.unflatten(-2, (way, -1)).mean(-2).mT)
"""


@pytest.mark.parametrize("setting", [{"metric": "theirs.parts:Metric"}, {"method": "theirs.parts:Own"}])
def test_a_part_starts_alike_whatever_was_drawn_before(write: Write, setting: dict[str, str]) -> None:
    write(parts=RANDOM)

    def start(seed: int) -> dict[str, torch.Tensor]:
        table = ModelConfig(backbone="tiny", weights="shipped", visual_layers=1, text_layers=1, **setting)  # type: ignore[arg-type]
        made = build_model(table, Path(), frames=2, adapters=True, seed=seed, device=torch.device("cpu"))
        return {n: each for n, each in made.named_parameters() if "linear" in n or "drawn" in n}

    torch.manual_seed(1)
    first = start(7)
    second, other = start(7), start(8)
    assert len(first) == 3
    for name, each in first.items():
        assert torch.equal(each, second[name])
        assert not torch.equal(each, other[name])
    if "method" in setting:  # what it takes of its generator is the generator's first
        assert torch.equal(first["drawn"], torch.rand(4, generator=torch.Generator().manual_seed(7)))


def test_training_with_a_part_that_starts_and_draws_at_random_comes_out_alike(
    write: Write, shapes: Path, tmp_path: Path
) -> None:
    write(parts=RANDOM)
    short = (
        f"--set=train.{name}={value}" for name, value in (("episodes", 2), ("epochs", 1), ("val_episodes", 2))
    )
    words = ("--set=model.method=theirs.parts:Own", *short)
    digests = set()
    for number in range(2):
        torch.manual_seed(number)
        said = type_in(copied(shapes, tmp_path / f"{number}"), "train", *words, "--shots", "1", "--json")
        digests.add(json.loads(said.stdout)["artifacts"][0]["digest"])
    assert len(digests) == 1


NAN = """
import torch


def own(queries, prototypes):
    scores = queries.mean((-2, -1))[..., None] - prototypes.mean((-2, -1))[..., None, :]
    return scores * float("nan") if {when} else scores
"""


@pytest.mark.parametrize(
    ("when", "words"),
    [
        ("True", "the loss is nan at training episode 0 (classes "),
        ("not torch.is_grad_enabled()", "not finite (nan) in validation episode 0 (classes "),
    ],
)
def test_training_with_scores_that_are_no_numbers(
    write: Write, shapes: Path, tmp_path: Path, when: str, words: str
) -> None:
    write(metrics=NAN.format(when=when))
    short = ("--set=train.epochs=1", "--set=train.episodes=2", "--set=train.val_episodes=2", "--shots", "1")
    mine = copied(shapes, tmp_path / "mine")
    refused = type_in(mine, "run", METRIC, '--set=model.score="video"', *short, expect=3)
    assert words in refused.stderr
    assert "ook into metric 'theirs.metrics:own'" in refused.stderr


@pytest.mark.parametrize(
    ("part", "setting"),
    [
        ("metric 'theirs.metrics:own'", METRIC),
        ("method 'theirs.methods:Own'", '--set=model.method="theirs.methods:Own"'),
    ],
)
def test_training_by_scores_that_depend_on_nothing_trained(
    write: Write, shapes: Path, tmp_path: Path, part: str, setting: str
) -> None:
    write(
        metrics=NAN.format(when="False").replace("else scores", "else scores.detach()"),
        methods=PARAMETERLESS.replace(
            "        super().__init__(backbone, frames)\n",
            "        super().__init__(backbone, frames)\n"
            "        self.unread = torch.nn.Parameter(torch.ones(1))\n",
        ),
    )
    mine = copied(shapes, tmp_path / "mine")
    score = ["--set=model.score=video"] if "metric" in part else []
    refused = type_in(mine, "train", setting, *score, "--set=train.episodes=2", "--shots", "1", expect=3)
    assert f"{part}: the loss depends on nothing that is trained" in refused.stderr
    assert "this is a bug" not in refused.stderr


def test_predicting_with_scores_that_are_no_numbers(write: Write, project: Path) -> None:
    write(metrics=NAN.format(when="True"))
    clip = next((project / VIDEOS).rglob("0.mp4"))
    refused = type_in(project, "predict", METRIC, "--support", VIDEOS, str(clip), expect=3)
    assert (
        f"metric 'theirs.metrics:own' gave scores that are not finite (nan) in clip {clip}" in refused.stderr
    )


BACKBONE = """
import json
from pathlib import Path
import open_clip
from fsarctl.models import tiny_clip


class own:
    configuration = json.loads(Path(tiny_clip.CONFIG).read_text())

    def make(configuration):
        made = open_clip.CLIP(**configuration)
        made.visual.ln_pre.register_forward_hook(hook)
        return made


def hook(module, given, gave):
    raise KeyError("unforeseen")
"""


def test_what_fails_where_nobody_looks_is_told_as_the_parts_fault_too(write: Write, project: Path) -> None:
    write(backbones=BACKBONE)
    words = ('--set=model.backbone="theirs.backbones:own"', "--set=model.weights=random")
    said = type_in(project, "run", *words, expect=3).stderr
    fault = "backbone 'theirs.backbones:own' failed: KeyError: 'unforeseen' (theirs/backbones.py:18)"
    assert fault in said
    assert "bug in fsarctl" not in said
    sweep = ("ablate", "table3", "--rows", "frozen backbone", "--shots", "1", "--set=eval.way=2")
    assert fault in type_in(project, *sweep, *words, expect=None).stderr


def test_what_is_read_of_a_methods_class(write: Write) -> None:
    text = documented("A method").replace("class Nearest", "class Own")
    write(methods=text + "\n    @property\n    def reads_text(self):\n        return False\n")
    with pytest.raises(ConfigError, match="reads_text is a property, and it is read before"):
        text_use(ModelConfig(method="theirs.methods:Own"))
    visual = "self.visual = backbone.visual"
    write(methods=text.replace(visual, f"{visual}; self.reads_text = True"))
    with pytest.raises(ConfigError, match="reads_text is True once it is made, and False in its class"):
        build_model(
            ModelConfig(backbone="tiny", weights="shipped", method="theirs.methods:Own"),
            Path(),
            frames=2,
            adapters=True,
            seed=0,
            device=torch.device("cpu"),
        )
    write(methods=text + "\n    @classmethod\n    def reads_text(cls):\n        return False\n")
    with pytest.raises(ConfigError, match="reads_text is a classmethod, and it is read before"):
        text_use(ModelConfig(method="theirs.methods:Own"))
    write(methods=text + "\n    reads_text = True\n")
    with pytest.raises(
        ConfigError, match=r"'theirs.methods:Own': reads_text is True, and text_features is not"
    ):
        text_use(ModelConfig(method="theirs.methods:Own"))
    write(methods=text + "\n    class Options:\n        pass\n")
    with pytest.raises(ConfigError, match="Options is no dataclass"):
        describe("theirs.methods:Own")


UNFIT = """
    reads_text = True

    def text_features(self, tokens):
        pass

    def loss(self, scores, labels):
        return scores.score.sum(-1)
"""


def test_a_loss_that_is_no_number_and_text_that_is_nothing(write: Write) -> None:
    write(methods=documented("A method").replace("class Nearest", "class Own") + UNFIT)
    table = ModelConfig(backbone="tiny", weights="shipped", method="theirs.methods:Own")
    made = build_model(table, Path(), frames=2, adapters=True, seed=0, device=torch.device("cpu"))
    scores = Scores(torch.zeros(3, 2))
    lesson = Lesson(scores, torch.zeros(3).long(), torch.arange(2), None, torch.zeros(3, 2))
    with pytest.raises(
        ConfigError, match=r"method 'theirs.methods:Own': loss gave \(3,\), not \(\), one number"
    ):
        made.training_loss(lesson)
    with pytest.raises(
        ConfigError, match=r"'theirs.methods:Own': text_features gave a NoneType, not a Tensor"
    ):
        made.text_features(torch.zeros(2, 3, 77).long())
