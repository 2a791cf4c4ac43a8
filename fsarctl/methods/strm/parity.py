"""STRM against vectors: both enrichments. No vectors of its branches are known; the first is TRX's."""

from pathlib import Path

from fsarctl.methods.strm.enrichment import FrameEnrichment, PatchEnrichment
from fsarctl.methods.vectors import Arrays, Difference, compare, fill, renamed, under

__all__ = ["KEYS", "differences"]

INPUTS = frozenset({"patches"})
KEYS = frozenset({"patches", "patch_enriched", "frame_enriched"})
PATCH = {
    "query_proj.": "query.",
    "key_proj.": "key.",
    "value_conv.": "value.",
    "Bot_MLP.inp_fc.": "mlp.0.",
    "Bot_MLP.hid_fc.": "mlp.2.",
    "Bot_MLP.out_fc.": "mlp.4.",
}
FRAME = {
    "Tok_MLP.inp_fc.": "over_time.0.",
    "Tok_MLP.out_fc.": "over_time.2.",
    "Bot_MLP.inp_fc.": "over_channels.0.",
    "Bot_MLP.out_fc.": "over_channels.2.",
}


def differences(path: Path, arrays: Arrays) -> list[Difference]:  # noqa: ARG001
    """Every output of a file of STRM against ours."""
    patches = arrays["patches"]
    clips, frames, width = arrays["frames"].shape
    of_patches = PatchEnrichment(patches.shape[1], width).eval()
    fill(of_patches, renamed(under("w.patch.", arrays), PATCH))
    of_frames = FrameEnrichment(frames, width).eval()
    fill(of_frames, renamed(under("w.frame.", arrays), FRAME))
    enriched = of_patches(patches)
    means = enriched.mean(dim=1).reshape(clips, frames, width)
    ours = {"patch_enriched": enriched, "frames": means, "frame_enriched": of_frames(means)}
    return compare(arrays, ours, inputs=INPUTS)
