#!/usr/bin/env bash
# heartbeat-sidecar.sh - keeps fleet/run/<agent>.hb fresh while one pane lives. Started by the launcher.
#
#   heartbeat-sidecar.sh AGENT SOCKET PANE_ID PANE_PID
#
# It proves the launcher and the pane, no more: the program's own word is in <agent>.state, which the node
# writes and from which status, model and task are copied while they are fresh and the node lives.
set -u
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR source=../tmux/lib/common.sh
. "$here/../tmux/lib/common.sh"
# shellcheck source-path=SCRIPTDIR source=../tmux/lib/mailbox.sh
. "$here/../tmux/lib/mailbox.sh"

[ $# = 4 ] || {
  printf 'ERROR: heartbeat-sidecar.sh AGENT SOCKET PANE_ID PANE_PID\n' >&2
  exit 3
}
agent=$1 socket=$2 pane=$3 pid=$4
beat=$MF_RUN/$agent.hb state=$MF_RUN/$agent.state
interval=${MOSAIC_HEARTBEAT_INTERVAL:-15}
[[ $interval =~ ^[0-9]{1,6}(\.[0-9]{1,3})?$ && $interval =~ [1-9] ]] || interval=15
fresh_ms=$((${interval%%.*} * 3000 + 999))

start_of() { # field 22 of stat, counted from the last ")": the same number cannot be a new process
  local line
  read -r line 2>/dev/null <"/proc/$pid/stat" || return 1
  line=${line##*) }
  # shellcheck disable=SC2086
  set -- $line
  [ "$1" != Z ] && [ "$1" != X ] && printf '%s' "${20}"
}
born=$(start_of) || exit 0

alive() { [ "$(start_of)" = "$born" ]; }
placed() { # the process is still in that pane; a tmux that does not answer proves nothing
  local seen
  seen=$(mf_tmux "$socket" display-message -p -t "$pane" '#{pane_pid}' 2>&1) && { [ "$seen" = "$pid" ]; return; }
  case $seen in *'no server running'* | *'error connecting'* | *"can't find pane"*) return 1 ;; esac
  return 0
}

mkdir -p -- "$MF_RUN"
exec 9>>"$MF_RUN/$agent.hb.lock"
# a predecessor whose pane has just ended needs a moment; one that beats for this very pane stays
flock -w 10 9 || exit 0

write() {
  local status=ok model=${MOSAIC_AGENT_MODEL:-} task='' since='' json word changed
  if [ -e "$state" ] && mf_node_lives; then
    changed=$(stat -c %Y -- "$state" 9>&- 2>/dev/null) || changed=0
    if (($(mf_now_ms) - changed * 1000 <= fresh_ms)) && json=$(cat -- "$state" 2>/dev/null 9>&-); then
      if word=$(mf_field "$json" status) && [ "$word" = busy ]; then status=busy; fi
      if word=$(mf_field "$json" model) && [ -n "$word" ]; then model=$word; fi
      task=$(mf_field "$json" task) || task=''
      since=$(mf_field "$json" task_since) || since=''
    fi
  fi
  if {
    printf 'ts=%s\npid=%s\nstatus=%s\ninterval=%s\n' "$(mf_timestamp)" "$pid" "$status" "$interval"
    [ -z "$model" ] || printf 'model=%s\n' "$model"
    [ -z "$task" ] || printf 'task=%s\n' "$task"
    [ -z "$since" ] || printf 'task_since=%s\n' "$since"
  } >"$beat.$$" 2>/dev/null; then
    mv -f -- "$beat.$$" "$beat" 9>&-
  else
    rm -f -- "$beat.$$" 9>&- # a full disk: the age of the old file tells
  fi
}

trap 'exit 0' TERM INT HUP
while alive && placed; do
  write
  next=$(($(mf_now_ms) + $(printf '%.0f' "${interval}e3")))
  while (($(mf_now_ms) < next)); do
    left=$((next - $(mf_now_ms)))
    ((left < 1000)) || left=1000
    ((left > 0)) || break
    printf -v pause '%d.%03d' $((left / 1000)) $((left % 1000))
    mf_sleep "$pause"
    alive || break 2
  done
done
exit 0
