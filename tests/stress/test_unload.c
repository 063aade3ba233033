/*
 * A program may load libsmclient.so with dlopen(3), and unload it: nothing of it is called after
 * that, neither at the end of a thread that used it nor at a fork.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/size.h"
#include "common/client/smclient.h"
#include "tests/stress/child.h"
#include "tests/stress/smc.h"

static struct smc_world world;

/* The functions of smclient.h that this uses. */
struct functions {
	__typeof__(sm_new) *create;
	__typeof__(sm_free) *free;
	__typeof__(sm_mount) *mount;
	__typeof__(sm_open) *open;
	__typeof__(sm_map) *map;
};

static struct functions
find_functions(void *library)
{
	return (struct functions){
		.create = (__typeof__(sm_new) *)dlsym(library, "sm_new"),
		.free = (__typeof__(sm_free) *)dlsym(library, "sm_free"),
		.mount = (__typeof__(sm_mount) *)dlsym(library, "sm_mount"),
		.open = (__typeof__(sm_open) *)dlsym(library, "sm_open"),
		.map = (__typeof__(sm_map) *)dlsym(library, "sm_map"),
	};
}

/* Makes a segment with a key, which takes OpenSSL. */
static void
use(const struct functions *f)
{
	char uri[SMC_PATH_SIZE + 8], options[SMC_PATH_SIZE + 8];
	struct sm *sm = f->create();
	struct sm_file *file;

	snprintf(uri, sizeof uri, "file:%s", world.memory);
	snprintf(options, sizeof options, "key=%s", world.key);
	child_expect(f->mount(sm, uri, "/m", "smc", options) == 0, "sm_mount()");
	file = f->open(sm, "/m/unloaded");
	child_expect(file != NULL && f->map(file, NULL, SIZE_BLOCK) != NULL, "sm_map()");
	f->free(sm);
}

static void *
load_use_unload(void *path)
{
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	struct functions f;

	child_expect(library != NULL, "dlopen()");
	f = find_functions(library);
	use(&f);
	child_expect(dlclose(library) == 0, "dlclose()");
	return NULL;
}

static void
a_thread_may_end_and_a_process_fork_after_dlclose(void **state)
{
	char path[SMC_PATH_SIZE];
	pthread_t thread;
	pid_t pid;

	(void)state;
	assert_non_null(getenv("BUILD"));
	snprintf(path, sizeof path, "%s/libsmclient.so", getenv("BUILD"));
	pid = child_begin();
	if (pid == 0) {
		child_expect(pthread_create(&thread, NULL, load_use_unload, path) == 0, "a thread");
		pthread_join(thread, NULL);
		pid = fork();
		if (pid == 0)
			_exit(0);
		child_expect(pid > 0 && waitpid(pid, NULL, 0) == pid, "fork()");
		_exit(0);
	}
	child_expect_success(pid);
}

static int
create_world(void **state)
{
	smc_world_create(&world);
	*state = &world;
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_thread_may_end_and_a_process_fork_after_dlclose,
		    create_world, smc_world_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
