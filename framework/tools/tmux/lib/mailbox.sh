# shellcheck shell=bash disable=SC2034  # names in capitals are results for the caller
# The mailbox of a roster agent: put a message, wait for its verdict, and, where no node lives, deliver.

mf_field() { # JSON KEY: a plain string or word; status 1 when absent or not plain (then it is the node's)
  local pattern="\"$2\"[[:space:]]*:[[:space:]]*(\"([^\"\\\\]*)\"|true|false|null)"
  [[ $1 =~ $pattern ]] || return 1
  case ${BASH_REMATCH[1]} in
    null) ;;
    \"*) printf '%s' "${BASH_REMATCH[2]}" ;;
    *) printf '%s' "${BASH_REMATCH[1]}" ;;
  esac
}

# Cutting a long text at a pattern (`%%`, `##`) takes bash minutes, so the body's value is read up to its
# quote and taken out by its length.
mf_body() { # JSON → MF_BODY, MF_HEAD (the JSON without the body's text)
  local rest coded
  [[ $1 == *\"body_b64\"* ]] || return 1
  MF_HEAD=${1%%\"body_b64\"*}
  rest=${1:${#MF_HEAD}+10}
  [[ ${rest:0:16} =~ ^[[:space:]]*:[[:space:]]*\" ]] || return 1
  rest=${rest:${#BASH_REMATCH[0]}}
  IFS= read -r -d '"' coded <<<"$rest" || return 1
  MF_HEAD+=${rest:${#coded}+1}
  MF_BODY=$(printf '%s' "$coded" | base64 -d 2>/dev/null && printf x) || return 1
  MF_BODY=${MF_BODY%x}
}

mf_result() { # BOX ID LINE: replace the result in one step
  printf '%s\n' "$3" >"$1/tmp/$2.result" && mv -- "$1/tmp/$2.result" "$1/cur/$2.result"
}

# What we can tell without the program's own events: its last state, and words that stand on the screen.
mf_obstacle() { # AGENT SOCKET → MF_OBSTACLE (dialog, busy, draft) or empty
  local state status
  MF_OBSTACLE=''
  mf_prompt "$2" || {
    MF_OBSTACLE=nopane
    return
  }
  if [ "$MF_DIALOG" = 1 ]; then
    MF_OBSTACLE=dialog
  elif [[ $MF_SCREEN =~ esc\ to\ interrupt|esc\ interrupt|Working\.\.\. ]]; then
    MF_OBSTACLE=busy
  elif [ "$MF_GLYPH" = 1 ] && [ -n "$MF_DRAFT" ] &&
    [[ ! $MF_DRAFT =~ ^(Ask|Try\"|Pressuptoedit) ]]; then
    MF_OBSTACLE=draft
  elif [ -r "$MF_RUN/$1.state" ] && state=$(<"$MF_RUN/$1.state") && status=$(mf_field "$state" status); then
    [ "$status" != blocked ] || MF_OBSTACLE=dialog
  fi
}

# Oldest first, under the agent's lock. Stops at the first that must wait, so that order is kept.
mf_deliver() { # AGENT SOCKET RETRIES
  local agent=$1 socket=$2 box=$MF_RUN/mail/$1 file id json head wire class src dst kind began
  for file in "$box"/new/*.json; do
    [ -e "$file" ] || return 0
    id=${file##*/}
    id=${id%.json}
    began=$(mf_now_ms)
    # a mark without a verdict: another deliverer died in between; only the node can settle that
    [ ! -e "$box/cur/$id.typing" ] || return 0
    json=$(<"$file") || return 0
    mf_body "$json" || return 0
    head=$MF_HEAD
    src=$(mf_field "$head" src) && dst=$(mf_field "$head" dst) && [ -n "$src" ] && [ -n "$dst" ] || return 0
    class=$(mf_field "$head" class) || class=''
    kind=$(mf_field "$head" kind) || kind=message
    [ "$kind" = message ] || return 0
    # files that go with it are named in the text: only the node writes these lines
    [[ ! $head =~ \"attachments\":[[:space:]]*\[[[:space:]]*[^][:space:]] ]] || return 0
    if [ "$class" = terminal-log ]; then # never typed: a log line is not worth an agent's attention
      mf_result "$box" "$id" "accepted log 0" && mv -- "$file" "$box/cur/$id.json"
      continue
    fi
    if ! mf_find_pane "$socket" "$agent"; then
      mf_result "$box" "$id" "held nopane $(($(mf_now_ms) - began))"
      return 0
    fi
    mf_obstacle "$agent" "$socket"
    if [ -n "$MF_OBSTACLE" ]; then
      mf_result "$box" "$id" "held $MF_OBSTACLE $(($(mf_now_ms) - began))"
      return 0
    fi
    mf_clean "$MF_BODY"
    [ "$class" != reaction ] || read -r -d '' MF_CLEAN < <(tr -s '[:space:]' ' ' <<<"$MF_CLEAN") || true
    wire=$(mf_preamble "$src" "$dst" "$class"; printf '%sx' "$MF_CLEAN")
    wire=${wire%x}
    printf '{"v":1,"pane":"%s","pid":%s,"ts":"%s","offset":null}\n' "$MF_PANE" "$MF_PID" "$(mf_timestamp)" \
      >"$box/tmp/$id.typing" && sync -- "$box/tmp/$id.typing" &&
      mv -- "$box/tmp/$id.typing" "$box/cur/$id.typing" || return 0
    mf_type "$socket" "$wire" "$3"
    mf_result "$box" "$id" "$MF_VERDICT $(($(mf_now_ms) - began))" || return 0
    mv -- "$file" "$box/cur/$id.json"
    rm -f -- "$box/cur/$id.typing"
  done
}

mf_preamble() { # SRC DST CLASS, with the blank that ends it
  printf '[%s -> %s%s] ' "$1" "$2" "${3:+ class=$3}"
}

# Waits up to 10 s. Where no node lives and nobody else delivers, we do.
mf_await() { # AGENT ID SOCKET RETRIES → MF_RECEIPT: the result line, "dead REASON", or empty
  local box=$MF_RUN/mail/$1 id=$2 end
  end=$(($(mf_now_ms) + 10000))
  mkdir -p -- "$MF_RUN/lock"
  MF_RECEIPT='' MF_ALONE=0
  while :; do
    if [ -e "$box/cur/$id.result" ]; then
      MF_RECEIPT=$(<"$box/cur/$id.result")
      return
    fi
    if [ -e "$box/dead/$id.json" ]; then
      MF_RECEIPT="dead $(cat -- "$box/dead/$id.reason" "$box/dead/$id.json.reason" 2>/dev/null)"
      return
    fi
    if ! mf_node_lives; then
      MF_ALONE=1
      exec 9>>"$MF_RUN/lock/$1"
      if flock -n 9; then
        mf_deliver "$1" "$3" "$4"
        exec 9>&-
        [ ! -e "$box/cur/$id.result" ] || continue
        return # something before it waits
      fi
      exec 9>&-
    else
      MF_ALONE=0
    fi
    (($(mf_now_ms) < end)) || return 0
    mf_sleep 0.1
  done
}
