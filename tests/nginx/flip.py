# flip.py FILE...: flips one bit, a random one, in the middle of each block of 4096 bytes, as a host may.

import os
import random
import sys

for path in sys.argv[1:]:
    fd = os.open(path, os.O_RDWR)
    for place in range(2048, os.fstat(fd).st_size, 4096):
        byte = os.pread(fd, 1, place)
        os.pwrite(fd, bytes([byte[0] ^ 1 << random.randrange(8)]), place)
    os.close(fd)
