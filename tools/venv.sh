#!/bin/sh
# Makes .venv with this package and the extra named by $1 (demo or dev), or repairs it.
# PYTHON chooses the interpreter. Costs nothing when there is nothing to do.
set -eu
cd "$(dirname "$0")/.."
. tools/apt.sh

extra=$1
stamp=.venv/installed-$extra
recent_enough='import sys; sys.exit(sys.version_info < (3, 11))'

# What was installed from where: a changed list of dependencies or a moved clone installs again.
wanted() { printf '%s\n' "$PWD"; cat pyproject.toml; }

works() { .venv/bin/python -c "$recent_enough" 2>/dev/null; }

if works && [ -f "$stamp" ] && [ "$(wanted)" = "$(cat "$stamp")" ]; then
  exit 0
fi

say() { printf '%s\n' "$*" >&2; }

find_python() {
  for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 python}; do
    if command -v "$candidate" >/dev/null 2>&1 && "$candidate" -c "$recent_enough" 2>/dev/null; then
      printf '%s' "$candidate"
      return
    fi
  done
  if [ -n "${PYTHON:-}" ]; then
    say "\`$PYTHON\` is not Python 3.11 or later."
  else
    say "Python 3.11 or later is needed, and none of python3, python3.14 ... python3.11 is that."
  fi
  say "Install it (Debian, Ubuntu: apt-get install python3 python3-venv; macOS: brew install python)"
  say "or name one: make PYTHON=/path/to/python3.12 ..."
  exit 2
}

# Debian ships venv without ensurepip unless python3-venv is there.
make_venv() {
  rm -rf .venv
  if "$python" -c 'import ensurepip' 2>/dev/null && "$python" -m venv .venv; then return; fi
  rm -rf .venv
  if "$python" -m virtualenv -q .venv 2>/dev/null; then return; fi
  rm -rf .venv
  if "$python" -m pip --version >/dev/null 2>&1 && "$python" -m venv --without-pip .venv &&
    "$python" -m pip -q --python .venv/bin/python install pip; then return; fi
  rm -rf .venv
  version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  if may_use_apt; then
    say "This Python cannot make virtual environments; installing python$version-venv ..."
    if { apt_install "python$version-venv" || apt_install python3-venv; } &&
      "$python" -m venv .venv; then return; fi
    rm -rf .venv
  fi
  say "This Python ($python, $version) cannot make a virtual environment: its module \`ensurepip\`"
  say "is missing. On Debian and Ubuntu install it with"
  say "    sudo apt-get install python$version-venv"
  say "or install \`virtualenv\`, or name another Python: make PYTHON=/path/to/python3.12 ..."
  exit 2
}

python=$(find_python)
if ! { works && .venv/bin/python -m pip --version >/dev/null 2>&1; }; then
  if [ -e .venv ]; then say "Making .venv again: the one that is there does not work."; fi
  make_venv
fi
say "Installing authz-sidecar[$extra] into .venv ..."
rm -f "$stamp"
if ! .venv/bin/python -m pip install -q --disable-pip-version-check -e ".[$extra]"; then
  say "The packages could not be installed; pip's words are above. Is there a way to a package index?"
  exit 2
fi
wanted >"$stamp"
# Whoever can develop can also run the demo.
if [ "$extra" = dev ]; then wanted >.venv/installed-demo; fi
