#!/usr/bin/env bash
# send-message.sh - raw text into one tmux pane, without a preamble.
#
#   send-message.sh [-L socket] -t target (-m text | -b base64) [-r N] [-v]
#
#   -L socket   tmux socket name (absent: the default tmux socket)
#   -t target   session name (exact), =session, session:window.pane, or a pane id like %3
#   -m text     what to send            -b base64   the same, base64 encoded
#   -r N        Enter again at most N times while the text still stands in the prompt (default 2)
#   -v          print the verdict and the pane's last lines
#   -h          this text
#
# Exit: 0 delivered · 1 target not found · 2 still a draft in the prompt · 3 usage
# A leading / ! # @ gets a space before it, because a program would take it as a command of its own.
set -u
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR source=lib/common.sh
. "$here/lib/common.sh"
# shellcheck source-path=SCRIPTDIR source=lib/paste.sh
. "$here/lib/paste.sh"

usage() {
  local line
  while IFS= read -r line; do
    case $line in '#!'*) continue ;; '#'*) ;; *) break ;; esac
    line=${line#'#'}
    printf '%s\n' "${line# }"
  done <"${BASH_SOURCE[0]}"
}
fail() { # CODE TEXT
  printf 'ERROR: %s\n' "$2" >&2
  [ "$1" != 3 ] || usage >&2
  exit "$1"
}

socket='' target='' text='' have_text=0 retries=2 verbose=0 value=''
while (($#)); do
  option=$1
  case $option in
    -h | --help) usage && exit 0 ;;
    -v) verbose=1 && shift && continue ;;
    -v?*) verbose=1 && set -- "-${option#-v}" "${@:2}" && continue ;;
    -[Ltmbr]) (($# > 1)) || fail 3 "$option requires a value" && value=$2 && shift 2 ;;
    -[Ltmbr]?*) value=${option#-?} option=${option:0:2} && shift ;;
    *) fail 3 "unknown option $option" ;;
  esac
  case $option in
    -L) socket=$value ;;
    -t) target=$value ;;
    -m) text=$value have_text=1 ;;
    -b)
      text=$(printf '%s' "$value" | base64 -d 2>/dev/null && printf x) || fail 3 '-b is not base64'
      text=${text%x} have_text=1
      ;;
    -r) retries=$value ;;
  esac
done
[ -n "$target" ] || fail 3 "-t target is required"
[ "$have_text" = 1 ] || fail 3 "-m text or -b base64 is required"
[[ $retries =~ ^[0-9]{1,2}$ ]] || fail 3 "-r takes a number from 0 to 99"
mf_clean "$text"
[ -n "$MF_CLEAN" ] || fail 3 "the message is empty"
case $MF_CLEAN in [/!#@]*) MF_CLEAN=" $MF_CLEAN" ;; esac
mf_find_pane "$socket" "$target" || fail 1 "no pane '$target' on tmux socket '${socket:-default}'"
mf_type "$socket" "$MF_CLEAN" "$retries"
if [ "$verbose" = 1 ]; then
  printf '%s\n' "$MF_VERDICT"
  mf_tail "$socket" "$MF_PANE"
fi
case $MF_VERDICT in
  draft*) fail 2 "the text still stands in the prompt of $target; nothing more was typed" ;;
  'unknown nopane' | 'unknown gone') fail 1 "the pane of $target is dead, gone, or could not be read" ;;
esac
exit 0
