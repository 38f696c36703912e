"""Import timm where torch and torchvision come from different builds.

timm needs torchvision only for helpers without compiled parts, but torchvision refuses to import
when its compiled operators cannot be loaded (a CPU build of torch beside a CUDA build of
torchvision, the usual pair on machines without a GPU). The import fails at the registration of
`fake` kernels for operators that then do not exist. Declaring the missing operators, without an
implementation, lets the import pass; calling one still fails loudly.
"""

from __future__ import annotations

import importlib
import re
import sys
from functools import cache
from types import ModuleType
from typing import Any

from ifambench.errors import EnvironmentProblem

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_declared: list[Any] = []


@cache
def import_timm() -> ModuleType:
    """The `timm` module.

    Raises:
        EnvironmentProblem: If timm or torchvision cannot be imported at all.
    """
    import torch

    for _ in range(8):
        try:
            return importlib.import_module("timm")
        except ImportError as error:
            raise EnvironmentProblem(
                f"timm cannot be imported: {error}", next_step="pip install 'timm>=1.0.16'"
            ) from error
        except RuntimeError as error:
            missing = re.search(r"operator torchvision::(\w+) does not exist", str(error))
            if missing is None:
                raise
            library: Any = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
            library.define(missing.group(1) + _SCHEMA)
            _declared.append(library)  # a library is undone when it is garbage collected
            _forget("torchvision", "timm")
    raise EnvironmentProblem(
        "torchvision does not fit the installed torch",
        next_step="pip install --upgrade torch torchvision",
    )


def _forget(*packages: str) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] in packages]:
        del sys.modules[name]
