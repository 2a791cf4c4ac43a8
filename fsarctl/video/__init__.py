"""Video files: from a file to the right frames, or a reason why not."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from fsarctl.video.decode_clip import decode_clip
    from fsarctl.video.decoder_protocol import DecodedClip
    from fsarctl.video.sampling import segment_centres

__all__ = ["DecodedClip", "decode_clip", "segment_centres"]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "decoder_protocol": ["DecodedClip"],
        "decode_clip": ["decode_clip"],
        "sampling": ["segment_centres"],
    },
)
