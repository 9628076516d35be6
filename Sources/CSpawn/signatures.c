/* Removes keys with which a listening TCP socket accepts only signed segments (TCP-MD5, RFC 2385; TCP-AO, RFC 5925).
 * Every process that shares the socket can set one, and then it accepts no more connections. No getsockopt reports
 * TCP-MD5 keys, so NETLINK_SOCK_DIAG is used. */
#define _GNU_SOURCE
#include "CSpawn.h"
#include "diag.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LISTENING = 1 << 10, /* TCP_LISTEN */
    AO_INFO = 40,        /* TCP_AO_INFO of linux/tcp.h, since 6.7 */
};

static void remove_key(int fd, const struct tcp_diag_md5sig *key) {
    struct tcp_md5sig order;
    memset(&order, 0, sizeof order);
    order.tcpm_addr.ss_family = key->tcpm_family;
    if (key->tcpm_family == AF_INET)
        memcpy(&((struct sockaddr_in *)&order.tcpm_addr)->sin_addr, key->tcpm_addr, 4);
    else
        memcpy(&((struct sockaddr_in6 *)&order.tcpm_addr)->sin6_addr, key->tcpm_addr, 16);
    order.tcpm_flags = TCP_MD5SIG_FLAG_PREFIX;
    order.tcpm_prefixlen = key->tcpm_prefixlen;
    /* A key of length 0 removes the existing one. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG_EXT, &order, sizeof order);
}

/* Removes the keys listed in an answer; returns their number. */
static int remove_keys(int fd, const struct inet_diag_msg *in, size_t size) {
    const char *next = (const char *)(in + 1);
    size_t left = size - sizeof *in;
    struct nlattr attribute;
    int count = 0;
    while (left >= sizeof attribute) {
        memcpy(&attribute, next, sizeof attribute);
        if (attribute.nla_len < sizeof attribute || attribute.nla_len > left)
            break;
        if (attribute.nla_type == INET_DIAG_MD5SIG) {
            struct tcp_diag_md5sig key;
            size_t offset = sizeof attribute;
            for (; offset + sizeof key <= attribute.nla_len; offset += sizeof key) {
                memcpy(&key, next + offset, sizeof key);
                remove_key(fd, &key);
                count++;
            }
        }
        size_t step = NLA_ALIGN(attribute.nla_len);
        if (step > left)
            break;
        next += step;
        left -= step;
    }
    return count;
}

/* Processes one buffer of answers. Returns 1 at the end of the dump, 0 if more follows, or a negated errno. */
static int process_answers(const char *buffer, size_t size, int fd, uint32_t inode, int *count) {
    const struct nlmsghdr *header = (const struct nlmsghdr *)buffer;
    for (; NLMSG_OK(header, size); header = NLMSG_NEXT(header, size)) {
        if (header->nlmsg_type == NLMSG_DONE)
            return 1;
        if (header->nlmsg_type == NLMSG_ERROR || header->nlmsg_len < NLMSG_LENGTH(sizeof(struct inet_diag_msg)))
            return -EIO;
        const struct inet_diag_msg *in = NLMSG_DATA(header);
        if (in->idiag_inode == inode)
            *count += remove_keys(fd, in, header->nlmsg_len - NLMSG_LENGTH(0));
    }
    return 0;
}

int holdfast_remove_md5_keys(int fd) {
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    struct stat status;
    if (getsockname(fd, (struct sockaddr *)&address, &length) < 0 || fstat(fd, &status) < 0)
        return -errno;
    uint16_t port = address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                                  : ((struct sockaddr_in *)&address)->sin_port;
    int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (netlink < 0)
        return -errno;
    _Alignas(struct nlmsghdr) char buffer[32768];
    int count = 0;
    int result = holdfast_ask_connections(netlink, address.ss_family, ntohs(port), LISTENING);
    while (result == 0) {
        ssize_t got = recv(netlink, buffer, sizeof buffer, 0);
        if (got < 0)
            result = errno == EINTR ? 0 : -errno;
        else if (got == 0)
            result = -EIO;
        else
            result = process_answers(buffer, (size_t)got, fd, (uint32_t)status.st_ino, &count);
    }
    close(netlink);
    return result < 0 ? result : count;
}

int holdfast_has_ao_keys(int fd) {
    /* Larger than struct tcp_ao_info_opt. The length determines the structure's version, and zeroes request nothing. */
    char info[64] = {0};
    socklen_t length = 40;
    return getsockopt(fd, IPPROTO_TCP, AO_INFO, info, &length) == 0;
}
