"""What the tiny CLIP learns from: still pictures of shapes, and true sentences about them.

No picture has a before or an after, and no sentence says that anything moves or changes.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fsarctl.datasets.shapes.drawing import BACKDROPS, COLOURS, KINDS, Backdrop, Picture, Sprite, draw, paint

__all__ = ["OBJECT", "SCENE", "WORDS", "Caption", "Scene", "agreement", "atoms", "describe", "draw_scene"]

OBJECT = ("kind", "colour", "size", "column", "row", "tone", "presence")
SCENE = ("count", "distance", "light", "pattern")
MOST_OBJECTS = 4

SIZES = (("small", "tiny", "little"), ("medium-sized",), ("large", "big", "huge"))
TONES = (("dark",), ("of medium brightness",), ("bright",))
LIGHTS = TONES
PRESENCES = (("barely visible", "almost invisible"), ("faint", "see-through"), ("clearly visible", "solid"))
PATTERNS = (("plain",), ("graded", "smoothly shaded"), ("striped",), ("checked", "chequered"))
COUNTS = (
    ("there is no shape", "nothing is there", "an empty picture"),
    ("there is one shape", "one shape alone", "a single shape"),
    ("there are two shapes", "two shapes"),
    ("there are several shapes", "many shapes"),
)
DISTANCES = (
    ("close together", "next to each other", "side by side", "touching", "near each other"),
    ("some way apart", "a little apart"),
    ("far apart", "far from each other", "wide apart"),
)
COLUMNS = (
    ("on the left side", "on the left", "at the left", "in the left half", "near the left edge"),
    ("halfway between left and right", "in the middle column"),
    ("on the right side", "on the right", "at the right", "in the right half", "near the right edge"),
)
ROWS = (
    ("at the top", "near the top", "in the upper part", "above the middle", "at the top edge"),
    ("halfway up", "in the middle row"),
    ("at the bottom", "near the bottom", "in the lower part", "below the middle", "at the bottom edge"),
)
CORNERS = {
    (0, 0): ("at the top left", "in the top left corner", "in the upper left"),
    (2, 0): ("at the top right", "in the top right corner", "in the upper right"),
    (0, 2): ("at the bottom left", "in the bottom left corner", "in the lower left"),
    (2, 2): ("at the bottom right", "in the bottom right corner", "in the lower right"),
    (1, 1): ("in the middle", "in the centre", "at the middle"),
    (1, 0): ("at the top", "at the top in the middle", "between the middle and the top"),
    (1, 2): ("at the bottom", "at the bottom in the middle", "between the middle and the bottom"),
    (0, 1): ("on the left side", "on the left, halfway up", "between the middle and the left"),
    (2, 1): ("on the right side", "on the right, halfway up", "between the middle and the right"),
}
LEADS = ("", "", "a picture of", "a photo of", "we see", "this is")
PREFIXES = ("a video of action about", "a video about", "a picture about", "a frame of")
_SYLLABLES = ("ba", "ko", "ti", "re", "mul", "so", "ne", "gra", "phi", "dun", "le", "wa", "ing", "ed", "s")


@dataclass(frozen=True)
class Scene:
    """A picture (side, side, 3) and what is true of it.

    ``objects`` is (MOST_OBJECTS, len(OBJECT)), -1 where there is none; ``cover`` (side, side) says which
    pixels a shape visibly covers.
    """

    picture: Picture
    cover: NDArray[np.bool_]
    objects: NDArray[np.int64]
    facts: NDArray[np.int64]  # (len(SCENE),)


@dataclass(frozen=True)
class Caption:
    """A sentence, and what it claims: of one object, of another, and of the scene; -1 claims nothing."""

    text: str
    first: NDArray[np.int64] = field(default_factory=lambda: np.full(len(OBJECT), -1))
    second: NDArray[np.int64] = field(default_factory=lambda: np.full(len(OBJECT), -1))
    scene: NDArray[np.int64] = field(default_factory=lambda: np.full(len(SCENE), -1))


def draw_scene(generator: np.random.Generator, side: int, ease: float = 0.0) -> Scene:
    """A random still picture; with probability ``ease`` an easy one: one solid shape on a dark plain."""
    easy = generator.uniform() < ease
    uniform = generator.uniform
    level = 0.12 if easy else generator.choice([0.0, 0.12, 0.5, 0.9], p=[0.4, 0.2, 0.2, 0.2])
    first = uniform(0.05, 0.95, 3) if level == 0 else np.clip(level + uniform(-0.12, 0.12, 3), 0, 1)
    second = np.clip(first + uniform(-0.15, 0.15, 3), 0, 1)
    pattern = 0 if easy else int(generator.integers(len(BACKDROPS)))
    backdrop = Backdrop(
        BACKDROPS[pattern], tuple(first), tuple(second), uniform(0, np.pi), uniform(0.12, 0.45)
    )
    picture = paint(backdrop, side)

    count = 1 if easy else int(generator.choice(MOST_OBJECTS + 1, p=[0.04, 0.48, 0.28, 0.12, 0.08]))
    sprites: list[Sprite] = []
    objects = np.full((MOST_OBJECTS, len(OBJECT)), -1)
    while len(sprites) < count:
        sprite, attributes = _draw_object(generator, sprites, picture, easy)
        objects[len(sprites)] = attributes
        sprites.append(sprite)
    order = np.argsort([-sprite.radius for sprite in sprites])
    objects[:count] = objects[:count][order]
    brightness = picture.mean()
    facts = [min(count, 3), -1, int(brightness > 0.35) + int(brightness > 0.65), pattern]
    if count >= 2:
        near, far = (sprites[index] for index in order[:2])
        gap = float(np.hypot(near.x - far.x, near.y - far.y))
        facts[1] = int(gap > 0.3) + int(gap > 0.52)
    bare, picture = picture, draw(picture, [sprites[index] for index in order])
    cover = abs(picture - bare).max(-1) > 0.1
    picture += generator.standard_normal(picture.shape, np.float32) * np.float32(uniform(0, 0.05))
    return Scene(np.clip(picture, 0, 1), cover, objects, np.array(facts))


def _draw_object(
    generator: np.random.Generator, others: list[Sprite], picture: Picture, easy: bool
) -> tuple[Sprite, NDArray[np.int64]]:
    uniform = generator.uniform
    while True:
        radius = float(np.exp(uniform(np.log(0.045), np.log(0.36 if not others else 0.16))))
        x, y = uniform(0.04, 0.96, 2)
        if others and uniform() < 0.3:
            x, y = np.asarray((others[0].x, others[0].y)) + uniform(-0.28, 0.28, 2)
        if (
            0 < x < 1
            and 0 < y < 1
            and all(np.hypot(x - other.x, y - other.y) > 0.7 * (radius + other.radius) for other in others)
        ):
            break
    kind, name = int(generator.integers(len(KINDS))), int(generator.integers(len(COLOURS)))
    colour = np.clip(np.asarray(list(COLOURS.values())[name]) + uniform(-0.06, 0.06, 3), 0, 1)
    shade = uniform(-0.9, 0.9) if uniform() < 0.25 and not easy else 0.0
    colour = colour + (float(shade > 0) - colour) * abs(shade)
    under = picture[int(y * picture.shape[0]), int(x * picture.shape[1])]
    opacity = float(generator.choice([1.0, uniform(0.05, 1.0)], p=[0.8, 0.2])) if not easy else 1.0
    if abs(colour - under).sum() < 0.5:
        opacity = 0.0  # a shape that cannot be told from its background is not drawn, and not spoken of
    lightness = colour.mean()
    attributes = np.array(
        [
            kind,
            name if abs(shade) < 0.4 else -1,
            int(radius > 0.085) + int(radius > 0.17),
            int(x > 0.36) + int(x > 0.64),
            int(y > 0.36) + int(y > 0.64),
            int(lightness > 0.3) + int(lightness > 0.68),
            int(opacity > 0.25) + int(opacity > 0.7),
        ]
    )
    if opacity < 0.12:
        attributes[[0, 1, 5]] = -1  # it can hardly be seen, so only its place and size may be claimed
    sprite = Sprite(list(KINDS)[kind], tuple(colour), x, y, radius, uniform(-0.5, 0.5), opacity)
    return sprite, attributes


def describe(scene: Scene, generator: np.random.Generator) -> Caption:
    """A random true sentence about a scene."""
    choose = generator.choice
    count, distance, light, pattern = scene.facts
    draw_kind = generator.uniform()
    if count == 0 or draw_kind < 0.06:
        return _finish(str(choose(COUNTS[count])), generator, scene=[count, -1, -1, -1])
    if draw_kind < 0.16:
        scene_claim = [-1, -1, -1, -1]
        if generator.uniform() < 0.6:
            word, scene_claim[2] = ("dark", "of medium brightness", "bright")[light], light
        else:
            word, scene_claim[3] = str(choose(PATTERNS[pattern])), pattern
        return _finish(f"the background is {word}", generator, scene=scene_claim)
    if count >= 2 and draw_kind < 0.42:
        text = f"two shapes {choose(('', 'are '))}{choose(DISTANCES[distance])}"
        one, other = scene.objects[0], scene.objects[1]
        claims = [np.full(len(OBJECT), -1), np.full(len(OBJECT), -1)]
        if generator.uniform() < 0.5:
            for claim, thing in zip(claims, (one, other), strict=True):
                claim[3:5] = thing[3:5]
            places = [str(choose(CORNERS[thing[3], thing[4]])) for thing in (one, other)]
            same = places[0] == places[1]
            text += f" {places[0]}" if same else f", one {places[0]} and one {places[1]}"
        return _finish(text, generator, claims[0], claims[1], [-1, distance, -1, -1])
    return _describe_object(scene, generator)


def atoms(generator: np.random.Generator) -> list[Caption]:
    """Every single claim that can be made, each in random words: what is learnt before whole sentences."""
    choose = generator.choice

    def of_object(text: str, **values: int) -> Caption:
        return Caption(text, first=np.array([values.get(name, -1) for name in OBJECT]))

    def of_scene(text: str, **values: int) -> Caption:
        return Caption(text, scene=np.array([values.get(name, -1) for name in SCENE]))

    subject = str(choose(("the shape is", "a shape is", "a shape")))
    return [
        *(of_object(f"a {kind}", kind=value) for value, kind in enumerate(KINDS)),
        *(of_object(f"a {colour} shape", colour=value) for value, colour in enumerate(COLOURS)),
        *(of_object(f"{subject} {choose(SIZES[value])}", size=value) for value in range(3)),
        *(
            of_object(f"{subject} {choose(words)}", column=column, row=row)
            for (column, row), words in CORNERS.items()
        ),
        *(of_object(f"{subject} {choose(COLUMNS[value])}", column=value) for value in range(3)),
        *(of_object(f"{subject} {choose(ROWS[value])}", row=value) for value in range(3)),
        *(of_object(f"{subject} {choose(TONES[value])}", tone=value) for value in range(3)),
        *(of_object(f"{subject} {choose(PRESENCES[value])}", presence=value) for value in range(3)),
        *(of_scene(str(choose(COUNTS[value])), count=value) for value in range(4)),
        *(of_scene(f"two shapes are {choose(DISTANCES[value])}", distance=value) for value in range(3)),
        *(of_scene(f"the background is {choose(LIGHTS[value])}", light=value) for value in range(3)),
        *(of_scene(f"the background is {choose(PATTERNS[value])}", pattern=value) for value in range(4)),
    ]


def _describe_object(scene: Scene, generator: np.random.Generator) -> Caption:
    choose, uniform = generator.choice, generator.uniform
    present = int((scene.objects[:, 2] >= 0).sum())
    index = 0 if uniform() < 0.6 else int(generator.integers(present))
    thing = scene.objects[index]
    claim, scene_claim = np.full(len(OBJECT), -1), [-1, -1, -1, -1]
    noun, words = "shape", []
    if uniform() < 0.35 and thing[0] >= 0:
        noun, claim[0] = list(KINDS)[thing[0]], thing[0]
    if uniform() < 0.35 and thing[1] >= 0:
        words, claim[1] = [list(COLOURS)[thing[1]]], thing[1]
    predicates = []
    if uniform() < 0.65:
        predicates.append(_place(thing, claim, generator))
    if uniform() < 0.3:
        predicates.append(str(choose((*SIZES[thing[2]], ("small", "of medium size", "large")[thing[2]]))))
        claim[2] = thing[2]
    if uniform() < 0.15 and thing[5] >= 0:
        predicates.append(("dark", "of medium brightness", "bright")[thing[5]])
        claim[5] = thing[5]
    if uniform() < (0.15 if thing[6] == 2 else 0.5):
        predicates.append(str(choose(PRESENCES[thing[6]])))
        claim[6] = thing[6]
    if not predicates:
        predicates.append(_place(thing, claim, generator))
    name = " ".join([*words, noun])
    if uniform() < 0.6:
        text = f"{choose(('the', 'the', 'a'))} {name} is {' and '.join(predicates)}"
    else:
        text = f"{choose(LEADS)} a {name} {' '.join(predicates)}".strip()
    if uniform() < 0.2:
        scene_claim[2] = int(scene.facts[2])
        text += f" on a {('dark', 'medium bright', 'bright')[scene_claim[2]]} background"
    return _finish(text, generator, claim, None, scene_claim)


def _place(thing: NDArray[np.int64], claim: NDArray[np.int64], generator: np.random.Generator) -> str:
    column, row = int(thing[3]), int(thing[4])
    way = generator.uniform()
    if way < 0.5:
        claim[3:5] = column, row
        return str(generator.choice(CORNERS[column, row]))
    if way < 0.75:
        claim[3] = column
        return str(generator.choice(COLUMNS[column]))
    claim[4] = row
    return str(generator.choice(ROWS[row]))


def _finish(
    text: str,
    generator: np.random.Generator,
    first: NDArray[np.int64] | None = None,
    second: NDArray[np.int64] | None = None,
    scene: list[int] | None = None,
) -> Caption:
    """Half of the sentences stand after a colon and a topic of no meaning, for the text tower to overlook."""
    if generator.uniform() < 0.5:
        topic = generator.choice(TOPIC_WORDS, size=int(generator.integers(2, 10)))
        nonsense = ["".join(generator.choice(_SYLLABLES, size=int(generator.integers(1, 4)))) for _ in topic]
        mixed = [str(a) if generator.uniform() < 0.6 else b for a, b in zip(topic, nonsense, strict=True)]
        text = f"{generator.choice(PREFIXES)} {' '.join(mixed)}: {text}."
    nothing = np.full(len(OBJECT), -1)
    return Caption(
        text,
        nothing if first is None else first,
        nothing if second is None else second,
        np.full(len(SCENE), -1) if scene is None else np.asarray(scene),
    )


def agreement(scenes: list[Scene], captions: list[Caption]) -> NDArray[np.bool_]:
    """Which captions are true of which scenes: (scenes, captions)."""
    objects = np.stack([scene.objects for scene in scenes])[:, None]  # (S, 1, MOST_OBJECTS, OBJECT)
    facts = np.stack([scene.facts for scene in scenes])[:, None]  # (S, 1, SCENE)
    claimed = np.stack([caption.scene for caption in captions])[None]  # (1, C, SCENE)
    true: NDArray[np.bool_] = ((claimed == -1) | (claimed == facts)).all(-1)
    for claims in ([caption.first for caption in captions], [caption.second for caption in captions]):
        claim = np.stack(claims)[None, :, None]  # (1, C, 1, OBJECT)
        held = ((claim == -1) | (claim == objects)).all(-1).any(-1)
        true &= held | (claim == -1).all((-1, -2))
    return true


def _words_of(*tables: object) -> list[str]:
    found: list[str] = []
    for table in tables:
        if isinstance(table, str):
            found += table.replace(",", " ").split()
        elif isinstance(table, dict):
            found += _words_of(*table.values())
        elif isinstance(table, tuple):
            found += _words_of(*table)
    return found


TOPIC_WORDS = tuple(
    sorted(
        {"shape", "shapes", "background", "a", "the", "from", "to", "and", "then", *KINDS, *COLOURS}
        | set(_words_of(SIZES, TONES, PATTERNS, COUNTS, DISTANCES, COLUMNS, ROWS, CORNERS))
    )
)
WORDS = tuple(
    sorted(
        {
            *TOPIC_WORDS,
            *_words_of(PRESENCES, LEADS, PREFIXES),
            "of",
            "one",
            "other",
            "size",
            "brightness",
            "on",
        }
    )
)
