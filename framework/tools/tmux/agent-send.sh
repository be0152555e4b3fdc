#!/usr/bin/env bash
# agent-send.sh - a message to an agent of the fleet, or to the people in chat.
#
#   agent-send.sh [-L socket] [-H user@host] [-n dst_hostname] -s session
#                 (-m msg | -f file | stdin) [-C c | --class c | --class=c] [-S src] [-r N] [-v] [-h]
#
#   -s session  an agent's session name, or for people: chat · chat:<handle>[.<n>] · chat:<room>
#               · chat:E-<n> · chat:task/<id>
#   -L socket   tmux socket of the target (absent: the agent's own, else the default tmux socket)
#   -H dest     send on another host, by ssh          -n name   host name in the destination label
#   -m, -f      the message, or a file with it; without both it is read from standard input
#   -C, --class terminal-log | actionable | human | reaction (absent: actionable, no class in the header)
#   -S src      source label instead of the detected <host>:<session>
#   -r N        Enter again at most N times while the text still stands in the prompt (default 2)
#   -v          print the result line and the pane's last lines
#   -h          this text
#
# What is delivered: [<host>:<src> -> <host>:<dst> class=<c>] message. To answer, swap the two labels.
# Exit: 0 delivered or queued · 1 target not found · 2 still a draft in the prompt · 3 usage
set -u
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
for part in common paste mailbox address remote; do
  # shellcheck disable=SC1090  # each part is checked by itself
  . "$here/lib/$part.sh" || exit 3
done

usage() {
  local line
  while IFS= read -r line; do
    case $line in '#!'*) continue ;; '#'*) ;; *) break ;; esac
    line=${line#'#'}
    printf '%s\n' "${line# }"
  done <"$here/agent-send.sh"
}
fail() { # CODE TEXT [usage]
  printf 'ERROR: %s\n' "$2" >&2
  [ $# -lt 3 ] || usage >&2
  exit "$1"
}

socket='' have_socket=0 remote='' dst_host='' session='' body='' file='' have_body=0 class='' source=''
retries=2 verbose=0
while (($#)); do
  option=$1 value=''
  case $option in
    -h | --help) usage && exit 0 ;;
    -v) verbose=1 && shift && continue ;;
    -v?*) verbose=1 && set -- "-${option#-v}" "${@:2}" && continue ;;
    --class=*) value=${option#--class=} option=-C && shift ;;
    --class | -[LHnsmfCSr])
      case $option in
        --class | -C)
          option=-C # a class never begins with a dash: what stands there is the next option
          if (($# < 2)) || [[ $2 == -* ]]; then fail 3 '--class requires a value'; fi
          ;;
      esac
      (($# > 1)) || fail 3 "$option requires a value" usage
      value=$2 && shift 2
      ;;
    -[LHnsmfCSr]?*) value=${option#-?} option=${option:0:2} && shift ;;
    *) fail 3 "unknown option $option" usage ;;
  esac
  case $option in
    -L) socket=$value have_socket=1 ;;
    -H) remote=$value ;;
    -n) dst_host=$value ;;
    -s) session=$value ;;
    -m) body=$value have_body=1 ;;
    -f) file=$value ;;
    -S) source=$value ;;
    -r) retries=$value ;;
    -C)
      class=$value
      [ -n "$class" ] || fail 3 '--class requires a value'
      ;;
  esac
done

[ -n "$session" ] || fail 3 '-s DST_SESSION is required' usage
case $class in
  '' | terminal-log | actionable | human | reaction) ;;
  *) fail 3 "invalid --class '$class' (allowed: terminal-log, actionable, human, reaction)" ;;
esac
[[ $retries =~ ^[0-9]{1,2}$ ]] || fail 3 '-r takes a number from 0 to 99' usage
if [ -n "$file" ]; then
  [ -r "$file" ] && [ ! -d "$file" ] || fail 3 "cannot read $file"
  body=$(cat -- "$file" 2>/dev/null) || fail 3 "cannot read $file"
elif [ "$have_body" = 0 ]; then
  [ ! -t 0 ] || fail 3 'no message: give -m, -f or standard input' usage
  body=$(cat)
fi
[ -n "$body" ] || fail 3 'the message is empty'
size=$(printf '%s' "$body" | wc -c)
((size <= MF_LIMIT)) || fail 3 "the message has $size bytes, the limit is $MF_LIMIT; send a file's path instead"
session=${session#=}
for label in "$session" "$source" "$dst_host"; do
  [[ $label != *[[:space:][:cntrl:]]* ]] || fail 3 'a label holds a blank or a control character'
done
case $remote in -*) fail 3 '-H is not an ssh destination' ;; esac

own=$(mf_own_session)
inside=''
if [ -n "$own" ] && mf_is_agent "$own" && mf_on_socket "$(mf_agent_socket "$own")"; then inside=$own; fi
own_label=operator:mosaic-cli
[ -z "$own" ] || own_label=$MF_HOST:$own
if [ -n "$inside" ] && [ -n "$source" ] && [ "$source" != "$own_label" ]; then
  case $source in operator:* | matrix:* | discord:* | local:*)
    fail 3 "-S $source: an agent cannot speak as a person; leave -S away (you are $own_label)" ;;
  esac
  ! mf_is_agent "${source##*:}" || fail 3 "-S $source names another agent; leave -S away (you are $own_label)"
fi
source=${source:-$own_label}

if [ -n "$remote" ] && [[ $session != chat && $session != chat:* ]]; then
  args=(-s "$session" -S "$source" -r "$retries")
  [ "$have_socket" = 0 ] || args+=(-L "$socket")
  [ -z "$dst_host" ] || args+=(-n "$dst_host")
  [ -z "$class" ] || args+=(-C "$class")
  [ "$verbose" = 0 ] || args+=(-v)
  mf_remote "$remote" "$body" "${args[@]}"
  code=$?
  case $code in
    0 | 1 | 2 | 3) exit "$code" ;;
    *) fail 1 "$remote could not be reached by ssh (exit $code); nothing is known to have been sent" ;;
  esac
fi

store() { # FOLDER ID DST MIRROR [PLACE]: status 1 with a message where it cannot be written
  mf_envelope "$2" "$source" "$3" "$class" "$4" "$(printf '%s' "$body" | base64 -w0)" |
    mf_put "$1" "$2" "${5:-new}" && return 0
  printf 'ERROR: cannot write to %s (disk full, or not ours); the message is not stored\n' "$1" >&2
  return 1
}

case $session in
  chat | chat:*)
    id=$(mf_ulid)
    if [ "$session" != chat ] && ! mf_address_ok "${session#chat:}"; then
      # kept where an operator finds it, as what the bot cannot place
      store "$MF_RUN/spool" "$id" "$session" false dead &&
        printf 'no such address: %s\n' "$session" >"$MF_RUN/spool/dead/$id.json.reason"
      fail 1 "no such address: $session (a room of the config, a handle, E-<n> or task/<id>)"
    fi
    store "$MF_RUN/spool" "$id" "$session" false || exit 1
    [ "$verbose" = 0 ] || printf 'queued spool %s\n' "$id"
    exit 0
    ;;
  operator | _holder | task) fail 1 "no agent is called $session" ;;
esac

dst=${dst_host:-$MF_HOST}:$session
agent_socket=''
if mf_is_agent "$session"; then
  agent_socket=$(mf_agent_socket "$session")
  [ "$have_socket" = 1 ] || socket=$agent_socket
fi

sender=${AGENT_SEND_SENDER:-$here/send-message.sh}
[ -x "$sender" ] || fail 3 "the sender $sender is missing or not executable"
if [ -n "${AGENT_SEND_SENDER:-}" ]; then
  args=(-t "=$session" -b "$({ mf_preamble "$source" "$dst" "$class" && printf '%s' "$body"; } | base64 -w0)")
  [ -z "$socket" ] || args=(-L "$socket" "${args[@]}")
  args+=(-r "$retries")
  [ "$verbose" = 0 ] || args+=(-v)
  exec "$sender" "${args[@]}"
fi

command -v tmux >/dev/null ||
  fail 1 "tmux is not installed, so nothing can be typed into a pane. Install the package tmux, 3.3 or later"
mf_find_pane "$socket" "$session" ||
  fail 1 "no session '$session' on tmux socket '${socket:-default}'; nothing was queued"
pane=$MF_PANE

if mf_is_agent "$session" && [ "$socket" = "$agent_socket" ]; then
  id=$(mf_ulid)
  store "$MF_RUN/mail/$session" "$id" "$dst" false || exit 1
  # people may read along: a mirror is shown, never delivered again
  [ -z "$inside" ] || store "$MF_RUN/spool" "$(mf_ulid)" "$dst" true || true
  mf_await "$session" "$id" "$socket" "$retries"
  [ "$verbose" = 0 ] || printf '%s\n' "${MF_RECEIPT:-queued}"
  note='queued: no verdict within 10 s'
  [ "$MF_ALONE" = 0 ] || note='queued: no node'
else
  mf_clean "$body"
  wire=$(mf_preamble "$source" "$dst" "$class" && printf '%sx' "$MF_CLEAN")
  mf_type "$socket" "${wire%x}" "$retries"
  MF_RECEIPT=$MF_VERDICT
  [ "$verbose" = 0 ] || printf '%s\n' "$MF_RECEIPT"
  note=''
  case $MF_RECEIPT in 'unknown nopane' | 'unknown gone') fail 1 "the pane of $session is dead or gone" ;; esac
fi
[ "$verbose" = 0 ] || mf_tail "$socket" "$pane"
case $MF_RECEIPT in
  draft*) fail 2 "the message still stands as a draft in the prompt of $session" ;;
  dead*) fail 1 "the message was refused: ${MF_RECEIPT#dead }" ;;
  held*)
    [ "$MF_ALONE" = 1 ] || note="queued: held ($(cut -d' ' -f2 <<<"$MF_RECEIPT"))"
    printf '%s\n' "$note"
    ;;
  '') printf '%s\n' "$note" ;;
esac
exit 0
