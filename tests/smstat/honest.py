"""What smstat shows of a real server, beside what the clients of that server know to be true."""
import contextlib
import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

import rig
from rig import Client, daemon, expect, expect_equal, smstat

FILES = 1000
NASTY = [b"/\x1b[2J\x07", b'/"quotes\\and"', b"/line\nfeed\r\t\x7f", b"/\xff\xc3\xa4 {}=,#"]


def shown(name):
    """A name as smstat prints it."""
    return "".join(c if " " <= c <= "~" and c != "\\" else "\\\\" if c == "\\" else f"\\x{ord(c):02x}"
                   for c in name.decode("latin-1"))


def quoted(name):
    """A name as it is in a string of JSON or in a label."""
    return shown(name).replace("\\", "\\\\").replace('"', '\\"')


class Truth:
    """A memory file, and what is done to it."""

    def __init__(self, kind, number, owner, guest):
        padding = b"/file%04d-" % number
        self.name = NASTY[number] if number < len(NASTY) else padding.ljust(100, b"x")
        self.kind, self.owner = kind, owner
        self.size = 10 * number + 1 if number % 10 == 0 else 0
        self.is_published = number % 20 == 0 and self.size > 0
        self.sections, self.version, self.opens = 0, 0, 1
        self.fd = owner.open(self.name)
        if self.size > 0:
            owner.map(self.fd, self.size)
        if number % 3 == 0:
            guest.open(self.name)
            self.opens = 2
        for _ in range(number % 7):
            self.enter()

    def enter(self):
        """A critical section, which changes a byte if the file is one that is published."""
        grant, _ = self.owner.acquire(self.fd, since=self.version)
        delta = struct.pack(">I", 0) if self.size > 0 else b""
        if self.is_published and self.kind == "smuf":
            delta = struct.pack(">IIB16s", 1, 0, self.sections % 2, bytes(16))
        elif self.is_published:
            delta = struct.pack(">IIIB", 1, 0, 1, 42)
        self.owner.release(self.fd, grant, delta)
        self.sections += 1
        if self.is_published:
            self.version = grant

    def expected(self):
        granted, released = self.owner.moved[self.fd]
        return dict(
            name=shown(self.name), size=self.size, version=self.version, opens=self.opens, waiters=0,
            kind="lock" if self.size == 0 else "segment" if self.sections > 0 else "new", holder=None,
            sections=self.sections, bytes_granted=granted, bytes_released=released,
            committed=self.owner.stat(self.fd)[1], waited_ms=0)


class Contest:
    """A file whose holder keeps it while two others wait."""
    name = b"/contended"

    def __init__(self, holder, waiters):
        fds = [client.open(self.name) for client in [holder, *waiters]]
        self.early = time.monotonic()
        holder.acquire(fds[0])
        self.late = self.early_waiting = time.monotonic()
        for client, fd in zip(waiters, fds[1:]):
            client.begin_to_acquire(fd)
        rig.await_until("two wait", lambda: holder.stat(fds[0])[5] == 2)
        self.late_waiting = time.monotonic()
        time.sleep(0.2)  # a time that can be seen

    def check(self, what, file, begin, end):
        """begin, end: when smstat ran."""
        holder = file["holder"] or {}
        expect_equal(f"{what}: waiters, sections, opens", (2, 1, 3),
                     (file["waiters"], file["sections"], file["opens"]))
        expect_equal(f"{what}: the holder", "cert app", holder.get("peer"))
        expect(f"{what}: the address has a process", re.fullmatch(r"app \(pid \d+ uid \d+\)",
               holder.get("address") or ""), holder)
        least, most = 1000 * (begin - self.late), 1000 * (end - self.early)
        expect(f"{what}: held for {least} to {most} ms", least - 1 <= holder.get("held_ms", 0) <= most,
               holder)
        least, most = (2000 * (begin - self.late_waiting), 2000 * (end - self.early_waiting))
        expect(f"{what}: waited for {least} to {most} ms", least - 2 <= file["waited_ms"] <= most,
               file["waited_ms"])


def check_json(kind, target, truths, contest):
    begin = time.monotonic()
    (server,) = smstat("-j", "-i", "0", target).json()
    end = time.monotonic()
    files = server["files"]
    expect_equal(f"{kind}: type, error", (kind, None), (server["type"], server["error"]))
    expect_equal(f"{kind}: file_count", len(truths) + 2, server["file_count"])
    expect_equal(f"{kind}: names in the order of creation", [shown(t.name) for t in truths],
                 [f["name"] for f in files[:len(truths)]])
    for truth, file in zip(truths, files):
        expected = truth.expected()
        expect_equal(f"{kind}: {truth.name}", expected, {key: file[key] for key in expected})
    contest.check(kind, files[-2], begin, end)
    expect_equal(f"{kind}: the first of two readers", "cert app", files[-1]["holder"]["peer"])
    check_sessions(kind, server)
    expect_equal(f"{kind}: rates of one look", {None},
                 {f["sections_per_second"] for f in files} | {server["seconds"]})


def check_sessions(kind, server):
    sessions = {s["peer"]: s for s in server["sessions"]}
    expect_equal(f"{kind}: sessions", 5, server["session_count"])
    expect_equal(f"{kind}: peers", {"cert app", "cert rival", "cert boss"}, set(sessions))
    expect_equal(f"{kind}: what app holds and waits for", (2, 0),
                 (sessions["cert app"]["held"], sessions["cert app"]["waiting"]))
    # HELLO, PROCESS, INSPECT of the server, and then one for each page.
    pages = sessions["cert boss"]["requests"] - 3
    expect(f"{kind}: pages of at most 64 KiB", pages >= 3, pages)


def check_table(kind, target, truths):
    lines = smstat("-i", "0", target).good().out.splitlines()
    expect(f"{kind}: the first line", re.fullmatch(
        rf"unix:/.*/{kind}\.sock, {kind}: up [0-9.a-z]+, 5 sessions, "
        rf"0 handshakes, {FILES + 2} files", lines[0]), lines[0])
    expect_equal(f"{kind}: the columns", "KIND SIZE COMMIT VER OPEN WAIT SECT/S OUT/S IN/S HELD HOLDER "
                 "NAME".split(), lines[3].split())
    # What is waited for comes first.
    expect(f"{kind}: the contended lock", re.fullmatch(
        r"lock +0 +0 +0 +3 +2 +[0-9.]+m?s cert app +/contended", lines[4]), lines[4])
    expect_equal(f"{kind}: names in the table", sorted(shown(t.name) for t in truths),
                 sorted(re.search(r" (/.*)", line)[1] for line in lines[4:]
                        if not re.search(r"/(contended|read)$", line)))


def check_metrics(kind, target, truths):
    out = smstat("-m", target).good().out
    samples, heads, last = {}, {}, None
    for line in out.splitlines():
        if head := re.fullmatch(r"# (HELP|TYPE) (memserver_\w+) (.+)", line):
            heads[head[1], head[2]] = head[3]
            last = head[2]
            continue
        sample = re.fullmatch(r'(memserver_\w+)(\{(?:\w+="(?:[^"\\]|\\["\\])*",?)+\}) (\d+(?:\.\d+)?)', line)
        if sample is None:
            expect(f"{kind}: a line of the metrics", False, line)
            continue
        expect(f"{kind}: {line}: below its head, once", sample[1] == last
               and (sample[1], sample[2]) not in samples, last)
        samples[sample[1], sample[2]] = float(sample[3])
    for (what, name), value in heads.items():
        expect(f"{kind}: the type of {name}", what == "HELP" or value ==
               ("counter" if name.endswith("_total") else "gauge"), value)
    label = f'{{server="unix:{os.getcwd()}/{kind}.sock"'
    expect_equal(f"{kind}: up", 1, samples["memserver_up", label + "}"])
    for truth in truths:
        labels = f'{label},file="{quoted(truth.name)}"}}'
        expected = truth.expected()
        for metric, member in dict(size_bytes="size", version="version", opens="opens",
                                   sections_total="sections", committed_bytes="committed",
                                   granted_bytes_total="bytes_granted", waiters="waiters",
                                   released_bytes_total="bytes_released").items():
            expect_equal(f"{kind}: {metric} of {truth.name}", expected[member],
                         samples.get(("memserver_file_" + metric, labels)))
    check_promtool(kind, out)


def check_promtool(kind, metrics):
    try:
        run = subprocess.run(["promtool", "check", "metrics"], input=metrics.encode(),
                             capture_output=True)
    except FileNotFoundError:
        print(f"skipped: there is no promtool to check the metrics of {kind} with")
        return
    expect_equal(f"{kind}: promtool", (0, b"", b""), (run.returncode, run.stdout, run.stderr))


def check_rates(kind, target, truth):
    """Critical sections follow each other while smstat looks twice."""
    before = truth.sections
    process = subprocess.Popen([rig.SMSTAT, "-j", target], stdout=subprocess.PIPE)
    with open(f"{kind}.out", "w+b") as out:
        # The pipe takes less than there is to say.
        reader = subprocess.Popen(["cat"], stdin=process.stdout, stdout=out)
        while process.poll() is None:
            truth.enter()
        expect_equal(f"{kind}: smstat -j, cat", (0, 0), (process.returncode, reader.wait()))
        out.seek(0)
        (server,) = json.load(out)["servers"]
    (file,) = [f for f in server["files"] if f["name"] == shown(truth.name)]
    seconds = server["seconds"]
    expect(f"{kind}: seconds", 1 <= seconds <= rig.PATIENCE + 1, seconds)
    sections = file["sections_per_second"] * seconds
    released = file["bytes_released_per_second"] * seconds
    one = 25 if kind == "smuf" else 13  # bytes that a release has
    expect(f"{kind}: critical sections between the looks", abs(sections - round(sections)) < 0.01
           and 0 < round(sections), sections)
    expect(f"{kind}: of {before} to {truth.sections} that there were", before
           <= file["sections"] - round(sections) and file["sections"] <= truth.sections, file)
    expect(f"{kind}: {one} bytes for each of {sections}", abs(released - one * sections) < one + 0.01,
           released)


def check_watching(kind, target):
    """Two looks; what is waited for comes first in each."""
    process = subprocess.Popen([rig.SMSTAT, "-w", "-j", target], stdout=subprocess.PIPE)
    looks = [json.loads(process.stdout.readline())["servers"][0] for _ in range(2)]
    process.terminate()
    process.wait()
    process.stdout.close()
    expect_equal(f"{kind}: files in two looks", [FILES + 2] * 2, [len(k["files"]) for k in looks])
    expect_equal(f"{kind}: looks with rates", [False, True], [k["seconds"] is not None for k in looks])


def check_terminal(kind, target):
    """A look fills a terminal and no more."""
    rows, columns = 24, 80
    child, terminal = pty.fork()
    if child == 0:
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.execl(rig.SMSTAT, "smstat", "-w", target)
    seen = b""
    clear = b"\x1b[H\x1b[2J"
    with contextlib.suppress(OSError):
        while seen.count(clear) < 2 and select.select([terminal], [], [], rig.PATIENCE + 2)[0]:
            seen += os.read(terminal, 65536)
    os.kill(child, 15)
    os.waitpid(child, 0)
    os.close(terminal)
    first = (seen.split(clear) + [b"", b""])[1].decode()
    lines = first.split("\r\n")
    expect_equal(f"{kind}: control characters on the terminal", "", re.sub(r"[ -~\r\n]", "", first))
    expect(f"{kind}: all rows of a terminal", len(lines) == rows, len(lines))
    expect(f"{kind}: lines of at most {columns}", all(len(line) <= columns for line in lines), first)
    shown_files = len([line for line in lines if line.startswith(("lock ", "seg ", "new "))])
    expect_equal(f"{kind}: the last line", f"and {FILES + 2 - shown_files} more", lines[-2])


def check_server(kind):
    path = f"{os.getcwd()}/{kind}.sock"
    target = f"{kind}.conf"
    with open(target, "w") as conf:
        uri = f"unix:{path}" + (f",file:{path}.dir" if kind == "smuf" else "")
        # Two mounts of one server are one server; smc has none.
        conf.write(f"MOUNT {uri} /a {kind}\nMOUNT {uri} /b {kind}\nMOUNT file:/none /c smc\n"
                   "CAFILE pki/root.crt\nCERTFILE pki/boss.crt\nKEYFILE pki/boss.key\n")
    with daemon(kind, path, "--operators", "other,boss"):
        clients = [Client(path, name) for name in ["app", "rival", "rival", "rival"]]
        truths = [Truth(kind, i, clients[0], clients[1]) for i in range(FILES)]
        contest = Contest(clients[0], clients[1:3])
        for client in [clients[0], clients[3]]:
            client.acquire(client.open(b"/read"), mode=2)
        check_json(kind, target, truths, contest)
        check_table(kind, target, truths)
        check_metrics(kind, target, truths)
        check_watching(kind, target)
        check_terminal(kind, target)
        check_rates(kind, target, truths[20])
        for client in clients:
            client.close()


def check_restart():
    """smstat -w goes on when its server ends and comes back."""
    path = f"{os.getcwd()}/again.sock"
    watcher = None

    def await_look(what, is_wanted):
        rig.await_until(what, lambda: is_wanted(json.loads(watcher.stdout.readline())["servers"][0]))
    for _ in range(2):
        with daemon("smdish", path, "--operators", "boss"):
            watcher = watcher or subprocess.Popen([rig.SMSTAT, "-wj", *rig.OPERATOR, path],
                                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            await_look("the server answers", lambda server: server["error"] is None)
        await_look("the server has ended", lambda server: server["error"] is not None)
    expect_equal("smstat -w: its end", None, watcher.poll())
    watcher.terminate()
    watcher.wait()
    watcher.stdout.close()


def check():
    for kind in ["smdish", "smuf"]:
        check_server(kind)
    check_restart()
