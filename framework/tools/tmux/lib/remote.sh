# shellcheck shell=bash
# The same tool on another host, over the person's own ssh. Everything that varies travels as base64.

mf_ssh() { # DEST COMMAND…
  local -a config=()
  [ -z "${MOSAIC_SSH_CONFIG:-}" ] || config=(-F "$MOSAIC_SSH_CONFIG")
  # the outer limit is the only one that holds against a host that falls silent after its banner
  timeout -k 2 40 ssh "${config[@]}" -T -o BatchMode=yes -o ConnectTimeout=8 -o ServerAliveInterval=5 \
    -o ServerAliveCountMax=2 -- "$@"
}

mf_b64() { printf '%s' "$1" | base64 -w0; }

mf_remote() { # DEST BODY ARGS…: run agent-send.sh there, the body on its standard input
  local dest=$1 body=$2 arg line
  shift 2
  {
    # shellcheck disable=SC2016  # expanded over there
    printf 'home=$(printf %%s %s | base64 -d)\n' "$(mf_b64 "${MOSAIC_REMOTE_HOME:-$'~/.config/mosaic'}")"
    # shellcheck disable=SC2016,SC2088
    printf '%s\n' 'case $home in "~/"*) home=$HOME/${home#"~/"} ;; esac' 'args=()'
    for arg in "$@"; do
      # shellcheck disable=SC2016
      printf 'args+=("$(printf %%s %s | base64 -d)")\n' "$(mf_b64 "$arg")"
    done
    # shellcheck disable=SC2016
    line='[ -x "$tool" ] || { echo "ERROR: no $tool on $(uname -n); install Mosaic Fleet there" >&2; exit 3; }'
    # shellcheck disable=SC2016
    printf '%s\n' 'tool=$home/tools/tmux/agent-send.sh' "$line" 'export MOSAIC_HOME="$home"'
    # shellcheck disable=SC2016
    printf 'base64 -d <<"MF_END" | "$tool" "${args[@]}"\n'
    printf '%s' "$body" | base64
    printf 'MF_END\nexit $?\n'
  } | mf_ssh "$dest" bash -s
}
