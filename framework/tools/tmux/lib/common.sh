# shellcheck shell=bash disable=SC2034  # names in capitals are results for the caller
# Shared by the send tools and the launcher: where things lie, tmux, ids, JSON, atomic files.
# Needs bash, coreutils, util-linux flock and tmux, nothing else.

export LC_ALL=C.UTF-8
shopt -u patsub_replacement 2>/dev/null || true # else "&" in a message would mean the matched text
umask 077

# The pane that we were called from. tmux must not follow it: an empty socket means the default server.
MF_CALLER_TMUX=${TMUX:-}
MF_CALLER_PANE=${TMUX_PANE:-}
unset TMUX TMUX_PANE

MF_LIB=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
MF_LIMIT=1048576 # bytes of one message

if [ -z "${MOSAIC_HOME:-}" ]; then
  MOSAIC_HOME=$(cd -- "$MF_LIB/../../.." && pwd -P)
  [ -d "$MOSAIC_HOME/fleet/agents" ] || [ -d "$MOSAIC_HOME/fleet/run" ] || MOSAIC_HOME=${HOME:-/root}/.config/mosaic
fi
MF_RUN=$MOSAIC_HOME/fleet/run

read -r MF_HOST 2>/dev/null </proc/sys/kernel/hostname || MF_HOST=$(uname -n)
MF_HOST=${MF_HOST%%.*} # the short name, as everywhere in labels

# A pipe that nobody writes to: reading from it with a limit is a sleep without a process.
exec {MF_SILENCE}<> <(:)
mf_sleep() { # SECONDS
  local none
  read -r -t "$1" -u "$MF_SILENCE" none || true
}

mf_now_ms() {
  local now=${EPOCHREALTIME//[!0-9]/}
  printf '%s' "${now%???}"
}

mf_timestamp() { # RFC 3339, UTC, milliseconds
  local ms stamp
  ms=$(mf_now_ms)
  TZ=UTC0 printf -v stamp '%(%Y-%m-%dT%H:%M:%S)T' "$((ms / 1000))"
  printf '%s.%03dZ' "$stamp" "$((ms % 1000))"
}

mf_ulid() {
  local alphabet=0123456789ABCDEFGHJKMNPQRSTVWXYZ ms id='' byte
  ms=$(mf_now_ms)
  for ((shift = 45; shift >= 0; shift -= 5)); do id+=${alphabet:$((ms >> shift & 31)):1}; done
  for byte in $(od -An -N16 -tu1 /dev/urandom); do id+=${alphabet:$((byte & 31)):1}; done
  printf '%s' "$id"
}

# Fd 9 holds a lock in some callers; a program that outlives us must not keep it.
mf_tmux() { # SOCKET ARGS…: never starts a server, never waits longer than 5 s
  local socket=$1
  shift
  if [ -n "$socket" ]; then
    timeout -k 1 5 tmux -N -L "$socket" "$@" 9>&-
  else
    timeout -k 1 5 tmux -N "$@" 9>&-
  fi
}

mf_is_agent() { # NAME: a roster agent has an env file, or stands in the roster (it was not started by us yet)
  [[ $1 =~ ^[a-z0-9][a-z0-9_-]{0,63}$ ]] || return 1
  [ -e "$MOSAIC_HOME/fleet/agents/$1.env" ] || mf_in_roster "$1"
}

mf_in_roster() { # NAME: below `agents:`, in block or flow style, up to the next top-level key
  local line inside=0
  local entry="(^|[-{,[:space:]])[\"']?name[\"']?:[[:space:]]*[\"']?$1[\"']?[[:space:]]*(\$|[,}#])"
  while IFS= read -r line || [ -n "$line" ]; do
    line=${line%$'\r'}
    if [[ $line =~ (^|[{,])[[:space:]]*[\"\']?agents[\"\']?: ]]; then
      inside=1
    elif [[ $line =~ ^[A-Za-z_\"\'] ]]; then
      inside=0
    fi
    if [ "$inside" = 1 ] && [[ $line =~ $entry ]]; then return 0; fi
  done 2>/dev/null <"$MOSAIC_HOME/fleet/roster.yaml"
  return 1
}

mf_agent_socket() { # NAME: the tmux socket of a roster agent; empty is the default one
  local line
  mf_env_value "$MOSAIC_HOME/fleet/agents/$1.env" MOSAIC_TMUX_SOCKET && return 0
  while IFS= read -r line || [ -n "$line" ]; do # no env file yet: the roster's own word
    if [[ $line =~ [\"\']?(socket_name|socketName)[\"\']?:[[:space:]]*[\"\']?([A-Za-z0-9._-]+) ]]; then
      printf '%s' "${BASH_REMATCH[2]}"
      return
    fi
  done 2>/dev/null <"$MOSAIC_HOME/fleet/roster.yaml"
}

mf_env_value() { # FILE KEY: the last such line, read as data and never evaluated; status 1 when absent
  local line value found=1
  while IFS= read -r line || [ -n "$line" ]; do
    case $line in
      "$2="*) value=${line#*=} found=0 ;;
    esac
  done 2>/dev/null <"$1"
  [ "$found" = 0 ] || return 1
  value=${value%$'\r'}
  case $value in
    \'*\' | \"*\")
      value=${value#?}
      value=${value%?}
      ;;
  esac
  printf '%s' "$value"
}

mf_json() { # TEXT as the inside of a JSON string
  local s=$1
  s=${s//\\/\\\\}
  s=${s//\"/\\\"}
  s=${s//$'\n'/\\n}
  s=${s//$'\t'/\\t}
  s=${s//[$'\x01'-$'\x1f'$'\x7f']/}
  printf '%s' "$s"
}

mf_tenant() { # tenant_id of the roster, else the Unix user
  local line
  while IFS= read -r line || [ -n "$line" ]; do
    if [[ $line =~ ^(tenant_id|tenantId):[[:space:]]*[\"\']?([A-Za-z0-9._-]+) ]]; then
      printf '%s' "${BASH_REMATCH[2]}"
      return
    fi
  done 2>/dev/null <"$MOSAIC_HOME/fleet/roster.yaml"
  id -un
}

mf_envelope() { # ID SRC DST CLASS MIRROR BODY_B64
  local class=null
  [ -z "$4" ] || class="\"$4\""
  printf '{"v":1,"id":"%s","ts":"%s","tenant_id":"%s","host":"%s","src":"%s","dst":"%s","class":%s,' \
    "$1" "$(mf_timestamp)" "$(mf_json "$(mf_tenant)")" "$(mf_json "$MF_HOST")" "$(mf_json "$2")" \
    "$(mf_json "$3")" "$class"
  printf '"thread":null,"reply_to":null,"mirror":%s,"body_b64":"%s","attachments":[]}\n' "$5" "$6"
}

mf_put() { # FOLDER ID PLACE, content on stdin: whole and safe on the disk, or not there at all
  local folder=$1 name
  for name in tmp new cur dead; do
    [ -d "$folder/$name" ] || mkdir -p -- "$folder/$name" || return 1
  done
  if cat >"$folder/tmp/$2.json" && sync -- "$folder/tmp/$2.json" &&
    mv -- "$folder/tmp/$2.json" "$folder/$3/$2.json"; then
    return 0
  fi
  rm -f -- "$folder/tmp/$2.json"
  return 1
}

mf_node_lives() { # the node holds this lock as long as it runs
  local state=1
  [ -e "$MF_RUN/node.lock" ] || return 1
  exec {MF_PROBE}<"$MF_RUN/node.lock" || return 1
  flock -n -s "$MF_PROBE" || state=0
  exec {MF_PROBE}<&-
  return "$state"
}

mf_own_session() { # the tmux session that we were called from, else the launcher's word, else nothing
  local name=''
  if [ -n "$MF_CALLER_TMUX" ] && [ -n "$MF_CALLER_PANE" ]; then
    name=$(timeout -k 1 5 tmux -N -S "${MF_CALLER_TMUX%%,*}" display-message -p -t "$MF_CALLER_PANE" \
      '#{session_name}' 2>/dev/null) || name=''
  fi
  printf '%s' "${name:-${MOSAIC_AGENT_NAME:-}}"
}

mf_on_socket() { # NAME: were we called from a pane of that tmux server? Without a pane nothing speaks against it
  local path=${MF_CALLER_TMUX%%,*}
  [ -z "$path" ] || [ "${path##*/}" = "${1:-default}" ]
}
