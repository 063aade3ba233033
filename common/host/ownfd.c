#include "common/host/ownfd.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/base/clock.h"

enum { CHUNK = 1024, CHUNKS = 1024 };

/*
 * For each number that the library ever got, which struct ownfd, or copies of it, got it last. In
 * chunks, which stay until the process ends; the first is enough for nearly all programs.
 */
static atomic_uint_fast64_t first_chunk[CHUNK];
static _Atomic(atomic_uint_fast64_t *) owners[CHUNKS] = { first_chunk };

static atomic_uint_fast64_t last_owner;

/* Returns the chunk; makes it if there is none. NULL: there is no memory. */
static atomic_uint_fast64_t *
make_chunk(size_t number)
{
	atomic_uint_fast64_t *chunk = calloc(CHUNK, sizeof *chunk), *seen = NULL;

	if (chunk == NULL || atomic_compare_exchange_strong(&owners[number], &seen, chunk))
		return chunk;
	free(chunk);
	return seen;
}

/* Takes the number over. Returns its owner from now on, or 0 where owners are not known. */
static uint64_t
take_number(int fd)
{
	size_t number = (size_t)fd / CHUNK;
	atomic_uint_fast64_t *chunk = number < CHUNKS ? atomic_load(&owners[number]) : NULL;
	uint64_t owner;

	if (chunk == NULL && number < CHUNKS)
		chunk = make_chunk(number);
	if (chunk == NULL)
		return 0;
	owner = atomic_fetch_add(&last_owner, 1) + 1;
	atomic_store(&chunk[fd % CHUNK], owner);
	return owner;
}

static bool
has_number(const struct ownfd *d)
{
	return d->owner == 0 || atomic_load(&owners[d->fd / CHUNK])[d->fd % CHUNK] == d->owner;
}

/* Adds bytes to a hash of 64 bits (FNV-1a). */
static uint64_t
add_to_hash(uint64_t hash, const void *bytes, size_t size)
{
	const uint8_t *next = bytes;

	while (size-- > 0)
		hash = (hash ^ *next++) * UINT64_C(0x100000001b3);
	return hash;
}

/* Both addresses of a connected socket, as a number; 0 when it is not connected. */
static uint64_t
hash_addresses(int fd)
{
	struct sockaddr_storage own = { 0 }, peer = { 0 };
	socklen_t own_size = sizeof own, peer_size = sizeof peer;
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	if (getsockname(fd, (struct sockaddr *)&own, &own_size) != 0 ||
	    getpeername(fd, (struct sockaddr *)&peer, &peer_size) != 0)
		return 0;
	hash = add_to_hash(hash, &own, sizeof own);
	return add_to_hash(hash, &peer, sizeof peer);
}

/* The number that the kernel gives to a socket and to no other (SO_COOKIE, Linux 4.12), or 0. */
static uint64_t
get_cookie(int fd)
{
	uint64_t cookie = 0;
	socklen_t size = sizeof cookie;

	return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 ? cookie : 0;
}

static bool
identify_by_fstat(struct ownfd *d)
{
	struct stat st;

	if (fstat(d->fd, &st) != 0)
		return false;
	d->device = st.st_dev;
	d->inode = st.st_ino;
	if (S_ISSOCK(st.st_mode) && st.st_ino == 0)
		d->addresses = hash_addresses(d->fd);
	return true;
}

/*
 * Requests no other times than that of birth: since Linux 6.13, querying timestamps makes the next
 * write update the inode, which costs twice as much as the write.
 */
static bool
identify_by_statx(struct ownfd *d)
{
	struct statx sx;

	if (statx(d->fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO | STATX_BTIME, &sx) != 0)
		return false;
	d->device = makedev(sx.stx_dev_major, sx.stx_dev_minor);
	d->inode = sx.stx_ino;
	if ((sx.stx_mask & STATX_BTIME) != 0)
		d->birth = (uint64_t)sx.stx_btime.tv_sec * CLOCK_SEC + sx.stx_btime.tv_nsec;
	return true;
}

struct ownfd
ownfd_of(int fd)
{
	struct ownfd d = { .fd = fd };

	/* Whatever statx(2) answers without being there: fstat(2) knows of a closed descriptor. */
	if (!identify_by_statx(&d) && !identify_by_fstat(&d))
		return (struct ownfd){ .fd = fd, .device = UINT64_MAX };
	d.cookie = get_cookie(fd);
	d.owner = take_number(fd);
	return d;
}

bool
ownfd_is_intact(const struct ownfd *d)
{
	struct ownfd now = { .fd = d->fd };

	if (d->fd < 0 || !has_number(d))
		return false;
	if (d->cookie != 0)
		return get_cookie(d->fd) == d->cookie;
	/* What has no birth has no need of statx(2), and fstat(2) costs less. */
	if ((d->birth == 0 || !identify_by_statx(&now)) && !identify_by_fstat(&now))
		return false;
	return ownfd_is_same(&now, d) &&
	    (d->birth == 0 || now.birth == 0 || now.birth == d->birth) &&
	    (d->addresses == 0 || now.addresses == d->addresses);
}

void
ownfd_close(struct ownfd *d)
{
	if (ownfd_is_intact(d))
		(void)close(d->fd);
	d->fd = -1;
}
