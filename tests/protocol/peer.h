/*
 * peer: a server under test, and the connections of a script to it. Connections have numbers from
 * 0.
 *
 * There are two kinds, both with either store: the session core inside this process, whose time the
 * script sets (peer_core.c), and a daemon behind a socket, in plaintext or over TLS
 * (peer_socket.c). A test begins with a server that has the requested options and no memory file.
 * It must leave none, in the server or, with smuf, in the server's directory on the host.
 */
#ifndef TESTS_PROTOCOL_PEER_H
#define TESTS_PROTOCOL_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"

enum { PEER_MOST = 16, PEER_REASON_SIZE = 512 };

/* Options of the server; 0 for the default. */
struct peer_options {
	uint32_t lease_ms;
	uint32_t session_limit;
	uint64_t segment_limit;
	uint64_t total_limit;
	uint64_t memory_limit;
};

/*
 * How long an answer may take. Sockets: 0, 20 ms, 10 s, 10 s, the last two on a quiet machine. The
 * core needs no time; the last is 5 s of the time that the script sets.
 */
enum peer_patience { PEER_INSTANTLY, PEER_BRIEFLY, PEER_NOW, PEER_SOON };

struct peer {
	const char *name;
	bool is_core; /* a script can set its time and look into its sessions */
	bool is_smuf; /* the store; false: smdish */

	/* Begins a test. Returns false with a reason when there is no server. */
	bool (*begin)(const struct peer_options *o, char reason[PEER_REASON_SIZE]);

	/*
	 * Ends a test, which has closed all connections. Returns false with a reason when something
	 * is left in the server. has_forked: pending forks may be left, which live for a minute.
	 */
	bool (*end)(bool has_forked, char reason[PEER_REASON_SIZE]);

	/*
	 * At the end of all tests: stops the server. Returns false with a reason unless it ends
	 * well.
	 */
	bool (*finish)(char reason[PEER_REASON_SIZE]);

	/* Connects. Returns 0 or a negative errno. */
	int (*open)(unsigned who);

	/*
	 * Ends the connection after all bytes given to send() are sent, and waits until the server
	 * knows.
	 */
	void (*close)(unsigned who);

	/* Takes bytes to be sent. Never blocks, never fails: wait() reports errors. */
	void (*send)(unsigned who, const void *data, size_t size);

	/*
	 * Waits until size bytes are in input(who). Returns 0, -EAGAIN when they did not come, or
	 * -ECONNRESET when the server has closed the connection before.
	 */
	int (*wait)(unsigned who, size_t size, enum peer_patience patience);
	struct buf *(*input)(unsigned who);

	/*
	 * Stops reading replies: deafen() for ever, so that the server's writes fail; pause() until
	 * resume().
	 */
	void (*deafen)(unsigned who);
	void (*pause)(unsigned who);
	void (*resume)(unsigned who);

	/* Lets that much time pass, in which nothing is sent. */
	void (*advance)(uint64_t ns);

	/* Core only: true when the session does not want to read. */
	bool (*is_held_back)(unsigned who);

	/* Core only: the session is an operator's from now on. */
	void (*make_operator)(unsigned who);

	/* Core only: bytes from malloc(3) since begin(), without those of the peers. */
	size_t (*memory)(void);

	/* With smuf, from begin() to end(): the directory of its files. */
	const char *(*memdir)(void);
};

extern const struct peer peer_core;          /* frames whole */
extern const struct peer peer_core_bytewise; /* the same, in single bytes both ways */
extern const struct peer peer_plain;
extern const struct peer peer_tls12;
extern const struct peer peer_tls13;

/* The same with smuf. */
extern const struct peer peer_smuf_core;
extern const struct peer peer_smuf_core_bytewise;
extern const struct peer peer_smuf_plain;
extern const struct peer peer_smuf_tls12;
extern const struct peer peer_smuf_tls13;

/*
 * Sets the programs to test over sockets, and the script that makes keys for them. Kept by
 * reference.
 */
void peer_socket_configure(const char *smdishserver, const char *smufserver, const char *mkpki);

#endif
