#!/bin/bash
# Starts postgres; an empty PGDATA gets a cluster first, as the POSTGRES_* variables and /docker-entrypoint-initdb.d say.
set -euo pipefail
shopt -s inherit_errexit nullglob

die() { echo "docker-entrypoint.sh: $*" >&2; exit 1; }

# setting NAME [DEFAULT]: the value of NAME, or what the file named by NAME_FILE holds.
setting() {
    local file_name="$1_FILE" value="${!1:-}" file
    file="${!file_name:-}"
    if [ -n "$file" ]; then
        [ -z "$value" ] || die "set $1 or $file_name, not both"
        [ -r "$file" ] || die "$file_name names '$file', which cannot be read: is the secret granted to this service?"
        value="$(< "$file")"
    fi
    printf '%s' "${value:-${2:-}}"
}

become_postgres() {
    mkdir -p "$PGDATA" /run/postgresql
    chmod 700 "$PGDATA"
    find "$PGDATA" /run/postgresql ! -user postgres -exec chown postgres:postgres {} +
    HOME=/var/lib/postgresql exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
}

read_settings() {
    user="$(setting POSTGRES_USER postgres)"
    database="$(setting POSTGRES_DB "$user")"
    password="$(setting POSTGRES_PASSWORD)"
    method="${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}"
    initdb_arguments="${POSTGRES_INITDB_ARGS:-}"
    if [ "$method" = trust ]; then
        echo "docker-entrypoint.sh: POSTGRES_HOST_AUTH_METHOD=trust: whoever reaches this port is let in without a password" >&2
    elif [ -z "$password" ]; then
        die "no password for the new database: set POSTGRES_PASSWORD (-e POSTGRES_PASSWORD=...) or POSTGRES_PASSWORD_FILE" \
            "(a secret), or let everybody in with POSTGRES_HOST_AUTH_METHOD=trust"
    fi
}

make_cluster() {
    local arguments=(--username="$user" --encoding=UTF8 --locale=C.UTF-8 --no-sync --no-instructions)
    [ -z "$password" ] || arguments+=(--pwfile=/dev/stdin)
    # shellcheck disable=SC2086 # several arguments in one variable, by its contract
    initdb "${arguments[@]}" $initdb_arguments <<< "$password"
    printf '\nhost all all all %s\n' "$method" >> "$PGDATA/pg_hba.conf"
    if [ "$database" != postgres ]; then
        # The server's single-user mode: a third of the time of a start, and no socket.
        printf 'CREATE DATABASE "%s"\n' "${database//\"/\"\"}" | postgres --single -j -c fsync=off postgres > /dev/null
    fi
}

run_script() {
    local psql=(psql -v ON_ERROR_STOP=1 --no-password --no-psqlrc --username "$user" --dbname "$database")
    echo "docker-entrypoint.sh: running $1" >&2
    case "$1" in
        *.sh) if [ -x "$1" ]; then "$1"; else . "$1"; fi ;;
        *.sql) "${psql[@]}" -f "$1" ;;
        *.sql.gz) gunzip -c "$1" | "${psql[@]}" ;;
        *) echo "docker-entrypoint.sh: ignored $1: not *.sh, *.sql or *.sql.gz" >&2 ;;
    esac
}

run_scripts() {
    local scripts=(/docker-entrypoint-initdb.d/*) script
    ((${#scripts[@]})) || return 0
    export POSTGRES_USER="$user" POSTGRES_DB="$database" POSTGRES_PASSWORD="$password" PGUSER="$user" PGDATABASE="$database"
    unset POSTGRES_USER_FILE POSTGRES_DB_FILE POSTGRES_PASSWORD_FILE
    pg_ctl -D "$PGDATA" -o "-c listen_addresses=''" -w start
    for script in "${scripts[@]}"; do run_script "$script"; done
    pg_ctl -D "$PGDATA" -m fast -w stop
}

# A cluster is made in a folder of PGDATA and moved out of it when whole, PG_VERSION last: a container that is killed
# meanwhile leaves nothing that the next one takes for a database.
first_start() {
    local target="$PGDATA"
    rm -rf "$target/.new"
    (
        read_settings
        export PGDATA="$target/.new"
        make_cluster
        run_scripts
        rm -f "$PGDATA/postmaster.opts"
    )
    for entry in "$target"/.new/*; do
        [ "${entry##*/}" = PG_VERSION ] || mv -f "$entry" "$target/"
    done
    mv "$target/.new/PG_VERSION" "$target/"
    rm -rf "$target/.new"
    echo "docker-entrypoint.sh: the database is made; starting" >&2
}

[ "${1:-}" != "" ] && [ "${1:0:1}" != - ] || set -- postgres "$@"
if [ "$1" = postgres ] && [[ " $* " != *" --help "* && " $* " != *" --version "* && " $* " != *" -V "* ]]; then
    [ "$(id -u)" != 0 ] || become_postgres "$@"
    [ -s "$PGDATA/PG_VERSION" ] || first_start
fi
exec "$@"
