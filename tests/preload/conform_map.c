#include <pthread.h>
#include <signal.h>

#include "tests/preload/conform.h"

static const char *
result_of(const void *address)
{
	return outcome(address != MAP_FAILED ? 0 : -1);
}

static const char *
map_shared(void)
{
	int fd = make_page();
	char *a = map_page(fd), *b = map_page(fd);

	a[10] = 'x';
	return b[10] == 'x' ? "seen" : "not seen";
}

static const char *
map_twice(void)
{
	int fd = make_page();

	return map_page(fd) == map_page(fd) ? "one address" : "two addresses";
}

static const char *
map_empty(void)
{
	struct stat st;
	int fd = make(O_RDWR);

	map_page(fd);
	return fstat(fd, &st) == 0 ? number((long)st.st_size) : outcome(-1);
}

static const char *
map_fixed(void)
{
	void *room = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return result_of(
	    mmap(room, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, make_page(), 0));
}

static const char *
map_locked(void)
{
	int fd = make_page();

	if (lock_bytes(fd, F_SETLK, F_WRLCK, 0, 0) != 0)
		return "lock";
	map_page(fd)[0] = 'x';
	return outcome(lock_bytes(fd, F_SETLK, F_UNLCK, 0, 0));
}

static const char *
map_read_only_write(void)
{
	make_page();
	return result_of(
	    mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, open(path, O_RDONLY), 0));
}

static const char *
map_write_only(void)
{
	make_page();
	return result_of(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, open(path, O_WRONLY), 0));
}

static const char *
map_offset(void)
{
	int fd = make(O_RDWR);

	return ftruncate(fd, 2 * PAGE) == 0 ?
	    result_of(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, PAGE)) :
	    "ftruncate";
}

static const char *
map_part(void)
{
	int fd = make(O_RDWR);

	return ftruncate(fd, 2 * PAGE) == 0 ?
	    result_of(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0)) :
	    "ftruncate";
}

static const char *
map_longer(void)
{
	return result_of(mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, make_page(), 0));
}

static const char *
map_zero(void)
{
	return result_of(mmap(NULL, 0, PROT_READ, MAP_SHARED, make_page(), 0));
}

static const char *
map_private(void)
{
	int fd = make_page();
	char *shared = map_page(fd), *copy;

	lock_bytes(fd, F_SETLKW, F_WRLCK, 0, 0);
	shared[0] = 'a';
	lock_bytes(fd, F_SETLKW, F_UNLCK, 0, 0);
	copy = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	if (copy == MAP_FAILED || copy[0] != 'a')
		return "not a copy";
	copy[0] = 'b';
	return shared[0] == 'a' ? "a copy" : "shared";
}

static const char *
map_private_fixed(void)
{
	int fd = make_page();

	return result_of(mmap(map_page(fd), PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0));
}

static const char *
remap_fixed(void)
{
	char *base = map_page(make_page());
	void *other = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return result_of(mremap(other, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, base));
}

static void *
wait_for_all(void *arg)
{
	return flock(*(int *)arg, LOCK_EX) == 0 ? arg : NULL;
}

/* The process reads; one of its threads waits to write, as another kind of owner. */
static const char *
map_private_beside_waiter(void)
{
	int fd = make_page(), other = open(path, O_RDWR);
	pthread_t thread;
	void *copy;

	map_page(fd);
	if (lock_bytes(fd, F_SETLK, F_RDLCK, 0, 0) != 0 ||
	    pthread_create(&thread, NULL, wait_for_all, &other) != 0)
		return "not begun";
	usleep(50 * 1000);
	copy = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	lock_bytes(fd, F_SETLK, F_UNLCK, 0, 0);
	return pthread_join(thread, NULL) == 0 ? result_of(copy) : "not joined";
}

static const char *
map_private_later(void)
{
	int fd = make_page();
	char *shared = map_page(fd), *copy;

	copy = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	shared[0] = 'a';
	return copy[0] == 'a' ? "later writes" : "a snapshot";
}

static const char *
map_after_close(void)
{
	int fd = make_page();
	char *base = map_page(fd);

	close(fd);
	base[0] = 'x';
	return base[0] == 'x' ? "there" : "gone";
}

static const char *
map_read_then_write(void)
{
	char *base = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, make_page(), 0);

	base[0] = 'x';
	return "written";
}

static const char *
protect_none(void)
{
	char *base = map_page(make_page());

	if (mprotect(base, PAGE, PROT_NONE) != 0)
		return outcome(-1);
	return base[0] == 0 ? "readable" : "";
}

static const char *
unmap(void)
{
	return outcome(munmap(map_page(make_page()), PAGE));
}

/* Two pages of a new file, which is closed again; NULL when that fails. */
static char *
map_two_pages(void)
{
	int fd = make(O_RDWR);
	void *base = MAP_FAILED;

	if (ftruncate(fd, 2 * PAGE) == 0)
		base = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	return base == MAP_FAILED ? NULL : base;
}

static const char *
unmap_part(void)
{
	char *base = map_two_pages();

	return base == NULL ? "not mapped" : outcome(munmap(base + PAGE, PAGE));
}

static const char *
unmap_head(void)
{
	char *base = map_two_pages();
	const char *result;

	if (base == NULL)
		return "not mapped";
	result = outcome(munmap(base, PAGE));
	return base[PAGE] == 0 ? result : "changed";
}

static const char *
unmap_locked(void)
{
	int fd = make_page();
	char *base = map_page(fd);

	lock_bytes(fd, F_SETLK, F_WRLCK, 0, 0);
	base[0] = 'x';
	if (munmap(base, PAGE) != 0 || lock_bytes(fd, F_SETLK, F_UNLCK, 0, 0) != 0)
		return outcome(-1);
	lock_bytes(fd, F_SETLK, F_RDLCK, 0, 0);
	return map_page(fd)[0] == 'x' ? "written" : "lost";
}

static const char *
sync_map(void)
{
	return outcome(msync(map_page(make_page()), PAGE, MS_SYNC));
}

static const char *
remap(void)
{
	return result_of(mremap(map_page(make_page()), PAGE, 2 * PAGE, MREMAP_MAYMOVE));
}

static const char *
map_over_it(void)
{
	return result_of(mmap(map_page(make_page()), PAGE, PROT_READ,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
}

static const char *
advise_away(void)
{
	return outcome(madvise(map_page(make_page()), PAGE, MADV_DONTNEED));
}

static const char *
see_byte(int fd)
{
	char *base = map_page(fd);

	lock_bytes(fd, F_SETLKW, F_RDLCK, 0, 0);
	return base[0] == 'x' ? "seen" : "not seen";
}

/* Another process sees, under its lock, what this one wrote and unlocked. */
static const char *
published(void)
{
	int fd = make_page();
	char *base = map_page(fd);

	lock_bytes(fd, F_SETLKW, F_WRLCK, 0, 0);
	base[0] = 'x';
	lock_bytes(fd, F_SETLKW, F_UNLCK, 0, 0);
	return in_child(see_byte, fd);
}

static const char *
write_and_close(int fd)
{
	char *base = map_page(fd);

	lock_bytes(fd, F_SETLKW, F_WRLCK, 0, 0);
	base[0] = 'x';
	return outcome(close(fd));
}

static void
write_locked(int fd)
{
	char *base = map_page(fd);

	lock_bytes(fd, F_SETLKW, F_WRLCK, 0, 0);
	base[0] = 'x';
}

static const char *
write_and_exit(int fd)
{
	write_locked(fd);
	exit(0);
}

static const char *
write_and_exit_now(int fd)
{
	write_locked(fd);
	_exit(0);
}

static const char *
write_and_exit_quickly(int fd)
{
	write_locked(fd);
	quick_exit(0);
}

static const char *
write_and_daemon(int fd)
{
	write_locked(fd);
	return outcome(daemon(0, 0));
}

static const char *
write_and_exec(int fd)
{
	write_locked(fd);
	execl("/bin/true", "true", (char *)NULL);
	return "exec";
}

static const char *
write_and_execveat(int fd)
{
	char *const argv[] = { "true", NULL };

	write_locked(fd);
	execveat(AT_FDCWD, "/bin/true", argv, environ, 0);
	return "exec";
}

static const char *
write_and_die(int fd)
{
	write_locked(fd);
	raise(SIGKILL);
	return "";
}

/* Says what this process sees after child has locked, written, and ended its lock some way. */
static const char *
see_after(const char *(*child)(int fd))
{
	int fd = make_page();

	map_page(fd);
	in_child(child, fd);
	return see_byte(fd);
}

static const char *
published_by_close(void)
{
	return see_after(write_and_close);
}

static const char *
published_by_exit(void)
{
	return see_after(write_and_exit);
}

static const char *
published_by_exit_now(void)
{
	return see_after(write_and_exit_now);
}

static const char *
published_by_quick_exit(void)
{
	return see_after(write_and_exit_quickly);
}

static const char *
published_by_daemon(void)
{
	return see_after(write_and_daemon);
}

static const char *
published_by_exec(void)
{
	return see_after(write_and_exec);
}

static const char *
published_by_execveat(void)
{
	return see_after(write_and_execveat);
}

static const char *
published_by_death(void)
{
	return see_after(write_and_die);
}

const struct row rows_map[] = {
	{ "map-shared", map_shared },
	{ "map-twice", map_twice },
	{ "map-empty", map_empty },
	{ "map-fixed", map_fixed },
	{ "map-locked", map_locked },
	{ "map-read-only-write", map_read_only_write },
	{ "map-write-only", map_write_only },
	{ "map-offset", map_offset },
	{ "map-part", map_part },
	{ "map-longer", map_longer },
	{ "map-zero", map_zero },
	{ "map-private", map_private },
	{ "map-private-later", map_private_later },
	{ "map-private-fixed", map_private_fixed },
	{ "map-private-beside-waiter", map_private_beside_waiter },
	{ "mremap-fixed", remap_fixed },
	{ "map-after-close", map_after_close },
	{ "map-read-then-write", map_read_then_write },
	{ "mprotect-none", protect_none },
	{ "munmap", unmap },
	{ "munmap-part", unmap_part },
	{ "munmap-head", unmap_head },
	{ "munmap-locked", unmap_locked },
	{ "msync", sync_map },
	{ "mremap", remap },
	{ "map-over-it", map_over_it },
	{ "madvise-dontneed", advise_away },
	{ "published", published },
	{ "published-by-close", published_by_close },
	{ "published-by-exit", published_by_exit },
	{ "published-by-exit-now", published_by_exit_now },
	{ "published-by-quick-exit", published_by_quick_exit },
	{ "published-by-daemon", published_by_daemon },
	{ "published-by-exec", published_by_exec },
	{ "published-by-execveat", published_by_execveat },
	{ "published-by-death", published_by_death },
	{ NULL, NULL },
};
