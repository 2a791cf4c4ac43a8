"""Text as Markdown and LaTeX have it: what would be markup there is shown as it stands."""

__all__ = ["latex_text", "markdown_text"]

LATEX = {
    **{character: f"\\{character}" for character in "&%#_{}$"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "*": "$^*$",
    "±": r"$\pm$",
    "✓": r"$\checkmark$",
    "×": r"$\times$",
}


def markdown_text(text: str) -> str:
    """Text in a cell of a Markdown table."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("|", r"\|")


def latex_text(text: str) -> str:
    """Text in LaTeX."""
    return "".join(LATEX.get(character, character) for character in text)
