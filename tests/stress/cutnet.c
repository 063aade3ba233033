#include "tests/stress/cutnet.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SERVER, CLIENT, ETHER_SIZE = 6, MESSAGE_SIZE = 512 };

#define DEVICE "veth0"

/* Of the two ends; nobody has the third one. */
static const uint8_t ethers[][ETHER_SIZE] = { { 2, 0, 0, 0, 0, 1 }, { 2, 0, 0, 0, 0, 2 },
	{ 2, 0, 0, 0, 0, 3 } };
static const char *const addresses[] = { CUTNET_SERVER, "192.0.2.2" };

/* A message of netlink in the making. Attributes nest: end_nest() sets the size of one. */
struct message {
	_Alignas(NLMSG_ALIGNTO) uint8_t bytes[MESSAGE_SIZE];
	size_t size;
};

static void *
put(struct message *m, const void *bytes, size_t size)
{
	void *room = m->bytes + m->size;

	assert_in_range(m->size + NLMSG_ALIGN(size), 0, sizeof m->bytes);
	if (size > 0)
		memcpy(room, bytes, size);
	m->size += NLMSG_ALIGN(size);
	return room;
}

static struct rtattr *
begin_nest(struct message *m, unsigned short type)
{
	const struct rtattr head = { .rta_type = type, .rta_len = sizeof head };

	return put(m, &head, sizeof head);
}

static void
end_nest(struct message *m, struct rtattr *nest)
{
	nest->rta_len = (unsigned short)(m->bytes + m->size - (uint8_t *)nest);
}

static void
put_attribute(struct message *m, unsigned short type, const void *bytes, size_t size)
{
	struct rtattr *a = begin_nest(m, type);

	put(m, bytes, size);
	a->rta_len = (unsigned short)RTA_LENGTH(size);
}

static void
put_device(struct message *m, const uint8_t ether[ETHER_SIZE])
{
	const struct ifinfomsg info = { .ifi_family = AF_UNSPEC };

	put(m, &info, sizeof info);
	put_attribute(m, IFLA_IFNAME, DEVICE, sizeof DEVICE);
	put_attribute(m, IFLA_ADDRESS, ether, ETHER_SIZE);
}

/* A device here, and the other end of it in the namespace ns. */
static void
put_pair(struct message *m, int ns)
{
	struct nlmsghdr *head = put(m, &(struct nlmsghdr){ 0 }, sizeof *head);
	struct rtattr *link, *data, *peer;

	put_device(m, ethers[SERVER]);
	link = begin_nest(m, IFLA_LINKINFO);
	put_attribute(m, IFLA_INFO_KIND, "veth", sizeof "veth" - 1);
	data = begin_nest(m, IFLA_INFO_DATA);
	peer = begin_nest(m, VETH_INFO_PEER);
	put_device(m, ethers[CLIENT]);
	put_attribute(m, IFLA_NET_NS_FD, &ns, sizeof ns);
	end_nest(m, peer);
	end_nest(m, data);
	end_nest(m, link);
	*head = (struct nlmsghdr){ .nlmsg_len = (uint32_t)m->size,
		.nlmsg_type = RTM_NEWLINK,
		.nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK };
}

/* True when the kernel has done what the message asks for. */
static bool
ask(const struct message *m)
{
	struct {
		struct nlmsghdr head;
		struct nlmsgerr error;
		uint8_t rest[MESSAGE_SIZE];
	} answer;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	bool is_done = fd >= 0 && send(fd, m->bytes, m->size, 0) == (ssize_t)m->size &&
	    recv(fd, &answer, sizeof answer, 0) > (ssize_t)sizeof answer.head &&
	    answer.head.nlmsg_type == NLMSG_ERROR && answer.error.error == 0;

	close(fd);
	return is_done;
}

/* Enters a new namespace, of which *control is a socket. */
static bool
enter_new(int *control)
{
	if (unshare(CLONE_NEWNET) != 0)
		return false;
	*control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return *control >= 0;
}

static struct sockaddr
address_of(int end)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	struct sockaddr sa;

	assert_int_equal(inet_pton(AF_INET, addresses[end], &sin.sin_addr), 1);
	memcpy(&sa, &sin, sizeof sa);
	return sa;
}

static bool
bring_up(const struct cutnet *n, int end)
{
	struct ifreq r = { .ifr_name = DEVICE };

	r.ifr_addr = address_of(end);
	if (ioctl(n->control[end], SIOCSIFADDR, &r) != 0)
		return false;
	r.ifr_flags = IFF_UP;
	return ioctl(n->control[end], SIOCSIFFLAGS, &r) == 0;
}

/* Each end sends to that Ethernet address instead of the other's. */
static void
direct(const struct cutnet *n, int end, const uint8_t ether[ETHER_SIZE])
{
	struct arpreq r = { .arp_flags = ATF_PERM | ATF_COM, .arp_dev = DEVICE };

	r.arp_pa = address_of(end == SERVER ? CLIENT : SERVER);
	r.arp_ha.sa_family = ARPHRD_ETHER;
	memcpy(r.arp_ha.sa_data, ether, ETHER_SIZE);
	if (ioctl(n->control[end], SIOCSARP, &r) != 0)
		fail_msg("SIOCSARP: %s", strerror(errno));
}

bool
cutnet_create(struct cutnet *n)
{
	struct message m = { .size = 0 };

	*n = (struct cutnet){ -1, { -1, -1 } };
	if (enter_new(&n->control[CLIENT])) {
		n->client_ns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
		if (n->client_ns >= 0 && enter_new(&n->control[SERVER])) {
			put_pair(&m, n->client_ns);
			if (ask(&m) && bring_up(n, SERVER) && bring_up(n, CLIENT)) {
				cutnet_join(n);
				return true;
			}
		}
	}
	cutnet_destroy(n);
	return false;
}

void
cutnet_destroy(struct cutnet *n)
{
	close(n->control[SERVER]);
	close(n->control[CLIENT]);
	close(n->client_ns);
	*n = (struct cutnet){ -1, { -1, -1 } };
}

bool
cutnet_enter(const struct cutnet *n)
{
	return setns(n->client_ns, CLONE_NEWNET) == 0;
}

void
cutnet_cut(const struct cutnet *n)
{
	direct(n, SERVER, ethers[2]);
	direct(n, CLIENT, ethers[2]);
}

void
cutnet_join(const struct cutnet *n)
{
	direct(n, SERVER, ethers[CLIENT]);
	direct(n, CLIENT, ethers[SERVER]);
}
