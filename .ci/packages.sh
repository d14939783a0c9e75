# Installing packages without a question: sourced by setup.sh and .ci/run.

# Runs a command as root; where that would need a password, says so instead of asking.
as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    sudo -n "$@"
  else
    echo "error: installing needs root, and sudo is missing or asks for a password; run this as root" >&2
    return 1
  fi
}

# A mirror may fail once, and its index is worth three tries.
apt_update() {
  local try
  as_root true || return
  for try in 1 2 3; do
    as_root apt-get -o Acquire::Retries=3 update -q && return
    echo "apt-get update failed (try $try of 3)" >&2
    sleep $((try * 5))
  done
  return 1
}

apt_install() { # packages
  apt_update
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get -o Acquire::Retries=3 install -y -q --no-install-recommends "$@"
}
