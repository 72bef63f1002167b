#!/bin/sh
# Gives the tests their real servers: from the system's packages when we may install them.
# What stays missing is named, with the tests it costs; under CI that is an error.
set -eu
cd "$(dirname "$0")/.."
. tools/apt.sh

PATH=$PATH:/usr/sbin:/usr/local/sbin
provider=tests/servers/oidc_provider

has() { command -v "$1" >/dev/null 2>&1; }
say() { printf '%s\n' "$*" >&2; }

# command, package, what is not tested without it
needs() {
  cat <<'LIST'
redis-server redis-server sessions in Redis
nginx nginx-light everything behind nginx
haproxy haproxy everything behind HAProxy
php-cgi php-cgi applications behind fastcgi_pass
chromium chromium the journeys in a browser
node nodejs the certified OpenID provider (PKCE, RFC 9207, form_post)
npm npm the certified OpenID provider (PKCE, RFC 9207, form_post)
LIST
}

missing_packages() {
  needs | while read -r command package _; do
    has "$command" || printf '%s ' "$package"
  done
}

packages=$(missing_packages)
if [ -n "$packages" ] && may_use_apt; then
  say "Installing what the tests need: $packages"
  # shellcheck disable=SC2086  # a list of words
  apt_install $packages || {
    # One unknown name refuses them all (nginx-light is gone from newer releases): one by one then.
    for package in $packages; do
      apt_install "$package" || { [ "$package" != nginx-light ] || apt_install nginx; } || true
    done
  }
fi

failed=
complain() {
  [ -n "$failed" ] || say "=================================================================="
  failed=yes
  say "NOT TESTED: $1"
}

while read -r command package costs; do
  has "$command" || complain "$costs (\`$command\` is missing; Debian: apt-get install $package)"
done <<EOT
$(needs)
EOT

if [ -f "$provider/package-lock.json" ] && has npm; then
  stamp=$provider/node_modules/.installed
  if ! cmp -s "$provider/package-lock.json" "$stamp"; then
    say "Installing the OpenID provider of the tests (npm ci) ..."
    if (cd "$provider" && npm ci --no-audit --no-fund --loglevel=error >&2); then
      cp "$provider/package-lock.json" "$stamp"
    else
      complain "the certified OpenID provider (\`npm ci\` in $provider failed)"
    fi
  fi
fi

if [ -n "$failed" ]; then
  say "=================================================================="
  [ -z "${CI:-}" ] || { say "In CI nothing may be left out."; exit 1; }
fi
