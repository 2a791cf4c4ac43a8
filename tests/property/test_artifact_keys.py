"""Keys: equal questions share one, different questions never do, and order does not count."""

import hashlib
import json
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsarctl.artifacts.keys import canonical, digest_of, key_of
from fsarctl.errors import ConfigError

RELAXED = settings(deadline=None)  # machines are shared; speed is not what is asserted

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=()))
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def same(one, other) -> bool:
    """Equality that tells 1, 1.0 and True apart, and 0.0 from -0.0; written without canonical's help."""
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return one == other and math.copysign(1, one) == math.copysign(1, other)
    return one == other


def shuffled(value, order: random.Random):
    """The same value with every mapping in another order and every list a tuple."""
    if isinstance(value, dict):
        names = list(value)
        order.shuffle(names)
        return {name: shuffled(value[name], order) for name in names}
    if isinstance(value, list):
        return tuple(shuffled(item, order) for item in value)
    return value


@RELAXED
@given(VALUES, VALUES)
def test_two_values_share_their_bytes_exactly_when_they_are_the_same(one, other):
    assert (canonical(one) == canonical(other)) == same(one, other)


@RELAXED
@given(VALUES, st.randoms(use_true_random=False))
def test_neither_order_nor_tuple_for_list_counts(value, order):
    assert canonical(shuffled(value, order)) == canonical(value)


@RELAXED
@given(VALUES)
def test_a_value_read_back_from_a_manifest_keeps_its_bytes(value):
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # lone surrogates, which JSON cannot carry faithfully
        return
    assert canonical(json.loads(json.dumps(value))) == canonical(value)


LOOKALIKES = [
    *(None, True, False, 1, 1.0, -1, 0, 0.0, -0.0, 2**53, 2.0**53, 2**53 + 1, 1e-3),
    *("", "1", "1.0", "True", "true", "null", "None", "0.001", "é", "e\u0301", "\U0001f600", "\ud83d\ude00"),
    *([], [1], ["1"], [None], ["null"], ["int", "1"], [["1", 1]]),
    *({}, {"1": 1}, {"a": {"b": 1}}, {"a.b": 1}),
]


def test_lookalikes_all_differ():
    assert len({canonical(value) for value in LOOKALIKES}) == len(LOOKALIKES)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_refused_by_name(number):
    with pytest.raises(ConfigError, match=r"config\.train\.lr\[1\] is (nan|inf|-inf)"):
        key_of("train", 1, {"train": {"lr": [0.1, number]}}, {})


@pytest.mark.parametrize("value", [b"bytes", {1: 2}, object(), {1, 2}])
def test_what_is_not_json_is_refused(value):
    with pytest.raises(TypeError):
        canonical(value)


PARTS = st.tuples(
    st.text(max_size=3),
    st.integers(0, 3),
    st.dictionaries(st.text(max_size=2), SCALARS, max_size=2),
    st.dictionaries(st.text(max_size=2), st.sampled_from(["a" * 64, "b" * 64]), max_size=2),
)


@RELAXED
@given(PARTS, PARTS)
def test_a_key_is_that_of_one_question_only(one, other):
    assert (key_of(*one) == key_of(*other)) == same(list(one), list(other))


@RELAXED
@given(
    st.dictionaries(st.text(), st.sampled_from(["0" * 64, "f" * 64]), max_size=5),
    st.randoms(use_true_random=False),
)
def test_a_digest_ignores_order_and_sees_every_name_and_content(contents, order):
    assert digest_of(shuffled(contents, order)) == digest_of(contents)
    for name in contents:
        assert digest_of({**contents, name: "1" * 64}) != digest_of(contents)
        assert digest_of({other: sha for other, sha in contents.items() if other != name}) != digest_of(
            contents
        )


def test_keys_do_not_move_between_versions_of_fsarctl():
    """Written out by hand: a change here makes every artifact in the world outdated."""
    spelled = (
        '["train",2,["map",[["lr",["float","0.001"]],["shots",["list",[["int","1"]]]]]],[["frames","ab"]]]'
    )
    key = key_of("train", 2, {"shots": (1,), "lr": 1e-3}, {"frames": "ab"})
    assert key == hashlib.sha256(spelled.encode()).hexdigest()
