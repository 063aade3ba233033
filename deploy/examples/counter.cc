// counter: adds to a counter that processes share; the same as counter.c, which says more.
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <memory>
#include <stdexcept>

#include <smclient.h>

namespace
{

// Ends all that was opened and mapped through a set of mounts, with the set.
struct Free {
	void operator()(sm *mounts) const
	{
		sm_free(mounts);
	}
};
using Mounts = std::unique_ptr<sm, Free>;

// Throws what the library says of this thread's last call, if that failed.
void
check(bool is_good)
{
	if (!is_good)
		throw std::runtime_error(sm_error(nullptr));
}

// Does work in a critical section. This is no std::lock_guard: a failure of sm_unlock() means that
// nothing was published, and a destructor could not say so. If work throws, the lock is held until
// sm_free() releases it, which publishes nothing.
template <typename Work>
void
locked(sm_file *file, Work work)
{
	check(sm_lock(file) == 0);
	work();
	check(sm_unlock(file) == 0);
}

void
run(const char *conf, unsigned long times)
{
	Mounts mounts(sm_new());
	check(mounts != nullptr && sm_load(mounts.get(), conf) == 0);
	sm_file *file = sm_open(mounts.get(), "/shared/counter");
	check(file != nullptr);
	auto *counter = static_cast<std::uint64_t *>(sm_map(file, nullptr, sizeof(std::uint64_t)));
	check(counter != nullptr);

	for (unsigned long i = 0; i < times; i++)
		locked(file, [&] { ++*counter; });
	locked(file, [&] { std::cout << *counter << std::endl; });
	while (std::cin.get() != std::char_traits<char>::eof())
		;
}

} // namespace

int
main(int argc, char **argv)
{
	if (argc != 3) {
		std::cerr << "usage: counter MOUNTFILE TIMES\n";
		return 2;
	}
	try {
		run(argv[1], std::strtoul(argv[2], nullptr, 10));
	} catch (const std::exception &e) {
		std::cerr << "counter: " << e.what() << '\n';
		return 1;
	}
}
