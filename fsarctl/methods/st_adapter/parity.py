"""ST-Adapter and AIM against vectors: a block of each, AIM with one and two temporal adapters."""

from pathlib import Path

from open_clip.model import QuickGELU
from open_clip.transformer import ResidualAttentionBlock
from torch import Tensor

from fsarctl.methods.aim_matching.method import aim_block
from fsarctl.methods.st_adapter.adapter import STAdapter, STBlock
from fsarctl.methods.vectors import Arrays, Difference, compare, fill, under

__all__ = ["KEYS", "differences"]

INPUTS = frozenset({"x", "T", "heads", "adapter_scale"})
KEYS = frozenset({"aim_block_two_temporal", "st_block", "st_adapter_333"})
AIM = {
    "before_temporal.": "T_Adapter_in.",
    "temporal.": "T_Adapter.",
    "spatial.": "S_Adapter.",
    "joint.": "MLP_Adapter.",
}
OF_BLOCK = ("attn.", "ln_1.", "ln_2.", "mlp.")


def differences(path: Path, arrays: Arrays) -> list[Difference]:  # noqa: ARG001
    """Every output of a file of the two against ours."""
    weights = under("w.", arrays)
    x = arrays["x"].reshape(-1, int(arrays["T"]), *arrays["x"].shape[1:])  # (clips, T, tokens, width)
    width = x.shape[-1]
    block = ResidualAttentionBlock(
        width,
        int(arrays["heads"]),
        mlp_ratio=weights["mlp.c_fc.weight"].shape[0] / width,
        act_layer=QuickGELU,
    ).eval()
    fill(block, {name: each for name, each in weights.items() if name.startswith(OF_BLOCK)})
    ours = {}
    for count, two in (("one", False), ("two", True)):
        aim = aim_block(
            width,
            hidden=weights["S_Adapter.D_fc1.weight"].shape[0],
            two_temporal=two,
            joint_scale=float(arrays["adapter_scale"]),
        )
        own = {f"{here}{name}": each for here, there in AIM.items() for name, each in _of(there, weights)}
        fill(aim, {name: each for name, each in own.items() if two or not name.startswith("before_")})
        ours[f"aim_block_{count}_temporal"] = aim(block, x)
    first = _adapter("adapter_pre_attn.", weights)
    both = STBlock(width, first.conv.out_channels, _kernel(first), before_mlp=True)
    both.before_attention, both.before_mlp = first, _adapter("adapter_pre_mlp.", weights)
    ours["st_block"] = both(block, x)
    ours["st_adapter_alone"] = first(x)
    ours["st_adapter_333"] = _adapter("adapter333.", weights)(x)
    return compare(arrays, {name: each.flatten(0, 1) for name, each in ours.items()}, inputs=INPUTS)


def _of(adapter: str, weights: Arrays) -> list[tuple[str, Tensor]]:
    names = {"D_fc1.": "down.", "D_fc2.": "up."}
    return [
        (f"{own}{kind}", weights[f"{adapter}{theirs}{kind}"])
        for theirs, own in names.items()
        for kind in ("weight", "bias")
    ]


def _adapter(name: str, weights: Arrays) -> STAdapter:
    own = under(name, weights)
    hidden, width = own["fc1.weight"].shape
    frames, rows, columns = own["conv.weight"].shape[2:]
    adapter = STAdapter(width, hidden, (frames, rows, columns))
    fill(adapter, own)
    return adapter


def _kernel(adapter: STAdapter) -> tuple[int, int, int]:
    frames, rows, columns = adapter.conv.weight.shape[2:]
    return frames, rows, columns
