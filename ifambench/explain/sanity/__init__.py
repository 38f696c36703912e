"""Smoke tests of explainers: does a map follow the model, its weights, the class and the image?"""

from ifambench.explain.sanity.run import forwards_ahead, sanity_rows

__all__ = ["forwards_ahead", "sanity_rows"]
