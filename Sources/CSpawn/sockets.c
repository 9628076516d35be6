/* Calls for held sockets beyond socket(2) and setsockopt(2); CSpawn.h gives the reason for each. */
#define _GNU_SOURCE
#include "CSpawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/vm_sockets.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int holdfast_netlink(int family, uint32_t groups) {
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, family);
    if (fd < 0)
        return -errno;
    struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = groups};
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

int holdfast_message_queue(const char *name, int flags, mode_t mode, long messages, long size) {
    struct mq_attr attributes = {.mq_maxmsg = messages, .mq_msgsize = size};
    int queue = mq_open(name, flags | O_CLOEXEC, mode, messages > 0 ? &attributes : NULL);
    return queue < 0 ? -errno : queue;
}

int holdfast_vsock_address(struct sockaddr_storage *out, uint32_t cid, uint32_t port) {
    struct sockaddr_vm address = {.svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port};
    memset(out, 0, sizeof *out);
    memcpy(out, &address, sizeof address);
    return (int)sizeof address;
}

int holdfast_read_vsock_address(const struct sockaddr_storage *from, uint32_t *cid, uint32_t *port) {
    struct sockaddr_vm address;
    memcpy(&address, from, sizeof address);
    *cid = address.svm_cid;
    *port = address.svm_port;
    return 0;
}

int holdfast_set_pipe_size(int fd, int size) {
    int result = fcntl(fd, F_SETPIPE_SZ, size);
    return result < 0 ? -errno : result;
}

/* The filter of a TCP socket sees segments from their header on; byte 13 has the flags. A SYN without ACK opens a
 * connection and is dropped. All other segments pass, so that open connections continue, also in sockets that are
 * accepted later and inherit this filter. */
static struct sock_filter no_new_connections[] = {
    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),
    BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0x12),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x02, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, 0),
    BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
};

int holdfast_hold_back(int fd, int on) {
    struct sock_fprog program = {.len = sizeof no_new_connections / sizeof *no_new_connections,
                                 .filter = no_new_connections};
    int ignored = 0;
    int result = on ? setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program)
                    : setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &ignored, sizeof ignored);
    return result < 0 ? -errno : 0;
}

int holdfast_remove_message_queue(const char *name) { return mq_unlink(name) < 0 ? -errno : 0; }

int holdfast_discard_message(int queue) {
    struct mq_attr attributes;
    if (mq_getattr(queue, &attributes) < 0)
        return -errno;
    char *message = malloc((size_t)attributes.mq_msgsize);
    if (!message)
        return -ENOMEM;
    ssize_t length = mq_receive(queue, message, (size_t)attributes.mq_msgsize, NULL);
    int error = errno;
    free(message);
    return length < 0 ? -error : 1;
}

int holdfast_discard(int fd) {
    char byte;
    int descriptors[HOLDFAST_MOST_DESCRIPTORS];
    struct holdfast_datagram message = {.descriptors = descriptors};
    int result = holdfast_receive(fd, &byte, 1, &message);
    if (result == -ENOTSOCK) {
        char page[4096];
        ssize_t length = read(fd, page, sizeof page);
        return length < 0 ? -errno : length > 0;
    }
    if (result == 0 && message.descriptor_count > 0)
        holdfast_close_received(descriptors, (size_t)message.descriptor_count);
    return result < 0 ? result : 1;
}

int holdfast_filter(int fd) {
    struct sock_filter found[sizeof no_new_connections / sizeof *no_new_connections];
    socklen_t length = 0;
    /* Without a buffer the call returns the number of instructions (SO_GET_FILTER of socket(7)). */
    if (getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, NULL, &length) < 0)
        return errno == EACCES ? 3 : -errno;
    if (length == 0)
        return 0;
    if (length != sizeof found / sizeof *found || getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, found, &length) < 0)
        return 2;
    return memcmp(found, no_new_connections, sizeof found) == 0 ? 1 : 2;
}
