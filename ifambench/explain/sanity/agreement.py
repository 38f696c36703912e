"""Correlations of many pairs of vectors at once; undefined where one of the two is constant."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Values = NDArray[np.float64]


def pearson(one: ArrayLike, two: ArrayLike) -> Values:
    """Pearson's correlation of each row, (N, ...) and (N, ...) -> (N,); NaN for a constant row."""
    a, b = _centred(one), _centred(two)
    defined = _varies(one) & _varies(two)
    norms = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    found = np.divide((a * b).sum(axis=1), norms, out=np.full(len(a), np.nan), where=norms > 0)
    return np.where(defined, np.clip(found, -1, 1), np.nan)


def spearman(one: ArrayLike, two: ArrayLike) -> Values:
    """Spearman's correlation of each row; equal values share the mean of their ranks."""
    from scipy.stats import rankdata

    return pearson(rankdata(_rows(one), axis=1), rankdata(_rows(two), axis=1))


def _rows(values: ArrayLike) -> Values:
    found = np.asarray(values, dtype=np.float64)
    return found.reshape(len(found), -1)


def _centred(values: ArrayLike) -> Values:
    """Without the mean, and scaled so that the squares of tiny maps do not vanish."""
    found = _rows(values)
    found = found - found.mean(axis=1, keepdims=True)
    largest = np.abs(found).max(axis=1, keepdims=True, initial=0)
    scaled = np.divide(found, largest, out=np.zeros_like(found), where=largest > 0)
    return np.asarray(scaled, dtype=np.float64)


def _varies(values: ArrayLike) -> NDArray[np.bool_]:
    found = _rows(values)
    return np.asarray((found != found[:, :1]).any(axis=1), dtype=np.bool_)
