#!/usr/bin/env bash
# What the GitHub Action does: `main` brings a lab up, `post` takes it down when the job ends. Both read INPUT_*, `post`
# also STATE_*, and write to the files that GITHUB_OUTPUT, _STATE, _ENV, _PATH and _STEP_SUMMARY name.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cancelled=
trap 'cancelled=yes' INT TERM HUP  # the command that runs gets the signal too; what comes after it is decided here

annotate() {  # annotate error|warning TEXT: a line that GitHub shows beside the job
  local text=${2//'%'/%25}
  text=${text//$'\r'/%0D}
  printf '::%s title=labctl::%s\n' "$1" "${text//$'\n'/%0A}"
}

fail() {
  annotate error "$1"
  [ -z "$cancelled" ] || exit 130
  exit 1
}

tell() {  # tell FILE NAME VALUE: GitHub reads such files after the step
  [ -z "$1" ] || printf '%s=%s\n' "$2" "$3" >>"$1"
}

stage() {  # stage TITLE COMMAND...: what it says is folded in the log; fails too when the job was cancelled meanwhile
  local title=$1 code=0
  shift
  printf '::group::%s\n' "$title"
  "$@" || code=$?
  printf '::endgroup::\n'
  [ -z "$cancelled" ] || code=130
  return "$code"
}

check() {  # check INPUT PATTERN EXPECTED: an empty one is not given
  local LC_ALL=C variable="INPUT_${1^^}"
  local value=${!variable:-}
  [ -z "$value" ] || [[ $value =~ ^($2)$ ]] || fail "$1: '$value' is not $3"
}

check_inputs() {
  check nodes '[1-9][0-9]{0,2}' 'a number of nodes, such as 3'
  check name '[a-z0-9]([a-z0-9-]*[a-z0-9])?' 'a name: lower-case letters, digits and hyphens, a letter or digit at each end'
  check version 'installed|[0-9][0-9A-Za-z.+]*' 'a version, such as 0.1.0, nor "installed"'
  check wait 'true|false' 'true or false'
  [ -z "${INPUT_SPEC:-}" ] || [ -f "$INPUT_SPEC" ] ||
    fail "spec: there is no file $INPUT_SPEC in $PWD; does actions/checkout come before this step?"
}

install_with_pip() {
  local wanted=$1 folder
  python3 -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
    fail 'labctl needs Python 3.11 or newer with venv; put actions/setup-python before this step'
  folder=$(mktemp -d "${RUNNER_TEMP:-/tmp}/labctl-XXXXXX")
  # Nothing but labctl goes on the PATH: the python and the pip of the steps that follow stay theirs.
  python3 -m venv "$folder/venv" &&
    "$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check "$wanted" &&
    mkdir "$folder/bin" && ln -s "$folder/venv/bin/labctl" "$folder/bin/labctl" || return
  labctl=$folder/bin/labctl
  [ -z "${GITHUB_PATH:-}" ] || printf '%s\n' "$folder/bin" >>"$GITHUB_PATH"
}

install_labctl() {
  case ${INPUT_VERSION:-} in
    installed) labctl=$(command -v labctl) || fail 'version: no labctl is on the PATH of this runner' ;;
    '') install_with_pip "$ROOT" ;;
    *) install_with_pip "swarm-labctl==$INPUT_VERSION" ;;
  esac
}

stands() {
  local listed
  listed=$("$labctl" labs -o json) || fail "labctl does not reach this runner's Docker engine; \`labctl doctor\` tells more"
  [[ $listed == *"\"name\": \"$lab\""* ]]
}

images() { printf '%s/labctl-images.tar.gz' "$INPUT_CACHE_PATH"; }

load_images() {
  [ -n "${INPUT_CACHE_PATH:-}" ] && [ -f "$(images)" ] || return 0
  stage 'Load images' "$labctl" bundle load "$(images)" && return
  [ -z "$cancelled" ] || fail 'cancelled'
  annotate warning "the images in $INPUT_CACHE_PATH cannot be used and are built again; give the cache another key"
}

save_images() {
  [ -n "${INPUT_CACHE_PATH:-}" ] && [ ! -e "$(images)" ] || return 0
  mkdir -p "$INPUT_CACHE_PATH" && stage 'Save images' "$labctl" bundle save "$(images)" ||
    annotate warning "the images were not saved to $INPUT_CACHE_PATH"
}

up() {
  local words=(up --name "$lab" --retain)  # what is left of one that fails is looked at, and removed, by `post`
  [ -z "${INPUT_SPEC:-}" ] || words+=("--file=$INPUT_SPEC")
  [ -z "${INPUT_NODES:-}" ] || words+=(--nodes "$INPUT_NODES")
  [ "${INPUT_WAIT:-true}" = true ] || words+=(--no-verify)
  "$labctl" "${words[@]}"
}

tell_outputs() {
  local said
  said=$("$labctl" -l "$lab" env --shell bash) || return
  (
    eval "$said"
    tell "${GITHUB_OUTPUT:-}" docker-host "$DOCKER_HOST"
    tell "${GITHUB_OUTPUT:-}" cert-path "$DOCKER_CERT_PATH"
  )
}

main() {
  [ "${RUNNER_OS:-Linux}" = Linux ] || fail "a lab needs a Linux runner, and this one is $RUNNER_OS"
  [ -z "${LABCTL_UNLOCK_KEY:-}" ] || printf '::add-mask::%s\n' "${LABCTL_UNLOCK_KEY//'%'/%25}"
  check_inputs
  lab=${INPUT_NAME:-ci-$(od -An -N6 -tx1 /dev/urandom | tr -d ' \n')}
  stage 'Install labctl' install_labctl || fail 'labctl could not be installed'
  ! stands || fail "there is a lab $lab already, and it is left as it is; choose another name, or \`labctl down -l $lab\`"
  load_images
  # From here on the lab is this job's: written before it is made, for a job that is cancelled meanwhile.
  tell "${GITHUB_STATE:-}" lab "$lab"
  tell "${GITHUB_STATE:-}" labctl "$labctl"
  tell "${GITHUB_ENV:-}" LABCTL_LAB "$lab"
  tell "${GITHUB_OUTPUT:-}" lab "$lab"
  stage "Bring up lab $lab" up || fail "lab $lab did not come up; the step's log says why"
  tell_outputs || fail "lab $lab is up, and its first manager's engine cannot be told"
  tell "${GITHUB_STATE:-}" up done
}

failed() {
  case ${INPUT_JOB_STATUS:-} in
    failure) true ;;
    success | cancelled) false ;;
    *) [ "${STATE_up:-}" != done ] ;;
  esac
}

save_logs() {
  local file=${GITHUB_WORKSPACE:-$PWD}/labctl-logs-$lab.tar.gz said
  stands || [ ! -e "$file" ] || return 0  # told already
  said=$("$labctl" -l "$lab" status 2>&1) || true
  stage 'Save logs' "$labctl" -l "$lab" export logs -o "$file" || { annotate warning 'the logs were not saved'; return; }
  [ -n "${GITHUB_STEP_SUMMARY:-}" ] || return 0
  {
    printf '### Lab %s\n\nThe job failed. The lab'\''s logs are in `%s` on the runner.\n\n' "$lab" "$file"
    printf '%s\n' "$said" | sed 's/^/    /'
  } >>"$GITHUB_STEP_SUMMARY"
}

post() {
  lab=${STATE_lab:-} labctl=${STATE_labctl:-}
  if [ -z "$lab" ]; then
    printf 'This job began no lab: there is none to remove.\n'
    return
  fi
  [ -x "$labctl" ] || fail "lab $lab was not removed: $labctl is gone; \`labctl down -l $lab\` removes it"
  if failed; then
    (save_logs) || true
  elif [ "${INPUT_JOB_STATUS:-success}" = success ]; then
    save_images
  fi
  stage "Remove lab $lab" "$labctl" -l "$lab" down || fail "lab $lab was not removed; \`labctl down -l $lab\` removes it"
}

case ${1:-} in
  main | post) "$1" ;;
  *) fail "action.sh ${1:-}: expected main or post" ;;
esac
