import math
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from fsarctl.config.methods import MethodFile, Preset
from fsarctl.config.setting_field import require_bounds
from fsarctl.config.settings import Settings, load_settings, rows
from fsarctl.errors import ConfigError

FILE = """
[datasets.shapes]
kind = "shapes"
[train]
dataset = "shapes"
lr = 1
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "fsarctl.toml").write_text(FILE)
    return tmp_path


def load(project: Path, *overrides: str, **environment: str) -> Settings:
    return load_settings(project, overrides, environment)


def test_the_file_is_found_upward(project: Path) -> None:
    inner = project / "a" / "b"
    inner.mkdir(parents=True)
    assert load(inner).root == project


def test_no_file_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no fsarctl\.toml"):
        load(tmp_path)


def test_precedence_is_flag_then_environment_then_file_then_default(project: Path) -> None:
    assert load(project).config.train.lr == 1.0
    assert load(project, FSARCTL_TRAIN_LR="0.5").config.train.lr == 0.5
    assert load(project, "train.lr=0.25", FSARCTL_TRAIN_LR="0.5").config.train.lr == 0.25
    assert load(project).config.train.momentum == 0.0


def test_every_value_knows_where_it_comes_from(project: Path) -> None:
    settings = load(project, "train.epochs=2", FSARCTL_TRAIN_LR="0.5")
    origins = {key: origin for key, _, origin, _ in rows(settings)}
    assert origins["train.epochs"] == "--set train.epochs=2"
    assert origins["train.lr"] == "FSARCTL_TRAIN_LR"
    assert origins["train.dataset"] == "fsarctl.toml"
    assert origins["train.momentum"] == "default"


def test_every_setting_has_a_meaning(project: Path) -> None:
    assert all(meaning for *_, meaning in rows(load(project)))


@pytest.mark.parametrize(
    ("override", "message", "step"),
    [
        ("train.lrr=1", "no setting train.lrr", "did you mean lr?"),
        ("trian.lr=1", r"no table \[trian\]", "did you mean train?"),
        ("datasets.shapes.knd=folder", "no setting datasets.shapes.knd", "did you mean kind?"),
        ("train.lr", "not KEY=VALUE", "--set train.lr=0.01"),
        ("=3", "not KEY=VALUE", "--set"),
        ("train.lr=fast", "valid number", "config show"),
        ("train.epochs=2.5", "valid integer", "config show"),
        ('train.lr="1"', "valid number", "config show"),
        ("model.score=sound", "'both', 'video' or 'text'", "config show"),
        ("model.strategy=lora", "'task-adapter' or 'task-adapter\\+\\+'", "config show"),
        ('model.adapters=["tusk"]', "'temporal'", "config show"),
        ("model.trx_shots=pooled", "for metric = trx", "fsarctl.toml"),
        ("train.lr=0", "above 0", "fsarctl.toml"),
        ("train.lr=nan", "above 0", "fsarctl.toml"),
        ("train.shots=[]", "empty", "fsarctl.toml"),
        ("train.shots=[1, 1]", "may stand there once", "fsarctl.toml"),
        ("eval.way=1", "2 or more", "fsarctl.toml"),
        ("datasets.mine.kind=folder", "needs root", "fsarctl.toml"),
    ],
)
def test_a_wrong_override_names_itself_and_the_way_out(
    project: Path, override: str, message: str, step: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load(project, override)
    assert step in caught.value.next_step
    assert caught.value.exit_code == 3


URL = "http://me:hunter2@host/v1?key=hunter2"


@pytest.mark.parametrize(
    "override",
    [
        f"describe.base_urll={URL}",
        f'describe.base_url=["{URL}"]',
        f'describe={{base_url="{URL}"}}',
        f"describe.source={URL}",
        f"describe.temperature={URL}",
        f"train.shots=['{URL}']",
        f"ablate.mine.values={URL}",
        URL,
        URL.partition("=")[0],
    ],
)
def test_no_error_repeats_a_password(project: Path, override: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(project, override)
    assert "host" in str(caught.value)
    assert "hunter2" not in f"{caught.value} {caught.value.next_step}"


@pytest.mark.parametrize(
    "line", [f'base_url = ["{URL}"]', f'base_url = {{a = "{URL}"}}', f'model = ["{URL}"]']
)
def test_no_error_repeats_a_password_of_the_file(project: Path, line: str) -> None:
    (project / "fsarctl.toml").write_text(f"[describe]\n{line}\n")
    with pytest.raises(ConfigError, match="host") as caught:
        load(project)
    assert "hunter2" not in str(caught.value)


def test_what_is_shown_of_settings_holds_no_password(project: Path) -> None:
    overrides = (f"describe.base_url={URL}", f'ablate.mine.rows=[{{name="a", set={{b="{URL}"}}}}]')
    settings = load(project, *overrides)
    assert settings.config.describe.base_url == URL
    shown = {key: (value, origin) for key, value, origin, _ in rows(settings)}
    stars = "http://***@host/v1?***"
    assert shown["describe.base_url"] == (stars, f"--set describe.base_url={stars}")
    assert "hunter2" not in repr(shown)


def test_an_unknown_variable_is_refused(project: Path) -> None:
    with pytest.raises(ConfigError, match="FSARCTL_TRIAN_LR") as caught:
        load(project, FSARCTL_TRIAN_LR="1")
    assert "FSARCTL_TRAIN_LR" in caught.value.next_step


def test_broken_toml_names_the_file(project: Path) -> None:
    (project / "fsarctl.toml").write_text("[train\nlr = 1")
    with pytest.raises(ConfigError, match=r"fsarctl\.toml is not valid TOML"):
        load(project)


def test_text_needs_no_quotes_and_numbers_keep_their_type(project: Path) -> None:
    config = load(project, "model.weights=my/file.pt", "eval.shots=[2, 4]", "eval.frozen=false").config
    assert config.model.weights == "my/file.pt"
    assert config.eval.shots == (2, 4)
    assert config.eval.frozen is False


def test_options_of_the_formulation_are_empty_or_their_own_kind(project: Path) -> None:
    assert load(project).config.model.overrides() == {}
    model = load(project, "model.alignment_norm=true", "model.segments=mean_of_cosines").config.model
    assert model.overrides() == {"alignment_norm": True, "segments": "mean_of_cosines"}
    assert load(project, "model.temporal_embedding=false").config.model.temporal_embedding is False
    model = load(project, 'model.adapters=["task", "order"]', "model.metric=otam").config.model
    assert model.adapters == ("task", "order")
    assert model.overrides() == {"video_metric": "otam"}


def test_the_only_dataset_needs_no_name(project: Path) -> None:
    settings = load(project)
    assert settings.only_dataset("eval") == "shapes"
    two = load(project, "datasets.mine.kind=folder", "datasets.mine.root=clips")
    with pytest.raises(ConfigError, match=r"eval\.dataset is not set"):
        two.only_dataset("eval")
    with pytest.raises(ConfigError, match="no dataset 'shpes'"):
        settings.dataset("shpes")


def benchmark(name: str, *overrides: str) -> tuple[str, ...]:
    table = f"datasets.{name}"
    return (f"{table}.kind=benchmark", f"{table}.name={name}", f"{table}.root=videos", *overrides)


# Section 4.3 of the paper: L = 2 and M = 8 for the scene-related datasets, 6 and 2 for the temporal ones.
# The tiny CLIP that shapes is made for has three text layers.
@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("hmdb51", (2, 8)),
        ("ucf101", (2, 8)),
        ("kinetics100", (2, 8)),
        ("ssv2-small", (6, 2)),
        ("ssv2-full", (6, 2)),
        ("shapes", (2, 2)),
    ],
)
def test_layers_follow_the_dataset_that_is_trained_on(
    project: Path, name: str, layers: tuple[int, int]
) -> None:
    overrides = (*(benchmark(name) if name != "shapes" else ()), f"train.dataset={name}")
    settings = load(project, *overrides)
    assert (settings.config.model.visual_layers, settings.config.model.text_layers) == layers
    origin = {key: origin for key, _, origin, _ in rows(settings)}
    assert origin["model.visual_layers"] == f"task-adapter++ for {name}"
    # What is evaluated has no say, and a setting has the last word.
    elsewhere = load(project, *overrides[:-1], f"eval.dataset={name}").config.model
    assert (elsewhere.visual_layers, elsewhere.text_layers) == (2, 2)
    mixed = load(project, *overrides, "model.visual_layers=4")
    assert (mixed.config.model.visual_layers, mixed.config.model.text_layers) == (4, layers[1])
    assert mixed.origins["model.visual_layers"] == "--set model.visual_layers=4"


def test_the_only_dataset_counts_as_trained_on(tmp_path: Path) -> None:
    (tmp_path / "fsarctl.toml").write_text('[datasets.a]\nkind="benchmark"\nname="ssv2-full"\nroot="x"\n')
    assert load(tmp_path).config.model.visual_layers == 6


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ('kind = "benchmark"\nname = "hmdb51"', "a benchmark dataset needs root"),
        (
            'kind = "benchmark"\nroot = "x"',
            "needs name, one of hmdb51, ucf101, kinetics100, ssv2-small, ssv2-full",
        ),
        ('kind = "benchmark"\nroot = "x"\nname = "ssv2"', "'ssv2-small' or 'ssv2-full'"),
        (
            'kind = "benchmark"\nroot = "x"\nname = "hmdb51"\nsplit_ratio = [1, 1, 1]',
            "split_ratio is not for kind",
        ),
        ('kind = "list"', "a list dataset needs file"),
        ('root = "x"\nname = "hmdb51"', "name is not for kind = folder; that reads root, splits"),
        ('root = "x"\nclips_per_class = 3', "clips_per_class is not for kind = folder"),
        ('kind = "shapes"\nroot = "x"', "root is not for kind = shapes"),
        ('root = "x"\nsplit_ratio = [1, 1]', "three shares"),
        ('root = "x"\nsplit_ratio = [1, -1, 1]', "three shares"),
        ('root = "x"\nsplit_ratio = [0, 0, 0]', "three shares"),
        ('root = "x"\nsplit_ratio = [6, 2, 2]\nsplit_file = "a.csv"', "split_file and split_ratio both say"),
        ('root = "x"\nsplit_file = "a.csv"\nsplits.test = ["a"]', "splits and split_file both say"),
        ('root = "x"\nsplits.tset = ["a"]', "not tset"),
    ],
)
def test_a_dataset_reads_what_its_kind_reads(tmp_path: Path, settings: str, message: str) -> None:
    (tmp_path / "fsarctl.toml").write_text(f"[datasets.mine]\n{settings}\n")
    with pytest.raises(ConfigError, match=message):
        load(tmp_path)


def test_a_dataset_lists_the_settings_of_its_kind_alone(project: Path) -> None:
    names = [key.split(".")[2] for key, *_ in rows(load(project)) if key.startswith("datasets.")]
    assert names == ["kind", "clips_per_class", "seed", "film_s"]


@pytest.mark.parametrize(
    ("bounds", "good", "bad", "words"),
    [
        ({"least": 1}, [1, 2.5], [0, -1, math.nan, math.inf], "1 or more"),
        ({"above": 0}, [1e-9, 3], [0, -1, math.nan, math.inf], "above 0"),
        ({"least": 0, "most": 0.5}, [0, 0.5], [-0.1, 0.6, math.nan], "within 0 and 0.5"),
    ],
)
def test_numbers_out_of_bounds_are_refused_and_named(
    bounds: dict[str, float], good: list[float], bad: list[float], words: str
) -> None:
    for value in good:
        require_bounds(SimpleNamespace(fine=1, rate=value), "rate", **bounds)
    for value in bad:
        with pytest.raises(ConfigError, match=f"^rate is {value}; it must be {words}$"):
            require_bounds(SimpleNamespace(rate=value), "rate", **bounds)


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("latin-1", "fsarctl.toml is not UTF-8: byte 0xe4 on line 3"),
        ("utf-16", "fsarctl.toml is UTF-16, not UTF-8 (line 1)"),
    ],
)
def test_a_file_that_is_not_utf8_says_where_and_what_makes_it_so(
    tmp_path: Path, encoding: str, words: str
) -> None:
    file = tmp_path / "fsarctl.toml"
    file.write_bytes("[train]\nlr = 0.5\n# für ähnliche\n".replace("ü", "ae").encode(encoding))
    with pytest.raises(ConfigError) as refused:
        load_settings(tmp_path, environment={})
    assert words in refused.value.message
    command = refused.value.next_step.split(": ", 1)[1]
    subprocess.run(["sh", "-c", command], check=True)
    assert load_settings(tmp_path, environment={}).config.train.lr == 0.5


def test_what_does_not_go_with_a_method_s_own_setting_is_not_blamed_on_the_file(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {"train.episodes": 60, "train.schedule": "steps", "train.steps": [[1, 0.1]]}
    file = MethodFile("OTAM", "fsarctl.methods.otam.method:OTAM", "", {"shapes": Preset("here", own)})
    nothing = MethodFile("", "", "", {})
    monkeypatch.setattr(
        "fsarctl.config.settings.method_file", lambda name: file if name == "otam" else nothing
    )
    with pytest.raises(ConfigError) as told:
        load(project, "model.method=otam", "train.episodes_per_step=7")
    assert "(train.episodes is as otam for shapes has it)" in told.value.message
    assert told.value.next_step == "Set train.episodes as well, to go with what you set."
    assert "the 63 episodes" in str(refusal(project, "train.episodes_per_step=8", "train.episodes=63"))
    # Right only beside the method's own: its schedule goes by steps, and the default one does not.
    assert load(project, "model.method=otam", "train.steps=[[2, 0.5]]").config.train.steps == ((2, 0.5),)
    assert "go together" in str(refusal(project, "train.steps=[[2, 0.5]]"))
    # Another method leaves nothing of it behind.
    other = load(project, "model.method=otam").changed(["model.method=task-adapter++"])
    assert "otam for shapes" not in other.origins.values()


def refusal(project: Path, *overrides: str) -> ConfigError:
    with pytest.raises(ConfigError) as told:
        load(project, *overrides)
    assert "for shapes" not in told.value.message
    return told.value
