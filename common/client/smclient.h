/*
 * smclient: shared memory and locks for processes that have private memory only.
 *
 * A *memory file* is a lock, or a lock with a shared segment. It exists from the first open in any
 * process until no process has it open or mapped. A server (types smdish and smuf) or files of the
 * host (smc) keep it. Every process works on a private replica of the segment: acquiring the lock
 * brings the replica up to date, releasing it publishes the changes, and a process that dies in
 * between publishes nothing.
 *
 * With a mount file app.conf of the line `MOUNT unix:/run/smdish.sock /shared smdish`:
 *
 *	struct sm *sm = sm_new();
 *	sm_load(sm, "app.conf");
 *	struct sm_file *f = sm_open(sm, "/shared/counter");
 *	uint64_t *counter = sm_map(f, NULL, sizeof *counter);
 *	sm_lock(f);
 *	++*counter;
 *	sm_unlock(f);
 *
 * smclient(3) is the manual: the rules of a critical section, threads, fork(2), a table of the
 * errors with their remedies, and the host's remaining powers; smclient.conf(5) has mount files.
 * Below is the contract of each function.
 *
 * A function that fails returns -1 or NULL and sets errno; sm_error() returns a sentence about it.
 * Each function below lists its errors, except these, which all functions about a file share:
 *
 *	ENOTCONN ECONNRESET EPROTO ETIMEDOUT	of the connection to the server
 *	EIO ENOSPC EDQUOT EROFS EFBIG	of the host's files (smuf, smc)
 *	EBADF			the program has closed a descriptor of the library
 *	ESTALE EINVAL		once: the server refused an earlier sm_unlock()
 *	ESTALE			for good: a forked child cannot use the file that it inherited
 *	ENOTRECOVERABLE		for good: a thread of the parent had a lock of OpenSSL at the fork
 *	ENOMEM
 *
 * Several threads may call any functions at the same time. The library never prints, creates no
 * thread, installs no signal handler and raises no SIGPIPE.
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

struct sm;      /* a set of mounts, and all that is opened through them */
struct sm_file; /* an open memory file: a handle */

enum sm_type {
	SM_TYPE_PURE = 0,       /* a lock without a segment */
	SM_TYPE_SEGMENT = 1,    /* a lock with a segment */
	SM_TYPE_UNPUBLISHED = 2 /* a segment that no process has published to */
};

/* The state of a memory file, from the server or the lock file (smc). */
struct sm_stat {
	uint64_t life;        /* random, drawn when the file was created: identifies it */
	uint64_t size;        /* bytes of the segment; 0 for a pure lock */
	uint64_t committed;   /* of them, with memory or storage; smc: as far as known here */
	uint32_t type;        /* enum sm_type */
	uint32_t open_count;  /* one a process (and set of mounts), forked children included */
	uint32_t waiters;     /* requests that wait for the lock */
	uint64_t version;     /* the grant that published last; smc: how many did; 0: none */
	uint64_t grants;      /* of the lock, since the file was created; smc: turns of the lock */
	uint8_t instance[16]; /* random, drawn when the server started; smc: zeros */
};

/* How a lock is held. */
struct sm_holder {
	uint32_t mode; /* SM_WRITE, SM_READ; 0: nobody holds it */
	int64_t pid;   /* of the holder, or of one of the readers, as it says; -1: not known */
};

/* Makes a set of mounts, empty at first. ENOMEM. */
SMCLIENT_PUBLIC struct sm *sm_new(void);

/*
 * Frees sm and everything that was opened and mapped through it; releases locks that are held, and
 * publishes nothing. No other thread may be using any of it. Takes NULL.
 */
SMCLIENT_PUBLIC void sm_free(struct sm *sm);

/*
 * Reads a mount file and adds its mounts; on failure sm is unchanged. Relative paths in it begin at
 * its directory. EINVAL: an error in the file, which sm_error() describes with file and often line;
 * EFBIG: it has more than 1 MiB; EEXIST, ENAMETOOLONG, ENOMEM, and errors of open(2) and read(2).
 */
SMCLIENT_PUBLIC int sm_load(struct sm *sm, const char *conf);

/*
 * Adds a mount of that type ("smdish", "smuf", "smc") at path, which is absolute. uri is the
 * server's address, the directory (smc), or both (smuf), in the forms of smclient(3); relative
 * paths begin at the working directory of this call. The first sm_open() that needs the server
 * connects to it. options: NULL, or a list separated by commas:
 *
 *	sync=delta|full			transfer the changed blocks, or always all blocks
 *	track=auto|diff|uffd|hint	how sm_unlock() finds the changes
 *	name=NAME			the name that the server's certificate must carry
 *	silence=SECONDS			how long a server may be silent, 30 by default
 *	key=PATH			smc: the master key, a file of 32 bytes
 *	locks=kernel|none		smc: processes see each other by kernel locks, or not
 *
 * EINVAL, EEXIST, ENAMETOOLONG, ENOMEM, and errors of open(2) and read(2) for the key.
 */
SMCLIENT_PUBLIC int sm_mount(struct sm *sm, const char *uri, const char *path, const char *type,
    const char *options);

/* How sm_open_flags() opens; 0: a file that a process has open. */
#define SM_OPEN_CREATE 1    /* creates the file if no process has it open */
#define SM_OPEN_EXCLUSIVE 2 /* with SM_OPEN_CREATE: EEXIST if a process has it open */
#define SM_OPEN_OWNER 4     /* the handle owns its locks: any thread may release them */

/*
 * Opens the memory file at path, and creates it if no process has it open. Returns a handle, which
 * sm_close() or sm_free() frees. When the connection of earlier files has ended, connects again;
 * the file may then be a new one (struct sm_stat, life). ENOENT, EISDIR, EEXIST, EINVAL,
 * ENAMETOOLONG, EPERM, EACCES, EADDRNOTAVAIL, EPROTONOSUPPORT, EBADE, ELOOP, ENOTSUP, EUSERS,
 * EMFILE, ENFILE, and errors of connect(2) and open(2).
 */
SMCLIENT_PUBLIC struct sm_file *sm_open(struct sm *sm, const char *path);

/*
 * Like sm_open(), which is sm_open_flags() with SM_OPEN_CREATE; flags: SM_OPEN_* added up. A lock
 * that is acquired through a handle with SM_OPEN_OWNER belongs to the handle: where a function
 * below speaks of a thread that holds the lock, it is every thread that passes this handle, and no
 * call with another handle. ENOENT: no process has it open; EEXIST: one has, perhaps this one;
 * EINVAL: no such flags; ENOTSUP: the server cannot open without creating, or exclusively.
 */
SMCLIENT_PUBLIC struct sm_file *sm_open_flags(struct sm *sm, const char *path, int flags);

/*
 * Closes the handle, whatever the result. Threads that wait for the lock through it fail with
 * EBADF. If the lock was acquired through it, releases the lock and publishes nothing; the replica
 * is then void. The mapping stays, and keeps the file, until sm_unmap(). The last of both calls
 * reports the failure of an earlier sm_unlock().
 */
SMCLIENT_PUBLIC int sm_close(struct sm_file *file);

/*
 * Maps the segment, size bytes, and creates it if the file has none; size 0: the size that it has.
 * hint is the preferred address, as for mmap(2), or NULL. Returns the same address again for every
 * handle of the path. The mapping is private memory, up to date after the next lock. Through a
 * handle with SM_OPEN_OWNER that holds the lock exclusively, the mapping is up to date at once, and
 * the lock is not let go: readers may have it in between, and no writer. EINVAL: the segment has
 * another size, or size is 0 and there is none; EBUSY: this process holds the lock otherwise, or
 * waits for it; EDEADLK: another process upgrades: the lock is released; EMSGSIZE, EEXIST, EACCES,
 * EKEYREJECTED, ENOTSUP, EMFILE, ENFILE. If an owner's lock is lost behind the mapping (EBADF,
 * EDEADLK, ECONNRESET, ETIMEDOUT), the mapping stays: sm_map() with size 0 returns it.
 */
SMCLIENT_PUBLIC void *sm_map(struct sm_file *file, void *hint, size_t size);

/*
 * Wipes and ends the mapping at address, which sm_map() returned. One call is enough, however often
 * the segment was mapped. EINVAL: there is no mapping at address; EBUSY: this process holds the
 * lock or waits for it. After other errors the mapping is gone: see sm_close().
 */
SMCLIENT_PUBLIC int sm_unmap(struct sm *sm, void *address);

/*
 * Acquires the lock exclusively and brings the replica up to date. Waits as long as it takes;
 * signals do not end the wait. On failure the lock is not held and the mapping is unchanged.
 * EDEADLK: this thread holds the lock; EBADF: another thread closed the handle; EBADE, EBADMSG.
 *
 * When this thread holds the lock for reading, it writes once all other readers have left, and no
 * other writer comes in between. It waits in front of all others; on failure it reads on. EDEADLK:
 * another reader waits to write, and each would wait for the other; ENOTSUP: an older server.
 */
SMCLIENT_PUBLIC int sm_lock(struct sm_file *file);

/*
 * Like sm_lock(), but does not wait for other holders: EAGAIN. For a silent server it waits a
 * second at most: ETIMEDOUT.
 */
SMCLIENT_PUBLIC int sm_trylock(struct sm_file *file);

/*
 * Like sm_lock(), but waits until deadline, an absolute time of CLOCK_MONOTONIC, rounded up to a
 * millisecond: ETIMEDOUT, also when the server is silent; the other files of the mount go on.
 * EINVAL: not a valid time.
 */
SMCLIENT_PUBLIC int sm_timedlock(struct sm_file *file, const struct timespec *deadline);

/*
 * Like sm_lock(), but acquires the lock for reading: any number of readers at a time, in all
 * processes, and no writer. With a version 1 server or smc, only readers of this process share it.
 */
SMCLIENT_PUBLIC int sm_rdlock(struct sm_file *file);

/* How sm_acquire() acquires: one of the first two, and what is wanted of the others. */
#define SM_WRITE 1         /* exclusively */
#define SM_READ 2          /* for reading */
#define SM_TRY 4           /* does not wait for other holders: EAGAIN */
#define SM_INTERRUPTIBLE 8 /* a signal ends the wait: EINTR */

/*
 * Acquires the lock as how says, SM_* added up; the four functions above are this one with SM_WRITE
 * and SM_READ. deadline as for sm_timedlock(); NULL: waits as long as it takes; not used with
 * SM_TRY. With SM_INTERRUPTIBLE a caught signal ends the wait of the thread that handles it, as it
 * ends that of fcntl(2) with F_SETLKW: one whose handler was installed without SA_RESTART. A signal
 * that comes before the call waits may have no effect. EINVAL: no such way, or no valid time.
 */
SMCLIENT_PUBLIC int sm_acquire(struct sm_file *file, int how, const struct timespec *deadline);

/*
 * Releases the lock, whatever the result, except for ENOLCK: this thread does not hold it. After an
 * exclusive lock, publishes the changes, all of them or none. With a server, returns when the
 * kernel has taken all the bytes, and the next call on the file reports a later refusal; if the
 * server limits how long locks are held (-t), waits for its reply. ESTALE, EINVAL: refused, nothing
 * was published; ENOTCONN, ECONNRESET, ESTALE (smc): perhaps nothing was; EOVERFLOW (smc).
 */
SMCLIENT_PUBLIC int sm_unlock(struct sm_file *file);

/*
 * While this thread holds the lock exclusively: publishes the changes, as sm_unlock() does, and
 * holds the lock for reading, without letting go of it. Readers that wait get it, too. ENOLCK,
 * ENOTSUP (an older server): nothing has changed. After another error, one of sm_unlock(), the lock
 * is released.
 */
SMCLIENT_PUBLIC int sm_downgrade(struct sm_file *file);

/*
 * Names length bytes at offset of the segment that the program writes in this critical section.
 * With track=hint, bytes that are not named are not published; otherwise, and with sync=full, the
 * call has no effect.
 * For large segments in a library OS, where sm_unlock() would compare all of them.
 * Any thread may call it while one holds the lock. EINVAL: not mapped, or out of range.
 */
SMCLIENT_PUBLIC int sm_dirty(struct sm_file *file, size_t offset, size_t length);

/*
 * While the calling thread holds the lock: a *fencing token*, for effects outside the segment.
 * Within a life of the file *grant rises from grant to grant, and no two exclusive grants have the
 * same. Lives are random and have no order. So the store that performs the effect is set up for one
 * life, and refuses tokens of any other one and a smaller grant than it has seen; when the file
 * begins a new life, somebody sets it up for that one. ENOLCK: this thread does not hold the lock;
 * ESTALE (smc): another process has taken the lock over; ENOTSUP: a version 1 server.
 */
SMCLIENT_PUBLIC int sm_grant(struct sm_file *file, uint64_t *life, uint64_t *grant);

/* Fills *out. ENOTSUP: a version 1 server has no such request. */
SMCLIENT_PUBLIC int sm_stat(struct sm_file *file, struct sm_stat *out);

/*
 * Fills *out: how the lock is held now. The holder may have changed when the call returns. ENOTSUP:
 * the server has no such request.
 */
SMCLIENT_PUBLIC int sm_holder(struct sm_file *file, struct sm_holder *out);

/*
 * The calling thread's last failure as a sentence, one line without a newline; for a mount file,
 * with file and line; "" when no call has failed. Never NULL; valid until the thread's next call.
 * sm may be NULL.
 */
SMCLIENT_PUBLIC const char *sm_error(const struct sm *sm);

/* The version of the library, as SMCLIENT_VERSION. */
SMCLIENT_PUBLIC const char *sm_version(void);

#ifdef __cplusplus
}
#endif

#endif
