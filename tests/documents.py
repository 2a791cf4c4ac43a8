"""The documents as tests read them: their code blocks, what is said above each, and their links."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

_FENCE = re.compile(r"(?m)^(?:<!-- (?P<mark>.+?) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$", re.DOTALL)
_PROGRESS = re.compile(r"about [\d.]+ (s|min|h) left$| in [\d.]+ s \([\d.]+/s\)$")
_MARK = re.compile(r"(in|prints|not run|dry run|not a project): (.+)")


@dataclass(frozen=True)
class Block:
    """A code block, and the remark above it: ``<!-- WORD: MORE -->``.

    in: the world (see ``test_documents``) that it is run in. prints: that, where it prints what is shown, but
    for digits. not run: why it is not. dry run: why its
    commands are run with --dry-run alone. not a project: why a TOML block is no fsarctl.toml.
    """

    document: str
    line: int
    language: str
    text: str
    word: str
    more: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """The command lines: all of a shell script, and what follows the prompt of a console."""
        lines = self.text.replace("\\\n", " ").splitlines()
        if self.language == "console":
            lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]

    @property
    def sessions(self) -> list[tuple[str, str]]:
        """The commands of a console, each with what is shown below it."""
        parts = re.split(r"(?m)^\$ ", self.text)[1:]
        return [(command, shown) for command, _, shown in (part.partition("\n") for part in parts)]


def lines_of(text: str) -> list[str]:
    """What is printed, without progress and with a 0 for each number."""
    lines = (line.rstrip() for line in text.splitlines())
    return [re.sub(r"\d+([.e-]+\d+)*", "0", line) for line in lines if line and not _PROGRESS.search(line)]


def blocks(*languages: str) -> list[Block]:
    """The blocks in these languages of all documents."""
    found = []
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        name = path.relative_to(ROOT).as_posix()
        for each in _FENCE.finditer(text):
            mark = _MARK.fullmatch(each["mark"] or "")
            word, more = mark.groups() if mark else ("", "")
            if each["language"] in languages:
                line = text.count("\n", 0, each.start("language")) + 1
                found.append(Block(name, line, each["language"], each["text"], word, more))
    return found


def links(path: Path) -> list[str]:
    """Where the links and pictures of a document lead, outside code."""
    text = re.sub(r"(?ms)^```.*?^```$|`[^`\n]*`", "", path.read_text(encoding="utf-8"))
    return re.findall(r"\]\(([^()\s]+)\)", text)


def anchors(path: Path) -> set[str]:
    """The headings of a document, as links name them."""
    titles = re.findall(r"(?m)^#+ (.+)$", path.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}
