# A Docker engine for the tests of autostart: the one that answers, else one of our own, started by hand in a folder
# that goes away again. Sourced by .ci/run after packages.sh.

docker_answers() { timeout 10 docker info >/dev/null 2>&1; }

docker_packages() {
  local packages=()
  command -v dockerd >/dev/null || [ -x /usr/sbin/dockerd ] || docker_answers || packages+=(docker.io)
  command -v docker-compose >/dev/null || docker compose version >/dev/null 2>&1 || packages+=(docker-compose)
  if [ "${#packages[@]}" -gt 0 ]; then
    echo "ci: installing ${packages[*]}"
    apt_install "${packages[@]}"
  fi
  # Newer systems ship the command in a package of its own.
  command -v docker >/dev/null || apt_install docker-cli
}

# Until it answers or ends; half a minute at most.
docker_comes_up() { # pid
  local _
  for _ in $(seq 60); do
    docker_answers && return
    as_root kill -0 "$1" 2>/dev/null || return 1
    sleep 0.5
  done
  return 1
}

# What it started ends with it; its folder may still be mounted for a moment.
stop_docker() {
  [ -n "${docker_folder:-}" ] || return 0
  local pid _
  pid=$(as_root cat "$docker_folder/pid" 2>/dev/null) || pid=
  if [ -n "$pid" ]; then
    as_root kill "$pid" 2>/dev/null || true
    for _ in $(seq 40); do
      as_root kill -0 "$pid" 2>/dev/null || break
      sleep 0.5
    done
    as_root kill -9 "$pid" 2>/dev/null || true
  fi
  for _ in 1 2 3 4 5; do
    as_root rm -rf "$docker_folder" 2>/dev/null && break
    sleep 1
  done
  docker_folder=
}

# One try, with these options for dockerd.
try_dockerd() { # log options...
  local log=$1
  shift
  # A short path: a socket's may not be longer than 107 characters.
  docker_folder=$(mktemp -d /tmp/autopack-ci-docker.XXXXXX)
  chmod 755 "$docker_folder"
  export DOCKER_HOST=unix://$docker_folder/docker.sock
  as_root env PATH="$PATH:/usr/sbin:/sbin" dockerd --host "$DOCKER_HOST" --group "$(id -gn)" --data-root "$docker_folder/data" \
    --exec-root "$docker_folder/exec" --pidfile "$docker_folder/pid" "$@" >>"$log" 2>&1 &
  docker_comes_up $!
}

# Leaves an engine that answers, or fails saying where the log is.
docker_engine() {
  docker_packages
  export AUTOPACK_TEST_DOCKER=1
  docker_answers && return
  local log=${CARGO_TARGET_DIR:-target}/ci-dockerd.log options
  mkdir -p "$(dirname "$log")"
  : >"$log"
  trap stop_docker EXIT
  # As it likes best; then without overlays and without iptables, which a machine in a sandbox may lack.
  for options in "" "--storage-driver=vfs" "--storage-driver=vfs --iptables=false --ip6tables=false"; do
    echo "ci: starting dockerd $options"
    # shellcheck disable=SC2086 # these are options, not one
    try_dockerd "$log" $options && return
    stop_docker
  done
  echo "error: no Docker engine could be started for the tests; the end of $log:" >&2
  tail -n 15 "$log" >&2
  return 1
}
