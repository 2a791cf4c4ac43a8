"""What is read again of slots, as manifests in caches have them; and what inputs and settings tell."""

from dataclasses import replace
from pathlib import Path

import pytest

from fsarctl.artifacts import Files, Unit
from fsarctl.artifacts.command import Command
from fsarctl.artifacts.manifest import Manifest, Source
from fsarctl.stages import describe, evaluate, extract
from fsarctl.stages.slots import Slot

EVALUATION = Manifest(evaluate.STAGE, 4, "eval mine 1-shot any", "", "", "", {}, {}, {}, None, {})


def result(*, adapted: bool, **inputs: Files) -> Unit:
    return Unit(
        evaluate.STAGE,
        4,
        "eval x 1-shot y 1-shot any",
        Command("eval"),
        {"shot": 1, "adapted": adapted},
        lambda build: None,
        inputs,
    )


@pytest.mark.parametrize("name", ["shapes", "a/b", "my 1-shot data", "extract"])
def test_a_split_is_read_as_it_is_written(name: str) -> None:
    slot = Slot.of_split(extract.STAGE, name, "test")
    assert str(slot) == f"extract {name}/test"
    read = Slot.read(f"extract {name}/test")
    assert read == slot
    assert (read.of, read.dataset, read.split) == (f"{name}/test", name, "test")
    assert not read.is_list


def test_a_label_list_is_no_split() -> None:
    slot = Slot.of_list(describe.STAGE, "my/labels.txt")
    assert str(slot) == "describe --labels my/labels.txt"
    assert Slot.read("describe --labels my/labels.txt").is_list
    assert not Slot.read("describe labels/test").is_list


def test_an_evaluation_is_of_a_file_by_what_went_in() -> None:
    """Its slot may say so without cause: a dataset may have any name."""
    trained = Source("d", stage="train", slot="train mine 1-shot", key="k")
    assert not evaluate.is_of_file(EVALUATION)
    misleading = replace(EVALUATION, slot="eval x 1-shot adapters from y 1-shot aim")
    assert not evaluate.is_of_file(replace(misleading, inputs={"adapters": trained}))
    of_file = replace(EVALUATION, inputs={"adapters": Source("d", files=1)})
    assert evaluate.is_of_file(of_file)
    assert not evaluate.is_of_file(replace(of_file, stage="calibrate"))


def test_what_a_model_is_called_is_told_by_its_inputs_and_settings() -> None:
    file = Files({"adapters": Path("/somewhere/a 1-shot b.pt")})
    assert evaluate.model_of(result(adapted=True, adapters=file), "aim") == "adapters from a 1-shot b.pt"
    assert evaluate.model_of(result(adapted=True), "aim") == "aim"
    assert evaluate.model_of(result(adapted=False), "aim") == "frozen"
