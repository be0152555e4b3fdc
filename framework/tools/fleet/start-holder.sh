#!/usr/bin/env bash
# start-holder.sh - make sure that the tmux server of a named socket lives, with its holder session.
#
#   start-holder.sh SOCKET [HOLDER_SESSION]      (default session: _holder)
#
# Five at once start one. The default tmux socket is a person's own and is never started from here.
# Exit: 0 it lives · 1 it could not be started · 3 usage
set -u
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR source=../tmux/lib/common.sh
. "$here/../tmux/lib/common.sh"

socket=${1:-} holder=${2:-_holder}
if [[ ! $socket =~ ^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$ ]] || [ "$socket" = default ]; then
  printf 'ERROR: start-holder.sh needs the name of a tmux socket (not the default one)\n' >&2
  exit 3
fi
mkdir -p -- "$MF_RUN/lock"
exec 9>>"$MF_RUN/lock/holder.$socket"
flock -w 30 9 || {
  printf 'ERROR: another start of the tmux server %s takes too long\n' "$socket" >&2
  exit 1
}
log=$MF_RUN/holder.$socket.log
if ! mf_tmux "$socket" list-sessions >/dev/null 2>&1; then
  # -D: a server without sessions that stays, in the foreground; ours alone by setsid. It must not hold
  # the lock, our terminal, or a pane's variables.
  (
    cd / || exit 1
    exec {MF_SILENCE}<&-
    unset MOSAIC_AGENT_NAME MOSAIC_AGENT_CLASS MOSAIC_AGENT_RUNTIME MOSAIC_AGENT_MODEL MOSAIC_AGENT_COMMAND
    exec setsid tmux -L "$socket" -f /dev/null -D </dev/null >>"$log" 2>&1 9>&-
  ) &
  end=$(($(mf_now_ms) + 15000))
  until mf_tmux "$socket" list-sessions >/dev/null 2>&1; do
    if (($(mf_now_ms) > end)); then
      printf 'ERROR: tmux did not come up on socket %s; see %s\n' "$socket" "$log" >&2
      exit 1
    fi
    mf_sleep 0.05
  done
fi
if ! mf_tmux "$socket" has-session -t "=$holder" 2>/dev/null; then
  mf_tmux "$socket" new-session -d -s "$holder" -c / -x 80 -y 24 sleep infinity 2>/dev/null ||
    mf_tmux "$socket" has-session -t "=$holder" 2>/dev/null || {
    printf 'ERROR: the session %s could not be made on socket %s\n' "$holder" "$socket" >&2
    exit 1
  }
fi
exit 0
