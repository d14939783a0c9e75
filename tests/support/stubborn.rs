//! A program that resists termination.

/// Ignores SIGTERM; leaves behind a grandchild in a session of its own, which also ignores SIGTERM and holds the pipes,
/// a stopped child, and two processes that fork and exit for a minute, one of them always into new sessions. Prints
/// `up` when all are running. A minute is far longer than any test, and does not burden the machine forever if a test
/// fails.
pub const STUBBORN: &str = r#"
import os, signal, sys, time
until = time.monotonic() + 60
signal.alarm(60)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
ready, tell = os.pipe()
def child(body):
    if os.fork() == 0:
        body()
        os._exit(0)
def wait():
    os.write(tell, b"x")
    while True: signal.pause()
def daemon():
    os.setsid()
    child(wait)
def stopped():
    os.write(tell, b"x")
    while True: os.kill(os.getpid(), signal.SIGSTOP)
def runner():
    os.setpgid(0, 0)
    os.write(tell, b"x")
    while time.monotonic() < until:
        if os.fork(): os._exit(0)
def dodger():
    os.write(tell, b"x")
    while time.monotonic() < until:
        os.setsid()
        if os.fork(): os._exit(0)
bodies = (daemon, stopped, runner, dodger)[:COUNT]
for body in bodies: child(body)
got = 0
while got < len(bodies): got += len(os.read(ready, 4))
print("up", flush=True)
"#;
