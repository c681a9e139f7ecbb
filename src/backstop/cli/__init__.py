"""The command line: one binary, ``backstop``, noun then verb.

Data goes to standard output, talk to standard error. A command's module is imported when it is
asked for, and imports what is heavy (numba, pyarrow, pydantic) inside its functions, so that
``backstop --help`` answers at once. Exit codes are in ``exits``.

A module of this room holds ``app``, a ``typer.Typer``, and a row in ``_MODULES`` for each of its
words.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Annotated, Any

# Help in plain text: Typer's coloured help imports rich.markdown and pygments, a third of a second.
os.environ.setdefault("TYPER_USE_RICH", "0")

import typer
from typer.core import TyperGroup

from backstop import __version__
from backstop.cli.exits import FAILED
from backstop.files import told
from backstop.printing import one_line

__all__ = ["app", "main"]

#: The first word of a command, in the order of the help, and the module that knows it. The word is
#: a command of that module's ``app``, or the name of its whole group.
_MODULES = {
    "demo": "backstop.cli.replay",
    "replay": "backstop.cli.replay",
    "import": "backstop.cli.replay",
    "account": "backstop.cli.account",
    "adl": "backstop.cli.adl",
    "config": "backstop.cli.config",
    "scenario": "backstop.cli.scenario",
    "journal": "backstop.cli.journal",
    "explain": "backstop.cli.explain",
    "report": "backstop.cli.report",
    "fund": "backstop.cli.fund",
    "warmup": "backstop.cli.warmup",
}


class _LazyGroup(TyperGroup):
    """A group whose commands are imported on first use."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the words whose modules are there."""
        return [word for word, module in _MODULES.items() if find_spec(module) is not None]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command behind a word, or None for an unknown one."""
        if cmd_name not in self.list_commands(ctx):
            return None
        command = typer.main.get_command(import_module(_MODULES[cmd_name]).app)
        return getattr(command, "commands", {}).get(cmd_name, command)


app = typer.Typer(
    cls=_LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"backstop {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Default-management engine of a crypto-derivatives venue.

    Exit codes: 0 ok, 1 failed, 2 usage, 3 invariant violated, 4 finding, 5 not replayed. A file
    that is missing, or cannot be read or written, is 1; a damaged journal, or a file that is not a
    journal, is 4. The help of a command lists its own cases.
    """


def main() -> None:
    """Run the command line; a refused file or a failing disk is a message, not a traceback."""
    try:
        app(prog_name="backstop")
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(FAILED)
    except OSError as error:
        _fail(told(error))
    except ValueError as error:
        from backstop.config.findings import ConfigError

        if not isinstance(error, ConfigError):
            raise
        _fail(str(error))


def _fail(message: str) -> None:
    for line in message.splitlines():
        typer.echo(f"error: {one_line(line)}", err=True)
    sys.exit(FAILED)
