/*
 * store: where segments live; what is different about a daemon, and the only thing that is.
 *
 * Both daemons are the one server of this folder with another struct store_ops. The server keeps the
 * names, descriptors, locks and versions (struct memfile); the store keeps the bytes, or what speaks
 * for them, in f->store_data, and knows how they look on the wire. What the store has for all files is
 * its context, in f->tree->store_context; its timers run with those of the server, f->tree->timers.
 */
#ifndef COMMON_SERVER_CORE_STORE_H
#define COMMON_SERVER_CORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct memfile;
struct wire_reader;
struct wire_writer;

/* What happened to a file's lock; see lock_changed. */
enum store_event {
	STORE_EVENT_CLAIMED,  /* it was granted, or somebody waits for it */
	STORE_EVENT_UNLOCKED, /* version 1: given back by an UNLOCK */
	STORE_EVENT_DROPPED /* any other end: a RELEASE, the holder's, a waiter's; or LOCK refused its turn */
};

/* Storage of a segment, bytes. */
struct store_usage {
	uint64_t reserved;  /* set aside for it, most of it not yet there */
	uint64_t written;   /* with memory or storage behind them */
	uint64_t committed; /* of the segment's own bytes, those that STAT calls committed */
};

struct store_ops {
	const char *name;        /* of the mount type: "smdish" */
	size_t name_limit;       /* a name of so many bytes or more is too long */
	bool separates_versions; /* a file belongs to the version of the protocol that created it */
	bool has_turns;          /* version 1: a LOCK carries a turn, and is never polled */
	bool keeps_stalled_holders; /* who holds a lock is not dropped for being slow */

	/* The daemon begins, with the directory of -r, and ends, all files gone; NULL for neither. */
	int (*start)(void **context, const char *directory);
	void (*stop)(void *context);

	/* 0, or -EINVAL for a name this store cannot have. Its length is right, it holds no NUL. */
	int (*check_name)(const char *name, size_t size);

	/* A file begins or ends: makes or wipes and frees f->store_data. create: 0 or a negative errno. */
	int (*create)(struct memfile *f);
	void (*destroy)(struct memfile *f);

	/* The file gets a segment of size bytes (f->size is still 0). Returns 0 or a negative errno. */
	int (*map)(struct memfile *f, uint32_t size);

	void (*usage)(const struct memfile *f, struct store_usage *usage);

	/* The lock moved; after the fact, and whatever the version. NULL when nobody wants to know. */
	void (*lock_changed)(struct memfile *f, enum store_event event);

	/* With has_turns: whether turn is the one being served. Nobody holds the lock. */
	bool (*turn_is_served)(const struct memfile *f, uint32_t turn);

	/* Version 2: the delta of a grant, what is above since: its size, then the bytes of it. */
	size_t (*grant_size)(const struct memfile *f, uint64_t since);
	void (*grant_put)(const struct memfile *f, uint64_t since, struct wire_writer *w);

	/*
	 * Version 2: reads a release's delta to its end and publishes it as grant, all of it or, on
	 * failure, nothing: -EPROTO for what is malformed, -EINVAL for blocks that may not be, -ENOMEM.
	 */
	int (*release)(struct memfile *f, uint64_t grant, struct wire_reader *r);

	/* Version 1: what follows the type in a LOCK's reply for a segment that was published. */
	size_t (*lock_size)(const struct memfile *f);
	void (*lock_put)(const struct memfile *f, struct wire_writer *w);

	/* Version 1: true when r plus missing bytes have the shape of what follows the type in UNLOCK. */
	bool (*unlock_is_shaped)(struct wire_reader r, uint64_t missing);

	/* Version 1: publishes it as grant, or nothing: -EINVAL (another size), -ENOMEM. */
	int (*unlock)(struct memfile *f, uint64_t grant, struct wire_reader *r);
};

#endif
