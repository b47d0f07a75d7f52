"""What people type who know docker's own commands: `--flag=true`, and a verb's other names."""

from __future__ import annotations

from typing import ClassVar

import click

from labctl.errors import UsageError

__all__ = ["DockerCommand", "DockerGroup"]

# Go's strconv.ParseBool, by which the Docker CLI reads a flag's value.
TRUE = ("1", "t", "T", "TRUE", "true", "True")
FALSE = ("0", "f", "F", "FALSE", "false", "False")


class DockerCommand(click.Command):
    """Takes `--flag=true` and `--flag=false` for its plain flags; the last word on a flag counts."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Write such flags plainly, or leave them out, and parse."""
        flags = {name: param.opts for param in self.params if _is_plain(param) for name in param.opts}
        end = args.index("--") if "--" in args else len(args)
        kept: list[str] = []
        for word in args[:end]:
            name, equals, value = word.partition("=")
            if not equals or name not in flags:
                kept.append(word)
            elif value in TRUE:
                kept.append(name)
            elif value in FALSE:
                kept = [one for one in kept if one not in flags[name]]
            else:
                raise UsageError(f"{word}: a flag is true or false", hint=f"For example: {name}=false")
        return super().parse_args(ctx, kept + args[end:])


def _is_plain(param: click.Parameter) -> bool:
    return isinstance(param, click.Option) and param.is_flag and not param.secondary_opts


class DockerGroup(click.Group):
    """Knows verbs by the other names that docker has for them, which its help does not list."""

    aliases: ClassVar[dict[str, str]] = {"up": "deploy", "down": "rm", "remove": "rm"}

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or of that other name."""
        return super().get_command(ctx, self.aliases.get(cmd_name, cmd_name))
