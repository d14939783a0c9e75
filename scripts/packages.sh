# Installing packages without a question: sourced by setup.sh and .ci/run.

# Runs a command as root; where that would need a password, says what to run instead.
as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    sudo -n "$@"
  else
    echo "error: not root, and sudo is not there without a password; as root, run: $*" >&2
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
