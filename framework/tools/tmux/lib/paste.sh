# shellcheck shell=bash disable=SC2034  # names in capitals are results for the caller
# Text into a pane: made harmless, pasted under guards that tmux itself judges, entered, looked after.

# Control characters, terminal sequences and direction tricks do not reach a pane (C0 except tab and line
# feed, DEL, C1). A leading character that the program takes as its own command gets a space before it.
mf_clean() { # TEXT → MF_CLEAN
  local s=$1 code char
  local csi=$'(\e\\[|\u009b)''[0-?]*[ -/]*[@-~]' esc=$'\e''[ -/]*[0-~]'
  local osc=$'(\e''[]PX^_]|'$'[\u0090\u0098\u009d\u009e\u009f]'')[^'$'\a\e\u009c'']*('$'\a|\e\\\\''|'$'\u009c'')'
  s=${s//$'\r\n'/$'\n'}
  s=${s//$'\r'/$'\n'}
  while [[ $s =~ $osc || $s =~ $csi || $s =~ $esc ]]; do s=${s//"${BASH_REMATCH[0]}"/}; done
  s=${s//[$'\x01'-$'\x08'$'\x0b'-$'\x1f'$'\x7f']/}
  s=${s//[$'\u0080'-$'\u009f']/}
  if [[ $s == *[$'\u061c\u200e\u200f'$'\u202a'-$'\u202e'$'\u2066'-$'\u2069']* ]]; then
    for code in 061c 200e 200f 202a 202b 202c 202d 202e 2066 2067 2068 2069; do
      printf -v char '%b' "\\u$code"
      s=${s//"$char"/"\\u$code"}
    done
  fi
  if [[ $s == *[$'\U000e0000'-$'\U000e007f']* ]]; then
    for ((code = 0xe0000; code <= 0xe007f; code++)); do
      printf -v char '%b' "$(printf '\\U%08x' "$code")"
      s=${s//"$char"/"$(printf '\\U%08x' "$code")"}
    done
  fi
  MF_CLEAN=$s
}

mf_find_pane() { # SOCKET TARGET → MF_PANE, MF_PID; status 1 when there is none. Never a prefix match.
  local socket=$1 target=$2 line
  case $target in
    %*)
      [[ $target =~ ^%[0-9]+$ ]] || return 1
      line=$(mf_tmux "$socket" display-message -p -t "$target" '#{pane_id} #{pane_pid}' 2>/dev/null) || return 1
      ;;
    *:?*)
      line=$(mf_tmux "$socket" display-message -p -t "=${target#=}" '#{pane_id} #{pane_pid}' 2>/dev/null) || return 1
      ;;
    *)
      target=${target#=}
      line=$(mf_tmux "$socket" list-panes -s -t "=${target%:}:" -F '#{pane_id} #{pane_pid}' 2>/dev/null) || return 1
      line=${line%%$'\n'*}
      ;;
  esac
  [[ $line =~ ^(%[0-9]+)\ ([0-9]+)$ ]] || return 1
  MF_PANE=${BASH_REMATCH[1]} MF_PID=${BASH_REMATCH[2]}
}

# Both below print SENT, or REFUSED <pid> <dead> <mode>. Copy mode is left first: in it a paste arrives
# without brackets and Enter is eaten. tmux 3.3a dies of a paste into a dead pane, so tmux must look and
# act in one invocation. The buffer's name is our own and it never outlives the call.
mf_guarded() { # SOCKET THEN ELSE [FIRST…]
  local socket=$1 then=$2 else=$3
  shift 3
  local same="#{==:#{pane_pid},$MF_PID}"
  mf_tmux "$socket" "$@" \
    if-shell -F -t "$MF_PANE" "#{&&:#{pane_in_mode},$same}" "send-keys -t $MF_PANE -X cancel" \; \
    if-shell -F -t "$MF_PANE" "#{&&:#{&&:#{?pane_dead,0,1},#{?pane_in_mode,0,1}},$same}" \
    "$then ; display-message -p SENT" \
    "$else display-message -p -t $MF_PANE 'REFUSED #{pane_pid} #{pane_dead} #{pane_in_mode}'"
}

mf_paste() { # SOCKET TEXT: status 0 when it was written to the pane
  local name said
  name=mf-$(mf_ulid)
  said=$(printf '%s' "$2" | mf_guarded "$1" "paste-buffer -dpr -b $name -t $MF_PANE" "delete-buffer -b $name ;" \
    load-buffer -b "$name" - \; 2>/dev/null)
  [ "$said" = SENT ] && return 0
  mf_tmux "$1" delete-buffer -b "$name" 2>/dev/null
  return 1
}

mf_enter() { # SOCKET
  [ "$(mf_guarded "$1" "send-keys -t $MF_PANE Enter" '' 2>/dev/null)" = SENT ]
}

# Words of a question or a start-up screen. An Enter there answers it, so none is pressed.
MF_DIALOGS='Do you want to |Would you like to |Permission required|Permission needed|Trust this folder|Esc to cancel'
MF_DIALOGS+='|Quick safety check|Detected a custom API key|Bypass Permissions mode|Hooks need review|Folder access'
MF_DIALOGS+='|Approaching rate limits|Enter to confirm|Press enter to |esc to cancel|Sign in with'

mf_prompt() { # SOCKET → MF_SCREEN (all), MF_DRAFT (what stands in the prompt, without blanks), MF_GLYPH
  # The prompt begins at the last line with a prompt sign, and where the program draws rules, between the
  # last two of them: what a person said is shown above with the same sign. Without a sign it is the
  # cursor's line. MF_DIALOG=1: a question stands there instead.
  local out cursor width line at=-1 index from=0
  local -a lines rules=()
  out=$(mf_tmux "$1" display-message -p -t "$MF_PANE" '#{cursor_y} #{pane_width}' \; \
    capture-pane -p -t "$MF_PANE" 2>/dev/null) || return 1
  mapfile -t lines <<<"$out"
  [[ ${lines[0]} =~ ^([0-9]+)\ ([0-9]+)$ ]] || return 1
  cursor=${BASH_REMATCH[1]} width=${BASH_REMATCH[2]}
  lines=("${lines[@]:1}")
  MF_SCREEN=${out#*$'\n'} MF_GLYPH=0 MF_DIALOG=0
  for index in "${!lines[@]}"; do
    case ${lines[index]} in ────*) rules+=("$index") ;; esac
  done
  if ((${#rules[@]} >= 2)); then from=${rules[-2]}; fi
  for ((index = from; index < ${#lines[@]}; index++)); do
    case ${lines[index]} in
      '❯'* | '›'* | '> '* | '>') at=$index MF_GLYPH=1 ;;
    esac
  done
  printf -v out '%s\n' "${lines[@]:from}"
  if [[ $out =~ $MF_DIALOGS ]]; then MF_DIALOG=1 MF_GLYPH=0; fi
  if [ "$MF_GLYPH" = 1 ]; then
    MF_DRAFT=${lines[at]#?}
    for ((index = at + 1; index < ${#lines[@]}; index++)); do
      case ${lines[index]} in ───*) break ;; esac
      MF_DRAFT+=${lines[index]}
    done
  else
    MF_DRAFT=''
    for ((index = cursor - 40 < 0 ? 0 : cursor - 40; index <= cursor; index++)); do
      line=${lines[index]:-}
      # a shorter line ends what went before: only a wrapped one goes on
      if ((index < cursor && ${#line} < width)); then MF_DRAFT=''; else MF_DRAFT+=$line; fi
    done
  fi
  MF_DRAFT=${MF_DRAFT//[[:space:]$'\u00a0'│┃]/}
}

mf_stands() { # PROBE: does our text stand in the prompt?
  [ "$MF_DIALOG" = 0 ] || return 1
  [[ -n $1 && $MF_DRAFT == *"$1"* ]] && return 0
  [[ $MF_GLYPH = 1 && $MF_DRAFT =~ \[(Pastedtext#|PastedContent|paste#|Pasted~) ]]
}

mf_type() { # SOCKET TEXT RETRIES → MF_VERDICT ("accepted screen", …); text is clean already
  local socket=$1 text=$2 retries=$3 probe seen=0 try left tries
  probe=$text
  ((${#probe} <= 2000)) || probe=${probe: -2000} # taking the blanks out of a long text takes bash minutes
  probe=${probe//[[:space:]$'\u00a0'│┃]/}
  ((${#probe} <= 24)) || probe=${probe: -24}
  if ! mf_paste "$socket" "$text"; then
    MF_VERDICT='unknown nopane'
    return
  fi
  for ((try = 0; try < 12; try++)); do
    mf_sleep 0.1
    if mf_prompt "$socket" && mf_stands "$probe"; then
      seen=1
      break
    fi
  done
  for ((try = 0; try <= retries; try++)); do
    if mf_prompt "$socket" && [ "$MF_DIALOG" = 1 ]; then # it came up just now; our text is lost or waits
      MF_VERDICT='unknown dialog'
      return
    fi
    if ! mf_enter "$socket"; then
      MF_VERDICT='unknown gone'
      return
    fi
    left=0 tries=12
    for (( ; tries > 0; tries--)); do
      mf_sleep 0.12
      mf_prompt "$socket" || break
      if ! mf_stands "$probe"; then
        left=1
        break
      fi
    done
    if [ "$left" = 1 ]; then
      if [ "$seen" = 1 ]; then MF_VERDICT='accepted screen'; else MF_VERDICT='unknown screen'; fi
      return
    fi
    [ "$tries" = 0 ] || break # the screen could not be read
  done
  if [ "$tries" = 0 ]; then MF_VERDICT='draft screen'; else MF_VERDICT='unknown screen'; fi
}

mf_tail() { # SOCKET PANE: the last lines of the pane, for -v
  local out
  out=$(mf_tmux "$1" capture-pane -p -t "$2" 2>/dev/null) || return 0
  printf '%s\n' "$out" | tail -n 15
}
