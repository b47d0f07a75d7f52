#!/bin/sh
# Before nginx starts: fills /etc/nginx/templates/*.template with the environment into NGINX_ENVSUBST_OUTPUT_DIR,
# then runs /docker-entrypoint.d/*.sh (read by this shell when it ends in .envsh). Any other command just runs.
set -eu

# Only variables that are set are replaced, so that nginx's own $host and the like stay.
fill_templates() {
    output="${NGINX_ENVSUBST_OUTPUT_DIR:-/etc/nginx/conf.d}"
    defined="$(awk 'BEGIN { for (name in ENVIRON) printf "${%s} ", name }')"
    for template in /etc/nginx/templates/*.template; do
        [ -e "$template" ] || continue
        name="$(basename "$template" .template)"
        envsubst "$defined" < "$template" > "$output/$name"
        echo "docker-entrypoint.sh: $template -> $output/$name" >&2
    done
}

case "${1:-}" in
    nginx)
        fill_templates
        for script in /docker-entrypoint.d/*; do
            case "$script" in
                *.envsh) . "$script" ;;
                *.sh) if [ -x "$script" ]; then "$script"; else echo "docker-entrypoint.sh: not executable: $script" >&2; fi ;;
            esac
        done
        ;;
esac
exec "$@"
