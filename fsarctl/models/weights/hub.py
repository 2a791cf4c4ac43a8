"""Weights that open_clip and torchvision know: where they are on this machine, and how they come here."""

import sys
import threading
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch.hub
from huggingface_hub import get_session, hf_hub_url, try_to_load_from_cache

from fsarctl.config.paths import located
from fsarctl.errors import InputError
from fsarctl.models.backbone_catalogue import IMAGENET
from fsarctl.models.imagenet import published_weights
from fsarctl.models.open_clip_parts import open_clip_part

__all__ = ["Tag", "fetch", "offer", "on_this_machine", "published", "require_here", "require_tag"]

Tag = Mapping[str, Any]
"""What is known of published weights, as open_clip's table has it, or ``imagenet.published_weights``."""

PATIENCE_S = 5.0
"""How long the hub may take to answer at all. Its client asks for a minute before it gives up."""


def published(name: str) -> dict[str, bool]:
    """The tags of backbone ``name``, and whether each was trained with QuickGELU."""
    if name in IMAGENET:
        return dict.fromkeys(published_weights(name), False)
    table = open_clip_part("pretrained")
    tags = table.list_pretrained_tags_by_model(name)
    return {tag: bool(table.get_pretrained_cfg(name, tag).get("quick_gelu", False)) for tag in tags}


def require_tag(name: str, weights: str, path: Path) -> Tag:
    """The tag ``weights`` of backbone ``name``; ``path`` is where a file of that name would be.

    Raises:
        InputError: there is none; the tags that there are are listed.
    """
    if tag := _tag(name, weights):
        return tag
    tags = ", ".join(published(name)) or "none"
    raise InputError(
        f"weights {weights!r} is neither a file nor a tag of backbone {name} (tags: {tags})",
        next_step=f"Put the weights of {name} at {path}, or set model.weights to where they are"
        f"{offer(name)}.",
    )


def offer(name: str) -> str:
    """Where weights of backbone ``name`` can be had, to end a sentence with; "" if they are not published."""
    for weights in published(name):
        return f'; model.weights = "{weights}" fetches {_whence(_tag(name, weights))}'
    return ""


def on_this_machine(tag: Tag) -> Path | None:
    """The file of a tag, where it was fetched before."""
    if "file" in tag:
        return Path(tag["file"])
    repository, files = _hub_files(tag)
    if "torchvision" in tag:
        kept = _kept_by_torch(files[0])
        return kept if kept.is_file() else None
    for file in files if repository else ():
        found = try_to_load_from_cache(repository, file)
        if isinstance(found, str):
            return Path(found)
    return None


def fetch(name: str, weights: str, tag: Tag, root: Path) -> Path:
    """The file of a tag, fetched if it is not here; ``root`` is where a file of one's own would be put.

    Raises:
        InputError: it is not here, and the hub cannot be reached, which is found out at once.
    """
    here = on_this_machine(tag)
    if here is not None:
        return here
    repository, files = _hub_files(tag)
    address = tag.get("torchvision", files[0] if repository else "")
    reason = _unreachable(repository, address) if address else ""
    if not reason:
        try:
            return _fetched_by_torch(address) if "torchvision" in tag else _fetched_by_open_clip(tag)
        except Exception as error:  # these clients raise a different type for every way a network can fail
            # What torch says of a file whose hash is not that in its name.
            reason = str(error) if "hash" in str(error) else type(error).__name__
    raise _missing(name, weights, tag, root, f"and could not be fetched ({reason})")


def require_here(name: str, weights: str, root: Path) -> None:
    """Refuse a tag whose file is not on this machine; nothing is fetched.

    Raises:
        InputError: it is not, or it is no tag; what to do is said.
    """
    tag = require_tag(name, weights, located(weights, root).absolute())
    if on_this_machine(tag) is None:
        raise _missing(name, weights, tag, root, "yet")


def _tag(name: str, weights: str) -> Tag:
    """What is known of the tag ``weights``; nothing if there is none."""
    if name in IMAGENET:
        return published_weights(name).get(weights, {})
    tag: Tag = open_clip_part("pretrained").get_pretrained_cfg(name, weights)
    return tag


def _fetched_by_open_clip(tag: Tag) -> Path:
    return Path(open_clip_part("pretrained").download_pretrained(dict(tag)))


def _fetched_by_torch(address: str) -> Path:
    """The file at an address whose name ends in the first digits of its SHA-256, which is checked."""
    kept = _kept_by_torch(address.rpartition("/")[2])
    kept.parent.mkdir(parents=True, exist_ok=True)
    digits = kept.stem.rpartition("-")[2]
    torch.hub.download_url_to_file(address, str(kept), hash_prefix=digits, progress=sys.stderr.isatty())
    return kept


def _kept_by_torch(file: str) -> Path:
    """Where torchvision itself looks for a file, and keeps it."""
    return Path(torch.hub.get_dir()) / "checkpoints" / file


def _whence(tag: Tag) -> str:
    """Which file of which repository a tag is."""
    repository, files = _hub_files(tag)
    if "torchvision" in tag:
        return f"the file {files[0]} of torchvision's models"
    return f"{files[0]} of {repository} on the Hugging Face hub" if repository else f"the file {files[0]}"


def _missing(name: str, weights: str, tag: Tag, root: Path, how: str) -> InputError:
    file = _hub_files(tag)[1][0]
    return InputError(
        f"weights {weights!r} of backbone {name} are not on this machine {how}: {_whence(tag)}",
        next_step="Connect this machine to the network once; or get that file elsewhere, put it at"
        f' {root.absolute() / file}, and set model.weights = "{file}".',
    )


def _hub_files(tag: Tag) -> tuple[str, tuple[str, ...]]:
    """The repository of a tag, "" if it is on no hub, and the files that it may be, the first wanted most."""
    place = str(tag.get("hf_hub", ""))
    repository, _, file = place.rpartition("/")
    if not repository:
        return "", (str(tag.get("torchvision", tag.get("url", ""))).rpartition("/")[2],)
    if not file:
        known = open_clip_part("constants")
        return repository, (known.HF_SAFE_WEIGHTS_NAME, known.HF_WEIGHTS_NAME)
    stem, _, kind = file.rpartition(".")
    return repository, ((f"{stem}.safetensors",) if kind in ("bin", "pth") else ()) + (file,)


@cache
def _unreachable(repository: str, file: str) -> str:
    """Why the hub does not answer, asked once; "" if it does. Without repository, ``file`` is an address."""
    address = hf_hub_url(repository, file) if repository else file
    reasons: list[str] = []

    def ask() -> None:
        try:
            answer = get_session().head(address, timeout=PATIENCE_S)
        except Exception as error:  # as above
            reasons.append(type(error).__name__)
        else:
            reasons.append(f"it answers {answer.status_code}" if answer.status_code >= 500 else "")

    # A name server that is silent keeps a thread for longer than any time limit of the client.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(2 * PATIENCE_S)
    return reasons[0] if reasons else "it does not answer"
