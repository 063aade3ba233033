#include "tests/stress/libos.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
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

/* Arguments that a rule looks at: this one has that value, less the bits outside of mask. */
struct condition {
	unsigned argument;
	uint32_t mask, value;
};

#define IS(argument, value) \
	{ \
		argument, ~0U, (value) \
	}

/* A call that fails when its conditions hold; a mask of 0 ends them. */
struct rule {
	uint32_t call;
	uint16_t error;
	struct condition conditions[2];
};

static const struct rule rules[] = {
	{ SYS_signalfd, ENOSYS, { { 0 } } }, { SYS_signalfd4, ENOSYS, { { 0 } } },
	{ SYS_statx, ENOSYS, { { 0 } } }, { SYS_userfaultfd, ENOSYS, { { 0 } } },
	{ SYS_timerfd_create, ENOSYS, { { 0 } } }, { SYS_memfd_create, ENOSYS, { { 0 } } },
	{ SYS_vmsplice, ENOSYS, { { 0 } } }, { SYS_splice, ENOSYS, { { 0 } } },
	{ SYS_inotify_init, ENOSYS, { { 0 } } }, { SYS_inotify_init1, ENOSYS, { { 0 } } },
	{ SYS_clone3, ENOSYS, { { 0 } } }, { SYS_process_vm_readv, ENOSYS, { { 0 } } },
	{ SYS_process_vm_writev, ENOSYS, { { 0 } } }, { SYS_membarrier, ENOSYS, { { 0 } } },
	{ SYS_prctl, ENOSYS, { { 0 } } }, { SYS_madvise, ENOSYS, { IS(2, MADV_WIPEONFORK) } },
	{ SYS_madvise, ENOSYS, { IS(2, MADV_DONTFORK) } },
	{ SYS_madvise, ENOSYS, { IS(2, MADV_DONTDUMP) } },
	{ SYS_madvise, ENOSYS, { IS(2, MADV_REMOVE) } },
	{ SYS_fcntl, EINVAL, { IS(1, F_OFD_GETLK) } },
	{ SYS_fcntl, EINVAL, { IS(1, F_OFD_SETLK) } },
	{ SYS_fcntl, EINVAL, { IS(1, F_OFD_SETLKW) } },
	{ SYS_fcntl, EINVAL, { IS(1, F_SETPIPE_SZ) } },
	{ SYS_getsockopt, ENOPROTOOPT, { IS(1, SOL_SOCKET), IS(2, SO_PEERCRED) } },
	{ SYS_setsockopt, ENOPROTOOPT, { IS(1, SOL_SOCKET), IS(2, SO_BUSY_POLL) } },
	{ SYS_setsockopt, ENOPROTOOPT, { IS(1, IPPROTO_TCP), IS(2, TCP_QUICKACK) } },
	{ SYS_socket, EPROTONOSUPPORT, { IS(0, AF_UNIX), { 1, 0xf, SOCK_DGRAM } } },
	{ SYS_flock, ENOSYS, { { 0 } } }, /* the last, see libos_enter() */
};

enum { RULES = sizeof rules / sizeof rules[0], RULE_STEPS_MOST = 3 + 2 * 3 };

/* Where the filter finds an argument: its lower half. */
static uint32_t
argument_at(unsigned argument)
{
	return (uint32_t)(offsetof(struct seccomp_data, args) + argument * sizeof(uint64_t));
}

static size_t
add_rule(struct sock_filter *code, const struct rule *r)
{
	size_t conditions = (r->conditions[0].mask != 0) + (r->conditions[1].mask != 0), n = 0, i;
	/* The steps that a mismatch jumps over shrink as the rule goes on. */
	uint8_t left = (uint8_t)(3 * conditions + 1);

	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
	    offsetof(struct seccomp_data, nr));
	code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, r->call, 0, left);
	for (i = 0; i < conditions; i++) {
		const struct condition *c = &r->conditions[i];

		left = (uint8_t)(left - 3);
		code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
		    argument_at(c->argument));
		code[n++] = (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, c->mask);
		code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, c->value, 0,
		    left);
	}
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | r->error);
	return n;
}

int
libos_enter(bool has_flock)
{
	struct sock_filter code[RULES * RULE_STEPS_MOST + 1];
	size_t n = 0, i;

	for (i = 0; i + has_flock < RULES; i++)
		n += add_rule(code + n, &rules[i]);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	return install(code, n);
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
