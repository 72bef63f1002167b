# Sourced: `may_use_apt` and `apt_install PACKAGE...`, for root or whoever has sudo without a password.

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

may_use_apt() {
  command -v apt-get >/dev/null 2>&1 || return 1
  [ "$(id -u)" = 0 ] || { command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; }
}

# The tests start their own servers: the packages must not start theirs. Debian asks
# /usr/sbin/policy-rc.d before it does.
apt_install() {
  policy=/usr/sbin/policy-rc.d
  ours=
  if [ ! -e "$policy" ]; then
    ours=yes
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
    trap 'as_root rm -f "$policy"' EXIT
    trap 'exit 130' INT TERM
  fi
  status=0
  { as_root apt-get update -q &&
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
  } >&2 || status=$?
  if [ -n "$ours" ]; then
    as_root rm -f "$policy"
    trap - EXIT INT TERM
  fi
  return "$status"
}
