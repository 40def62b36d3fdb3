"""`hotfolder hooks`: what waits for them, what was given up and another try for that, and a test."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from hotfolder.cli.common import ConfigOption, Control, JsonOption, ask_index, change_index, loaded
from hotfolder.config import Config
from hotfolder.errors import Exit, UsageError

app = typer.Typer(help="Hooks: who is told of results.", invoke_without_command=True)


@app.callback()
def default(context: typer.Context, config: ConfigOption = None) -> None:
    """List them, where no other command is given."""
    if context.invoked_subcommand is None:
        show(config, False)


@app.command("list")
def show(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show each hook with what waits for it, and the deliveries that were given up."""
    from hotfolder.services import hooks

    settings = loaded(config).config
    control = Control(settings)
    found = control.call("GET", "/api/hooks") if control.alive() else ask_index(settings, hooks.listed)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for hook in found["hooks"]:
        since = f" since {hook['waiting_since']}" if hook["waiting_since"] else ""
        typer.echo(f"{hook['name']}: {', '.join(hook['events'])} → {hook['goal']}")
        typer.echo(f"  {hook['waiting']} waiting{since}, {hook['dead']} given up")
    if not found["hooks"]:
        typer.echo("no hooks are configured")
    for each in found["dead"]:
        about = each["path"] or each["watch"] or ""
        tries = f"{each['tries']} tries, the last one {each['problem']}"
        typer.echo(f"{each['hook']}: {each['event']} {about} at {each['at']}: {tries}")


@app.command()
def retry(
    name: Annotated[str | None, typer.Argument(help="A hook; default: all of them.")] = None,
    config: ConfigOption = None,
) -> None:
    """Have what was given up tried again: by the daemon, or by the next one."""
    settings = loaded(config).config
    if name is not None:
        _check(settings, name)
    control = Control(settings)
    if control.alive():
        count = control.call("POST", "/api/hooks/retry", {"hook": name})["retried"]
    else:
        from hotfolder.services import hooks

        count = change_index(settings, lambda offline: hooks.revive(offline, name))
    typer.echo(f"{count} to be tried again")


@app.command()
def test(
    name: Annotated[str, typer.Argument(help="A hook.")], config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Deliver an event called `test` now, and show what came of it. Exit status 1: it was not taken."""
    from hotfolder.services import hooks

    settings = loaded(config).config
    hook = _check(settings, name)
    control = Control(settings)
    if control.alive():
        found = control.call("POST", "/api/hooks/test", {"hook": name}, timeout=hook.timeout + 30)
    else:
        found = hooks.test(hook).model_dump()
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        if found["output"]:
            typer.echo(found["output"])
        typer.echo(f"{name}: {found['problem'] or 'taken'} ({found['seconds']:.2f} s)")
    raise typer.Exit(Exit.OK if found["ok"] else Exit.FAILED_IMAGES)


def _check(settings: Config, name: str) -> Any:
    hook = next((each for each in settings.hooks if each.name == name), None)
    if hook is None:
        known = ", ".join(each.name for each in settings.hooks) or "none"
        raise UsageError(f"no hook is called {name}; known: {known}")
    return hook
