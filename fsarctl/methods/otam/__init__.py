"""OTAM: ordered temporal alignment of frame features, over a trained backbone."""
