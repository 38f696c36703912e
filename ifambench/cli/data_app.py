"""`ifambench data`: get, check and build the images of suites; one file per command."""

from __future__ import annotations

import importlib

import typer

COMMANDS = {
    "list": ("data_list", "command"),
    "fetch": ("data_fetch", "command"),
    "verify": ("data_verify", "command"),
    "path": ("data_path", "command"),
    "build-swap": ("data_build", "build_swap"),
    "build-waterbirds": ("data_build", "build_waterbirds"),
}
"""The module and the function of each command."""

app = typer.Typer(
    help="Get, check and build the images of suites.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)
for _name, (_module, _function) in COMMANDS.items():
    app.command(_name)(getattr(importlib.import_module(f"ifambench.cli.{_module}"), _function))
