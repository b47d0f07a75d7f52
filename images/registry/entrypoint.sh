#!/bin/sh
# A configuration file or a subcommand is the registry's; anything else is a command of its own.
set -eu
case "${1:-}" in
    *.yml | *.yaml) set -- registry serve "$@" ;;
    serve | garbage-collect | help | -*) set -- registry "$@" ;;
esac
exec "$@"
