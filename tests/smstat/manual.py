"""smstat(1), --help and what smstat prints name the same options, members and metrics."""
import itertools
import os
import re

from rig import Client, daemon, expect_equal, smstat

PAGE = os.environ["SRC"] + "/deploy/smstat/smstat.1"


def words(macro, text):
    """The arguments of a macro of mdoc, but for punctuation."""
    return {word for line in re.findall(rf"^\.{macro} (.*)$", text, re.M) for word in line.split()
            if word not in ",.:;"}


def section(title, text):
    return re.search(rf'^\.S[hs] {title}\n(.*?)^\.S[hs] ', text, re.M | re.S)[1]


def check_together(page):
    """Of -j, -m, -r and -w those go together that the synopsis has in one word."""
    usage = {group.replace("-", "") for group in re.findall(r"\[(-\w+ \|[^]]+)\]", smstat("--help").out)}
    expect_equal("groups of the manual, and of the usage", usage,
                 {line.replace("Fl ", "") for line in re.findall(r"^\.Op (Fl \w+ \|.*)$", page, re.M)})
    (groups,) = usage
    for one, other in itertools.combinations("jmrw", 2):
        is_one_word = any(one in group and other in group for group in groups.split(" | "))
        came = smstat("-" + one + other, "nonexistent.conf")
        expect_equal(f"{came.what}: exit status", 1 if is_one_word else 2, came.status)


def check():
    with open(PAGE) as file:
        page = file.read()
    options = set(re.findall(r"^\.It Fl (\w)", page, re.M))
    letters = re.findall(r"-(\w)\b", smstat("--help").out.split("\n\n")[0])
    usage = re.findall(r"[[|] ?-(\w+)", smstat("--help").out) + letters
    expect_equal("options in the manual, and in the usage", options, set("".join(usage)))
    check_together(page)
    expect_equal("options in --help", options, set(re.findall(r"^-(\w)\b", smstat("--help").out, re.M)))
    path = os.getcwd() + "/manual"
    with daemon("smdish", path, "--operators", "boss"):
        client = Client(path, "app")
        client.acquire(client.open(b"/a"))
        keys = ["-Z", "pki/root.crt", "pki/boss.crt", "pki/boss.key", path]
        (server,) = smstat("-j", *keys).json()
        came = set(server) | {member for part in [server["files"][0], server["files"][0]["holder"],
                                                  server["sessions"][0]] for member in part}
        json = section("JSON", page)
        expect_equal("members in the manual", words("Va", json), came | {"servers"})
        metrics = smstat("-m", *keys).good().out
        text = section("Metrics", page).split("Of a server", 1)[1]
        expect_equal("metrics in the manual", words("Ql", text) | {"up"},
                     set(re.findall(r"^memserver_(\w+)\{", metrics, re.M)))
        titles = smstat("-i", "0", *keys).good().out.splitlines()[3].split()
        table = section("The table", page)
        expect_equal("columns in the manual", re.findall(r"^\.It (\S+)$", table, re.M), titles)
        client.close()
