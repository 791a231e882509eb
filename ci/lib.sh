# What the scripts of this folder share. Sourced from the repository's root.

say() { printf '\033[1m== %s\033[0m\n' "$*" >&2; }
die() { printf '%s: %s\n' "$0" "$*" >&2; exit 2; }

muster() { "${CARGO_TARGET_DIR:-target}/debug/muster" "$@"; }

# Brings the lab up; what this script brought up it takes down again when it ends.
lab_up() {
  if muster cluster status >/dev/null 2>&1; then
    say "the lab is up already: it is used, and left up"
    return
  fi
  trap 'muster cluster down' EXIT
  muster cluster up --provider lab "$@" >/dev/null
}
