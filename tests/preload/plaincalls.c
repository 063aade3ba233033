/*
 * plaincalls FILE TIMES: so many calls each of open, close, fcntl and mmap (and munmap) on plain
 * files, for counting instructions; with a third argument, while that file is open, too.
 */
#include <err.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SIZE = 4096 };

int
main(int argc, char **argv)
{
	int fd, kept, n = argc > 3 ? atoi(argv[3]) : 0;
	void *base;

	if (argc < 4 || (argc > 4 && open(argv[4], O_RDWR | O_CREAT, 0660) == -1))
		err(1, "usage: plaincalls open|fcntl|mmap FILE TIMES [OTHER]");
	kept = open(argv[2], O_RDWR);
	while (n-- > 0) {
		if (strcmp(argv[1], "open") == 0) {
			fd = open(argv[2], O_RDWR);
			if (fd == -1 || close(fd) != 0)
				err(1, "%s", argv[2]);
		} else if (strcmp(argv[1], "fcntl") == 0) {
			if (fcntl(kept, F_GETFL) == -1)
				err(1, "%s", argv[2]);
		} else {
			base = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, kept, 0);
			if (base == MAP_FAILED || munmap(base, SIZE) != 0)
				err(1, "%s", argv[2]);
		}
	}
	return 0;
}
