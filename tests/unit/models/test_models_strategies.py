"""What each strategy trains and where its adapters sit, against CLIP and against the equations in a loop."""

import pytest
import torch
from small_model import episode, open_clips, small_backbone, small_model
from torch.testing import assert_close

from fsarctl.errors import ConfigError
from fsarctl.methods.task_adapter_plus_plus.method import TaskAdapterPlusPlus
from fsarctl.models.backbone import load_backbone
from fsarctl.models.strategies import STRATEGIES

LABELS = torch.tensor([0, 1, 2, 0])
KINDS = STRATEGIES["task-adapter++"]
PER_ADAPTER, PER_LAYER = 295_872, 131_712


@pytest.fixture(scope="module")
def vit_b_16():
    with torch.device("meta"):
        return load_backbone("ViT-B-16-quickgelu", "random")


# Tables 3 and 8, and section 4.3's analysis of tunable parameters.
@pytest.mark.parametrize(
    ("options", "count", "printed"),
    [
        ({"strategy": "frozen"}, 0, 0),
        ({"strategy": "full"}, 149_620_736, 149.6e6),
        ({"strategy": "aim", "visual_position": "all"}, 12 * 3 * PER_ADAPTER, None),
        ({"strategy": "aim", "visual_layers": 6}, 6 * 3 * PER_ADAPTER, None),
        ({"strategy": "task-adapter", "visual_position": "all"}, 12 * 4 * PER_ADAPTER, 14.1e6),
        ({"strategy": "task-adapter", "visual_layers": 6}, 6 * 4 * PER_ADAPTER, 7.2e6),
        ({"strategy": "task-adapter", "visual_layers": 2}, 2 * 4 * PER_ADAPTER, 2.4e6),
        ({"strategy": "task-adapter", "visual_layers": 6, "visual_position": "bottom"}, 7_100_928, 7.2e6),
        ({"adapters": ["task"], "visual_layers": 6}, 6 * PER_ADAPTER, None),
        ({"adapters": ["order"], "text_position": "all"}, 12 * PER_LAYER, 1.58e6),
        ({"adapters": ["order"], "text_layers": 6, "text_position": "bottom"}, 6 * PER_LAYER, 790e3),
        ({"adapters": ["order"], "text_layers": 2}, 2 * PER_LAYER, 263e3),
        ({"visual_layers": 2, "text_layers": 8}, 8 * PER_ADAPTER + 8 * PER_LAYER, 3.5e6),
        ({"visual_layers": 6, "text_layers": 2}, 24 * PER_ADAPTER + 2 * PER_LAYER, 7.5e6),
        ({"strategy": "frozen", "video_metric": "trx", "alignment": "conv1d"}, 0, 0),
        ({"adapters": ["order"], "text_layers": 0, "alignment": "conv1d"}, 512 * 512 * 3 + 512, None),
    ],
)
def test_trainable_parameters_of_the_real_model(vit_b_16, options, count, printed):
    model = TaskAdapterPlusPlus(vit_b_16, **options)
    assert sum(parameter.numel() for parameter in model.trainable_parameters()) == count
    assert count == sum(tensor.numel() for tensor in model.adapter_state().values())
    if printed is not None:
        assert count == pytest.approx(printed, rel=0.03), "what the paper prints, which is rounded"


@pytest.mark.parametrize("strategy", [name for name in STRATEGIES if name != "frozen"])
@pytest.mark.parametrize("options", [{}, {"video_metric": "trx", "alignment": "conv1d"}])
def test_each_strategy_moves_all_that_it_trains_and_nothing_else(strategy, options):
    model = small_model(strategy=strategy, started=strategy != "full", **options)
    before, frozen = model.adapter_state(), model.frozen_digest()
    optimiser = torch.optim.SGD(model.trainable_parameters(), lr=0.1)
    support, query, tokens = episode()
    model.loss(model(support, query, tokens), LABELS).backward()
    optimiser.step()
    assert model.frozen_digest() == frozen
    after = model.adapter_state()
    # TRX's distance is between values, where their bias cancels.
    still = {name for name in before if torch.equal(before[name], after[name])}
    assert {name for name in still if not name.endswith("value.bias")} == set()


def test_frozen_trains_nothing_in_any_formulation():
    model = small_model(strategy="frozen", formulation="released", alignment_norm=True, started=False)
    assert model.trainable_parameters() == []
    assert model.adapter_state() == {}


def test_full_fine_tuning_leaves_a_shared_backbone_alone():
    backbone = small_backbone()
    options = {"visual_layers": 2, "text_layers": 2, "frames": 4}
    frozen = TaskAdapterPlusPlus(backbone, **options)
    full = TaskAdapterPlusPlus(backbone, strategy="full", **options)
    support, query, tokens = episode()
    before = frozen.frozen_digest()
    assert_close(full(support, query, tokens).score, frozen(support, query, tokens).score)
    full.loss(full(support, query, tokens), LABELS).backward()
    torch.optim.SGD(full.trainable_parameters(), lr=0.1).step()
    assert frozen.frozen_digest() == before
    assert not any(p.requires_grad for p in backbone.clip.parameters())
    assert not full.visual.prefix_is_constant


@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_on_its_own_is_the_model_with_the_others_at_nothing(kind):
    alone = small_model(adapters=[kind])
    assert {name.split(".")[3 if name.startswith("visual") else 0] for name in alone.adapter_state()} == {
        "semantic" if kind == "order" else kind
    }
    whole = small_model(started=False)
    state = whole.adapter_state()
    for name, tensor in state.items():
        if ".up." in name:
            tensor.zero_()
    whole.load_adapter_state(state | alone.adapter_state())
    support, query, tokens = episode()
    assert_close(alone(support, query, tokens).score, whole(support, query, tokens).score)


@pytest.mark.parametrize("position", ["top", "bottom", "all"])
def test_positions(position):
    model = small_model(visual_layers=1, text_layers=2, visual_position=position, text_position=position)
    where = {"top": (["2"], ["1", "2"]), "bottom": (["0"], ["0", "1"])}
    expected = where.get(position, (["0", "1", "2"], ["0", "1", "2"]))
    assert (list(model.visual.adapters), list(model.semantic.adapters)) == expected
    support, query, tokens = episode()
    model.loss(model(support, query, tokens), LABELS).backward()
    assert all(parameter.grad.any() for parameter in model.trainable_parameters())


@pytest.mark.parametrize("position", ["top", "bottom", "all"])
def test_fresh_adapters_at_any_place_are_clip(position):
    backbone = small_backbone()
    reference = open_clips(backbone)
    support, _, tokens = episode()
    for task, order in (("before", "before"), ("between", "after"), ("after", "after")):
        model = TaskAdapterPlusPlus(
            backbone,
            frames=4,
            visual_layers=2,
            text_layers=2,
            visual_position=position,
            text_position=position,
            task_position=task,
            order_position=order,
        )
        features = model.support_features(model.visual.video(support))
        clip = reference.encode_image(support.flatten(0, 1)).view_as(features)
        assert_close(features, clip, rtol=1e-4, atol=1e-5)
        texts = model.text_features(tokens)
        assert_close(texts, reference.encode_text(tokens.flatten(0, 1)).view_as(texts), rtol=1e-4, atol=1e-5)


def plainly(attention, x, axis):
    """A block's attention over one axis, by torch's own module."""
    moved = x.movedim(axis, -2)
    flat = moved.reshape(-1, *moved.shape[-2:])
    out = attention(flat, flat, flat, need_weights=False)[0]
    return out.view(moved.shape).movedim(-2, axis)


STEPS = {
    "before": ["task", "time", "space"],
    "between": ["time", "task", "space"],
    "after": ["time", "space", "task"],
}


@pytest.mark.parametrize("position", STEPS)
def test_task_position_is_the_order_of_the_equations(position):
    model = small_model(task_position=position)
    support, _, _ = episode()
    with torch.no_grad():
        tokens = model.visual.prefix(support)
        x = tokens
        for i in (1, 2):
            block, adapters = model.visual.vit.transformer.resblocks[i], model.visual.adapters[str(i)]
            for step in STEPS[position]:
                axis = {"task": -4, "time": -3, "space": -2}[step]
                adapter = {"task": adapters.task, "time": adapters.temporal, "space": adapters.spatial}[step]
                x = x + adapter(plainly(block.attn, block.ln_1(x), axis))
            y = block.ln_2(x)
            x = x + block.mlp(y) + adapters.joint(y)
        expected = model.visual.vit.ln_post(x[..., 0, :]) @ model.visual.vit.proj
        assert_close(model.support_features(model.visual.alone(tokens)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("position", ["before", "after"])
def test_order_position_is_the_order_of_the_equations(position):
    model = small_model(order_position=position, text_layers=3)
    _, _, tokens = episode()
    branch = model.semantic
    mask = torch.full((40, 40), float("-inf")).triu(1)
    with torch.no_grad():
        x = branch.token_embedding(tokens) + branch.positional_embedding
        for i, block in enumerate(branch.transformer.resblocks):

            def order(x, i=i, block=block):
                return x + branch.adapters[str(i)](plainly(block.attn, block.ln_1(x), -3))

            if position == "before":
                x = order(x)
            y = block.ln_1(x).flatten(0, 1)
            y = block.attn(y, y, y, need_weights=False, attn_mask=mask)[0]
            x = x + y.view_as(x)
            if position == "after":
                x = order(x)
            x = x + block.mlp(block.ln_2(x))
        ended = x.take_along_dim(tokens.argmax(-1)[..., None, None], dim=-2).squeeze(-2)
        assert_close(branch(tokens), branch.ln_final(ended) @ branch.text_projection, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"strategy": "lora"}, "frozen, full, aim"),
        ({"strategy": "full", "adapters": ["task"]}, "has no adapters"),
        ({"adapters": ["tusk"]}, "temporal, spatial"),
        ({"visual_position": "middle"}, "top, bottom, all"),
        ({"task_position": "behind"}, "before, between, after"),
        ({"order_position": "between"}, "before, after"),
        ({"sub_actions": "two"}, "none, average"),
        ({"alignment": "rnn"}, "none, attention, conv1d"),
        ({"alignment_layers": 3, "frames": 3}, "needs 4 or more"),
    ],
)
def test_unknown_choices_are_refused(options, said):
    with pytest.raises(ConfigError, match=said) as error:
        small_model(**options)
    assert error.value.next_step
