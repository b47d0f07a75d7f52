# Where am I? The prompt tells node and role, as they are now: both change while somebody works.
if [ -n "${PS1:-}" ]; then
  labctl_role() {
    local role='{{if .Swarm.ControlAvailable}}manager{{else}}{{.Swarm.LocalNodeState}}{{end}}'
    role=$(timeout 1 docker info --format "$role" 2>/dev/null)  # a second: an engine may hang
    case "$role" in active) role=worker ;; inactive) role='no swarm' ;; '') role='engine down' ;; esac
    # Debian's ~/.bashrc, which is read after this, has a prompt of its own.
    PS1='\[\e[1;36m\]\h\[\e[0m\] ('"$role"') \w \$ '
  }
  PROMPT_COMMAND=labctl_role
fi
