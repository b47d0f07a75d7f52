# Where am I? The prompt tells node and role.
if [ -n "${PS1:-}" ]; then
  labctl_role=$(docker info --format '{{if .Swarm.ControlAvailable}}manager{{else}}{{.Swarm.LocalNodeState}}{{end}}' 2>/dev/null)
  case "$labctl_role" in active) labctl_role=worker ;; inactive) labctl_role='no swarm' ;; '') labctl_role='engine down' ;; esac
  PS1='\[\e[1;36m\]\h\[\e[0m\] ('"$labctl_role"') \w \$ '
  unset labctl_role
  # Debian's ~/.bashrc, which is read later, has a prompt of its own.
  labctl_prompt=$PS1
  PROMPT_COMMAND='PS1=$labctl_prompt; unset labctl_prompt PROMPT_COMMAND'
fi
