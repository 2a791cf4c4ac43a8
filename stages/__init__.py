"""The stages of the pipeline, which meet only through artifacts: none of them imports another.

``plan`` and ``project`` know all; ``ablate``, ``predict``, ``report`` and ``results_export`` those that
they tell of; all know ``slots``, which is none.
"""
