"""Stands in for everything outside of a view: servers, processes with secrets, shared memory.

The first line of its input is a plan in JSON: `dir` (the outside's directory), `runtime` (directory of sockets), `victims` (ids of
attempts that get a process), `secrets` (name: text), `name` (a name no other world has). Prints a line of JSON with the
facts. At the end of its input it prints a second line (what arrived, what became of the processes), cleans up and ends.
"""

import base64
import ctypes
import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading

libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
libc.shmat.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int]
libc.shmdt.argtypes = [ctypes.c_void_p]
received, cleanup, has = [], [], []


def remember(where, data):
    received.append([where, base64.b64encode(data).decode()])


def serve_stream(where, listener, greeting):
    def one(connection):
        try:
            connection.settimeout(10)
            if greeting:
                connection.sendall(greeting)
            answered = False
            while data := connection.recv(65536):
                remember(where, data)
                # Enough of HTTP for clients that wait for an answer.
                if not answered:
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nyes")
                    answered = True
                    if data.startswith((b"GET ", b"POST ")):
                        return
        except OSError:
            pass
        finally:
            connection.close()

    accept(listener, one)


def serve_proxy(listener):
    """The machine's own proxy, through which autopack reaches listed hosts. What it is asked for on behalf of an unlisted
    one counts as arrived there."""

    def one(connection):
        try:
            connection.settimeout(10)
            while data := connection.recv(65536):
                is_forbidden = re.search(rb"(?:GET|POST|HEAD|CONNECT|ftp:) \S*127\.0\.0\.3", data)
                remember("forbidden" if is_forbidden else "allowed", data)
                if data.startswith(b"CONNECT "):
                    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                elif re.match(rb"[A-Z]+ ", data):
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes")
        except OSError:
            pass
        finally:
            connection.close()

    accept(listener, one)


def accept(listener, one):
    def all_of_them():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=one, args=(connection,), daemon=True).start()

    threading.Thread(target=all_of_them, daemon=True).start()


def serve_datagrams(where, bound):
    def receive():
        while True:
            try:
                data, sender = bound.recvfrom(65536)
                remember(where, data)
                if sender:
                    bound.sendto(b"yes", sender)
            except OSError:
                pass

    threading.Thread(target=receive, daemon=True).start()


def listen(where, family, address, greeting=b""):
    try:
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.bind(address)
        listener.listen(64)
    except OSError:
        return None
    serve_stream(where, listener, greeting)
    return listener.getsockname()


def datagrams(where, family, address):
    try:
        bound = socket.socket(family, socket.SOCK_DGRAM)
        bound.bind(address)
    except OSError:
        return None
    serve_datagrams(where, bound)
    return bound.getsockname()


def unix(path):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if listen(path, socket.AF_UNIX, path) is None:
        sys.exit(f"cannot listen at {path}")


def own_address():
    """An address of this machine that is not loopback, if any. Sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        try:
            out.connect(("192.0.2.1", 9))
            return out.getsockname()[0]
        except OSError:
            return None


def network(facts):
    for name, host in [("tcp", "127.0.0.2"), ("forbidden", "127.0.0.3")]:
        facts[f"{name}_port"] = listen(name, socket.AF_INET, (host, 0))[1]
    proxy = socket.create_server(("127.0.0.1", 0), backlog=64)
    facts["allowed_port"] = proxy.getsockname()[1]
    serve_proxy(proxy)
    facts["udp_port"] = datagrams("udp", socket.AF_INET, ("127.0.0.2", 0))[1]
    if found := listen("tcp6", socket.AF_INET6, ("::1", 0)):
        facts["tcp6_port"] = found[1]
        has.append("ipv6")
    facts["own_address"] = own_address() or ""
    if facts["own_address"] and (found := listen("own", socket.AF_INET, (facts["own_address"], 0))):
        facts["own_tcp_port"] = found[1]
        facts["own_udp_port"] = datagrams("own-udp", socket.AF_INET, (facts["own_address"], 0))[1]
        has.append("own-address")
    facts["vsock_port"], facts["vsock_cid"] = vsock()


def vsock():
    """A listener for virtual machine sockets that this machine can reach itself."""
    try:
        listener = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
        listener.bind((socket.VMADDR_CID_ANY, socket.VMADDR_PORT_ANY))
        listener.listen(8)
        port = listener.getsockname()[1]
        serve_stream("vsock", listener, b"")
        with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as out:
            out.settimeout(1)
            out.connect((1, port))
        has.append("vsock")
        return port, 1
    except (OSError, AttributeError):
        return 0, 0


def shared_memory(facts, plan):
    secret = plan["secrets"]["shared-memory"].encode()
    key = int.from_bytes(os.urandom(3), "big") | 0x1000000
    facts["ipc_key"] = key
    segment = libc.shmget(key, 4096, 0o1600)
    if segment >= 0:
        address = libc.shmat(segment, None, 0)
        ctypes.memmove(address, secret, len(secret))
        facts["segment"] = segment
        cleanup.append(lambda: libc.shmctl(segment, 0, None))
        reports["segment"] = lambda: ctypes.string_at(address, 4096).rstrip(b"\0").decode("utf-8", "replace")
        has.append("sysv")
    queue = libc.msgget(key, 0o1600)
    if queue >= 0:
        message = (1).to_bytes(8, sys.byteorder) + secret
        libc.msgsnd(queue, message, len(secret), 0)
        cleanup.append(lambda: libc.msgctl(queue, 0, None))
    semaphore = libc.semget(key, 1, 0o1600)
    if semaphore >= 0:
        cleanup.append(lambda: libc.semctl(semaphore, 0, 0, None))
    if os.path.isdir("/dev/shm"):
        path = f"/dev/shm/{plan['name']}"
        with open(path, "wb") as file:
            file.write(secret)
        facts["shm_file"] = path
        cleanup.append(lambda: os.path.exists(path) and os.unlink(path))
        reports["shm_file"] = lambda: open(path, "rb").read().decode("utf-8", "replace")
        has.append("/dev/shm")
    if hasattr(libc, "mq_open"):
        name = f"/{plan['name']}".encode()
        opened = libc.mq_open(name, os.O_RDWR | os.O_CREAT, 0o600, None)
        if opened >= 0:
            libc.mq_send(opened, secret, len(secret), 0)
            cleanup.append(lambda: libc.mq_unlink(name))
            has.append("mqueue")


def keyring(plan):
    """A key in the user's keyring, which all of the user's sessions share. Architectures differ in the number."""
    number = {"x86_64": 248, "aarch64": 217}.get(os.uname().machine)
    secret = plan["secrets"]["keyring"].encode()
    if number is None:
        return
    key = libc.syscall(number, b"user", plan["name"].encode(), secret, len(secret), -4)
    if key > 0:
        has.append("keyring")
        cleanup.append(lambda: libc.syscall(number + 2, 9, key, -4, 0, 0))
        reports["keyring"] = lambda: planted_key(number + 2, plan["name"] + "-planted")


def planted_key(number, name):
    key = libc.syscall(number, 10, -4, b"user", name.encode(), 0)
    buffer = ctypes.create_string_buffer(4096)
    if key <= 0 or libc.syscall(number, 11, key, buffer, 4096, 0) < 0:
        return ""
    libc.syscall(number, 9, key, -4, 0, 0)
    return buffer.value.decode("utf-8", "replace")


def victims(facts, plan):
    """Processes with a secret in the environment, in an open file, and in the working directory."""
    cwd = os.path.join(plan["dir"], "hidden")
    os.makedirs(cwd, exist_ok=True)
    path = os.path.join(plan["dir"], "open-file")
    with open(path, "w") as file:
        file.write(plan["secrets"]["open-file"])
    opened = os.open(path, os.O_RDWR)
    os.unlink(path)
    reports["open_file"] = lambda: os.pread(opened, 4096, 0).decode("utf-8", "replace")
    env = {"PATH": os.environ["PATH"], "VICTIM": plan["secrets"]["process"], "ESCAPE_WORLD": plan["name"]}
    facts["victims"], sleep = {}, shutil.which("sleep")
    for name in ["", *plan["victims"]]:
        words = [plan["secrets"]["arguments"], "900"]
        process = subprocess.Popen(words, executable=sleep, env=env, cwd=cwd, pass_fds=[opened], start_new_session=True)
        facts["victims"][name] = process.pid
        processes[name] = process
    facts["victim_fd"] = opened


def fifo(facts, plan):
    """Named pipes of programs that would do what they are told."""
    for name, place in [("pipe", "elsewhere"), ("home_pipe", "home/service/control")]:
        path = os.path.join(plan["dir"], place, "pipe")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.mkfifo(path)
        opened = os.open(path, os.O_RDWR)
        facts[name] = path

        def read(opened=opened):
            while data := os.read(opened, 4096):
                remember("pipe", data)

        threading.Thread(target=read, daemon=True).start()


def sockets(facts, plan):
    """Sockets of programs that would do what they are told."""
    runtime, home = plan["runtime"], os.path.join(plan["dir"], "home")
    for below in ["bus", "systemd/private", "docker.sock", "podman/podman.sock", "gnupg/S.gpg-agent", "wayland-0"]:
        unix(os.path.join(runtime, below))
    for below in [".docker/run/docker.sock", ".gnupg/S.gpg-agent", ".ssh/control-user@host:22", ".local/state/editor.sock"]:
        unix(os.path.join(home, below))
    unix(os.path.join(plan["dir"], "elsewhere", "service.sock"))
    unix(os.path.join(plan["dir"], "project", ".git", "fsmonitor.sock"))
    for parent in ["/tmp", "/var/tmp"]:
        if os.access(parent, os.W_OK):
            directory = os.path.join(parent, plan["name"])
            unix(os.path.join(directory, "agent.1"))
            with open(os.path.join(directory, "secret"), "w") as file:
                file.write(plan["secrets"]["temporary"])
            cleanup.append(lambda directory=directory: shutil.rmtree(directory, ignore_errors=True))
    path = os.path.join(plan["dir"], "elsewhere", "datagram.sock")
    if datagrams(path, socket.AF_UNIX, path) is None:
        sys.exit("no datagrams")
    facts["abstract"] = plan["name"]
    listen("abstract", socket.AF_UNIX, "\0" + plan["name"], plan["secrets"]["abstract"].encode())
    datagrams("abstract-datagram", socket.AF_UNIX, "\0" + plan["name"] + "-datagram")


def quiet(*argv, **more):
    return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **more).returncode


def programs(facts, plan):
    """Real servers, where they are installed."""
    runtime = plan["runtime"]
    if shutil.which("tmux"):
        path = os.path.join(runtime, "tmux-default")
        env = {k: v for k, v in os.environ.items() if k != "TMUX"}
        if quiet("tmux", "-S", path, "-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", "sleep 900", env=env) == 0:
            has.append("tmux")
            facts["tmux_socket"] = path
            cleanup.append(lambda path=path: quiet("tmux", "-S", path, "kill-server"))
    key = os.path.join(plan["dir"], "home", ".ssh", "id_ed25519")
    comment = plan["secrets"]["ssh-key"]
    if not shutil.which("ssh-keygen") or quiet("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", key):
        return
    has.append("ssh-keygen")
    if shutil.which("ssh-agent"):
        path = os.path.join(runtime, "ssh-agent")
        agent = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        cleanup.append(agent.kill)
        for _ in range(200):
            if quiet("ssh-add", "-q", key, env={**os.environ, "SSH_AUTH_SOCK": path}) == 0:
                facts["ssh_agent"] = path
                has.append("ssh-agent")
                break
            threading.Event().wait(0.01)
    secure_shell(facts, plan, key)


def secure_shell(facts, plan, key):
    server = shutil.which("sshd") or "/usr/sbin/sshd"
    if not os.path.exists(server) or not shutil.which("ssh"):
        return
    directory = os.path.join(plan["dir"], "sshd")
    os.makedirs(directory, mode=0o700)
    host_key = os.path.join(directory, "host_key")
    quiet("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", host_key)
    with open(key + ".pub") as public, open(os.path.join(directory, "authorized_keys"), "w") as file:
        # Without the comment, which is a secret.
        file.write(" ".join(public.read().split()[:2]) + "\n")
    if os.geteuid() == 0:
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = os.path.join(directory, "config")
    with open(config, "w") as file:
        file.write(
            f"Port {port}\nListenAddress 127.0.0.1\nHostKey \"{host_key}\"\nAuthorizedKeysFile \"{directory}/authorized_keys\"\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n"
            f"StrictModes no\nUsePAM no\nPidFile none\n"
        )
    daemon = subprocess.Popen([server, "-D", "-e", "-f", config], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    cleanup.append(daemon.kill)
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            threading.Event().wait(0.01)
    check = ["ssh", "-F", "/dev/null", "-p", str(port), "-i", key, "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no",
             "-o", "UserKnownHostsFile=/dev/null", "127.0.0.1", "true"]
    if quiet(*check) == 0:
        facts["ssh_port"] = port
        has.append("sshd")


def real_home():
    try:
        status = os.stat(pwd.getpwuid(os.getuid()).pw_dir)
        return f"{status.st_dev}:{status.st_ino}"
    except (KeyError, OSError):
        return "none"


def state(process):
    if process.poll() is not None:
        return "ended"
    with open(f"/proc/{process.pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]


processes, reports = {}, {}


def main():
    plan = json.loads(sys.stdin.readline())
    facts = {"uid": os.getuid(), "name": plan["name"], "machine_user_namespace": os.readlink("/proc/self/ns/user")}
    facts["real_home_inode"] = real_home()
    network(facts)
    shared_memory(facts, plan)
    keyring(plan)
    victims(facts, plan)
    fifo(facts, plan)
    sockets(facts, plan)
    programs(facts, plan)
    with open("/proc/self/status") as file:
        effective = int(re.search(r"CapEff:\s+(\w+)", file.read())[1], 16)
    # Without CAP_SYS_PTRACE, CAP_SYS_ADMIN and CAP_SYS_TIME, as in a container, root is as good as another user.
    if os.geteuid() == 0 and all(effective & 1 << capability for capability in (19, 21, 25)):
        has.append("root")
    if os.major(os.stat(plan["dir"]).st_dev):
        has.append("block-device")
    # Version 6 of Landlock has scopes for signals and abstract sockets.
    if libc.syscall(444, None, ctypes.c_size_t(0), 1) >= 6:
        has.append("scopes")
    if shutil.which("unshare") and quiet("unshare", "-Urm", "true") == 0:
        has.append("userns")
    print(json.dumps({"facts": facts, "has": has}), flush=True)
    sys.stdin.read()
    states = {name: state(process) for name, process in processes.items()}
    print(json.dumps({"received": received, "victims": states, "reports": {k: report() for k, report in reports.items()}}), flush=True)
    for process in processes.values():
        process.kill()
    for clean in reversed(cleanup):
        try:
            clean()
        except OSError as error:
            print(error, file=sys.stderr)
    os._exit(0)


signal.signal(signal.SIGINT, signal.SIG_IGN)
main()
