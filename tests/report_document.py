"""A report's document and pictures, made up, with names that mean harm."""

import io
from typing import Any

import numpy as np

NASTY = (
    "<script>alert('label')</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }} & $\\frac{1}{0}$ </style>",
    "ждать, 待つ, انتظار, an extraordinarilylongwordwithoutanyspacewhatsoeverinitatallreally",
    "waiting, without any ill intent",
)
RELIABLE = {"plain": 0.0423, "calibrated": 0.1537}
SHOTS = (1, 5)
EPISODES = 40


def told(value: float, half_width: float | None) -> dict[str, Any]:
    """Intervals of a value; the one over clips is five times as wide as that over episodes, and is told."""
    half = half_width or 0.01
    return {
        "half_width": half_width,
        "intervals": {
            name: {"low": value - wide * half, "high": value + wide * half, "count": count}
            for name, wide, count in (("episodes", 1, EPISODES), ("clips", 5, 1234), ("classes", 6, 24))
        },
        "headline": "clips",
    }


def document(*, way: int = 5, paper: bool = True, ways: bool = True) -> dict[str, Any]:
    """Everything that there can be; all accuracies differ, so that none can stand for another."""
    results = []
    for number, shot in enumerate(SHOTS):
        for model, title in (("frozen", "frozen CLIP"), ("task-adapter++", "Task-Adapter++")):
            own = model != "frozen"
            results.append(
                {
                    "title": title,
                    "model": model,
                    "shot": shot,
                    "way": way,
                    "query": 1,
                    "query_mode": "joint",
                    "episodes": EPISODES,
                    "seed": 0,
                    "split": "test",
                    "accuracy": 0.4123 + 0.3 * own + 0.0511 * number,
                    **told(0.4123 + 0.3 * own + 0.0511 * number, 0.0217 + 0.001 * number),
                    "chance": 1 / way,
                    "clips": 1234,
                    "clips_failed": 1,
                    "classes_seen_in_training": [],
                    "trainable_parameters": 71072 if own else 0,
                    "episodes_digest": "0" * 64,
                    "gain": {"difference": 0.3, **told(0.3, 0.0271), "p": 1e-9} if own else None,
                    "key": f"{number}{int(own)}" + "ab" * 31,
                    "command": f"fsarctl eval --shots {shot} --set describe.files='[\"{NASTY[0]}\"]'",
                }
            )
    count = len(NASTY)
    given = np.eye(count, dtype=int) * 20 + 3
    met = np.full((count, count), 30)
    met[0, 1] = met[1, 0] = given[0, 1] = given[1, 0] = 0
    rows = [
        {
            "label": label,
            "queries": 30 + number,
            "accuracy": 0.9 - 0.1 * number,
            "low": 0.8123 - 0.1 * number,
            "high": 0.9456 - 0.1 * number,
            "baseline": 0.4,
            "taken_for": NASTY[number - 1],
            "taken_for_rate": 0.1,
        }
        for number, label in enumerate(NASTY)
    ]
    log = [
        *(
            {"kind": "interval", "step": n, "epoch": 1 + n // 11, "loss": 2 / n, "accuracy": n / 25}
            for n in range(1, 21)
        ),
        *(
            {
                "kind": "epoch",
                "step": 10 * n,
                "epoch": n,
                "loss": 1 / n,
                "accuracy": 0.5,
                "val_accuracy": 0.6 + n / 10,
                "kept": True,
            }
            for n in (1, 2)
        ),
    ]
    points = [
        {"way": n, "accuracy": 0.9 - n / 20, **told(0.9 - n / 20, 0.02), "chance": 1 / n}
        for n in range(5, 11)
    ]
    made = {
        "created": "2026-01-02T03:04:05.000006+00:00",
        "seconds": 12.5,
        "device": "cpu",
        "parts": [],
        "git": {"commit": "0123456789abcdef", "modified": True},
        "python": "3.11.7",
        "platform": NASTY[1],
        "packages": {"torch": "2.6", "numpy": "2.0"},
    }
    return {
        "schema": "fsarctl.report/1",
        "fsarctl": "0.1.0",
        "dataset": NASTY[0],
        "trained_on": NASTY[2],
        "benchmark": "kinetics100",
        "strategy": "task-adapter++",
        "backbone": "tiny",
        "episodes": {
            "way": way,
            "query": 1,
            "query_mode": "joint",
            "episodes": EPISODES,
            "seed": 0,
            "split": "test",
            "chance": 1 / way,
            "clips": 1234,
            "clips_failed": 1,
            "clips_expected": 1259,
            "classes": count,
        },
        "results": results,
        "missing": ["fsarctl eval --shots 3"],
        "texts": {"frozen": "label", "method": "sub-actions"},
        "paper": [
            {"title": "Task-Adapter++", "shot": shot, "accuracy": 0.9531, "source": "Tables 1 and 2"}
            for shot in SHOTS
        ]
        if paper
        else [],
        "query_modes": {
            "rows": [
                {
                    "shot": 1,
                    "title": "Task-Adapter++",
                    "joint": {"accuracy": 0.7123, **told(0.7123, 0.02)},
                    "independent": {"accuracy": 0.6543, **told(0.6543, None)},
                    "difference": {"difference": 0.058, **told(0.058, 0.01), "p": 0.01},
                }
            ],
            "commands": [],
        },
        "training": [
            {
                "shot": shot,
                "best_epoch": 2,
                "best_val_accuracy": 0.8,
                "val_episodes": 60,
                "epochs": [{}, {}],
                "log": log,
            }
            for shot in SHOTS
        ],
        "classes": [
            {
                "shot": shot,
                "title": "Task-Adapter++",
                "rows": rows,
                "confusion": {"labels": list(NASTY), "given": given.tolist(), "met": met.tolist()},
            }
            for shot in SHOTS
        ],
        "pictures": None,
        "aim": "fsarctl train --shots 1 --set model.strategy=aim",
        "ablations": [table(first=True), table(first=False)],
        "calibration": {
            "rows": [
                {
                    "shot": 1,
                    "title": NASTY[2],
                    "known": 1500,
                    "unseen": 1499,
                    "temperature": 0.4381,
                    "rules": {
                        "softmax": {"auroc": 0.7441, "fpr95": 0.8684},
                        "score": {"auroc": 0.8269, "fpr95": 0.6412},
                    },
                    "closed": {name: {"error": error} for name, error in RELIABLE.items()},
                    "open": {
                        name: {
                            "error": 2 * error,
                            "bins": [
                                {"count": 7, "confidence": 0.2, "accuracy": 0.2},
                                {"count": 0, "confidence": 0.0, "accuracy": 0.0},
                                {"count": 9, "confidence": 0.8, "accuracy": 0.5},
                            ],
                        }
                        for name, error in RELIABLE.items()
                    },
                }
            ],
            "commands": ["fsarctl calibrate --shots 5"],
        },
        "ways": {
            "curves": [
                {"title": "frozen CLIP", "points": points},
                {"title": NASTY[2], "points": points},
                {"title": "Task-Adapter++", "points": points},
            ]
            if ways
            else [],
            "shot": 1,
            "benchmark": NASTY[0],
            "command": "fsarctl ablate fig9",
        },
        "warnings": [f"1 of the classes of {NASTY[0]} are not novel"],
        "descriptions": {
            "sources": {"shipped": 4, NASTY[0]: 1},
            "labels": [
                {
                    "label": label,
                    "beginning": label,
                    "process": "It goes on.",
                    "end": "It ends.",
                    "edited": label == NASTY[4],
                }
                for label in NASTY
            ],
        },
        "data": [
            {
                "split": f"{NASTY[0]}/test",
                "expected": 1259,
                "clips": 1235,
                "missing": [f"gone/{number:02}{NASTY[0]}.mp4" for number in range(20)],
                "missing_more": 4,
                "decoders": {"decord": 1200, "pyav": 33},
                "failed": [{"name": NASTY[1], "label": NASTY[0], "reason": f"it is no video: {NASTY[2]}"}],
            }
        ],
        "provenance": {
            "artifacts": [
                *(
                    {
                        "slot": f"extract {NASTY[0]}/test",
                        "stage": "extract",
                        "key": "cd" * 32,
                        "command": "fsarctl extract",
                    }
                    | made
                    for _ in range(1)
                ),
                *(
                    {
                        "slot": f"eval {NASTY[0]}",
                        "stage": "evaluate",
                        "key": each["key"],
                        "command": each["command"],
                    }
                    | made
                    for each in results
                ),
            ]
        },
    }


def table(*, first: bool) -> dict[str, Any]:
    """An ablation of two rows."""
    numbers = {
        "shot": 1,
        "accuracy": 0.6173,
        **told(0.6173, 0.0213),
        "seeds": [0.61, 0.62],
        "chance": 0.2,
        "trainable_parameters": 1000,
        "difference": 0.0519,
        **{f"difference_{name}": each for name, each in told(0.0519, 0.01).items()},
        "difference_half_width_over_seeds": 0.02,
        "p": 0.001,
        "significant": True,
        "paper": 0.713,
    }
    return {
        "name": "mine",
        "title": NASTY[1],
        "source": "Table 4",
        "benchmark": "kinetics100" if first else NASTY[0],
        "columns": ["part", NASTY[2]],
        "shots": [1],
        "seeds": [0, 1],
        "way": 5,
        "query": 1,
        "query_mode": "joint",
        "episodes": EPISODES,
        "split": "test",
        "rows": [
            {
                "name": name,
                "cells": [name, "✓"],
                "set": {},
                "shortcut": "",
                "against": NASTY[0],
                "results": [numbers],
            }
            for name in NASTY[:2]
        ],
        "left_out": {NASTY[3]: "no room"},
        "key": "ef" * 32,
        "command": "fsarctl ablate mine",
        "created": "2026-01-02T03:04:05+00:00",
        "first": first,
        "differs": "" if first else f"2 rows; eval.x={NASTY[1]}",
        "runs": {f"{NASTY[0]}, 1-shot": f"fsarctl eval --set x='{NASTY[1]}'", "gone": ""},
    }


def pictures(*, way: int = 5, stages: bool = True) -> dict[str, Any]:
    """pictures.json of two episodes."""
    models = ("frozen", "aim", "task-adapter++")
    rng = np.random.default_rng(0)

    def query(number: int) -> dict[str, Any]:
        scores = {name: rng.normal(size=way).round(4).tolist() for name in models}
        return {
            "clip": NASTY[number % 5],
            "target": number,
            "picture": "query.webp",
            "scores": scores,
            "predictions": {name: int(np.argmax(each)) for name, each in scores.items()},
            "attention": dict.fromkeys(models, "map.webp"),
            "stages": [
                {"column": column, "cosines": rng.normal(size=(3, 3)).round(4).tolist()}
                for column in (number, (number + 1) % way)
            ]
            if stages
            else None,
        }

    return {
        "shot": 1,
        "models": list(models),
        "grid": [2, 2],
        "drawn": list(range(8)),
        "episodes": [
            {
                "kind": kind,
                "number": number,
                "accuracy": 0.4,
                "margin": -0.0321,
                "gap": 0.0123,
                "classes": [NASTY[column % 5] for column in range(way)],
                "support": [
                    {"label": NASTY[column % 5], "clips": [NASTY[1], NASTY[0]], "picture": "support.webp"}
                    for column in range(way)
                ],
                "queries": [query(column) for column in range(min(way, 3))],
            }
            for kind, number in (("best", 7), ("worst", 3))
        ],
    }


def read(name: str) -> bytes:
    """A picture of that name."""
    from fsarctl.report.frame_strips import strip

    frames = np.full((8, 16, 16, 3), 40 * len(name) % 255, np.uint8)
    maps = np.linspace(0, 1, 32).reshape(8, 2, 2) if name.startswith("map") else None
    return strip(frames, maps)


def decoded(data: str) -> tuple[int, int]:
    """Width and height of a picture in a data URI."""
    import base64

    from PIL import Image

    kind, _, content = data.partition(",")
    assert kind == "data:image/webp;base64"
    picture = Image.open(io.BytesIO(base64.b64decode(content)))
    picture.load()
    return picture.size
