#!/usr/bin/env bash
# Makes what the project runs on, inside the project folder and nowhere else:
#   .venv     its own Python environment      .synapse  the homeserver's (many pins, licence of its own)
# Usage: scripts/bootstrap.sh run|dev      (dev adds what `make test` needs)
# Later runs compare a stamp and end at once. Exit 1: something is missing; the text says the mend.
set -euo pipefail

profile=${1:-run}
case $profile in
run | dev) ;;
*)
  echo "usage: scripts/bootstrap.sh run|dev" >&2
  exit 3
  ;;
esac

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "$root"
python=${PYTHON:-python3}

say() { printf '%s %s\n' "setup:" "$*"; }
fail() {
  printf '\n%s\n' "$*" >&2
  exit 1
}

stamp_of() { # environment, requirement files… → what that environment must have been made from
  {
    printf '%s\n' "$root" "$1" "$version"
    shift
    cat "$@"
  } | sha256sum | cut -d' ' -f1
}

is_made() { # folder, stamp
  [[ -x $1/bin/python && -f $1/.made-from && $(<"$1/.made-from") == "$2" ]]
}

version=""
check_machine() {
  local candidate
  # A machine's python3 may be old while a newer one stands beside it.
  for candidate in "$python" python3.14 python3.13 python3.12 python3.11; do
    version=$("$candidate" -c 'import sys
if sys.version_info >= (3, 11): print(sys.version, sys.base_prefix)' 2>/dev/null) || version=""
    if [[ -n $version ]]; then
      python=$candidate
      break
    fi
  done
  [[ -n $version ]] ||
    fail "Python 3.11 or newer is needed, and \"$python\" is $("$python" -V 2>&1 || echo "not usable"). Install one with its venv module (Debian: apt-get install python3 python3-venv), or name it with PYTHON=/path/to/python3.11, and run this again."
  local missing=()
  command -v tmux >/dev/null || missing+=(tmux)
  command -v git >/dev/null || missing+=(git)
  command -v flock >/dev/null || missing+=(util-linux)
  [[ ${#missing[@]} -eq 0 ]] ||
    fail "Missing on this machine: ${missing[*]}. The agents live in tmux panes and the tools need the rest. Install it (Debian: apt-get install ${missing[*]}) and run this again."
}

# --- which installer: uv from PyPI (in an environment of its own), else the environment's pip ---------

export UV_CACHE_DIR="$root/.cache/uv" PIP_CACHE_DIR="$root/.cache/pip"
export UV_PYTHON_DOWNLOADS=never UV_NO_PROGRESS=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
export UV_LINK_MODE=${UV_LINK_MODE:-hardlink}
uv="$root/.cache/tool/bin/uv"

get_uv() {
  [[ -x $uv ]] && "$uv" --version >/dev/null 2>&1 && return 0
  say "fetching the installer (uv)"
  if ! "$python" -m venv --clear .cache/tool >.cache/tool.log 2>&1; then
    cat .cache/tool.log >&2
    fail "\"$python -m venv\" does not work here. On Debian and Ubuntu the module is a package of its own: apt-get install python3-venv. Then run this again."
  fi
  .cache/tool/bin/python -m pip install --quiet uv >.cache/tool.log 2>&1 && "$uv" --version >/dev/null 2>&1 && return 0
  say "uv could not be had (see .cache/tool.log); going on with pip, which is slower"
  return 1
}

use_pip_settings() { # uv does not read pip's files: hand over the index a site may have set there
  local key value env_name pip=(.cache/tool/bin/python -m pip config get)
  for key in index-url extra-index-url find-links cert; do
    env_name=PIP_${key^^}
    env_name=${env_name//-/_}
    value=${!env_name:-$("${pip[@]}" "global.$key" 2>/dev/null || true)}
    [[ -n $value ]] || continue
    value=$(printf '%s' "$value" | tr -s '\n' ' ')
    case $key in
    index-url) export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$value}" ;;
    extra-index-url) export UV_INDEX="${UV_INDEX:-$value}" UV_INDEX_STRATEGY="${UV_INDEX_STRATEGY:-unsafe-best-match}" ;;
    find-links) [[ $value == *" "* ]] || export UV_FIND_LINKS="${UV_FIND_LINKS:-$value}" ;;
    cert) export SSL_CERT_FILE="${SSL_CERT_FILE:-$value}" ;;
    esac
  done
}

make_environment() { # folder, stamp, requirement file, own, words for people
  local folder=$1 stamp=$2 began=$SECONDS log=.cache/${1#.}.log
  say "installing $5"
  local way ways=(pip) made=no
  [[ $installer == pip ]] || ways=(uv uv-system pip)
  : >"$log"
  for way in "${ways[@]}"; do
    if UV=$uv PYTHON=$python scripts/install-packages.sh "$way" "$folder" "$3" "$4" >>"$log" 2>&1; then
      made=yes
      break
    fi
    say "  $way could not install $5; see $log"
  done
  if [[ $made == no ]]; then
    sed 's/^/  | /' "$log" | tail -n 15 >&2
    printf '\n%s\n' "Installing $5 failed; the last lines are above, all of them in $log. If the package index cannot be reached, check the network or proxy and run this again: what was fetched is kept." >&2
    return 1
  fi
  printf '%s\n' "$stamp" >"$folder/.made-from"
  say "installed $5 ($((SECONDS - began)) s)"
}

check_machine
mkdir -p .cache/tmp
export TMPDIR="$root/.cache/tmp"
# Two setups at once would install over each other.
exec 9>.cache/setup.lock
flock -n 9 || {
  say "waiting for another setup in this folder"
  flock -w 600 9 || fail "Another setup of $root has held .cache/setup.lock for 10 minutes. End it and run this again."
}

# An environment made for tests serves running too.
dev=$(stamp_of dev pyproject.toml requirements/dev.txt)
run=$(stamp_of run pyproject.toml requirements/run.txt)
server=$(stamp_of synapse requirements/synapse.txt)
own_ok=no server_ok=no
is_made .venv "$dev" && own_ok=yes
[[ $profile == run ]] && is_made .venv "$run" && own_ok=yes
is_made .synapse "$server" && server_ok=yes
[[ $own_ok$server_ok == yesyes && -d .cache/matplotlib ]] && exit 0

[[ $own_ok$server_ok == yesyes ]] || say "making the environment in $root (first run; a few minutes at most)"
installer=pip
if [[ $own_ok$server_ok != yesyes ]] && get_uv; then
  installer=uv
  use_pip_settings
fi

jobs=()
if [[ $own_ok == no ]]; then
  wanted=$run words="the project's packages"
  [[ $profile == dev ]] && wanted=$dev words="the project's packages and its development tools"
  make_environment .venv "$wanted" "requirements/$profile.txt" yes "$words" 9>&- &
  jobs+=($!)
fi
if [[ $server_ok == no ]]; then
  make_environment .synapse "$server" requirements/synapse.txt no "the homeserver (Synapse)" 9>&- &
  jobs+=($!)
fi
status=0
for job in ${jobs[@]+"${jobs[@]}"}; do
  wait "$job" || status=1
done
# The drawing library lists the machine's fonts when first used: once here, not in the first report.
if [[ $status -eq 0 && ! -d .cache/matplotlib ]]; then
  if MPLCONFIGDIR=$root/.cache/matplotlib.new .venv/bin/python -c 'import matplotlib.font_manager' 2>.cache/fonts.log; then
    mv .cache/matplotlib.new .cache/matplotlib
  else
    say "the list of fonts could not be made (.cache/fonts.log); the first picture takes longer"
  fi
fi
exit $status
