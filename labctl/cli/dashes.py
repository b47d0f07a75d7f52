"""Commands that end in somebody else's command line: `labctl exec @worker -- uname -a`."""

from __future__ import annotations

import click

from labctl.errors import UsageError

__all__ = ["CommandBehindDashes", "behind_dashes"]

KEY = "labctl.behind_dashes"


class CommandBehindDashes(click.Command):
    """Keeps what stands behind the first `--` as it is, whatever it looks like; `behind_dashes` returns it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse what is ours."""
        if "--" in args:
            at = args.index("--")
            ctx.meta[KEY] = tuple(args[at + 1 :])
            args = args[:at]
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as problem:
            if "unexpected extra argument" not in problem.message:
                raise
            hint = "For example: labctl exec @worker -- uptime"
            raise UsageError(f"the command stands behind `--`; {problem.message.lower()}", hint=hint) from None

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Show where the other command goes."""
        return [*super().collect_usage_pieces(ctx), "--", "COMMAND..."]


def behind_dashes() -> tuple[str, ...]:
    """What stood behind `--`; empty where it was not there."""
    found: tuple[str, ...] = click.get_current_context().meta.get(KEY, ())
    return found
