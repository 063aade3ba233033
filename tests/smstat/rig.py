"""What the tests of smstat need: expectations, servers, smstat itself, clients, and servers that lie.

The working directory has the keys: pki/ of the servers and clients, other/ of another root.
Environment: BUILD, and PATIENCE, the seconds to wait for what should happen at once.
"""
import contextlib
import json
import os
import re
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time

BUILD = os.environ["BUILD"]
PATIENCE = int(os.environ["PATIENCE"])
SMSTAT = BUILD + "/smstat"
OPERATIONS = dict(NEW_FDTABLE=0, OPEN=3, CLOSE=4, MMAP=7, HELLO=16, ACQUIRE=17, RELEASE=18, STAT=20,
                  INSPECT=22, PROCESS=24)
SERVER, FILES, SESSIONS = 0, 1, 2  # what an INSPECT is about
EINVAL, ENOSYS = 22, 38
OPERATOR = ["-Z", "pki/root.crt", "pki/boss.crt", "pki/boss.key"]

counts = dict(checks=0, failures=0)


def expect(what, is_right, came):
    counts["checks"] += 1
    if not is_right:
        counts["failures"] += 1
        print(f"{what}: came:\n{came}", flush=True)


def expect_equal(what, expected, came):
    expect(f"{what}: expected:\n{expected!r}", expected == came, repr(came))


def await_until(what, is_so):
    """Looks again and again until is_so() is true."""
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: it did not come to that in {PATIENCE} s")
        time.sleep(0.01)


def accepts(path):
    with socket.socket(socket.AF_UNIX) as s:
        return s.connect_ex(path) == 0


@contextlib.contextmanager
def daemon(kind, path, *options):
    """A smdishserver or smufserver at the unix socket path, with TLS unless an option is "plain"."""
    tls = [] if "plain" in options else ["-Z", "pki/root.crt", "pki/server.crt", "pki/server.key"]
    if kind == "smuf":
        os.makedirs(path + ".dir", exist_ok=True)
        tls += ["-r", path + ".dir"]
    words = [word for word in options if word != "plain"]
    with open(path + ".log", "ab") as log:
        process = subprocess.Popen([f"{BUILD}/{kind}server", *words, *tls, "unix:" + path], stderr=log)
    try:
        await_until(f"{kind}server listens", lambda: process.poll() is not None or accepts(path))
        if process.poll() is not None:
            raise RuntimeError(open(path + ".log").read())
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        expect_equal(f"{kind}server's exit status", 0, process.wait(PATIENCE))


class Output:
    """What smstat said, as text, and its exit status."""

    def __init__(self, arguments, status, out, err):
        self.what = " ".join(["smstat", *arguments])
        self.status, self.out, self.err = status, out.decode("ascii"), err.decode("ascii")
        odd = re.sub(r"[ -~\n]", "", self.out + self.err)
        expect_equal(f"{self.what}: characters that are not printable", "", odd)

    def good(self):
        expect_equal(f"{self.what}: exit status and standard error", (0, ""), (self.status, self.err))
        return self

    def json(self):
        return json.loads(self.good().out)["servers"]


def smstat(*arguments):
    run = subprocess.run([SMSTAT, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                         timeout=20 * PATIENCE)
    return Output(arguments, run.returncode, run.stdout, run.stderr)


def context(role, name):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT if role == "client" else ssl.PROTOCOL_TLS_SERVER)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_REQUIRED
    made.load_verify_locations("pki/root.crt")
    made.load_cert_chain(f"pki/{name}.crt", f"pki/{name}.key")
    return made


class Client:
    """A session of version 2 of a peer with that certificate."""

    def __init__(self, path, name):
        plain = socket.socket(socket.AF_UNIX)
        plain.settimeout(PATIENCE)
        plain.connect(path)
        self.socket = context("client", name).wrap_socket(plain)
        self.replies = self.socket.makefile("rb")
        self.moved = {}  # bytes of deltas by descriptor: granted, released
        self.call("HELLO", ">II", 2, 0, tag=0)
        self.call("NEW_FDTABLE", ">")

    def close(self):
        self.replies.close()
        self.socket.close()

    def say(self, operation, layout, *fields, tag=1):
        body = struct.pack(layout, *fields)
        header = struct.pack(">HHI", tag, OPERATIONS[operation], len(body))
        self.socket.sendall(header + body)

    def hear(self, operation):
        _, status, size = struct.unpack(">HHI", self.replies.read(8))
        body = self.replies.read(size)
        if status != 0:
            raise RuntimeError(f"{operation}: status {status}")
        return body

    def call(self, operation, layout, *fields, tag=1):
        self.say(operation, layout, *fields, tag=tag)
        return self.hear(operation)

    def open(self, name):
        (fd,) = struct.unpack(">I", self.call("OPEN", f">I{len(name)}s", len(name), name))
        self.moved[fd] = [0, 0]
        return fd

    def map(self, fd, size):
        self.call("MMAP", ">II", fd, size)

    def begin_to_acquire(self, fd, since=0, mode=1):
        self.say("ACQUIRE", ">IBIQ", fd, mode, 0xffffffff, since, tag=7)

    def acquire(self, fd, since=0, mode=1):
        """Returns the grant and the version."""
        self.begin_to_acquire(fd, since, mode)
        reply = self.hear("ACQUIRE")
        self.moved[fd][0] += len(reply) - 16
        return struct.unpack_from(">QQ", reply)

    def release(self, fd, grant, delta=b""):
        self.call("RELEASE", f">IQB{len(delta)}s", fd, grant, 0, delta)
        self.moved[fd][1] += len(delta)

    def stat(self, fd):
        """size, committed, type, version, opens, waiters, grants"""
        return struct.unpack_from(">QQBQIIQ", self.call("STAT", ">I", fd), 8)


class Fake:
    """A server that answers each request as answer(operation, body) says: a status and a body."""

    def __init__(self, path, answer, certificate="server"):
        self.answer, self.context = answer, context("server", certificate)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            plain, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=[plain], daemon=True).start()

    def serve(self, plain):
        with contextlib.suppress(OSError, ValueError, struct.error):
            connection = self.context.wrap_socket(plain, server_side=True)
            requests = connection.makefile("rb")
            while header := requests.read(8):
                tag, operation, size = struct.unpack(">HHI", header)
                status, body = self.answer(operation, requests.read(size))
                connection.sendall(struct.pack(">HHI", tag, status, len(body)) + body)


def hello(features=0, version=2):
    return 0, struct.pack(">IIII16s", version, features, 4096, 0x10080044, b"0123456789abcdef")


def record(layout, *fields, more=b""):
    body = struct.pack(layout, *fields) + more
    return struct.pack(">H", len(body)) + body


def text(data):
    return struct.pack(">H", len(data)) + data


def server_record(**changed):
    values = dict(id=b"0123456789abcdef", version=2, uptime=5000, sessions=1, handshakes=0, files=1,
                  segments=0, memory=0, segments_limit=1, memory_limit=1, requests=7, grants=0, lost=0,
                  longest=1500, recent=1)
    return record(">16sIQIIIQQQQQQQII", *{**values, **changed}.values())


def file_record(name, **changed):
    values = dict(key=1, life=1, size=0, committed=0, type=0, version=0, opens=1, waiters=0, grants=0,
                  holder=0, held=0, granted=0, released=0, waited=0)
    return record(">QQQQBQIIQQIQQQ", *{**values, **changed}.values(), more=text(name))


def session_record(peer, **changed):
    values = dict(key=1, age=1, version=2, descriptors=0, held=0, waiting=0, requests=0, bytes_in=0,
                  bytes_out=0, memory=0, unsent=0, longest=0)
    return record(">QQBIIIQQQQII", *{**values, **changed}.values(), more=text(peer) + text(b"there"))


def page(*records, next=0, count=None):
    return 0, struct.pack(">QI", next, len(records) if count is None else count) + b"".join(records)
