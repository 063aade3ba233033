#!/usr/bin/env python3
"""A client of smdishserver, written from PROTOCOL.md alone: the proof that it suffices."""
import socket
import ssl
import struct
import sys

OPERATIONS = dict(NEW_FDTABLE=0, OPEN=3, CLOSE=4, MMAP=7, HELLO=16, ACQUIRE=17, RELEASE=18)
STATUSES = {1: "EPERM", 5: "EIO", 9: "EBADF", 11: "EAGAIN", 12: "ENOMEM", 22: "EINVAL",
            24: "EMFILE", 35: "EDEADLK", 36: "ENAMETOOLONG", 38: "ENOSYS", 52: "EBADE",
            71: "EPROTO", 90: "EMSGSIZE", 110: "ETIMEDOUT", 116: "ESTALE", 125: "ECANCELED"}
sys.excepthook = lambda kind, error, _: print(f"{kind.__name__}: {error}", file=sys.stderr)


def call(tag, operation, layout, *fields):
    body = struct.pack(layout, *fields)
    connection.sendall(struct.pack(">HHI", tag, OPERATIONS[operation], len(body)) + body)
    header = replies.read(8) or sys.exit(f"{operation}: the server ended the connection")
    reply_tag, status, size = struct.unpack(">HHI", header)
    body = replies.read(size)
    if (reply_tag, status, len(body)) != (tag, 0, size):
        sys.exit(f"{operation}: {STATUSES.get(status, 'a reply against the protocol')}")
    return body


address, name, size, offset, *tls_files = sys.argv[1:]  # the files: CA CERT KEY
name, size, offset = name.encode(errors="surrogateescape"), int(size), int(offset)
if address.startswith("tcp:"):
    host, port = address[4:].replace("[", "").replace("]", "").rsplit(":", 1)
    connection = socket.create_connection((host, port))
else:
    host, connection = None, socket.socket(socket.AF_UNIX)
    connection.connect(address)
if tls_files:
    context = ssl.create_default_context(cafile=tls_files[0])
    context.check_hostname = host is not None
    context.load_cert_chain(*tls_files[1:])
    connection = context.wrap_socket(connection, server_hostname=host)
replies = connection.makefile("rb")

if call(0, "HELLO", ">II", 2, 0)[:4] != struct.pack(">I", 2):
    sys.exit("HELLO: the server speaks only version 1")
call(1, "NEW_FDTABLE", ">")
(fd,) = struct.unpack(">I", call(2, "OPEN", f">I{len(name)}s", len(name), name))
call(3, "MMAP", ">II", fd, size)
grant_reply = call(4, "ACQUIRE", ">IBIQ", fd, 1, 0xffffffff, 0)  # exclusive, for ever, since 0
grant, _, count = struct.unpack_from(">QQI", grant_reply)
replica, position, end, valid = bytearray(size), 20, 0, True
for _ in range(count):
    start, length = struct.unpack_from(">II", grant_reply, position)
    valid = valid and end <= start < start + length <= size
    position, end = position + 8 + length, start + length
    replica[start:end] = grant_reply[position - length:position]
if not valid or position != len(grant_reply):
    sys.exit("ACQUIRE: a delta against the protocol")
replica[offset] = (replica[offset] + 1) % 256
version = call(5, "RELEASE", ">IQBIIIB", fd, grant, 0, 1, offset, 1, replica[offset])
print(replica[offset], int.from_bytes(version, "big"), flush=True)
sys.stdin.buffer.read()
call(6, "CLOSE", ">I", fd)
