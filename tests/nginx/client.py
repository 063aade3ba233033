# client.py: what nginx answers, request by request.
#
#   client.py fetch PORT CAFILE DIRECTORY COUNT|SECONDSs PARALLEL
#       fetches the files of DIRECTORY in turn, and compares each body with its file. COUNT requests, "5s" for 5
#       seconds, or fewer if SIGTERM comes before. Prints "N right, N wrong, N failed"; a failed one had no whole
#       answer, or one of another status than 200. With SECONDSs a line "begun" comes before.
#   client.py count PORT CAFILE PATH COUNT PARALLEL
#       requests PATH; prints how many answers had each status: "200: 201, 429: 299".
#   client.py resume PORT CAFILE 1.2|1.3 COUNT PARALLEL
#       makes TLS sessions and resumes each once; prints "N of N resumed, N by other workers".
#   client.py together PORT CAFILE 1.3 COUNT PARALLEL
#       sends two requests in one write with the end of its handshake; prints "N of N answered twice".
#
# In the environment, TIMEOUT is how many seconds an answer may take, by default 60. With SPREAD, fetch and count
# spread their connections evenly over so many workers.

import os
import signal
import socket
import ssl
import sys
import threading
import time

TIMEOUT = float(os.environ.get("TIMEOUT", "60"))
SPREAD = int(os.environ.get("SPREAD", "0"))


class Connection:
    def __init__(self, port, context, session=None):
        plain = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.tls = context.wrap_socket(plain, server_hostname="localhost", session=session)
        self.rest = b""

    # Returns the status, the headers in small letters, and the body.
    def get(self, path):
        self.tls.sendall(b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path.encode())
        while b"\r\n\r\n" not in self.rest:
            self.receive()
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:])
        length = int(headers["content-length"])
        while len(self.rest) < length:
            self.receive()
        body, self.rest = self.rest[:length], self.rest[length:]
        return int(lines[0].split()[1]), headers, body

    def receive(self):
        more = self.tls.recv(1 << 18)
        if not more:
            raise ConnectionError("the server closed the connection")
        self.rest += more

    def close(self):
        self.tls.close()


# Calls work(i) for 0, 1, ... in several threads, until it returns False.
def in_parallel(parallel, work):
    mutex = threading.Lock()
    numbers = iter(range(1 << 60))

    def loop():
        while True:
            with mutex:
                number = next(numbers)
            if not work(number):
                return

    threads = [threading.Thread(target=loop) for i in range(parallel)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class Counts(dict):
    mutex = threading.Lock()

    def add(self, name):
        with self.mutex:
            self[name] = self.get(name, 0) + 1


# Gives each caller a connection to the worker whose turn it is.
class Spread:
    def __init__(self):
        self.mutex = threading.Lock()
        self.calls = 0
        self.workers = []  # their processes

    def connect(self, port, context):
        with self.mutex:
            turn = self.calls % SPREAD
            self.calls += 1
        until = time.monotonic() + TIMEOUT
        while time.monotonic() < until:
            connection = Connection(port, context)
            worker = connection.get("/")[1]["x-worker"]
            with self.mutex:
                if worker not in self.workers and len(self.workers) < SPREAD:
                    self.workers.append(worker)
            if worker in self.workers[turn : turn + 1]:
                return connection
            connection.close()
        raise ConnectionError("worker %d of %d does not answer" % (turn + 1, SPREAD))


spread = Spread()


# One connection for each thread; a new one after a failure.
class Pool(threading.local):
    connection = None

    def get(self, port, context, path):
        try:
            if self.connection is None:
                self.connection = spread.connect(port, context) if SPREAD else Connection(port, context)
            return self.connection.get(path)
        except (OSError, ValueError, KeyError, IndexError):
            if self.connection is not None:
                self.connection.close()
            self.connection = None
            return None


def fetch(port, context, directory, amount, parallel):
    files = {name: open(os.path.join(directory, name), "rb").read() for name in sorted(os.listdir(directory))}
    names = list(files)
    until = time.monotonic() + float(amount[:-1]) if amount.endswith("s") else None
    counts = Counts(right=0, wrong=0, failed=0)
    pool = Pool()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: stop.set())
    if until is not None:
        print("begun", flush=True)

    def work(number):
        if stop.is_set() or (number >= int(amount) if until is None else time.monotonic() > until):
            return False
        name = names[number % len(names)]
        answer = pool.get(port, context, "/" + name)
        if answer is None or answer[0] != 200:
            counts.add("failed")
            # After a refused connection the next one would be, too.
            time.sleep(0.01)
        else:
            counts.add("right" if answer[2] == files[name] else "wrong")
        return True

    in_parallel(parallel, work)
    print(", ".join("%d %s" % (counts[name], name) for name in ("right", "wrong", "failed")))


def count(port, context, path, amount, parallel):
    counts = Counts()
    pool = Pool()

    def work(number):
        if number < int(amount):
            answer = pool.get(port, context, path)
            counts.add("none" if answer is None else str(answer[0]))
        return number < int(amount)

    in_parallel(parallel, work)
    print(", ".join("%s: %d" % each for each in sorted(counts.items())))


def resume(port, context, version, amount, parallel):
    context.minimum_version = context.maximum_version = ssl.TLSVersion["TLSv1_" + version[2:]]
    counts = Counts({"resumed": 0, "by other workers": 0})

    def work(number):
        if number >= int(amount):
            return False
        try:
            first = Connection(port, context)
            one = first.get("/")[1]["x-worker"]
            second = Connection(port, context, first.tls.session)
            other = second.get("/")[1]["x-worker"]
        except OSError:
            return True
        if second.tls.session_reused:
            counts.add("resumed")
            if one != other:
                counts.add("by other workers")
        first.close()
        second.close()
        return True

    in_parallel(parallel, work)
    print("%d of %s resumed, %d by other workers" % (counts["resumed"], amount, counts["by other workers"]))


# The answers to two requests that come with the client's last message of the handshake.
def two_answers(port, context):
    plain = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    request = b"GET /alive HTTP/1.1\r\nHost: localhost\r\n\r\n"
    answers = b""
    with plain:
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                plain.sendall(outgoing.read())
                incoming.write(plain.recv(1 << 16))
        # The worker has looked for it in vain, and waits for events.
        time.sleep(0.05)
        for i in range(2):
            tls.write(request)
        plain.sendall(outgoing.read())
        while answers.count(b"HTTP/1.1 200") < 2:
            try:
                answers += tls.read(1 << 16)
            except ssl.SSLWantReadError:
                more = plain.recv(1 << 16)
                if not more:
                    raise ConnectionError("the server closed the connection")
                incoming.write(more)


def together(port, context, version, amount, parallel):
    context.minimum_version = context.maximum_version = ssl.TLSVersion["TLSv1_" + version[2:]]
    counts = Counts(answered=0)

    def work(number):
        if number >= int(amount):
            return False
        try:
            two_answers(port, context)
            counts.add("answered")
        except OSError:
            pass
        return True

    in_parallel(parallel, work)
    print("%d of %s answered twice" % (counts["answered"], amount))


what, port, cafile = sys.argv[1:4]
tls = ssl.create_default_context(cafile=cafile)
{"fetch": fetch, "count": count, "resume": resume, "together": together}[what](int(port), tls, sys.argv[4], sys.argv[5], int(sys.argv[6]))
