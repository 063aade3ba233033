"""Why a server cannot be asked: each reason has its own words, on one line, and exit status 1."""
import fnmatch
import os
import signal
import socket
import subprocess
import threading

import rig
from rig import EINVAL, ENOSYS, OPERATIONS, Client, Fake, daemon, expect, expect_equal, hello, smstat

USAGE = "usage: smstat "


def refuse(pattern, *arguments):
    """smstat says what matches, on one line, and nothing else."""
    came = smstat("-i", "0", *arguments)
    expect_equal(f"{came.what}: exit status, output, lines", (1, "", 1),
                 (came.status, came.out, came.err.count("\n")))
    expect(f"{came.what}: expected '{pattern}'", fnmatch.fnmatchcase(came.err, f"smstat: {pattern}\n"),
           came.err)


def wrong(pattern, *arguments):
    """An error of the command line: a line and the usage."""
    came = smstat(*arguments)
    lines = came.err.splitlines()
    expect_equal(f"{came.what}: exit status, output", (2, ""), (came.status, came.out))
    expect(f"{came.what}: expected '{pattern}'", len(lines) == 3
           and fnmatch.fnmatchcase(lines[0], f"*smstat: {pattern}") and lines[1].startswith(USAGE),
           came.err)


def conf(name, uri, *lines, options=""):
    """A mount file. Returns its name."""
    with open(name, "w") as file:
        file.write("\n".join([f"MOUNT {uri} /shared smdish {options}", *lines, ""]))
    return name


def check_peers(path):
    """At a server with TLS whose operator is boss."""
    ca, boss = "CAFILE pki/root.crt", ["CERTFILE pki/boss.crt", "KEYFILE pki/boss.key"]
    app = ["CERTFILE pki/app.crt", "KEYFILE pki/app.key"]
    refuse("unix:*: this client is no operator: * --operators with the common name of */pki/app.crt*",
           conf("app.conf", "unix:tls", ca, *app))
    refuse("*/tls: this client is no operator: *pki/app.crt*",
           "-Z", "pki/root.crt", "pki/app.crt", "pki/app.key", path)
    refuse("unix:*: the server requires a certificate of its clients: CERTFILE and KEYFILE *",
           conf("none.conf", "unix:tls", ca))
    refuse("unix:*: the server closed the connection; does it require TLS, and so -Z *CAFILE*, or "
           "are all sessions that it allows taken (-c)?", conf("plain.conf", "unix:tls"))
    refuse("*/tls: the server closed the connection; does it require TLS, and so -Z *", path)
    refuse("*/tls: the peer's certificate is refused: no CA of CAFILE or -Z has signed it: *self?signed*",
           "-Z", "other/root.crt", "pki/boss.crt", "pki/boss.key", path)
    refuse("*/tls: the peer refuses our certificate: *unknown ca",
           "-Z", "pki/root.crt", "other/boss.crt", "other/boss.key", path)
    refuse("*/tls: the peer's certificate is refused: it is not for elsewhere, the name that name=, "
           "-N or the address gives", *rig.OPERATOR, "-N", "elsewhere", path)
    refuse("*/tls: the peer's certificate is refused: it is not for 192.0.2.1, the name that *",
           *rig.OPERATOR, "-N", "192.0.2.1", path)
    smstat("-i", "0", *rig.OPERATOR, "-N", "localhost", path).good()
    smstat("tls", *rig.OPERATOR, "-N", "localhost", "-i", "0").good()
    smstat("-i", "0", *rig.OPERATOR, "--", "tls").good()
    smstat("-i", "0", conf("boss.conf", "unix:tls", ca, *boss), "/shared/").good()
    smstat("boss.conf", "-i0", "/shared/", "-j").json()
    for option in ["-i0", "-j", "-m"]:
        with open("/dev/full", "w") as full:
            run = subprocess.run([rig.SMSTAT, option, "boss.conf"], stdout=full, stderr=subprocess.PIPE)
        expect_equal(f"smstat {option} to a full disk",
                     (1, b"smstat: standard output: No space left on device\n"),
                     (run.returncode, run.stderr))
    check_closed_streams()
    refuse("boss.conf: no MOUNT there has a server and is at /elsewhere", "boss.conf", "/elsewhere")
    refuse("*: the path is not absolute", "boss.conf", "shared")


def check_closed_streams():
    """Standard streams that are closed: no connection gets such a number, and a report goes to none."""
    for option in ["-i0", "-j", "-m", "-r"]:
        run = subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", rig.SMSTAT, option, "boss.conf"],
                             stderr=subprocess.PIPE)
        expect_equal(f"smstat {option} with a closed standard output",
                     (1, b"smstat: standard output: Bad file descriptor\n"), (run.returncode, run.stderr))
    run = subprocess.Popen(["sh", "-c", 'exec "$@" <&- 2>&-', "sh", rig.SMSTAT, "-w", "boss.conf"],
                           stdout=subprocess.PIPE, text=True)
    run.stdout.readline()
    expect_equal("smstat -w with closed streams: what they are", ["/dev/null", "/dev/null"],
                 [os.readlink(f"/proc/{run.pid}/fd/{number}") for number in [0, 2]])
    end(run)


def check_servers(here):
    with daemon("smdish", here + "/tls", "--operators", "boss"):
        check_peers(here + "/tls")
        check_two_servers(here)
    with daemon("smdish", here + "/nobody"):
        refuse("*/nobody: this client is no operator: *pki/boss.crt*", *rig.OPERATOR, here + "/nobody")
    with daemon("smdish", here + "/any", "-n"):
        refuse("*/any: this client is no operator: *and no -n*", *rig.OPERATOR, here + "/any")
        refuse("unix:any: this client has no certificate, and so is no operator",
               conf("any.conf", "unix:any", "CAFILE pki/root.crt"))
    with daemon("smdish", here + "/plain", "plain"):
        refuse("*/plain: the server speaks plaintext, where nobody is an operator: *-Z and --operators",
               here + "/plain")
        refuse("*/plain: the server closed the connection; does it run without -Z, or is it no memory "
               "server?", *rig.OPERATOR, here + "/plain")
        refuse("plain: the server speaks plaintext, where nobody is an operator: *", "plain")


def check_lists(here):
    """A server with a list that has expired refuses all, with the alert of an expired certificate."""
    with daemon("smdish", here + "/late", "-C", "late.crl"):
        refuse("*/late: the peer refuses our certificate: *certificate expired; it has not "
               "expired by the clock here: has the peer's revocation list or root expired, or is a clock wrong?",
               *rig.OPERATOR, here + "/late")
        refuse("*/late: the peer refuses our certificate: *certificate expired",
               "-Z", "pki/root.crt", "pki/past.crt", "pki/past.key", here + "/late")
    with daemon("smdish", here + "/crl", "-C", "pki/root.crl"):
        refuse("*/crl: the peer refuses our certificate: *certificate expired",
               "-Z", "pki/root.crt", "pki/past.crt", "pki/past.key", here + "/crl")
        refuse("*/crl: the peer refuses our certificate: *certificate revoked",
               "-Z", "pki/root.crt", "pki/gone.crt", "pki/gone.key", here + "/crl")


def check_sessions(here):
    """A server whose sessions are used up closes the connection once TLS is there."""
    with daemon("smdish", here + "/full", "-c", "1", "--operators", "boss"):
        client = Client(here + "/full", "app")
        refuse("*/full: the server closed the connection; are all sessions that it allows taken (-c), "
               "or is it no memory server?", *rig.OPERATOR, here + "/full")
        client.close()


def watched(target, *arguments):
    """A smstat -w that has looked once."""
    process = subprocess.Popen([rig.SMSTAT, "-w", *arguments, target], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    process.stdout.readline()
    return process


def expect_next(what, watcher, pattern):
    """The next line of standard error."""
    said = watcher.stderr.readline()
    expect(f"{what}: expected '{pattern}'", fnmatch.fnmatchcase(said, f"smstat: {pattern}\n"), said)


def end(watcher):
    watcher.terminate()
    watcher.communicate()


def check_stopped(here):
    """A server whose process stands still, before there is a connection and after; then it ends."""
    silent = ("timed out: the server does not accept the connection, or does not answer; see whether its "
              "process is stopped, or waits for a processor (ps, its log)")
    again = "; asking again every 1 s"
    asleep = conf("asleep.conf", "unix:asleep", "CAFILE pki/root.crt", "CERTFILE pki/boss.crt",
                  "KEYFILE pki/boss.key", options=f"silence={rig.PATIENCE // 3}")
    with daemon("smdish", here + "/asleep", "--operators", "boss") as process:
        watcher = watched(asleep)
        process.send_signal(signal.SIGSTOP)
        refuse(f"unix:asleep: {silent}", asleep)
        expect_next("smstat -w: a server that stands still", watcher, f"unix:asleep: {silent}{again}")
        end(watcher)
        process.send_signal(signal.SIGCONT)
        watcher = watched("asleep", *rig.OPERATOR)
    expect_next("smstat -w: a server that ends", watcher,
                f"asleep: the server ended the connection (its log says why){again}")
    expect_next("smstat -w: a server that has ended", watcher, f"asleep: no server listens there{again}")
    end(watcher)


def check_two_servers(here):
    """One answers and one does not: what is known is shown, and the exit status tells."""
    with open("two.conf", "w") as file:
        file.write("MOUNT unix:nothing /a smdish\nMOUNT unix:tls /b smdish\n"
                   "CAFILE pki/root.crt\nCERTFILE pki/boss.crt\nKEYFILE pki/boss.key\n")
    table, metrics = smstat("-i", "0", "two.conf"), smstat("-m", "two.conf")
    for came in [table, metrics]:
        expect_equal(f"{came.what}: exit status", 1, came.status)
        expect_equal(f"{came.what}: standard error", "smstat: unix:nothing: no server listens there\n",
                     came.err)
    expect("the server that answers", "unix:tls, smdish: up " in table.out, table.out)
    expect_equal("up", ['memserver_up{server="unix:nothing"} 0', 'memserver_up{server="unix:tls"} 1'],
                 [line for line in metrics.out.splitlines() if line.startswith("memserver_up{")])


def check_old_servers(here):
    """A server of version 1 answers ENOSYS to HELLO, and one before INSPECT to that."""
    Fake(here + "/old", lambda operation, body: (ENOSYS, b""))
    refuse("*/old: the server speaks another version of the protocol than 2, and so has no INSPECT",
           *rig.OPERATOR, here + "/old")
    Fake(here + "/older", lambda operation, body: hello(version=1))
    refuse("*/older: the server speaks another version *", *rig.OPERATOR, here + "/older")
    Fake(here + "/three", lambda operation, body: hello() if operation == OPERATIONS["HELLO"]
         else (EINVAL, b""))
    refuse("*/three: the server is too old to load its files on request", "-r", *rig.OPERATOR,
           here + "/three")
    Fake(here + "/two", lambda operation, body: hello() if operation == OPERATIONS["HELLO"]
         else (ENOSYS, b""))
    refuse("*/two: this client is no operator: *(or it is too old for INSPECT)",
           *rig.OPERATOR, here + "/two")
    refuse("*/two: this client is no operator: *", "-r", *rig.OPERATOR, here + "/two")


def speak(path, words):
    """A peer that says these bytes to all, in plaintext, and then waits for an end."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()

    def run():
        while True:
            connection, _ = listener.accept()
            connection.sendall(words)
            while connection.recv(4096):
                pass
    threading.Thread(target=run, daemon=True).start()


def check_no_servers(here):
    refuse("unix:/nonexistent/s: no server listens there", *rig.OPERATOR, "unix:/nonexistent/s")
    refuse("tcp:127.0.0.1:1: no server listens there", *rig.OPERATOR, "tcp:127.0.0.1:1")
    refuse("abstract:no.such.server.there: no server listens there", "abstract:no.such.server.there")
    speak(here + "/http", b"HTTP/1.1 400 Bad Request\r\n\r\n")
    refuse("*/http: *; is it no memory server?", *rig.OPERATOR, here + "/http")
    refuse("*/http: *; is it no memory server?", here + "/http")
    # A server of something else that has TLS and our certificate.
    Fake(here + "/https", lambda operation, body: (0, b"<html>"))
    refuse("*/https: *; is it no memory server?", *rig.OPERATOR, here + "/https")
    Fake(here + "/client", lambda operation, body: hello(), certificate="app")
    refuse("*/client: the peer's certificate is refused: *purpose*", *rig.OPERATOR, here + "/client")


def check_files():
    refuse("nonexistent.conf: No such file or directory", "nonexistent.conf")
    refuse("nonexistent.crt: *No such file*", "-Z", "nonexistent.crt", "pki/boss.crt", "pki/boss.key", "/s")
    refuse("*key*", "-Z", "pki/root.crt", "pki/boss.crt", "pki/app.key", "/s")
    with open("local.conf", "w") as file:
        file.write("MOUNT file:/srv /a smc\n")
    refuse("local.conf: no MOUNT there has a server", "local.conf")
    with open("bad.conf", "w") as file:
        file.write("MOUNT unix:s /a smdish\nMOUNTS\n")
    refuse("bad.conf:2:*: MOUNTS: there is no such directive*", "bad.conf")


def check_command_line():
    wrong("a mount file, or the address of a server, is missing")
    wrong("*option*'x'*", "-x", "a.conf")
    wrong("*option*'--bogus'*", "--bogus", "a.conf")
    wrong("*option*'i'*", "-i")
    for value in ["", "-1", "x", "86401", "1.5"]:
        wrong(f"-i {value}: expected a number of seconds, 0 to 86400", "-i", value, "a.conf")
    wrong("-j and -m exclude each other", "-jm", "a.conf")
    wrong("-m and -w exclude each other", "-mw", "a.conf")
    wrong("-w needs an interval*", "-w", "-i", "0", "a.conf")
    wrong("-Z takes three files: CA CERT KEY", "-Z", "a", "b")
    wrong("tcp:host:1: plaintext over TCP is refused: give -Z CA CERT KEY", "tcp:host:1")
    wrong("-r and -j, -m or -w exclude each other", "-rj", "a.conf")
    wrong("-r and -j, -m or -w exclude each other", "--reload", "-w", "a.conf")
    wrong("-C needs -Z*", "-C", "a.crl", "unix:/s")
    wrong("-C is for an ADDRESS*", "-C", "a.crl", "a.conf")
    wrong("-N needs -Z*", "-N", "name", "unix:/s")
    wrong("-N is for an ADDRESS*", "-N", "name", "a.conf")
    wrong("tcp::1: the host is missing: tcp:HOST:PORT", *rig.OPERATOR, "tcp::1")
    wrong("/x*x: too long for a socket (at most 107 bytes)", *rig.OPERATOR, "/" + 120 * "x")
    wrong("more: there is one argument too many", "a.conf", "/point", "more")
    wrong("more: there is one argument too many", *rig.OPERATOR, "/s", "more")
    wrong("more: there is one argument too many", "unix:/s", "-j", "more")
    wrong("more: there is one argument too many", "/s", "more", *rig.OPERATOR)
    for option in ["-h", "--help"]:
        out = smstat(option).good().out
        expect(f"{option}: the usage", out.startswith(USAGE), out)
    out = smstat("--version").good().out
    expect("--version", fnmatch.fnmatchcase(out, "smstat [0-9]*.[0-9]*\n"), out)


def check():
    here = os.getcwd()
    check_command_line()
    check_files()
    check_no_servers(here)
    check_old_servers(here)
    check_servers(here)
    check_lists(here)
    check_sessions(here)
    check_stopped(here)
