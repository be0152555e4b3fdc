#!/usr/bin/env bash
# start-agent-session.sh - start one agent of the fleet in its tmux session, with its heartbeat.
#
#   start-agent-session.sh [name]      (default: $MOSAIC_AGENT_NAME)
#
# Reads $MOSAIC_HOME/fleet/agents/<name>.env: MOSAIC_AGENT_RUNTIME (pi), _MODEL, _WORKDIR, _YOLO (true),
# _COMMAND (wins over all), _CHANNELS, MOSAIC_TMUX_SOCKET (none: the default tmux socket). A session that
# lives is left alone; a heartbeat that is missing beside it is started.
# Exit: 0 it runs · 1 it could not be started · 3 usage
set -u
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR source=../tmux/lib/common.sh
. "$here/../tmux/lib/common.sh"
# shellcheck source-path=SCRIPTDIR source=../tmux/lib/paste.sh
. "$here/../tmux/lib/paste.sh"

fail() { # CODE TEXT
  printf 'ERROR: %s\n' "$2" >&2
  exit "$1"
}

name=${1:-${MOSAIC_AGENT_NAME:-}}
[ -n "$name" ] || fail 3 'usage: start-agent-session.sh NAME (or set MOSAIC_AGENT_NAME)'
[[ $name =~ ^[a-z0-9][a-z0-9_-]{0,63}$ ]] || fail 3 "'$name' is not an agent's name"
env_file=$MOSAIC_HOME/fleet/agents/$name.env
[ -e "$env_file" ] || printf 'WARNING: no env file %s; the defaults are used\n' "$env_file" >&2

# The file first. What we inherited counts only when it speaks of this agent: a start from the pane of
# another must not take over that one's settings.
setting() { # KEY DEFAULT
  local value
  if value=$(mf_env_value "$env_file" "$1"); then
    :
  elif [ "${MOSAIC_AGENT_NAME:-$name}" = "$name" ]; then
    value=${!1:-}
  fi
  printf '%s' "${value:-$2}"
}
runtime=$(setting MOSAIC_AGENT_RUNTIME pi)
model=$(setting MOSAIC_AGENT_MODEL '')
# shellcheck disable=SC2088  # expanded below, and nothing else is
workdir=$(setting MOSAIC_AGENT_WORKDIR '~/src')
socket=$(setting MOSAIC_TMUX_SOCKET '')
if [ -z "$socket" ] && [ ! -e "$env_file" ] && mf_in_roster "$name"; then
  socket=$(mf_agent_socket "$name") # where the roster names a socket the default server is not touched
fi
yolo=$(setting MOSAIC_AGENT_YOLO true)
command=$(setting MOSAIC_AGENT_COMMAND '')
channels=$(setting MOSAIC_AGENT_CHANNELS '')
interval=$(setting MOSAIC_HEARTBEAT_INTERVAL '')
class=$(setting MOSAIC_AGENT_CLASS '')
if [ -z "$class" ] && [ -r "$MF_RUN/$name.class" ]; then class=$(<"$MF_RUN/$name.class"); fi
[[ $socket =~ ^([A-Za-z0-9_][A-Za-z0-9._-]{0,63})?$ ]] || fail 3 "MOSAIC_TMUX_SOCKET of $name is not a socket's name"

# shellcheck disable=SC2088
case $workdir in
  '~') workdir=$HOME ;;
  '~/'*) workdir=$HOME/${workdir#'~/'} ;;
  "\$HOME") workdir=$HOME ;;
  "\$HOME/"*) workdir=$HOME/${workdir#"\$HOME/"} ;;
esac

if [ -z "$command" ]; then
  command='mosaic'
  [ "$yolo" = false ] || command+=' yolo'
  command+=" $(printf '%q' "$runtime")"
  [ -z "$model" ] || command+=" --model $(printf '%q' "$model")"
  [ -z "$channels" ] || command+=" --channels $(printf '%q' "$channels")"
fi

sidecar() { # one per pane; a second one sees the lock and goes
  (
    export MOSAIC_HOME
    [ -z "$interval" ] || export MOSAIC_HEARTBEAT_INTERVAL="$interval"
    export MOSAIC_AGENT_MODEL="$model"
    cd / || exit 1
    exec {MF_SILENCE}<&-
    exec setsid "$here/heartbeat-sidecar.sh" "$name" "$socket" "$MF_PANE" "$MF_PID" \
      </dev/null >/dev/null 2>>"$MF_RUN/$name.hb.log" 9>&-
  ) &
}
watch() {
  if [ -e "$MF_RUN/$name.hb.lock" ] && ! flock -n "$MF_RUN/$name.hb.lock" true &&
    [ "$(mf_env_value "$MF_RUN/$name.hb" pid)" = "$MF_PID" ]; then
    return # it beats for this very pane
  fi
  sidecar
}

mkdir -p -- "$MF_RUN/lock" || fail 1 "cannot write to $MF_RUN"
exec 9>>"$MF_RUN/lock/start.$name"
flock -w 30 9 || fail 1 "another start of $name takes too long"

if mf_find_pane "$socket" "$name"; then
  if [ "$(mf_tmux "$socket" display-message -p -t "$MF_PANE" '#{pane_dead}' 2>/dev/null)" != 1 ]; then
    watch
    printf '%s runs already (pane %s)\n' "$name" "$MF_PANE"
    exit 0
  fi
  mf_tmux "$socket" kill-session -t "=$name" 2>/dev/null # a dead pane that tmux keeps for its last words
fi

mkdir -p -- "$workdir" || fail 1 "the work directory $workdir of $name cannot be made"
workdir=$(cd -- "$workdir" && pwd -P) || fail 1 "the work directory $workdir of $name cannot be entered"

pane_env=(
  -e "MOSAIC_HOME=$MOSAIC_HOME" -e "MOSAIC_AGENT_NAME=$name" -e "MOSAIC_AGENT_CLASS=$class"
  -e "MOSAIC_AGENT_RUNTIME=$runtime" -e "MOSAIC_AGENT_MODEL=$model" -e "MOSAIC_TMUX_SOCKET=$socket"
  -e "HOME=$HOME" -e MOSAIC_LAUNCH_WAITS=1 # a launch check that fails keeps the pane and says so
)
if [ "$runtime" = claude ]; then
  pane_env+=(-e CLAUDE_CODE_DISABLE_1M_CONTEXT=1 -e CLAUDE_CODE_AUTO_COMPACT_WINDOW=200000)
  # its folder question would stall an unattended pane for ever
  python=$(command -v mosaic) && python=$(readlink -f -- "$python") # pipx puts a link on PATH
  python=${python%/*}/python
  if ! { [ -x "$python" ] && "$python" -m fleet.launch.trust "$workdir" 9>&-; }; then
    printf 'WARNING: could not pre-trust workdir for claude agent %s\n' "$name" >&2
  fi
fi
while IFS= read -r key; do # an agent's own extra settings, and those of the programs in tests
  case $key in STUB_*) pane_env+=(-e "$key=${!key}") ;; esac
done < <(compgen -e)

# tmux gives a pane the PATH of the client that asked for it, whatever -e says
PATH=$MOSAIC_HOME/tools/tmux:$PATH
if [ -n "$socket" ]; then
  "$here/start-holder.sh" "$socket" 9>&- || exit 1
  start=(timeout -k 1 10 tmux -N -L "$socket")
else
  start=(timeout -k 1 10 tmux) # the default server may be started: it is the person's own
fi
# two words behind bash: tmux runs them as they are, no shell of its own in between
said=$("${start[@]}" new-session -d -P -F '#{pane_id} #{pane_pid}' -s "$name" -c "$workdir" -x 200 -y 50 \
  "${pane_env[@]}" bash -c "$command" 2>&1 9>&-) || fail 1 "tmux could not start $name: $said"
[[ $said =~ ^(%[0-9]+)\ ([0-9]+)$ ]] || fail 1 "tmux gave no pane for $name: $said"
MF_PANE=${BASH_REMATCH[1]} MF_PID=${BASH_REMATCH[2]}
if [ -n "$socket" ]; then
  # a viewer must not resize the agent's window. Per window: as a global option it crashes tmux 3.3a
  mf_tmux "$socket" set-option -w -t "$MF_PANE" window-size manual 2>/dev/null
fi
sidecar
printf '%s started (pane %s)\n' "$name" "$MF_PANE"
exit 0
