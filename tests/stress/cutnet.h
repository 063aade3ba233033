/*
 * cutnet: a network of two namespaces, the server's and the clients', which can be cut: from then
 * on every packet vanishes, in both directions, and neither side is told.
 *
 * A pair of veth devices joins the namespaces. Each end knows the other's Ethernet address from a
 * permanent entry in its ARP table. A cut puts an address there that no device has.
 *
 * Needs root, and a kernel with namespaces and veth. The namespaces end with their processes.
 */
#ifndef TESTS_STRESS_CUTNET_H
#define TESTS_STRESS_CUTNET_H

#include <stdbool.h>

#define CUTNET_SERVER "192.0.2.1" /* the server's address */

struct cutnet {
	int client_ns;  /* a descriptor of the clients' namespace */
	int control[2]; /* a socket of each namespace */
};

/*
 * Makes the network. The calling thread, and all that it creates and forks, are in the server's
 * namespace from then on. Returns false, with nothing to destroy, where there can be none.
 */
bool cutnet_create(struct cutnet *n);

/* The caller stays in the server's namespace. */
void cutnet_destroy(struct cutnet *n);

/* The calling process, a child, enters the clients' namespace. False on failure. */
bool cutnet_enter(const struct cutnet *n);

/* Cuts the network, and joins it again. Fails the test on failure. */
void cutnet_cut(const struct cutnet *n);
void cutnet_join(const struct cutnet *n);

#endif
