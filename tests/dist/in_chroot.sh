#!/usr/bin/env bash
# Installs a Debian package in a fresh Debian, drains a phase there, and removes the package: nothing may be left. Called by
# `make test-dist`. Needs root, debootstrap and Debian's mirror.
# usage: tests/dist/in_chroot.sh DEB DIRECTORY-FOR-THE-ROOT
set -euo pipefail

package=$(realpath "$1")
place=$(realpath -m "$2")
suite=${AUTOPACK_TEST_SUITE:-bookworm}

if [ "$(id -u)" != 0 ]; then
  echo "test-dist: needs root, for chroot" >&2
  exit 1
fi
if ! command -v debootstrap >/dev/null; then
  echo "test-dist: needs debootstrap: apt-get install debootstrap" >&2
  exit 1
fi

base=$place/$suite
if [ ! -e "$base/done" ]; then
  echo "test-dist: making a root of $suite"
  rm -rf "$base"
  mkdir -p "$base"
  debootstrap --variant=minbase "$suite" "$base/root" >"$base/log" 2>&1 || { tail "$base/log" >&2; exit 1; }
  touch "$base/done"
fi

root=$(mktemp -d "$place/root.XXXXXX")
trap 'rm -rf "$root"' EXIT
cp -a --reflink=auto "$base/root/." "$root"
cp "$package" "$root/tmp/autopack.deb"
cp /etc/resolv.conf "$root/etc/resolv.conf"
# The way to the mirror, where the machine needs one of its own.
cp -R /etc/apt/apt.conf.d/. "$root/etc/apt/apt.conf.d/"

cat >"$root/tmp/check.sh" <<'CHECK'
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 HOME=/root
say() { printf '\n--- %s\n' "$*"; }

say "install"
apt-get update -q >/dev/null
# What the package needs comes first, and is no part of the comparison.
depends=$(dpkg-deb --field /tmp/autopack.deb Depends | tr ',' '\n' | sed 's/^ *//; s/[ (|].*//')
apt-get install -q -y --no-install-recommends $depends >/dev/null
files() { find / -xdev \( -path /proc -o -path /tmp -o -path /var/cache -o -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/log -o -path /root \) -prune -o -print | sort; }
files >/tmp/before
apt-get install -q -y --no-install-recommends /tmp/autopack.deb | tail -n 3

say "use"
autopack --version
autopack help | head -n 3
test -s /usr/share/man/man1/autopack-drain.1.gz
test -s /usr/share/bash-completion/completions/autopack
test -s /usr/share/zsh/vendor-completions/_autopack
test -s /usr/share/fish/vendor_completions.d/autopack.fish
test -s /usr/share/doc/autopack/copyright
test -s /usr/share/doc/autopack/THIRD-PARTY-LICENSES.txt
mkdir /root/hello
cd /root/hello
git init -q -b main
mkdir -p .autopack/config
cat >.autopack/config/autopack.yaml <<'YAML'
agents: {mine: {kind: command, command: [sh, -c, "cat >/dev/null; echo hello >greeting.txt"]}}
ci: {command: "grep -q hello greeting.txt || test ! -e greeting.txt"}
# A chroot allows no namespaces.
sandbox: {mode: 'off'}
YAML
git -c user.name=Test -c user.email=test@example.com commit -q --allow-empty -m start
printf 'phases:\n- {phase_id: greeting, deliverables: [greeting.txt]}\n' >plan.yaml
autopack drain plan.yaml
test "$(git show autopack/plan:greeting.txt)" = hello
autopack memory search hello >/dev/null

say "remove"
apt-get purge -q -y autopack | tail -n 1
files >/tmp/after
dpkg --audit
diff /tmp/before /tmp/after
test ! -e /usr/bin/autopack
echo "nothing is left"
CHECK

unshare --mount --pid --fork sh -c \
  'mount -t proc proc "$1/proc" && exec chroot "$1" sh /tmp/check.sh' sh "$root"
