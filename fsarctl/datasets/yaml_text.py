"""YAML that people write by hand: text, lists and mappings, as far as they are finite and small.

PyYAML's safe loader runs nothing, but its aliases multiply (nine lines are a gigabyte), it goes as deep as
the text does, and it raises whatever Python has where a tag and its value do not go together.
"""

from typing import Any

import yaml

__all__ = ["compose_yaml", "read_yaml"]

DEEPEST = 50
LARGEST = 2**19
"""Characters; PyYAML takes seconds for them."""


class PlainLoader(yaml.SafeLoader):
    """The safe loader, which refuses aliases and deep nesting, and whose errors are YAML's own."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """One node, and those in it."""
        if self.check_event(yaml.AliasEvent):
            raise self._refused("an alias (*name): write what it stands for")
        if self.depth > DEEPEST:
            raise self._refused(f"more than {DEEPEST} values in each other")
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def _refused(self, what: str) -> yaml.YAMLError:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        return yaml.composer.ComposerError(None, None, what, event.start_mark)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """What a node stands for."""
        try:
            return super().construct_object(node, deep)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            kind = node.tag.rpartition(":")[2]
            raise yaml.constructor.ConstructorError(
                None, None, f"a value that is no {kind} ({error})", node.start_mark
            ) from None


def compose_yaml(text: str) -> tuple[PlainLoader, yaml.Node | None]:
    """The only document of a text as nodes, and what makes values of them; the caller disposes of the loader.

    Raises:
        yaml.YAMLError: it is none, has aliases, or is too large or too deep; the message names the line.
    """
    if len(text) > LARGEST:
        raise yaml.YAMLError(
            f"it has {len(text):,} characters, and {LARGEST:,} are read as YAML; JSON may have more"
        )
    loader = PlainLoader(text)
    try:
        return loader, loader.get_single_node()
    except (ArithmeticError, LookupError, ValueError) as error:  # of an escape that is no character, say
        raise yaml.scanner.ScannerError(None, None, str(error), loader.get_mark()) from None


def read_yaml(text: str) -> Any:
    """The value of the only document of a text.

    Raises:
        yaml.YAMLError: as ``compose_yaml``, or a value is not what its tag says.
    """
    loader, node = compose_yaml(text)
    try:
        return None if node is None else loader.construct_document(node)
    finally:
        loader.dispose()
