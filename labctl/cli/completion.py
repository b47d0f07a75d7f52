"""`labctl completion`: the script that teaches a shell our commands, options, labs and nodes."""

from __future__ import annotations

import click

__all__ = ["completion"]

INSTALL = {
    "bash": "labctl completion bash > ~/.local/share/bash-completion/completions/labctl",
    "zsh": "labctl completion zsh > ~/.zfunc/_labctl    (with `fpath+=~/.zfunc` before compinit in ~/.zshrc)",
    "fish": "labctl completion fish > ~/.config/fish/completions/labctl.fish",
}


@click.command("completion")
@click.argument("shell", type=click.Choice(list(INSTALL)))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script for bash, zsh or fish.

    \b
    labctl completion bash > ~/.local/share/bash-completion/completions/labctl
    labctl completion zsh > ~/.zfunc/_labctl
    labctl completion fish > ~/.config/fish/completions/labctl.fish
    source <(labctl completion bash)      only for this shell
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None  # click knows the three
    template = found(ctx.find_root().command, {}, "labctl", "_LABCTL_COMPLETE")
    # source() would start bash to look at its version.
    click.echo(template.source_template % template.source_vars())
    click.echo(f"# To install: {INSTALL[shell]}")
