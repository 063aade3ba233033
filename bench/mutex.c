#include "bench/mutex.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>

struct mutex {
	pthread_mutex_t lock;
};

int
mutex_create(struct mutex **out)
{
	pthread_mutexattr_t attributes;
	struct mutex *mutex = mmap(NULL, sizeof *mutex, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int error;

	if (mutex == MAP_FAILED)
		return -errno;
	if ((error = pthread_mutexattr_init(&attributes)) == 0) {
		error = pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
		if (error == 0)
			error = pthread_mutex_init(&mutex->lock, &attributes);
		pthread_mutexattr_destroy(&attributes);
	}
	if (error != 0) {
		munmap(mutex, sizeof *mutex);
		return -error;
	}
	*out = mutex;
	return 0;
}

void
mutex_destroy(struct mutex *mutex)
{
	if (mutex == NULL)
		return;
	pthread_mutex_destroy(&mutex->lock);
	munmap(mutex, sizeof *mutex);
}

int
mutex_pass(struct mutex *mutex, size_t times)
{
	int error = 0;

	for (size_t i = 0; i < times && error == 0; i++)
		if ((error = pthread_mutex_lock(&mutex->lock)) == 0)
			error = pthread_mutex_unlock(&mutex->lock);
	return -error;
}
