"""What smstat makes of servers that have the right certificate and say what they like."""
import json
import os
import re
import resource
import struct
import subprocess

import rig
from rig import (OPERATIONS, Fake, expect, expect_equal, file_record,
                 hello, page, record, server_record, session_record, smstat)

EVIL = b'/\x1b]0;x\x07\x1b[2J\r"\\\n\xff\xe2\x80\xae{},=#'
paths = 0


def serve(answer):
    """A server with that answer. Returns its address."""
    global paths
    paths += 1
    Fake(f"{os.getcwd()}/fake{paths}", answer)
    return f"unix:{os.getcwd()}/fake{paths}"


def inspected(files, server=None, sessions=None):
    """An honest frame around the answers to INSPECT: functions of the key behind which a page begins."""
    answers = [server or (lambda _: page(server_record())), files, sessions or (lambda _: page())]

    def answer(operation, body):
        if operation == OPERATIONS["HELLO"]:
            return hello()
        what, after = struct.unpack(">BQ", body)
        return answers[what](after)
    return answer


def conf(name, address, options):
    """A mount file for the server at an address. Returns its name."""
    with open(name, "w") as file:
        file.write(f"MOUNT {address} /a smdish {options}\n"
                   "CAFILE pki/root.crt\nCERTFILE pki/boss.crt\nKEYFILE pki/boss.key\n")
    return name


def show(answer, *options):
    return smstat(*options, *rig.OPERATOR, serve(answer))


def refuse(what, pattern, answer):
    """Whatever is printed, there is none of it, but the reason."""
    for options in [["-i", "0"], ["-i", "0", "-j"]]:
        came = show(answer, *options)
        expect_equal(f"{what}: exit status", 1, came.status)
        expect(f"{what}: expected '{pattern}'", came.err.startswith("smstat: unix:")
               and pattern in came.err and came.err.count("\n") == 1, came.err)
        if "-j" in options:
            (server,) = json.loads(came.out)["servers"]
            expect_equal(f"{what}: the members of a server", {"address", "type", "error"}, set(server))
        else:
            expect_equal(f"{what}: output", "", came.out)


def check_reloads():
    """What a server answers to a reload."""
    def reload(reply):
        path = serve(lambda operation, body: hello() if operation == OPERATIONS["HELLO"] else reply)
        return smstat("-r", *rig.OPERATOR, path)

    def made(*values, text=b""):
        return page(record(">BBQQI", *values, more=struct.pack(">H", len(text)) + text))
    most = 2 ** 64 - 1
    came = reload(made(0, 1, most, most, 2 ** 32 - 1)).good().out
    expect("a reload with the largest numbers", f"; {most} revoked, valid for " in came
           and came.endswith("sessions that end: 4294967295\n"), came)
    came = reload(made(0, 1, 5, 0, 0)).good().out
    expect("a list that has expired", "the revocation list has expired: new peers are refused" in came, came)
    came = reload(made(3, 1, 5, 0, 0, text=b"a\n\x1b[2J" + bytes(1000)))
    expect_equal("a reload that failed", (1, "", 1), (came.status, came.out, came.err.count("\n")))
    expect("its words", r"the old certificates stay in use; the old revocation list stays in use, and has "
           r"expired: a\x0a\x1b[2J\x00" in came.err and came.err.endswith("...\n"), came.err)
    for what, reply in {
            "an empty reply": (0, b""), "no record": page(), "two records": page(record(">B", 0), count=2),
            "a short record": page(record(">BBQQ", 0, 1, 2, 3)),
            "bytes behind the record": (0, made(0, 0, 0, 0, 0)[1] + b"x"),
            "another page": (0, struct.pack(">Q", 1) + made(0, 0, 0, 0, 0)[1][8:])}.items():
        came = reload(reply)
        expect_equal(f"reload, {what}: exit status and output", (1, ""), (came.status, came.out))
        expect(f"reload, {what}", "the server's answer to INSPECT violates the protocol" in came.err, came.err)


def check_malformed():
    whole = file_record(b"/a")
    violates = "the server's answer to INSPECT violates the protocol"
    for what, reply in {
            "an empty reply": (0, b""),
            "half a head": (0, bytes(11)),
            "a count without records": page(count=0xffffffff),
            "fewer records than the count": page(whole, count=2),
            "more records than the count": page(whole, whole, count=1),
            "a record that is cut": page(whole[:-1], count=1),
            "an empty record": page(record(">"), count=1),
            "a record longer than the page": page(b"\xff\xff" + whole[2:], count=1),
            "a record that ends in its numbers": page(record(">QQ", 1, 1)),
            "a name longer than its record": page(record(">85x", more=struct.pack(">H", 9) + b"/a")),
            "a key of 0": page(file_record(b"/a", key=0)),
            "a key twice": page(whole, whole),
            "keys that fall": page(file_record(b"/a", key=2), whole),
            "a page that leads nowhere": page(whole, next=7),
            "an empty page before the next": page(next=1),
            "a last key that is not the next": page(file_record(b"/a", key=2), next=1),
    }.items():
        refuse(what, violates, inspected(lambda after, reply=reply: reply))
    refuse("a page that comes again", violates, inspected(lambda after: page(whole, next=1)))
    refuse("an empty page that comes again", violates,
           inspected(lambda after: page(whole, next=1) if after == 0 else page(next=1)))
    refuse("two servers", violates, inspected(page, lambda _: page(*[server_record()] * 2)))
    refuse("no server", violates, inspected(page, lambda _: page()))
    refuse("a server with more pages", violates, inspected(page, lambda _: page(server_record(), next=1)))
    refuse("a session that is cut", violates,
           inspected(lambda _: page(), None, lambda _: page(session_record(b"x")[:-1], count=1)))
    refuse("more than 64 KiB", "violates the protocol", inspected(lambda _: (0, bytes(65537))))
    refuse("a failure with a body", "violates the protocol", inspected(lambda _: (22, b"x")))
    refuse("a status that is none", "violates the protocol", inspected(lambda _: (9999, b"")))
    refuse("an error", ": Cannot allocate memory", inspected(lambda _: (12, b"")))


def check_later_fields():
    """A record may be longer than what smstat knows."""
    def longer(whole):
        return struct.pack(">H", len(whole) + 1) + whole[2:] + b"new"
    came = show(inspected(lambda _: page(longer(file_record(b"/a")), longer(file_record(b"/b", key=2))),
                          lambda _: page(longer(server_record())),
                          lambda _: page(longer(session_record(b"cert x")))), "-j", "-i", "0")
    (server,) = came.json()
    expect_equal("names before fields that are not known", ["/a", "/b"],
                 [f["name"] for f in server["files"]])


def check_endless():
    """Each page brings one record and announces the next."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    address = serve(inspected(lambda after: page(file_record(b"/" + bytes(100), key=after + 1),
                                                 next=after + 1)))
    came = smstat("-i", "0", conf("endless.conf", address, "silence=3600"))
    expect("a listing without an end", came.status == 1 and came.out == ""
           and came.err == f"smstat: {address}: the server lists more than 16384 pages\n", came.err)
    after = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    # KiB; 16384 records of 200 bytes, in pages of their own, are 6 MiB at most.
    expect(f"the memory for that, {before} KiB without", os.environ.get("VARIANT")
           or after < before + 20 * 1024, f"{after} KiB")


def check_silent():
    """A server that says nothing: the mount file's silence is the limit."""
    stall = inspected(lambda _: rig.time.sleep(10 * rig.PATIENCE))
    came = smstat("-i", "0", conf("silent.conf", serve(stall), "silence=1"))
    expect("a silent server", came.status == 1 and ": timed out: " in came.err, came.err)


def check_names():
    """Names of any bytes, also twice, move no terminal, break no line, and make no series twice."""
    long = b"/" + b"\x07" * 60000
    evil = inspected(
        lambda after: page(file_record(EVIL, holder=3), file_record(EVIL, key=2, holder=4, grants=9),
                           file_record(b"", key=3), next=3) if after == 0
        else page(file_record(long, key=4)),
        None, lambda _: page(session_record(b"cert \x1b[2J" + EVIL * 500, key=3)))
    visible = r'/\x1b]0;x\x07\x1b[2J\x0d"\\\x0a\xff\xe2\x80\xae{},=#'
    table = show(evil, "-i", "0").good().out.splitlines()
    expect_equal("lines of the table", 4 + 4, len(table))
    expect("the evil name in the table", sum(line.endswith(" " + visible) for line in table) == 2, table)
    expect("a holder that is cut", any(r" cert \x1b[2J/\x1b]0;x... " in line for line in table), table)
    expect("a holder that has gone", any(" session 4 " in line for line in table), table)
    (server,) = show(evil, "-j", "-i", "0").json()
    expect_equal("names in JSON", [visible, visible, "", "/" + r"\x07" * 60000],
                 [f["name"] for f in server["files"]])
    expect_equal("a holder that has gone, in JSON",
                 dict(session=4, peer=None, address=None, held_ms=0), server["files"][1]["holder"])
    metrics = show(evil, "-m").good().out.splitlines()
    expect_equal("series", len(metrics), len({line.split(" ")[0] if line[0] != "#" else line
                                              for line in metrics}))
    label = visible.replace("\\", "\\\\").replace('"', '\\"')
    expect_equal("of two files of one name, the newer one", ["9"],
                 [line.split(" ")[-1] for line in metrics
                  if line.startswith("memserver_file_sections_total") and f'file="{label}"' in line])
    check_promtool(metrics)


def check_promtool(lines):
    try:
        run = subprocess.run(["promtool", "check", "metrics"], input="\n".join(lines).encode() + b"\n",
                             capture_output=True)
    except FileNotFoundError:
        print("skipped: there is no promtool to check the metrics of evil names with")
        return
    expect_equal("promtool, evil names", (0, b"", b""), (run.returncode, run.stdout, run.stderr))


def check_extremes():
    """The largest numbers are printed as they are."""
    most = 2**64 - 1
    extreme = inspected(
        lambda _: page(file_record(b"/a", key=most, size=most, committed=most, type=255, version=most,
                                   opens=2**32 - 1, waiters=2**32 - 1, grants=most, holder=most,
                                   held=2**32 - 1, granted=most, released=most, waited=most)),
        lambda _: page(server_record(uptime=most, segments=most, requests=most, longest=2**32 - 1)))
    (server,) = show(extreme, "-j").json()
    (file,) = server["files"]
    expect_equal("the largest numbers", [most] * 5, [file[m] for m in (
        "key", "size", "version", "sections", "waited_ms")])
    expect_equal("a kind that is none", None, file["kind"])
    show(extreme, "-i", "0").good()
    out = show(extreme, "-m").good().out
    expect("the largest time", "} 18446744073709551.615\n" in out, out)


def check_rates():
    """Between two looks one counter rises by 250, and one falls."""
    looks = []

    def files(_):
        looks.append(len(looks))
        now = min(len(looks), 2)
        fresh = [file_record(b"/fresh", key=2, grants=70)] if now == 2 else []
        return page(file_record(b"/a", grants=100 + 250 * now, granted=5000 // now, released=8192 * now),
                    *fresh)
    (server,) = show(inspected(files), "-j").json()
    a, fresh = server["files"]
    expect_equal("looks", 2, len(looks))
    expect_equal("rates", [250, 0, 8192, 70], [round(rate * server["seconds"], 1) for rate in (
        a["sections_per_second"], a["bytes_granted_per_second"], a["bytes_released_per_second"],
        fresh["sections_per_second"])])


def check_order():
    """The busiest file comes first, then what has the most waiters, then what has the first name."""
    looks = []

    def files(_):
        looks.append(len(looks))
        sections = dict(calm=1, busy=900, some=30, a=0)
        return page(*[file_record(b"/" + name.encode(), key=i + 1, grants=n * len(looks),
                                  granted=n * len(looks) << 20, released=n * len(looks) << 4,
                                  waiters=name == "calm") for i, (name, n) in enumerate(sections.items())],
                    file_record(b"/waited", key=5, waiters=2), file_record(b"/0", key=6))
    lines = show(inspected(files)).good().out.splitlines()[4:]
    expect_equal("the order", ["/busy", "/some", "/calm", "/waited", "/0", "/a"],
                 [line.split()[-1] for line in lines])
    expect("critical sections, more bytes out than in",
           re.fullmatch(r"lock +0 +0 +0 +1 +0 +[0-9.]+ +[0-9.]+[GM] +[0-9.]+K? +/busy", lines[0]), lines[0])


def check_amounts():
    """Sizes and times as people read them."""
    def column(place, name, values, **more):
        records = [file_record(b"/%03d" % i, key=i + 1, **{name: value}, **more)
                   for i, value in enumerate(values)]
        lines = show(inspected(lambda _: page(*records)), "-i", "0").good().out.splitlines()
        return [line.split()[place] for line in lines[4:]]
    expect_equal("sizes", "0 1 1023 1.0K 1.5K 10K 1023K 1.0M 2.0G 16E".split(),
                 column(1, "size", [0, 1, 1023, 1024, 1536, 10239, 1047552, 2**20 - 1, 2**31, 2**64 - 1]))
    # There are no rates, so the columns of these are empty.
    held = [0, 999, 1000, 59999, 60000, 3599999, 3600000, 86399999, 86400000, 2**32 - 1]
    expect_equal("times", "0ms 999ms 1.0s 59.9s 1m00s 59m59s 1h00m 23h59m 1d00h 49d17h".split(),
                 column(6, "held", held, holder=9))


def check():
    check_reloads()
    check_malformed()
    check_later_fields()
    check_endless()
    check_silent()
    check_names()
    check_extremes()
    check_rates()
    check_order()
    check_amounts()
