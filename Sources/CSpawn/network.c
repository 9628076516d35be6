/* Network namespaces, without the supervisor's thread ever leaving its own: a child enters the namespace, makes one
 * call there and exits. It shares our memory and our descriptor table (CLONE_VM | CLONE_FILES), so a descriptor that it
 * opens is ours after its exit. If a thread entered and failed to return, it would do the supervisor's work in the
 * wrong network.
 *
 * The same rules as in spawn.c: system calls only. */
#define _GNU_SOURCE
#include "CSpawn.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define STACK_SIZE (64 * 1024)

struct network_call {
    int network; /* of socket_in: the namespace to enter */
    int family, type, protocol;
    volatile int result; /* a descriptor, or a negated errno */
};

static int make_network(void *argument) {
    struct network_call *call = argument;
    /* clone has put us into the new namespace. Its loopback interface is down, as in every new one. */
    struct ifreq request;
    memset(&request, 0, sizeof request);
    request.ifr_name[0] = 'l';
    request.ifr_name[1] = 'o';
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    long fd = syscall(SYS_socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        call->result = -errno;
        return 0;
    }
    long up = syscall(SYS_ioctl, fd, SIOCSIFFLAGS, &request);
    int error = errno;
    syscall(SYS_close, fd);
    if (up < 0) {
        call->result = -error;
        return 0;
    }
    fd = syscall(SYS_openat, AT_FDCWD, "/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    call->result = fd < 0 ? -errno : (int)fd;
    return 0;
}

static int make_socket(void *argument) {
    struct network_call *call = argument;
    if (syscall(SYS_setns, call->network, CLONE_NEWNET) < 0) {
        call->result = -errno;
        return 0;
    }
    long fd = syscall(SYS_socket, call->family, call->type | SOCK_CLOEXEC, call->protocol);
    call->result = fd < 0 ? -errno : (int)fd;
    return 0;
}

static int run(int (*function)(void *), struct network_call *call, int flags) {
    char *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED)
        return -errno;
    int saved_errno = errno;
    call->result = -ECHILD;
    /* A handler of ours that ran in the child would write into our memory. */
    unsigned long all = ~0UL, before = 0;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, sizeof all);
    /* Without an exit signal only our own wait can find this child, and only with __WALL. */
    int pid = clone(function, stack + STACK_SIZE, CLONE_VM | CLONE_VFORK | CLONE_FILES | flags, call);
    int result = pid < 0 ? -errno : 0;
    if (pid > 0)
        while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
            ;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, sizeof before);
    errno = saved_errno;
    munmap(stack, STACK_SIZE);
    return result < 0 ? result : call->result;
}

int holdfast_make_network(void) {
    struct network_call call = {.network = -1};
    return run(make_network, &call, CLONE_NEWNET);
}

int holdfast_socket_in_network(int network, int family, int type, int protocol) {
    struct network_call call = {.network = network, .family = family, .type = type, .protocol = protocol};
    return run(make_socket, &call, 0);
}
