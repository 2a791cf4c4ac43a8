"""From the [model] table to a model: what of it enters a key, which files it reads, and the thing itself."""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from functools import partial
from inspect import getattr_static, signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from fsarctl.artifacts import JSON, Files
from fsarctl.config.methods import TASK_ADAPTER
from fsarctl.config.model_table import MetricName, ModelConfig
from fsarctl.config.plugins import Part, find_part
from fsarctl.config.setting_field import keyed
from fsarctl.config.tables import OPTIONS
from fsarctl.config.validation import table_of
from fsarctl.errors import ConfigError
from fsarctl.errors.nearest import did_you_mean
from fsarctl.methods.weights import weight_files
from fsarctl.models.backbone_catalogue import (
    BLOCKS,
    architecture,
    has_text_encoder,
    image_side,
    is_resnet,
    own_backbone,
    require_readable,
    without_text_encoder,
    without_vit,
)
from fsarctl.models.strategies import FROZEN, adapters_of

if TYPE_CHECKING:
    import torch

    from fsarctl.methods.protocol import FewShotMethod
    from fsarctl.methods.task_adapter_plus_plus.method import TaskAdapterPlusPlus
    from fsarctl.text.corpus import PromptUse, SubActions

__all__ = [
    "build_model",
    "method_class",
    "method_options",
    "model_key",
    "option_names",
    "require_backbone",
    "require_frames",
    "require_options",
    "text_use",
    "tokens_of",
    "trains",
]

# What is read of a method's class, before there is a method.
OF_CLASS = ("reads_text", "sub_actions", "reads_pixels", "needs_vit", "queries_meet")

NOT_SETTINGS = ("weights", "method", "options")  # enter a key in another form
# What a model without adapters does not depend on.
ADAPTER_FIELDS = (
    "strategy",
    "adapters",
    "visual_layers",
    "visual_position",
    "task_position",
    "text_layers",
    "text_position",
    "order_position",
    "logit_scale",
    "temporal_embedding",
    "task_adapter_start",
    "crop",
)


def model_key(model: ModelConfig, root: Path, *, adapters: bool) -> tuple[dict[str, JSON], dict[str, Files]]:
    """What of ``model`` enters a stage's key: plain settings, and files by content.

    A local file's path never enters; its bytes do.
    """
    architecture(model.backbone)
    model = _as_scored(model, adapters=adapters)
    own = model.other_method if adapters else None
    settings: dict[str, JSON]
    if own is not None:
        settings = {"backbone": model.backbone, "precision": model.precision, "options": dict(model.options)}
    else:
        settings = {
            name: value
            for name, value in keyed(model).items()
            if name not in NOT_SETTINGS and (adapters or name not in ADAPTER_FIELDS)
        }
    settings |= {name: part.key for name, part in _own_parts(model).items() if name in settings}
    if own is not None:
        settings["method"] = own.key
    files = weight_files(model, root)
    if not files:
        return {**settings, "weights": model.weights}, {}
    return {**settings, "weights": "file"}, {"weights": Files(files)}


def build_model(
    model: ModelConfig,
    root: Path,
    *,
    frames: int,
    adapters: bool,
    seed: int,
    device: "torch.device",
    kind: "type[FewShotMethod] | None" = None,
) -> "FewShotMethod":
    """The model that the table describes, with fresh adapters (or none), on ``device``.

    ``kind`` is a class to build instead, for measuring what another function would give.
    """
    import torch

    from fsarctl.methods.checked_method import checked_method
    from fsarctl.methods.task_adapter_plus_plus.method import TaskAdapterPlusPlus
    from fsarctl.models.backbone import load_backbone
    from fsarctl.models.seeding import seeded

    model = _as_scored(model, adapters=adapters)
    weight_files(model, root)
    backbone = load_backbone(model.backbone, model.weights, root=root)
    generator = torch.Generator().manual_seed(seed)
    if adapters and (part := model.other_method):
        own: Callable[..., FewShotMethod] = kind or method_class(part)
        make = partial(
            own,
            backbone,
            frames=frames,
            options=method_options(part, own, model.options),
            precision=model.precision,
            generator=generator,
        )
        if part.known_as:
            made = make()
        else:
            with seeded(generator.clone_state()):
                made = checked_method(part, make)
        for name in ("reads_text", "sub_actions"):  # what is read of the class decides what is described
            if getattr(made, name) != getattr(own, name):
                raise ConfigError(
                    f"method {part.name!r}: {name} is {getattr(made, name)!r} once it is made, and"
                    f" {getattr(own, name)!r} in its class, where it is read before",
                    next_step=f"Give {name} its value in the class.",
                )
        made.scored_by = part.called
    else:
        plus: Callable[..., FewShotMethod] = kind or TaskAdapterPlusPlus
        options = _constructor_options(model, TaskAdapterPlusPlus, adapters=adapters)
        made = plus(backbone, frames=frames, generator=generator, **options)
        made.scored_by = f"metric {model.metric!r}"
    return made.to(device).eval()


def _constructor_options(
    model: ModelConfig, constructor: "type[TaskAdapterPlusPlus]", *, adapters: bool
) -> dict[str, Any]:
    """The settings that the constructor takes, each under its own name."""
    parameters = signature(constructor).parameters.values()
    taken = {each.name for each in parameters if each.kind is each.KEYWORD_ONLY}
    options = {field.name: getattr(model, field.name) for field in fields(model) if field.name in taken}
    if not adapters:
        options |= {"strategy": FROZEN, "adapters": ()}
    return {**options, "adapters": options["adapters"] or None, **model.overrides()}


def method_class(part: Part) -> "Callable[..., FewShotMethod]":
    """The class of a method other than Task-Adapter++.

    It is made with ``backbone``, ``frames``, ``options``, ``precision`` and ``generator``.

    Raises:
        ConfigError: the part is no class of :class:`~fsarctl.methods.FewShotMethod`, or is abstract, or what
            is read of the class is not there to be read.
    """
    from fsarctl.methods.protocol import FewShotMethod

    own = part.load()
    if not (isinstance(own, type) and issubclass(own, FewShotMethod)):
        raise ConfigError(
            f"method {part.name!r} is no class of fsarctl.methods.FewShotMethod",
            next_step="Let it inherit from FewShotMethod, which says what it has to define.",
        )
    for name in OF_CLASS:
        written = getattr_static(own, name)
        if hasattr(written, "__get__"):
            raise ConfigError(
                f"method {part.name!r}: {name} is a {type(written).__name__}, and it is read before a method"
                " is made",
                next_step=f"Give {name} a plain value in the class.",
            )
    if own.reads_text and own.text_features is FewShotMethod.text_features:
        raise ConfigError(
            f"method {part.name!r}: reads_text is True, and text_features is not defined",
            next_step="Define text_features, or leave reads_text out.",
        )
    kind = getattr(own, "Options", None)
    if kind is not None and not (isinstance(kind, type) and is_dataclass(kind)):
        raise ConfigError(
            f"method {part.name!r}: Options is no dataclass",
            next_step="Put @dataclass(frozen=True) above the class.",
        )
    if missing := sorted(own.__abstractmethods__):
        raise ConfigError(
            f"method {part.name!r} does not define {', '.join(missing)}",
            next_step="Define them; fsarctl.methods.FewShotMethod says what each has to give.",
        )
    return own


def method_options(part: Part, own: object, values: Mapping[str, Any]) -> object:
    """``model.options`` as the method's own dataclass, ``Options``; None where it has none.

    Raises:
        ConfigError: it has no such option, or the option no such value.
        InputError: somebody else's ``Options`` fails.
    """
    kind: Any = getattr(own, "Options", None)
    known = [each.name for each in fields(kind)] if kind is not None else []
    if unknown := sorted(set(values) - set(known)):
        raise ConfigError(
            f"method {part.name!r} has no option {unknown[0]!r}; it has {', '.join(known) or 'none'}",
            next_step=f"Correct model.options{did_you_mean(unknown[0], known)}",
        )
    with part.running():
        try:
            return None if kind is None else table_of(kind, OPTIONS, values, f"method {part.name!r}")
        except (TypeError, ValueError) as error:
            raise ConfigError(f"method {part.name!r}: {error}", next_step="Correct model.options.") from None


def option_names(model: ModelConfig) -> tuple[str, ...]:
    """What ``model.options`` may set for this method.

    Raises:
        ConfigError: as ``method_class``.
    """
    own: Any = method_class(model.other_method) if model.other_method else None
    kind: Any = getattr(own, "Options", None)
    return tuple(each.name for each in fields(kind)) if kind is not None else ()


def require_options(model: ModelConfig) -> None:
    """Refuse options that the method does not have, before anything is loaded.

    Raises:
        ConfigError: as ``method_options`` and ``method_class``.
    """
    if part := model.other_method:
        method_options(part, method_class(part), model.options)


def trains(model: ModelConfig) -> bool:
    """Whether there is anything to train.

    Raises:
        ConfigError: as ``method_options`` and ``method_class``.
    """
    if part := model.other_method:
        own: Any = method_class(part)
        options = method_options(part, own, model.options)
        with part.running():
            return bool(own.trains(options))
    return model.trains


def require_frames(model: ModelConfig, size: int, prefix_crops: int) -> None:
    """Refuse frames that ``model`` cannot use, before anything is decoded or loaded.

    Raises:
        ConfigError: ``extract.size`` is less than the backbone reads, or ``train.prefix_crops`` is not 0
            for a method whose loss reads frames.
    """
    if 0 < size < (reads := image_side(model.backbone)):
        raise ConfigError(
            f"extract.size is {size}, and {model.backbone} reads {reads} pixels",
            next_step=f"Leave extract.size at 0, or set it to {reads} or more.",
        )
    if prefix_crops and (part := model.other_method):
        from fsarctl.methods.protocol import without_pixels

        own: Any = method_class(part)
        if own.reads_pixels:
            raise without_pixels()


def _own_parts(model: ModelConfig) -> dict[str, Part]:
    """The parts of ``model`` that are not ours, by the setting that names them."""
    named = {
        "metric": find_part("metrics", model.metric, get_args(MetricName)),
        "backbone": own_backbone(model.backbone),
    }
    return {name: part for name, part in named.items() if part is not None}


def text_use(model: ModelConfig, *, adapters: bool = True) -> "PromptUse | None":
    """What the prompts of a class are made of; None if text has no part in the scores.

    ``adapters``: of the model as it is trained, or of the frozen one beside it.

    Raises:
        ConfigError: as ``method_class``.
    """
    if adapters and (part := model.other_method):
        own: Any = method_class(part)
        use: Any = own.sub_actions
        return use if own.reads_text else None
    return None if _as_scored(model, adapters=adapters).score == "video" else model.sub_actions


def tokens_of(
    model: "FewShotMethod", descriptions: Mapping[str, "SubActions"], names: Mapping[str, str] | None = None
) -> dict[str, "torch.Tensor"]:
    """Label -> (prompts, context) tokens of its prompts: three, or one if sub-actions are not used apart.

    ``names``: label -> what prompts call it, where that is not the label. A model that reads no text has
    none: (0, context) each.

    Raises:
        InputError: a prompt is longer than the text encoder's context.
    """
    from fsarctl.text.corpus import prompts_of

    if not model.reads_text:
        return {label: model.backbone.tokenize(()) for label in descriptions}
    return {
        label: model.backbone.tokenize(
            prompts_of(model.sub_actions, label, sub_actions, (names or {}).get(label, ""))
        )
        for label, sub_actions in descriptions.items()
    }


def require_backbone(model: ModelConfig) -> None:
    """Refuse a backbone that the method cannot use, or not in this way, before anything is loaded.

    Raises:
        ConfigError: model.backbone cannot be loaded, or has no text encoder where text is read; for
            Task-Adapter++, it has a ResNet where not all is frozen, or fewer blocks than layers to adapt; for
            another method, it has a ResNet where that needs a ViT.
    """
    described = architecture(model.backbone)
    require_readable(model.backbone, described)
    without_adapters = bool(model.other_method) or model.strategy == FROZEN
    kinds = adapters_of(model.strategy, model.adapters or None)
    if is_resnet(described) and not without_adapters:
        raise without_vit(model.backbone, *(() if kinds else (f"strategy {model.strategy} needs",)))
    if is_resnet(described) and (part := model.other_method):
        from fsarctl.methods.protocol import needs_another_backbone

        own: Any = method_class(part)
        if own.needs_vit:
            raise needs_another_backbone(model.backbone)
    if text_use(model) is not None and not has_text_encoder(model.backbone):
        raise without_text_encoder(model.backbone)
    if without_adapters:
        return
    branches = (
        ("visual", "vision_cfg", model.visual_position, model.visual_layers, {*kinds} - {"order"}),
        ("text", "text_cfg", model.text_position, model.text_layers, {*kinds} & {"order"}),
    )
    for branch, table, position, layers, adapters in branches:
        blocks = described[table].get("layers", BLOCKS)
        unread = branch == "text" and model.score == "video"
        if adapters and not unread and position != "all" and layers > blocks:
            raise ConfigError(
                f"model.{branch}_layers is {layers}; backbone {model.backbone} has {blocks} {branch} blocks",
                next_step=f"Set model.{branch}_layers to {blocks} or less.",
            )


def _as_scored(model: ModelConfig, *, adapters: bool) -> ModelConfig:
    """``model`` with the score that it has: what is frozen does without text where none can be read."""
    frozen = not adapters or not model.trains
    if not frozen or model.score != "both" or has_text_encoder(model.backbone):
        return model
    return replace(model, method=TASK_ADAPTER, options={}, score="video")
