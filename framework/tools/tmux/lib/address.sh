# shellcheck shell=bash
# Addresses of people and rooms: `chat`, `chat:…` (what resolves, in this order, is decided here once).

mf_rooms() { # room names of the config, one a line; status 1 when they cannot be told from here
  local line inside=0 indent='' found=1
  [ -r "$MOSAIC_HOME/bot/config.yaml" ] || return 1
  while IFS= read -r line || [ -n "$line" ]; do
    if [[ $line =~ ^rooms:[[:space:]]*(#.*)?$ ]]; then
      inside=1 found=0
    elif [ "$inside" = 1 ] && [[ $line =~ ^[^[:space:]#] ]]; then
      inside=0
    elif [ "$inside" = 1 ] && [[ $line =~ ^([[:space:]]+)[\"\']?([A-Za-z_-]+)[\"\']?: ]]; then
      [ -n "$indent" ] || indent=${BASH_REMATCH[1]}
      [ "$indent" != "${BASH_REMATCH[1]}" ] || printf '%s\n' "${BASH_REMATCH[2]}"
    fi
  done <"$MOSAIC_HOME/bot/config.yaml"
  return "$found"
}

mf_address_ok() { # what follows "chat:"; a room's name may carry /thread
  local address=$1 room=${1%%/*} rooms line
  [[ $address =~ ^task/[A-Za-z0-9._-]{1,128}$ ]] && return 0
  [[ $address =~ ^E-[0-9]{1,12}$ ]] && return 0
  if rooms=$(mf_rooms); then
    while IFS= read -r line; do
      [ -n "$line" ] && [ "$line" = "$room" ] && return 0
    done <<<"$rooms"
  elif [[ $room =~ ^[A-Za-z_-]{1,64}$ && $room != task ]]; then
    return 0 # no readable config here: the bot decides
  fi
  [[ $address =~ ^[a-z2-7]{12}(\.[0-9]{1,12})?$ ]]
}
