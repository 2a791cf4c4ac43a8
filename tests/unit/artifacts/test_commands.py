"""Commands are data until somebody reads or runs them."""

import shlex

import pytest

from fsarctl.artifacts.command import Command, Option, joined


def train(shot: int, *more: Option) -> Command:
    return Command("train", (Option("--shots", (str(shot),), several=True), *more))


def test_a_command_is_put_into_words_that_a_shell_reads_back() -> None:
    label = Option("--", ("-it's\na label",))
    command = Command("describe", (Option("--edit"), Option("--set", ("a=b c",)), label))
    assert shlex.split(str(command)) == ["fsarctl", *command.arguments]
    assert command.arguments == ["describe", "--edit", "--set", "a=b c", "--", "-it's\na label"]


def test_commands_that_differ_in_shots_alone_become_one() -> None:
    other = Option("--set", ("train.lr=1",))
    commands = [train(1), Command("extract"), train(3), train(1), train(5, other), Command("extract")]
    assert list(map(str, joined(commands))) == [
        "fsarctl train --shots 1 3",
        "fsarctl extract",
        "fsarctl train --shots 5 --set train.lr=1",
    ]


def test_commands_that_differ_in_what_does_not_gather_stay_apart() -> None:
    commands = [Command("ablate", (Option("--rows", (row,)),)) for row in "ab"]
    assert joined(commands) == commands


@pytest.mark.parametrize(
    "line", ["fsarctl ablate table4 --rows 'a b' c --set x=1 --set y=2", "fsarctl run", "fsarctl show -- -x"]
)
def test_the_line_of_a_manifest_is_read_back(line: str) -> None:
    command = Command.parse(line)
    assert str(command) == line
    assert command.values("--set") == (["x=1", "y=2"] if "x=1" in line else [])
