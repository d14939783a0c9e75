#!/usr/bin/env bash
# Installs what the build needs and the machine lacks: cmake 3.24 or newer, BLAS and LAPACK. Silent where
# nothing is missing; says what it is about to do before it does it; never asks.
set -euo pipefail
. "$(dirname "$0")/packages.sh"

readonly CMAKE_AT_LEAST=3.24

version_at_least() { # have want
  [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

has_cmake() {
  command -v cmake >/dev/null &&
    version_at_least "$(cmake --version | sed -n '1s/[^0-9]*\([0-9.]*\).*/\1/p')" "$CMAKE_AT_LEAST"
}

has_compiler() { command -v c++ >/dev/null || command -v g++ >/dev/null || command -v clang++ >/dev/null; }

# Asks the linker itself: packages and folders are called differently everywhere.
links() { # library
  printf 'int main(){return 0;}\n' | "${CXX:-c++}" -x c++ - -o /dev/null "-l$1" >/dev/null 2>&1
}

has_blas() {
  [ "$(uname)" = Darwin ] || links openblas || { links blas && links lapack; }
}

install() { # packages
  echo "setup: installing $*" >&2
  case $manager in
    apt) apt_install "$@" ;;
    dnf) as_root dnf install -y "$@" ;;
    brew) brew install "$@" ;;
  esac
}

missing=()
has_compiler || missing+=(compiler)
has_cmake || missing+=(cmake)
# Without a compiler nobody can ask the linker.
{ has_compiler && has_blas; } || missing+=(blas)
[ "${#missing[@]}" -eq 0 ] && exit 0

manager=
for tool in brew dnf apt-get; do
  command -v "$tool" >/dev/null && manager=${tool%-get}
done
if [ -z "$manager" ]; then
  echo "error: the build needs ${missing[*]} (cmake $CMAKE_AT_LEAST or newer, OpenBLAS); found none of apt, dnf, brew to install it with" >&2
  exit 1
fi

packages=()
for thing in "${missing[@]}"; do
  case $manager-$thing in
    apt-compiler) packages+=(g++) ;;
    dnf-compiler) packages+=(gcc-c++) ;;
    brew-compiler)
      echo "error: the build needs a C++ compiler; install it with: xcode-select --install" >&2
      exit 1
      ;;
    *-cmake) packages+=(cmake) ;;
    apt-blas) packages+=(libopenblas-dev) ;;
    dnf-blas) packages+=(openblas-devel) ;;
    brew-blas) packages+=(openblas) ;;
  esac
done
install "${packages[@]}" </dev/null

if ! has_cmake; then
  echo "error: this system's cmake is older than $CMAKE_AT_LEAST; install a newer one: python3 -m pip install cmake, or https://cmake.org/download/" >&2
  exit 1
fi
