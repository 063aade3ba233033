# count.py PATH PROCESSES SECTIONS: children of os.fork() count at PATH, which is mapped, under
# fcntl.lockf(); halfway each runs a subprocess while it holds the lock. Prints the counter.

import fcntl
import mmap
import os
import struct
import subprocess
import sys

path, processes, sections = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o660)
os.ftruncate(fd, 4096)
memory = mmap.mmap(fd, 4096)


def count():
    for i in range(sections):
        fcntl.lockf(fd, fcntl.LOCK_EX)
        (n,) = struct.unpack_from("Q", memory)
        if i == sections // 2:
            said = subprocess.run(["echo", "beside"], stdout=subprocess.PIPE, check=True).stdout
            assert said == b"beside\n", said
        struct.pack_into("Q", memory, 0, n + 1)
        fcntl.lockf(fd, fcntl.LOCK_UN)


children = []
for i in range(processes):
    child = os.fork()
    if child == 0:
        count()
        os._exit(0)
    children.append(child)
for child in children:
    assert os.waitpid(child, 0)[1] == 0
fcntl.lockf(fd, fcntl.LOCK_SH)
print(struct.unpack_from("Q", memory)[0])
