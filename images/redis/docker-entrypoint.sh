#!/bin/sh
# `--option ...` or `FILE.conf` alone mean redis-server. The server runs as redis, which owns what is in /data.
# Redis' protected mode, which answers nobody but localhost, is off unless the command or its file speaks of it.
set -eu

case "${1:-}" in
    -* | *.conf) set -- redis-server "$@" ;;
esac

if [ "${1:-}" = redis-server ]; then
    mentioned="$*"
    case "${2:-}" in
        *.conf) mentioned="$mentioned $(cat "$2")" ;;
        --help | --version | -h | -v) exec "$@" ;;
    esac
    case "$mentioned" in
        *protected-mode*) ;;
        *) set -- "$@" --protected-mode no ;;
    esac
    if [ "$(id -u)" = 0 ]; then
        find . ! -user redis -exec chown redis:redis {} +
        set -- setpriv --reuid=redis --regid=redis --init-groups "$@"
    fi
fi
exec "$@"
