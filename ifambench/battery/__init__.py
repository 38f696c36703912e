"""The battery: is the mask that a model shows really why it predicts?

A model f(x) = g(x, M(x)) shows its mask M(x) as its explanation. That is faithful in two senses,
which are measured apart: *given* the mask nothing outside reaches the prediction (T1, T2), and the
mask itself carries nothing about the class but what it shows (T3 to T10: the mask is chosen from
the whole image). No number here is a verdict. A mask of everything passes T1 and T5 trivially, so
areas are always reported.

    masked.py      what the mask of a model is, and what predicts under a mask
    work.py        settings, and what all images share
    part.py        images that are tested together, with everything the tests share
    partners.py fills.py controls.py swaps.py    other images, other pixels, other masks
    locality.py (T1, T2)   mediation.py (T3, T4)   closure.py (T5)   shapes.py (T6)
    areas.py (T7, T8)      attack.py (T9)          randomise.py (T10)
    run.py         all of them over a data set, resumable
"""

from ifambench.battery.run import TESTS, BatteryResult, run_battery
from ifambench.battery.work import BatterySettings

__all__ = ["TESTS", "BatteryResult", "BatterySettings", "run_battery"]
