#!/usr/bin/env bash
# A Postgres server for tests, on a socket and on a port of loopback. Sourced; needs packages.sh.

# Installs the server where it is missing, starts one in a directory of its own, and exports
# AUTOPACK_TEST_POSTGRES, its URL. Says why there is none otherwise.
postgres_server() {
  [ -n "${AUTOPACK_TEST_POSTGRES:-}" ] && return
  local bin
  bin=$(postgres_programs)
  if [ -z "$bin" ] && command -v apt-get >/dev/null; then
    echo "ci: installing postgresql and pgbouncer"
    apt_install postgresql pgbouncer
    bin=$(postgres_programs)
  fi
  if [ -z "$bin" ]; then
    echo "ci: there is no Postgres server; its tests are skipped" >&2
    return
  fi
  # initdb refuses to run as root.
  local as=() owner
  owner=$(id -un)
  if [ "$(id -u)" = 0 ]; then
    as=(runuser -u postgres --)
    owner=postgres
  fi
  postgres_home=$(mktemp -d /tmp/autopack-postgres-XXXXXX)
  chown "$owner" "$postgres_home"
  chmod 755 "$postgres_home"
  local port
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  (
    cd /
    "${as[@]}" "$bin/initdb" -D "$postgres_home/data" -U autopack --auth=trust --no-sync >/dev/null
    # Tests do not survive a power failure, and a database is made for each.
    "${as[@]}" "$bin/pg_ctl" -D "$postgres_home/data" -s -w -l "$postgres_home/log" \
      -o "-c listen_addresses=127.0.0.1 -c port=$port -c unix_socket_directories=$postgres_home -c fsync=off \
          -c full_page_writes=off -c max_connections=500 -c shared_buffers=64MB" start
  )
  export AUTOPACK_TEST_POSTGRES="postgres://autopack@127.0.0.1:$port/postgres"
  postgres_stop=("${as[@]}" "$bin/pg_ctl" -D "$postgres_home/data" -s -m immediate stop)
  AUTOPACK_TEST_REQUIRE+=,postgres
  command -v pgbouncer >/dev/null || [ -x /usr/sbin/pgbouncer ] && AUTOPACK_TEST_REQUIRE+=,pgbouncer
  export AUTOPACK_TEST_REQUIRE
}

stop_postgres() {
  [ -n "${postgres_home:-}" ] || return 0
  (cd / && "${postgres_stop[@]}") || true
  rm -rf "$postgres_home"
}

# The directory of the server's programs; Debian keeps them off PATH.
postgres_programs() {
  local program
  for program in /usr/lib/postgresql/*/bin/initdb "$(command -v initdb || true)"; do
    [ -x "$program" ] && dirname "$program"
  done | sort -V | tail -n 1
}
