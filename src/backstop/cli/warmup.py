"""``backstop warmup``: compile every kernel once, so that no later command waits for it."""

from __future__ import annotations

import time
from importlib.util import find_spec

import typer

__all__ = ["app"]

app = typer.Typer()


@app.command("warmup")
def warmup() -> None:
    """Compile every kernel once, for all later commands."""
    from backstop.compiled import COMPILED, cache_is_warm, cache_path

    if not COMPILED:
        typer.echo("NUMBA_DISABLE_JIT is set: kernels run as plain Python, nothing to compile", err=True)
        return
    if find_spec("backstop.runs") is None or find_spec("backstop.runs.warmup") is None:
        typer.echo("nothing to compile", err=True)
        return
    from importlib import import_module

    is_warm = cache_is_warm()
    if not is_warm:
        typer.echo(f"compiling kernels into {cache_path()} (once for this version, up to a minute)", err=True)
    start = time.perf_counter()
    import_module("backstop.runs.warmup").warm()
    if not is_warm:
        typer.echo(f"kernels compiled in {time.perf_counter() - start:.0f} s", err=True)
