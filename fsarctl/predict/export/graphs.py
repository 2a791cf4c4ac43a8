"""The two graphs that name a clip: what reads one frame, and what scores the frames of a clip.

The support set is within the second; what is read of one frame can be read once for all windows of a long
video that share it.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from fsarctl.errors import InputError
from fsarctl.methods.protocol import FewShotMethod
from fsarctl.predict.none_of_these import beside, with_negatives
from fsarctl.predict.predictor import Predictor, shots_of
from fsarctl.predict.support_set import Support

__all__ = ["Encoder", "Head", "onnx_of", "quiet", "traced", "without_unread"]

ANY_NUMBER = Dim("frames", min=1)


class Encoder(nn.Module):
    """Frames as they are decoded and resized: crop, normalisation, and what depends on one frame alone."""

    def __init__(self, predictor: Predictor) -> None:
        super().__init__()
        self.model = predictor.model
        self.side = predictor.model.backbone.image_size
        self.margin = (predictor.size - self.side) // 2

    def forward(self, pixels: Tensor) -> Tensor:
        """Shapes: uint8 (frames, S, S, 3) -> (frames, ...), as ``FewShotMethod.each_frame``."""
        middle = slice(self.margin, self.margin + self.side)
        each: Tensor = self.model.each_frame(self.model.normalise(pixels[:, middle, middle]))
        return each


class Head(nn.Module):
    """One clip against a support set: the scores of its classes, and how likely each is."""

    def __init__(self, predictor: Predictor, support: Support) -> None:
        super().__init__()
        self.model = predictor.model
        self.way = len(support.labels)
        self.negatives = len(support.negative_pictures)
        calibration = predictor.calibration(support)
        self.scale = predictor.logit_scale
        self.temperature = calibration.temperature if calibration else 1.0
        self.known = predictor.known(support)
        self.shots: Tensor | None
        self.text: Tensor | None
        self.examples: Tensor | None
        self._constant("shots", shots_of(self.model, support))
        self._constant("text", support.text)
        self._constant("examples", with_negatives(self.model, support) if self.known else None)

    def _constant(self, name: str, value: Tensor | None) -> None:
        # What was made in inference mode cannot be traced; a copy can.
        self.register_buffer(name, None if value is None else value.clone())

    @property
    def outputs(self) -> tuple[str, ...]:
        """What each output is."""
        return ("score", "confidence", *(("none",) if self.known else ()))

    def forward(self, features: Tensor) -> tuple[Tensor, ...]:
        """Shapes: (T, as ``Encoder`` gives them) -> score (way,), confidence (way,) and perhaps none ()."""
        model = self.model
        query = model.query_features(model.from_frames(features[None]), query_mode="independent")
        score = model.score_features(
            self.shots, query, self.text, way=self.way, query_mode="independent"
        ).score[0]
        logits = self.scale * score
        shares = torch.softmax(logits / self.temperature, dim=-1)
        if self.known is None:
            return score, shares
        sigmoid = self.known.sigmoid
        there = torch.sigmoid(sigmoid.slope * (logits.amax(-1) - sigmoid.middle))
        if self.examples is not None:
            margin = beside(model, self.examples, query, way=self.way, negatives=self.negatives)[0]
            there = there * torch.sigmoid(self.scale / self.temperature * margin)
        return score, shares * there, 1 - there


def traced(module: nn.Module, example: Tensor, *, any_number: bool = False) -> ExportedProgram:
    """A graph of what ``module`` does.

    ``any_number``: the first axis may be of another length.

    Raises:
        InputError: the method does what no graph can say.
    """
    try:
        with quiet(), torch.no_grad():
            shapes = ({0: ANY_NUMBER},) if any_number else None
            program = torch.export.export(module, (example,), dynamic_shapes=shapes)
    except Exception as error:  # whatever tracing somebody's method ends in
        raise _cannot(module, error) from error
    return program


def without_unread(program: ExportedProgram) -> ExportedProgram:
    """The same, and of weights that it does not read, such as those of a text encoder, only the names."""
    for node in program.graph.find_nodes(op="placeholder"):
        name = program.graph_signature.inputs_to_parameters.get(node.name)
        if name and not node.users:
            program.state_dict[name] = nn.Parameter(torch.empty(0), requires_grad=False)
    return program


def onnx_of(module: nn.Module, program: ExportedProgram, inputs: list[str], outputs: list[str]) -> Any:
    """A graph as ONNX: a ``torch.onnx.ONNXProgram``.

    Raises:
        InputError: it holds what ONNX has no word for.
    """
    try:
        with quiet(), torch.no_grad():
            return torch.onnx.export(
                program.run_decompositions(IN_PLAIN_WORDS),
                input_names=inputs,
                output_names=outputs,
                dynamo=True,
                verbose=False,
            )
    except Exception as error:
        raise _cannot(module, error) from error


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    **more: Any,
) -> Tensor:
    """Attention as products, for any number of axes: the exporter's own knows four."""
    plain = torch.ops.aten._scaled_dot_product_attention_math
    attended: Tensor = plain(query, key, value, attn_mask, dropout_p, is_causal, **more)[0]
    return attended


def _distances(x: Tensor, y: Tensor, p: float, mode: int | None) -> Tensor:  # noqa: ARG001
    """Of ``torch.cdist``. Shapes: (..., n, D), (..., m, D) -> (..., n, m)."""
    apart: Tensor = (x.unsqueeze(-2) - y.unsqueeze(-3)).norm(p, dim=-1)
    return apart


IN_PLAIN_WORDS: dict[Any, Any] = {
    torch.ops.aten.scaled_dot_product_attention.default: _attention,
    torch.ops.aten._cdist_forward.default: _distances,
    torch.ops.aten.cdist.default: lambda x, y, p=2.0, mode=None: _distances(x, y, p, mode),
}
"""Operations that ONNX does not know, by others."""


@contextmanager
def quiet() -> Iterator[None]:
    """Without what exporters say on the way, which is for those who write them."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _cannot(module: nn.Module, error: Exception) -> InputError:
    model = module.model
    assert isinstance(model, FewShotMethod)
    root: BaseException = error
    while root.__cause__ is not None:
        root = root.__cause__
    reason = (str(root).strip().splitlines() or [type(root).__name__])[0]
    return InputError(
        f"{model.scored_by} cannot be exported: it does what is no fixed graph ({reason[:200]})",
        next_step="Use it where fsarctl is: `fsarctl predict`, `fsarctl serve` or, in Python,"
        " Project.recogniser.",
    )
