"""`ifambench data path`: where the images of a suite lie."""

from __future__ import annotations

from ifambench.cli import options
from ifambench.cli.console import emit
from ifambench.cli.options import Format
from ifambench.errors import EnvironmentProblem


def command(
    suite: options.SuiteArgument,
    data_dir: options.DataDirOption = None,
    format: options.FormatOption = Format.table,
) -> None:
    """Print the folder of a suite, nothing else.

    Exit code 3 when its images are not there; the folder where they belong is in the message.
    """
    from ifambench.data.fetch.places import target_folder
    from ifambench.data.folders import data_state
    from ifambench.suites.catalog import load_suite

    content = load_suite(suite).suite
    folder = target_folder(content, data_dir)
    if data_state(content, data_dir)[1] is None:
        raise EnvironmentProblem(
            f"the images of {content.id} are not on this machine",
            where=f"they belong in {folder}",
            next_step=f"ifambench data fetch {suite}",
        )
    data = {"suite": content.id, "folder": str(folder)}
    emit(format, data, [], lines=[str(folder)])
