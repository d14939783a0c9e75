"""Makes escape attempts one after another, and prints a line for each.

usage: runner.py PLAN ROLE. PLAN is JSON: `facts` (what the attempts know of the outside) and `attempts` of each role.
Lines are `escape`, id, `claimed` or `failed`, a reason, and the output in reverse: redaction must not find it.
"""

import ctypes
import errno
import json
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
import traceback

# Far above the duration of any attempt, so that only attempts that wait forever meet it.
LIMIT_SECONDS = 8
LONGEST_OUTPUT = 60_000

SHELL = """set -e
put() { case $1 in */*) [ -d "${1%/*}" ] || mkdir -p "${1%/*}" ;; esac; printf '%s\\n' "$X_MARK" >>"$1"; }
take() { cat "$1"; }
"""

libc = ctypes.CDLL(None, use_errno=True)


def put(path, text=None):
    """Appends the attempt's mark to a file."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as file:
        file.write((text or MARK) + "\n")


def take(path):
    """Prints a file."""
    with open(path, "rb") as file:
        sys.stdout.write(file.read(65536).decode("utf-8", "replace"))


def syscall(number, *arguments):
    """Makes a system call."""
    result = libc.syscall(number, *arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def call(name, *arguments):
    """Calls a function of the C library."""
    result = getattr(libc, name)(*arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def connect(family, kind, address, protocol=0):
    """Connects and sends the attempt's mark."""
    with socket.socket(family, kind, protocol) as out:
        out.settimeout(3)
        out.connect(address)
        out.sendall(MARK.encode())
        answer(out)


def answer(out):
    """Waits for the other side to take the message."""
    try:
        out.settimeout(0.3)
        sys.stdout.write(out.recv(4096).decode("utf-8", "replace"))
    except OSError:
        pass


def proxy(variable="https_proxy"):
    """Address of the proxy named by the environment."""
    for name in (variable, variable.upper(), "https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY"):
        found = re.match(r"(?:\w+://)?(?:[^@/]*@)?\[?([^\]/]+?)\]?:(\d+)/?$", os.environ.get(name, ""))
        if found:
            return found[1], int(found[2])
    sys.exit("no proxy in the environment")


def through_proxy(message, then=None):
    """Sends bytes to the proxy, and `then` after its answer, then the attempt's mark."""
    with socket.create_connection(proxy(), 3) as out:
        out.sendall(message)
        out.settimeout(3)
        sys.stdout.write(out.recv(4096).decode("utf-8", "replace"))
        for more in [then] if isinstance(then, bytes) else then or []:
            out.sendall(more)
        answer(out)


def client_hello(name, encrypted=False):
    """The first message of TLS for a server name, with the attempt's mark in the padding."""
    host = name.encode()
    sni = struct.pack("!HHHBH", 0, len(host) + 5, len(host) + 3, 0, len(host)) + host if name else b""
    groups = bytes.fromhex("000a00040002001d")
    versions = bytes.fromhex("002b0003020304")
    mark = MARK.encode()
    padding = struct.pack("!HH", 0x0015, len(mark)) + mark
    hidden = struct.pack("!HH", 0xfe0d, 64) + b"\x00\x00\x01\x00\x01\x07" + os.urandom(58) if encrypted else b""
    extensions = sni + groups + versions + hidden + padding
    body = b"\x03\x03" + os.urandom(32) + b"\x00" + b"\x00\x02\x13\x01" + b"\x01\x00"
    body += struct.pack("!H", len(extensions)) + extensions
    shake = b"\x01" + struct.pack("!I", len(body))[1:] + body
    return b"\x16\x03\x01" + struct.pack("!H", len(shake)) + shake


def pids():
    """Processes that can be seen."""
    return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())


def secrets_of(pid):
    """Prints planted secrets in the environment of a process, and nothing else that is there."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            for found in re.findall(rb"escape-secret-[\w-]+", file.read()):
                print(found.decode())
    except OSError:
        pass


def is_drain(pid):
    """Whether the process is the drain of this test, and not another one with this number."""
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        words = file.read().split(b"\0")
    return b"drain" in words and b"--run-id" in words


def main():
    plan_file, role = sys.argv[1:3]
    with open(plan_file) as file:
        plan = json.load(file)
    if role in ("setup", "ci") and not os.path.exists(plan["deliverable"]):
        return  # The base is tested without attempts.
    start = os.getcwd()
    for attempt in plan["attempts"].get(role, []):
        make(plan["facts"], attempt, start)
    os.chdir(start)
    shutil.rmtree("escape-scratch", ignore_errors=True)
    if role == "agent":
        os.makedirs(os.path.dirname(plan["deliverable"]), exist_ok=True)
        pathlib.Path(plan["deliverable"]).write_text("made by the agent\n")


def make(facts, attempt, start):
    """Makes one attempt in a process of its own."""
    scratch = os.path.join(start, "escape-scratch", attempt["id"])
    os.makedirs(scratch, exist_ok=True)
    output = os.memfd_create("output")
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        enter(facts | attempt["facts"], attempt, scratch, start, output)
    began = time.monotonic()
    code = wait(child)
    seconds = time.monotonic() - began
    text = os.pread(output, LONGEST_OUTPUT, 0).decode("utf-8", "replace")
    os.close(output)
    last = [line for line in text.splitlines() if line.strip()][-1:] or [""]
    reason = "out of time" if code is None else f"exit {code}: {last[0]}"
    reason = f"after {seconds:.1f} s, {reason}" if seconds > 0.5 else reason
    reason = re.sub(r"[^ -~]|(?:escape-secret|mark-)\S*", "?", reason)[:160]
    state = "claimed" if code == 0 else "failed"
    print("escape", attempt["id"], state, reason, json.dumps(text)[::-1], sep="\t", flush=True)


def enter(facts, attempt, scratch, start, output):
    """Turns this process into the attempt."""
    code = 1
    try:
        os.setsid()
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir(scratch)
        variables = {f"X_{name.upper()}": str(value) for name, value in facts.items()}
        os.environ.update(variables, X_START=start, X_DRAIN=os.environ.get("ESCAPE_DRAIN", "0"))
        if "sh" in attempt:
            os.execvp("sh", ["sh", "-c", SHELL + attempt["sh"]])
        names = globals()
        names.update({name.upper(): value for name, value in facts.items()})
        names.update(START=start, DRAIN=int(os.environ["X_DRAIN"]))
        exec(compile(attempt["python"], attempt["id"], "exec"), names)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1 if end.code else 0
        if code and not isinstance(end.code, int):
            sys.stderr.write(f"{end.code}\n")
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def wait(child):
    """Exit code of a child; None if it had to be ended."""
    handle = os.pidfd_open(child)
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    ended = poll.poll(LIMIT_SECONDS * 1000)
    os.close(handle)
    if not ended:
        try:
            os.killpg(child, signal.SIGKILL)
        except ProcessLookupError:
            pass
    status = os.waitpid(child, 0)[1]
    return os.waitstatus_to_exitcode(status) if ended else None


main()
