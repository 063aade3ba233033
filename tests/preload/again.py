# again.py PATH: has PATH open until its input ends, and then loses it with the server, which has been started
# again: what a lock says; and counts in a file of that name that is opened anew.

import errno
import fcntl
import mmap
import os
import sys


def open_file():
    fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o660)
    os.ftruncate(fd, 4096)
    return fd, mmap.mmap(fd, 4096)


fd, memory = open_file()
print("open", flush=True)
sys.stdin.read()
try:
    fcntl.lockf(fd, fcntl.LOCK_EX)
    print("locked")
except OSError as e:
    print(errno.errorcode[e.errno])
memory.close()
os.close(fd)
fd, memory = open_file()
for i in range(10):
    fcntl.lockf(fd, fcntl.LOCK_EX)
    memory[0] += 1
    fcntl.lockf(fd, fcntl.LOCK_UN)
fcntl.lockf(fd, fcntl.LOCK_SH)
print(memory[0])
