"""The same function as the authors' released code and as an independent reading of the paper."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from fsarctl.errors import InputError
from fsarctl.methods import parity
from fsarctl.models.weights.released import from_released, to_released

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("*.npz"))
NAMES = [path.stem for path in FILES]


def test_the_files_are_there():
    assert len(FILES) == 3


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_every_output_and_gradient(path):
    rows = parity.differences(path)
    with np.load(path) as arrays:
        expected = {name for name in arrays.files if name.startswith(("output/", "grads/"))}
    assert {row.name for row in rows} == expected - {"output/loss_as_released"}
    assert [(row.name, row.relative) for row in rows if not row.passes] == []


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_the_other_formulation_is_another_function(path, tmp_path):
    copy = copied(path, tmp_path)
    sizes = json.loads(copy.with_suffix(".json").read_text())
    sizes["formulation"] = {"paper": "released", "released": "paper"}[sizes["formulation"]]
    copy.with_suffix(".json").write_text(json.dumps(sizes))
    failing = {row.name for row in parity.differences(copy) if not row.passes}
    assert {"output/aligned_query_features", "output/video_scores", "output/video_text_scores"} <= failing


def test_the_command_prints_a_table(capsys):
    assert parity.main([str(path) for path in FILES]) == 0
    printed = capsys.readouterr().out
    assert all(path.name in printed for path in FILES)
    assert "output/scores" in printed
    assert "FAILS" not in printed


def damaged(path, how):
    """A golden file spoiled in one way."""
    content = path.read_bytes()
    sizes = json.loads(path.with_suffix(".json").read_text())
    with np.load(path) as arrays:
        held = dict(arrays)
    if how == "truncated":
        path.write_bytes(content[:1000])
    elif how == "flipped":
        path.write_bytes(content[:5000] + bytes([content[5000] ^ 1]) + content[5001:])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "an array":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    elif how == "no frames":
        del held["input/support_frames"]
        np.savez(path, **held)
    else:
        path.with_suffix(".json").write_text(json.dumps({**sizes, **how}))


@pytest.mark.parametrize(
    "how",
    ["truncated", "flipped", "empty", "an array", "no frames", {"heads": 5}, {"M": "two"}, {"L": 99}],
    ids=str,
)
def test_a_spoiled_file_is_refused_in_words_and_the_others_are_compared(how, tmp_path, capsys):
    path = copied(FILES[0], tmp_path)
    damaged(path, how)
    assert parity.main([str(path), str(FILES[1])]) == 3
    printed = capsys.readouterr()
    assert path.stem in printed.err
    assert "Traceback" not in printed.err
    assert FILES[1].name in printed.out


def test_double_precision_is_compared_too(tmp_path, capsys):
    path = copied(FILES[0], tmp_path)
    with np.load(path) as arrays:
        doubled = {k: a.astype(np.float64) if a.dtype == np.float32 else a for k, a in arrays.items()}
    np.savez(path, **doubled)
    assert parity.main([str(path)]) == 0
    assert "output/loss_as_released is not compared" in capsys.readouterr().out


def test_the_command_fails_when_one_weight_is_off(tmp_path, capsys):
    path = copied(FILES[0], tmp_path)
    with np.load(path) as arrays:
        changed = dict(arrays)
    changed["weights/text.transformer.resblocks.0.ln_1.weight"][0] += 0.01
    np.savez(path, **changed)
    assert parity.main([str(path)]) == 1
    assert "FAILS" in capsys.readouterr().out


def test_the_command_refuses_what_it_cannot_read(tmp_path, capsys):
    assert parity.main([str(tmp_path / "none.npz")]) == 3
    path = copied(FILES[0], tmp_path)
    path.with_suffix(".json").write_text('{"heads": 4}')
    assert parity.main([str(path)]) == 3
    assert "theads, L, M, formulation" in capsys.readouterr().err


def copied(path: Path, folder: Path) -> Path:
    for ending in (".npz", ".json"):
        shutil.copyfile(path.with_suffix(ending), folder / (path.stem + ending))
    return folder / path.name


def released_state(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, int]]:
    sizes = json.loads(path.with_suffix(".json").read_text())
    with np.load(path) as arrays:
        state = {
            name.removeprefix("weights/"): torch.from_numpy(arrays[name])
            for name in arrays.files
            if name.startswith("weights/")
        }
    return state, {"visual_layers": sizes["L"], "text_layers": sizes["M"]}


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_released_layout_round_trips(path, norm):
    state, layers = released_state(path)
    if norm:
        state |= {f"alignment.ln_1.{kind}": torch.randn(32) for kind in ("weight", "bias")}
    back = to_released(from_released(state, **layers))
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], state[name]) for name in state)


WRAPPED = {
    "as in the released code": {"visual.": "feature.module.", "text.": "text.", "alignment.": "ca."},
    "all wrapped": {"visual.": "feature.module.visual.", "text.": "feature.module.text."},
    "unwrapped": {"visual.": "feature."},
}


@pytest.mark.parametrize("prefixes", WRAPPED.values(), ids=WRAPPED.keys())
def test_wrappers_leave_prefixes(prefixes):
    state, layers = released_state(FILES[0])
    state |= {f"alignment.ln_1.{kind}": torch.randn(32) for kind in ("weight", "bias")}
    wrapped = {}
    for name, tensor in state.items():
        branch = name.split(".")[0] + "."
        wrapped[prefixes.get(branch, branch) + name.removeprefix(branch)] = tensor
    assert wrapped.keys() != state.keys()
    back = to_released(from_released(wrapped, **layers))
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], state[name]) for name in state)


def test_unknown_names_are_refused():
    state, layers = released_state(FILES[0])
    state["visual.transformer.resblocks.2.x_adapter.D_fc1.bias"] = torch.zeros(12)
    with pytest.raises(InputError, match=r"visual.transformer.resblocks.2.x_adapter.D_fc1.bias is unknown"):
        from_released(state, **layers)


@pytest.mark.parametrize(
    "name", ["visual.ln_pre.bias", "text.transformer.resblocks.1.sub3_adapter.D_fc2.weight"]
)
def test_missing_names_are_refused(name):
    state, layers = released_state(FILES[0])
    del state[name]
    with pytest.raises(InputError, match=f"{name} is missing"):
        from_released(state, **layers)
