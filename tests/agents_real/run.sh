#!/bin/bash
# Real coding agents, installed from their registries, each working off one phase through `autopack drain`, against a
# model server on this machine that is none (stand_in.py). No key, no model, nothing sent out but the installation.
#
#   run.sh AUTOPACK DIRECTORY [AGENT ...]
#
# Says one line for each agent: landed, skipped (why) or FAILED (why); exits with 1 if any failed. DIRECTORY keeps the
# installations. `codex-unsandboxed` is codex without its own sandbox.
#
# AUTOPACK_TEST_SANDBOX: the drain's sandbox.mode, else the default. AUTOPACK_TEST_NETWORK: sandbox.network.
# AUTOPACK_TEST_KEEP: not empty keeps the projects, in DIRECTORY/try.*.
set -u
autopack=$(realpath "$1")
mkdir -p "$2"
directory=$(realpath "$2")
shift 2
here=$(dirname "$(realpath "$0")")
agents=("$@")
[ ${#agents[@]} -gt 0 ] || agents=(claude codex codex-unsandboxed opencode gemini goose aider mini-swe-agent)
# Not in /tmp: a view has its own.
work=$(mktemp -d "$directory/try.XXXXXX") || exit 2
server=
trap 'kill $server 2>/dev/null; [ -n "${AUTOPACK_TEST_KEEP-}" ] || rm -rf "$work"' EXIT

# The versions that docs/agents.md names.
npm_package() {
  local into=$directory/npm-$1
  [ -d "$into/node_modules" ] && return
  command -v npm >/dev/null || { echo "npm is missing"; return 1; }
  mkdir -p "$into"
  timeout 600 npm install --prefix "$into" --no-audit --no-fund "$2" >"$directory/$1.log" 2>&1 && return
  rm -rf "$into/node_modules"
  echo "npm cannot install $2: see $directory/$1.log"
  return 1
}

pip_packages() {
  local name=$1 into=$directory/$1
  shift
  [ -e "$into/done" ] && return
  command -v python3 >/dev/null || { echo "python3 is missing"; return 1; }
  python3 -m venv "$into" >"$directory/$name.log" 2>&1 &&
    timeout 1200 "$into/bin/pip" install --quiet "$@" >>"$directory/$name.log" 2>&1 && touch "$into/done" && return
  echo "pip cannot install $*: see $directory/$name.log"
  return 1
}

# Says why not, where it cannot.
install() {
  case $1 in
  claude) npm_package claude @anthropic-ai/claude-code@2.1.197 ;;
  codex*) npm_package codex @openai/codex@0.169.0 ;;
  opencode) npm_package opencode opencode-ai@1.18.33 ;;
  gemini) npm_package gemini @google/gemini-cli@0.61.0 ;;
  goose) npm_package goose @aaif/goose-binary-linux-x64@1.52.0 ;;
  aider) pip_packages aider aider-chat==0.86.2 ;;
  mini-swe-agent) pip_packages mini mini-swe-agent==2.4.6 mcp ;;
  *) echo "there is no such agent"; return 1 ;;
  esac
}

program() {
  case $1 in
  goose) echo "$directory"/npm-goose/node_modules/@aaif/goose-binary-linux-x64/bin/goose ;;
  aider) echo "$directory/aider/bin/aider" ;;
  mini-swe-agent) echo "$directory/mini/bin/mini" ;;
  codex*) echo "$directory/npm-codex/node_modules/.bin/codex" ;;
  *) echo "$directory/npm-$1/node_modules/.bin/$1" ;;
  esac
}

# What each needs to take the stand-in for its model.
settings() {
  case $1 in
  claude)
    # A view of namespaces is a sandbox by itself.
    local root=", IS_SANDBOX: '1'"
    [ "${AUTOPACK_TEST_SANDBOX-}" != namespaces ] || root=
    echo "    env: {ANTHROPIC_BASE_URL: '$base'$root}" ;;
  codex*)
    local sandbox=
    [ "$1" = codex ] || sandbox="-s, danger-full-access, "
    echo "    model: stand-in"
    echo "    env_pass: [STAND_IN_KEY]"
    echo "    extra_args: [$sandbox-c, 'model_provider=\"stand\"', -c, 'model_providers.stand={name=\"stand\",base_url=\"$base/v1\",wire_api=\"responses\",env_key=\"STAND_IN_KEY\"}']" ;;
  opencode)
    cat >"$HOME/opencode.json" <<JSON
{"provider": {"stand": {"npm": "@ai-sdk/openai-compatible", "models": {"in": {}},
  "options": {"baseURL": "$base/v1", "apiKey": "{env:STAND_IN_KEY}"}}}}
JSON
    echo "    model: stand/in"
    echo "    env_pass: [STAND_IN_KEY]"
    echo "    env: {OPENCODE_CONFIG: '$HOME/opencode.json', OPENCODE_DISABLE_MODELS_FETCH: '1'}" ;;
  gemini)
    mkdir -p "$HOME/.gemini"
    echo '{"security": {"auth": {"selectedType": "gemini-api-key"}}}' >"$HOME/.gemini/settings.json"
    echo "    model: gemini-2.5-flash"
    echo "    env: {GOOGLE_GEMINI_BASE_URL: '$base'}" ;;
  goose)
    echo "    model: openai/gpt-4o"
    echo "    env: {OPENAI_HOST: '$base'}" ;;
  aider | mini-swe-agent)
    echo "    model: openai/stand-in"
    echo "    env: {OPENAI_API_BASE: '$base/v1'}" ;;
  esac
}

# One phase of a new repository, drained.
try() {
  local agent=$1 repo=$work/$1
  git init --quiet --initial-branch=main "$repo" && cd "$repo" || return 1
  echo "a project" >README.md
  mkdir config
  {
    printf 'agents:\n  it:\n    kind: %s\n    program: "%s"\n    timeout_seconds: 300\n' "${agent%-unsandboxed}" "$(program "$agent")"
    settings "$agent"
    echo 'executor: {max_attempts: 1}'
    echo 'ci: {command: "test ! -e src || grep -qx hello src/hello.txt"}'
    # Agents may have the base URL in an argument or a file.
    [ -z "${AUTOPACK_TEST_NETWORK-}" ] || echo "sandbox: {network: [$AUTOPACK_TEST_NETWORK, '${base#http://}']}" | sed 's|/ok||'
  } >config/autopack.yaml
  echo 'memory: {enabled: false}' >config/memory.yaml
  echo '{"run_id":"r","phases":[{"phase_id":"hello","description":"Create the file src/hello.txt with the one line: hello","deliverables":["src/hello.txt"],"scope":{"paths":["src"]}}]}' >plan.json
  git add -A && git -c user.name=a -c user.email=a@example.com commit --quiet -m start
  "$autopack" import plan.json >/dev/null 2>"$work/$agent.log" || return 1
  timeout 400 "$autopack" drain --run-id r --json >"$work/$agent.out" 2>>"$work/$agent.log"
  git show autopack/r:src/hello.txt >"$work/$agent.got" 2>/dev/null && grep -qx hello "$work/$agent.got"
}

why_not() {
  grep -oE '"(failure":\{|message":").*' "$work/$1.out" 2>/dev/null | cut -c1-400 | head -2
  tail -3 "$work/$1.log" | cut -c1-300
  tail -5 "$work/$1"/.autopack/attempts/r/hello/1/agent.log 2>/dev/null | cut -c1-600
}

numbers() {
  "$autopack" --workspace "$work/$1" phases show --run-id r hello --json 2>/dev/null |
    python3 -c 'import json,sys; a=json.load(sys.stdin); a=(a if isinstance(a,dict) else a[0])["attempt_log"][-1]; t=a["tokens"]; print("tokens in", t["input"], "out", t["output"], "cache read", t["cache_read"], "cost", a["cost_usd"])' 2>/dev/null
}

# What became of the agent's own sandbox, if anything.
sandbox() {
  case $1 in
  codex) grep -q 'codex: its own sandbox is off' "$work/$1.log" "$work/$1.out" && echo ", its own sandbox off" || echo ", its own sandbox on" ;;
  esac
}

python3 "$here/stand_in.py" src/hello.txt hello >"$work/server.log" 2>&1 &
server=$!
for _ in $(seq 50); do [ -s "$work/server.log" ] && break; sleep 0.1; done
base=http://127.0.0.1:$(head -1 "$work/server.log")/ok
key=sk-test-0123456789abcdefghij
# As a user has them: in the environment. None may be found in what autopack keeps.
export ANTHROPIC_API_KEY=$key OPENAI_API_KEY=$key GEMINI_API_KEY=$key STAND_IN_KEY=$key
unset AUTOPACK_CONFIG_DIR DATABASE_URL AUTOPACK_DATABASE_URL IS_SANDBOX
[ -z "${AUTOPACK_TEST_SANDBOX-}" ] || export AUTOPACK_SANDBOX_MODE=$AUTOPACK_TEST_SANDBOX
export HOME=$work/home XDG_CONFIG_HOME=$work/home/.config XDG_DATA_HOME=$work/home/.local/share
mkdir -p "$HOME"

failed=0
for agent in "${agents[@]}"; do
  if ! why=$(install "$agent"); then
    echo "$agent: skipped ($why)"
    continue
  fi
  if (try "$agent"); then
    echo "$agent: landed ($(numbers "$agent")$(sandbox "$agent"))"
  else
    echo "$agent: FAILED"
    why_not "$agent" | sed 's/^/    /'
    failed=1
  fi
  if grep -rqF "$key" "$work/$agent/.autopack" 2>/dev/null; then
    echo "$agent: FAILED: its key was kept in $(grep -rlF "$key" "$work/$agent/.autopack" | head -3 | tr '\n' ' ')"
    failed=1
  fi
done
exit $failed
