/* The kernel's list of TCP connections through NETLINK_SOCK_DIAG (sock_diag(7)): the filter runs in the kernel, so a
 * million other connections on the host cost nothing. */
#define _GNU_SOURCE
#include "CSpawn.h"
#include "diag.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

enum { CLOSED_OR_GONE = (1 << 6) | (1 << 7) | (1 << 10) | (1 << 12) }; /* TIME_WAIT, CLOSE, LISTEN, NEW_SYN_RECV */

/* Byte code for "local port >= p and <= p"; a jump of `no` leads past the end, which rejects. */
struct port_filter {
    struct inet_diag_bc_op ge, ge_port, le, le_port;
};

int holdfast_ask_connections(int netlink, int family, uint16_t port, uint32_t states) {
    struct {
        struct nlmsghdr header;
        struct inet_diag_req_v2 request;
        struct nlattr attribute;
        struct port_filter filter;
    } message;
    memset(&message, 0, sizeof message);
    message.header.nlmsg_len = sizeof message;
    message.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    message.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    message.request.sdiag_family = (uint8_t)family;
    message.request.sdiag_protocol = IPPROTO_TCP;
    message.request.idiag_states = states;
    message.request.idiag_ext = 1 << (INET_DIAG_INFO - 1);
    message.attribute.nla_type = INET_DIAG_REQ_BYTECODE;
    message.attribute.nla_len = (uint16_t)(sizeof message.attribute + sizeof message.filter);
    message.filter = (struct port_filter){
        .ge = {INET_DIAG_BC_S_GE, 8, 20}, .ge_port = {0, 0, port}, .le = {INET_DIAG_BC_S_LE, 8, 12}, .le_port = {0, 0, port}};
    return send(netlink, &message, sizeof message, 0) < 0 ? -errno : 0;
}

/* The time since data was last received or sent, from the attributes behind an answer of `size` bytes. */
static uint32_t idle(const struct inet_diag_msg *in, size_t size) {
    const char *next = (const char *)(in + 1);
    size_t left = size - sizeof *in;
    struct nlattr attribute;
    while (left >= sizeof attribute) {
        memcpy(&attribute, next, sizeof attribute);
        if (attribute.nla_len < sizeof attribute || attribute.nla_len > left)
            return 0;
        struct tcp_info info;
        /* Kernels append to tcp_info; these members are older than any supported kernel. */
        size_t needed = offsetof(struct tcp_info, tcpi_last_data_recv) + sizeof info.tcpi_last_data_recv;
        if (attribute.nla_type == INET_DIAG_INFO && attribute.nla_len - sizeof attribute >= needed) {
            memcpy(&info, next + sizeof attribute, needed);
            return info.tcpi_last_data_sent < info.tcpi_last_data_recv ? info.tcpi_last_data_sent : info.tcpi_last_data_recv;
        }
        size_t step = NLA_ALIGN(attribute.nla_len);
        if (step > left)
            return 0;
        next += step;
        left -= step;
    }
    return 0;
}

static void copy(struct holdfast_tcp_connection *out, const struct inet_diag_msg *in, size_t size) {
    out->idle = idle(in, size);
    out->inode = in->idiag_inode;
    out->state = in->idiag_state;
    out->family = in->idiag_family;
    out->local_port = ntohs(in->id.idiag_sport);
    out->remote_port = ntohs(in->id.idiag_dport);
    memcpy(out->local, in->id.idiag_src, 16);
    memcpy(out->remote, in->id.idiag_dst, 16);
}

/* Takes one buffer of answers. Returns 1 at the end of the dump, 0 when more follows, or a negated errno. */
static int copy_answers(const char *buffer, size_t size, struct holdfast_tcp_connection *out, size_t capacity,
                        size_t *count) {
    const struct nlmsghdr *header = (const struct nlmsghdr *)buffer;
    for (; NLMSG_OK(header, size); header = NLMSG_NEXT(header, size)) {
        if (header->nlmsg_type == NLMSG_DONE)
            return 1;
        if (header->nlmsg_type == NLMSG_ERROR) {
            const struct nlmsgerr *error = NLMSG_DATA(header);
            return header->nlmsg_len >= NLMSG_LENGTH(sizeof *error) && error->error != 0 ? error->error : -EIO;
        }
        if (header->nlmsg_len < NLMSG_LENGTH(sizeof(struct inet_diag_msg)))
            return -EIO;
        if (*count < capacity)
            copy(&out[*count], NLMSG_DATA(header), header->nlmsg_len - NLMSG_LENGTH(0));
        *count += 1;
    }
    return 0;
}

int holdfast_tcp_connections(int family, uint16_t local_port, struct holdfast_tcp_connection *out, size_t capacity) {
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (fd < 0)
        return -errno;
    _Alignas(struct nlmsghdr) char buffer[32768];
    size_t count = 0;
    int status = holdfast_ask_connections(fd, family, local_port, (uint32_t)~CLOSED_OR_GONE);
    while (status == 0) {
        ssize_t length = recv(fd, buffer, sizeof buffer, 0);
        if (length < 0)
            status = errno == EINTR ? 0 : -errno;
        else if (length == 0)
            status = -EIO;
        else
            status = copy_answers(buffer, (size_t)length, out, capacity, &count);
    }
    close(fd);
    return status < 0 ? status : (int)(count > INT32_MAX ? INT32_MAX : count);
}
