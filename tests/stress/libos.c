#include "tests/stress/libos.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGE = 4096 };

static int
install(struct sock_filter *code, size_t count)
{
	struct sock_fprog program = { (unsigned short)count, code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0)
		return -errno;
	return 0;
}

int
libos_forbid(const int *calls, size_t count, int error)
{
	struct sock_filter code[LIBOS_CALLS_MOST + 3];
	size_t n = 0, i;

	assert(count <= LIBOS_CALLS_MOST);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
	    offsetof(struct seccomp_data, nr));
	/* Each match jumps over the rest and over ALLOW. */
	for (i = 0; i < count; i++)
		code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
		    (uint32_t)calls[i], (uint8_t)(count - i), 0);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
	    SECCOMP_RET_ERRNO | (uint32_t)error);
	return install(code, n);
}

int
libos_forbid_locks(int error)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fcntl, 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, F_OFD_GETLK, 0, 2),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, F_OFD_SETLKW, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};

	return install(code, sizeof code / sizeof code[0]);
}

void *
libos_mmap(enum libos_mapping gives, void *hint, size_t size, int prot, int flags, int fd,
    off_t offset)
{
	bool is_private = gives != LIBOS_SHARED && (flags & MAP_TYPE) == MAP_SHARED && fd >= 0;
	volatile uint8_t *p;
	size_t i;

	if (is_private)
		flags = (flags & ~MAP_TYPE) | MAP_PRIVATE;
	p = (volatile uint8_t *)syscall(SYS_mmap, hint, size, prot, flags, fd, offset);
	if (is_private && gives == LIBOS_COPY && p != MAP_FAILED && (prot & PROT_WRITE) != 0)
		for (i = 0; i < size; i += PAGE)
			p[i] = p[i];
	return (void *)p;
}
