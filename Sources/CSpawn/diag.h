/* Questions to NETLINK_SOCK_DIAG (sock_diag(7)). */
#ifndef HOLDFAST_DIAG_H
#define HOLDFAST_DIAG_H

#include <stdint.h>

/* Asks for the TCP sockets of a family with this local port in these states (bits 1 << TCP_…), each with tcp_info and, for
 * who may see them, its MD5 keys. Returns 0 or a negated errno. */
int holdfast_ask_connections(int netlink, int family, uint16_t port, uint32_t states);

#endif
