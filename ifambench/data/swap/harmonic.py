"""Laplace's equation in a rectangle: the smoothest continuation of what lies around a box.

Every pixel of the box becomes the mean of its four neighbours. At the border of the image, where
there is no neighbour, the equation has the mirrored pixel (no flow through the border). The sine
transform diagonalises the problem, so it is solved exactly in O(n log n): for a side of the box
that lies on the border the box is mirrored there; when both sides do, the cosine transform takes
the place of the sine transform.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ifambench.data.swap.shapes import Box

_Floats = NDArray[np.float64]


def harmonic(image: _Floats, box: Box) -> _Floats:
    """The values of the harmonic function in the box, (height, width, channels).

    Args:
        image: (S, S, channels); what is within the box is not looked at.
        box: Not the whole image.
    """
    load = _boundary(image, box)
    rows = (box.top == 0, box.bottom == image.shape[0])
    columns = (box.left == 0, box.right == image.shape[1])
    load = _mirrored(_mirrored(load, rows, 0), columns, 1)
    kinds = (_Axis(load.shape[0], all(rows)), _Axis(load.shape[1], all(columns)))
    spectrum = kinds[1].forward(kinds[0].forward(load, 0), 1)
    spectrum /= (kinds[0].eigenvalues()[:, None] + kinds[1].eigenvalues()[None, :])[..., None]
    solved = kinds[1].backward(kinds[0].backward(spectrum, 0), 1)
    return _unmirrored(_unmirrored(solved, rows, 0), columns, 1)


class _Axis:
    """The second difference along one axis: Dirichlet at both ends, or Neumann at both."""

    def __init__(self, n: int, closed: bool) -> None:
        self._n = n
        self._closed = closed

    def eigenvalues(self) -> _Floats:
        """Of the negative second difference."""
        k = np.arange(self._n)
        angle = np.pi * k / self._n if self._closed else np.pi * (k + 1) / (self._n + 1)
        found: _Floats = 2 - 2 * np.cos(angle)
        return found

    def forward(self, values: _Floats, axis: int) -> _Floats:
        """Into the basis of eigenvectors."""
        from scipy.fft import dct, dst

        found: _Floats = dct(values, 2, axis=axis) if self._closed else dst(values, 1, axis=axis)
        return found

    def backward(self, values: _Floats, axis: int) -> _Floats:
        """Back from it."""
        from scipy.fft import idct, idst

        found: _Floats = idct(values, 2, axis=axis) if self._closed else idst(values, 1, axis=axis)
        return found


def _boundary(image: _Floats, box: Box) -> _Floats:
    """The right-hand side: known neighbours of the pixels along the box's rim."""
    load = np.zeros((*image[box.slices].shape[:2], image.shape[2]))
    rows, columns = box.slices
    if box.top > 0:
        load[0] += image[box.top - 1, columns]
    if box.bottom < image.shape[0]:
        load[-1] += image[box.bottom, columns]
    if box.left > 0:
        load[:, 0] += image[rows, box.left - 1]
    if box.right < image.shape[1]:
        load[:, -1] += image[rows, box.right]
    return load


def _mirrored(values: _Floats, at_border: tuple[bool, bool], axis: int) -> _Floats:
    """Continued across the one border that the box touches."""
    if at_border[0] == at_border[1]:
        return values
    other = np.flip(values, axis)
    parts = (other, values) if at_border[0] else (values, other)
    return np.concatenate(parts, axis)


def _unmirrored(values: _Floats, at_border: tuple[bool, bool], axis: int) -> _Floats:
    if at_border[0] == at_border[1]:
        return values
    return np.split(values, 2, axis)[1 if at_border[0] else 0]
