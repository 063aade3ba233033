# holder.py PATH: prints the process that has PATH locked, as F_GETLK tells it.

import fcntl
import os
import struct
import sys

layout = "hhqqi4x"
fd = os.open(sys.argv[1], os.O_RDWR)
asked = struct.pack(layout, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
print(struct.unpack(layout, fcntl.fcntl(fd, fcntl.F_GETLK, asked))[4])
