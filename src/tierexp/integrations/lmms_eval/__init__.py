"""lmms-eval's tasks answered by a model of this project, at a tier.

lmms-eval asks and scores; what lies between, from an opened image to the text of an answer, is this
project's own pipeline. Only `model` and `manifest` import lmms-eval.
"""
