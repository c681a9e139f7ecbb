"""``backstop warmup``: compile every kernel once, so that no later command waits for it."""

from __future__ import annotations

import typer

__all__ = ["app"]

app = typer.Typer()


@app.command("warmup")
def warmup() -> None:
    """Compile every kernel once, for all later commands."""
    from backstop.compiled import COMPILED, cache_path
    from backstop.runs.warmup import is_warm, warm

    if not COMPILED:
        typer.echo("NUMBA_DISABLE_JIT is set: kernels run as plain Python, nothing to compile", err=True)
        return
    if not is_warm():
        typer.echo(f"compiling kernels into {cache_path()} (once per version, under a minute)", err=True)
        typer.echo(f"kernels compiled in {warm():.0f} s", err=True)
