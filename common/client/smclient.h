/*
 * smclient: shared memory and locks for processes that have private memory only.
 *
 * A *memory file* is a lock, or a lock with a shared segment. It exists from the first open
 * anywhere until nobody has it open or mapped, and is kept by what a mount names: a mount point in
 * a path name space of the library's own, what is behind it, and its type:
 *
 *	smdish	a server that keeps segments in its memory; nothing but the server is trusted
 *	smuf	a server that keeps locks and keys; segments are sealed blocks in files of the host, and
 *		whatever the host does to them is noticed: EBADMSG, EIO
 *	smc	no server: lock and encrypted blocks are in files of the host, which may read them all
 *		and is trusted not to change them
 *
 * Every process works on a private replica of the segment. Taking the lock brings the replica up to
 * date, giving it back publishes what changed; a process that dies in between has published
 * nothing.
 *
 *	struct sm *sm = sm_new();
 *	sm_load(sm, "app.conf");                        MOUNT unix:/run/smdish.sock /shared smdish
 *	struct sm_file *f = sm_open(sm, "/shared/counter");
 *	uint64_t *counter = sm_map(f, NULL, sizeof *counter);
 *	sm_lock(f);
 *	++*counter;
 *	sm_unlock(f);
 *
 * Every function that can fail returns -1 or NULL and sets errno; sm_error() tells the same in
 * words.
 *
 * Critical sections. Read the segment only while holding the lock, shared or exclusive, and write
 * it only while holding it exclusively. Outside, the replica is merely old. A write outside a
 * critical section, or under a shared lock, is an error of the program that the library does not
 * see: it is published with the next release, or lost to the next grant, and never tears a block
 * that another process published. The one exception: as long as nothing was ever published, what
 * was written to a fresh mapping before the first lock stays, and is published with the first
 * release.
 *
 * A void replica. When a release was refused or lost, or a grant could not be applied whole, the
 * library no longer knows what its replica is. It is then *void*: the mapping stays readable as it
 * is, the next lock fetches all of the segment, and what the program had written without publishing
 * it is gone.
 *
 * One path, one replica. All opens of one path in a process share one mapping and one lock,
 * whichever handle maps or locks. The lock belongs to the thread that took it, as a pthread mutex
 * does.
 *
 * Threads. All functions may be called from several threads. Threads queue for one memory file in
 * the order they came; a thread that waits for a lock holds up no thread that wants something else.
 *
 * fork. Parent and child both go on with all they had open, each with its own replica and its own
 * connection, which the child makes at its first call. Locks stay with the parent: sm_unlock() in
 * the child is ENOLCK. A child may come late, but not later to a server than a minute after its
 * parent is gone: ESTALE; so is a child of a fork that did not run the handlers of
 * pthread_atfork(3). Opening anew goes on from there.
 *
 * The library never prints, creates no thread, installs no signal handler and raises no SIGPIPE.
 *
 * errno
 *	EINVAL		an argument is wrong; or the server refused it (see sm_error())
 *	ENOENT		sm_open: no mount covers the path, or smc: its directory is not there; sm_load:
 *			there is no such file
 *	EISDIR		sm_open: the path is a mount point itself
 *	EEXIST		sm_mount: the mount point is taken; sm_load: there is a CAFILE already; smuf, smc:
 *			a file that is not ours has the name that is needed (sm_open, sm_map)
 *	ENAMETOOLONG	a path or address is too long
 *	EPERM		the mount wants plaintext over TCP, or a server's name checked without TLS
 *	EACCES		the server's certificate or ours was refused; a file may not be read (smc, sm_open:
 *			or written); smc, sm_map: the segment's key is not known here (no key=, or it was
 *			drawn by another process)
 *	ENOTCONN	nobody listens there; the server went away before
 *	ECONNRESET	the server went away during this call
 *	EPROTO		the server said what the protocol does not allow
 *	EPROTONOSUPPORT	the server's version of the protocol is not spoken by this type of mount
 *	ETIMEDOUT	sm_timedlock: the time is over; sm_open: the server does not answer; smc, sm_open and
 *			sm_map: another process was stopped while it opened or closed the file
 *	EAGAIN		sm_trylock: somebody else has the lock
 *	EDEADLK		this thread holds the lock already
 *	ENOLCK		sm_unlock: this thread does not hold the lock
 *	EBUSY		sm_map, sm_unmap: the file is locked
 *	ESTALE		the server had taken the lock away: nothing was published; in a forked child: it
 *			came too late, or the fork skipped the handlers: open again
 *	EBADE		version 1 server: the file has a segment and is not mapped here; smuf: the file is
 *			in use by clients of version 1
 *	EBADMSG		smuf, locking: a block is not what was published, the host has changed it
 *	EIO		smuf, smc: a file of the host cannot be read or written, or is gone
 *	EBADF		smuf, smc, locking and unlocking: the program has closed the library's
 *			descriptors
 *	ENOTSUP		the server cannot do this (sm_stat and size 0 with a version 1 server), or
 *			the system not what track=uffd needs (sm_map), or a library OS gives private
 *			copies of the host's files (smc: sm_open; smuf: sm_map): see sm_error()
 *	EKEYREJECTED	smc, sm_map: the segment has another key than key= gives
 *	EUSERS		smc, sm_open: more than 480 processes have it open
 *	EOVERFLOW	smc, sm_unlock: 2^32 releases under one key; close it everywhere once
 *	ELOOP		smc, sm_open: a symbolic link is in the place of the file
 *	ENOSPC, EDQUOT, EROFS, EFBIG
 *			smuf, smc: no room for the host's files (sm_open, sm_map, sm_unlock)
 *	EMSGSIZE	the segment is larger than the server allows, or than 2 GiB
 *	EMFILE, ENFILE	too many files, here or in the server
 *	ENOMEM		no memory, here or in the server
 */
#ifndef SMCLIENT_H
#define SMCLIENT_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SMCLIENT_PUBLIC __attribute__((visibility("default")))
#else
#define SMCLIENT_PUBLIC
#endif

#define SMCLIENT_VERSION "1.0" /* of this header */

struct sm;      /* a set of mounts, and what was opened through them */
struct sm_file; /* an open memory file: a handle */

enum sm_type {
	SM_TYPE_PURE = 0,       /* a lock without a segment */
	SM_TYPE_SEGMENT = 1,    /* a lock with a segment */
	SM_TYPE_UNPUBLISHED = 2 /* a segment that nobody has published to yet */
};

/* What the server, or the lock file (smc), knows of a memory file. */
struct sm_stat {
	uint64_t life; /* random, drawn when the file was created: another one is another file */
	uint64_t size; /* of the segment, bytes; 0 for a pure lock */
	uint64_t committed;  /* of these, bytes that have memory or storage behind them */
	uint32_t type;       /* enum sm_type */
	uint32_t open_count; /* descriptors in all processes; one a process, however many handles */
	uint32_t waiters;    /* requests for the lock that wait */
	uint64_t version;    /* of the segment: the grant that published last; 0: nobody did */
	uint64_t grants;     /* of the lock since the file was created */
	uint8_t instance[16]; /* random id of the server's run: tells servers apart; smc: zeros */
};

/* A set without mounts. Returns NULL with ENOMEM. */
SMCLIENT_PUBLIC struct sm *sm_new(void);

/*
 * Frees sm and all that was opened and mapped through it; locks that are held are given back and
 * nothing is published. No thread may be using any of it. Takes NULL.
 */
SMCLIENT_PUBLIC void sm_free(struct sm *sm);

/*
 * Reads a mount file: the premanifest that packaging tools read too, a directive a line, # begins a
 * comment, $NAME is the environment's.
 *
 *	MOUNT URI PATH TYPE [OPTIONS]	as sm_mount(); types chroot and nextfs are skipped
 *	CAFILE FILE			PEM: the servers' CA. With it all mounts of sm use TLS,
 *					without it plaintext, which unix sockets only may do
 *	CERTFILE FILE, KEYFILE FILE	PEM: this program's own certificate and key, both or none
 *	DEBUG ENCLAVE_SIZE EXEC MODULE THREADS TIMESERVER	skipped
 *
 * Anything else, an unset variable too, is EINVAL, and sm_error() tells file and line. On failure
 * sm is as it was. Other errno: as sm_mount(), and those of open(2) and read(2) for conf and the
 * PEM files.
 */
SMCLIENT_PUBLIC int sm_load(struct sm *sm, const char *conf);

/*
 * Adds a mount; the server is connected to by the first sm_open() that needs it.
 *
 * uri: unix:PATH, abstract:NAME (exactly that abstract name), pipe:NUMBER (the abstract name that
 * Phoenix derives from it), tcp:HOST:PORT (an IPv6 HOST in brackets). For smuf ",file:DIRECTORY"
 * follows, the directory of the server's -r as this process sees it; for smc the URI is
 * file:DIRECTORY. path: the mount point, absolute; for smuf and smc another one may follow after a
 * comma, which is for packagers. type: "smdish", "smuf" or "smc". options: NULL, or a comma list of
 *
 *	sync=delta|full		transfer the blocks that changed (default), or always all of them:
 *				the host then does not see which ones changed
 *	track=auto|diff|uffd|hint
 *				how sm_unlock() finds what changed. diff compares all of the segment
 *				with a copy. uffd asks the kernel which pages were written, and
 *				compares these (Linux 6.7 or later, two descriptors a segment, no
 *				huge pages): for large segments of which little changes. hint
 *				compares what sm_dirty() named, and nothing else. auto (default)
 *				chooses between diff and uffd, by the size of the segment and by how
 *				much of it changes, and is diff where there is no uffd
 *	name=NAME		the name that the server's certificate must carry (default: the HOST
 *				of tcp:, else none is asked for)
 *	key=PATH		smc: a file of 32 bytes, the master key that all processes must have
 *				(default: each segment's key is drawn by who maps it first, and known to
 *				processes forked from that one only)
 *
 * EINVAL: an address, mount point, type or option that does not exist, or not in this release;
 * EEXIST; ENAMETOOLONG; ENOMEM.
 */
SMCLIENT_PUBLIC int sm_mount(struct sm *sm, const char *uri, const char *path, const char *type,
    const char *options);

/*
 * Opens the memory file at path, creating it if nobody has it open. The mount whose mount point is
 * the longest prefix of path by whole components has it; repeated slashes and "." count for
 * nothing. The handle is freed by sm_close() or sm_free(). When the server of earlier files went
 * away, opening connects again; the file is then a new one, also under a path that is still open
 * here. ENOENT, EISDIR, EINVAL (a ".." in path, or a name that the server refuses), ENAMETOOLONG,
 * EPERM, EACCES, ENOTCONN, ECONNRESET, ETIMEDOUT, EPROTO, EPROTONOSUPPORT, EMFILE, ENFILE, ENOMEM.
 */
SMCLIENT_PUBLIC struct sm_file *sm_open(struct sm *sm, const char *path);

/*
 * Closes the handle; it is gone whatever the result. If the lock was taken through it, the lock is
 * given back, nothing is published and the replica is void. The mapping stays, and keeps the file,
 * until sm_unmap(). Whichever of both is the last returns -1 when an earlier sm_unlock() turns out
 * to have failed: ESTALE or EINVAL (refused), ENOTCONN or ECONNRESET (the server is gone, and
 * perhaps what it was sent last).
 */
SMCLIENT_PUBLIC int sm_close(struct sm_file *file);

/*
 * Maps the segment, size bytes, creating it if the file has none; size 0: the size that it has.
 * hint is where the program would like it, as for mmap(2), or NULL. Mapping again, through any
 * handle of the path, gives the same address. The mapping is private memory of this process, up to
 * date from the next lock on. EINVAL: another size than the segment has, or 0 and there is no
 * segment; EBUSY: the first mapping here while this process holds the lock or waits for it;
 * EMSGSIZE; ENOTSUP, also for track=uffd where the system has no such thing or forbids it; EMFILE
 * and ENFILE for track=uffd; ENOMEM; ENOTCONN, ECONNRESET, EPROTO; and a failed earlier
 * sm_unlock(), as sm_close().
 */
SMCLIENT_PUBLIC void *sm_map(struct sm_file *file, void *hint, size_t size);

/*
 * Ends the mapping at address, which sm_map() returned; one call, however often it was mapped. The
 * memory is wiped. EINVAL: there is no mapping at address; EBUSY: the file is locked here. With
 * other errno the mapping is gone: see sm_close(), if no handle is left.
 */
SMCLIENT_PUBLIC int sm_unmap(struct sm *sm, void *address);

/*
 * Takes the lock exclusively and brings the replica up to date; waits for as long as it takes,
 * signals notwithstanding. On failure the lock is not held and the mapping is as it was. EDEADLK;
 * ENOTCONN, ECONNRESET; EPROTO; EBADE; ENOMEM; and, once, the failure of an earlier sm_unlock():
 * ESTALE or EINVAL. The replica was void then, and locking again goes on from what is published.
 */
SMCLIENT_PUBLIC int sm_lock(struct sm_file *file);

/* The same without waiting for other holders: EAGAIN; ETIMEDOUT when the server is silent. */
SMCLIENT_PUBLIC int sm_trylock(struct sm_file *file);

/*
 * The same, waiting until deadline, an absolute time of CLOCK_MONOTONIC, rounded up to a
 * millisecond: ETIMEDOUT. EINVAL: not a time.
 */
SMCLIENT_PUBLIC int sm_timedlock(struct sm_file *file, const struct timespec *deadline);

/*
 * Takes the lock for reading, as sm_lock(): any number of readers at a time, in this process and
 * others, and no writer. EDEADLK also when this thread reads already. A version 1 server and smc
 * know exclusive locks only: other processes then wait.
 */
SMCLIENT_PUBLIC int sm_rdlock(struct sm_file *file);

/*
 * Gives the lock back. What changed since it was taken exclusively is published, all of it or
 * nothing. smdish and smuf: returns when the kernel has all the bytes; a refusal that comes later
 * is told by the next call on that file (with a server that limits how long locks are held, by this
 * one). The lock is given back whatever the result, but for ENOLCK. ESTALE, EINVAL: refused,
 * nothing was published; ENOTCONN, ECONNRESET: perhaps nothing was; EPROTO.
 */
SMCLIENT_PUBLIC int sm_unlock(struct sm_file *file);

/*
 * Says that length bytes at offset of the segment were, or will be, written in this critical
 * section. With track=hint that is needed: what was written and not named since the last
 * sm_unlock() is not published, stays in this replica only, and is lost when another process
 * publishes that block of 4096 bytes, or when the replica becomes void. Of each block all from the
 * first byte named to the last counts as named. With another track= it says nothing new. Any thread
 * may call it while one holds the lock. EINVAL: not mapped, or out of range.
 */
SMCLIENT_PUBLIC int sm_dirty(struct sm_file *file, size_t offset, size_t length);

/*
 * Asks the server about the file, or looks at its lock file (smc). ENOTSUP, ENOTCONN, ECONNRESET,
 * EPROTO; a failed earlier sm_unlock().
 */
SMCLIENT_PUBLIC int sm_stat(struct sm_file *file, struct sm_stat *out);

/*
 * The calling thread's last failure in words, one line without a newline; file and line for a mount
 * file; "" when there was none. Never NULL; valid until the thread's next call. sm may be NULL.
 */
SMCLIENT_PUBLIC const char *sm_error(const struct sm *sm);

/* The version of the library, as SMCLIENT_VERSION. */
SMCLIENT_PUBLIC const char *sm_version(void);

#ifdef __cplusplus
}
#endif

#endif
