/* Calls on files through descriptors, because other processes may change the path meanwhile; CSpawn.h gives the reason
 * for each. */
#define _GNU_SOURCE
#include "CSpawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define STACK_SIZE (64 * 1024)

static int result(long value) { return value < 0 ? -errno : (int)value; }

int holdfast_pin(int dir, const char *name, int follow) {
    return result(openat(dir, name, O_PATH | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW)));
}

int holdfast_open_below(int dir, const char *name, int flags) {
    struct open_how how;
    memset(&how, 0, sizeof how);
    how.flags = (unsigned)flags | O_CLOEXEC;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
    long fd = syscall(SYS_openat2, dir, name, &how, sizeof how);
    /* A sandbox whose filter is older than the call returns EPERM; that is treated as an old kernel. */
    if (fd < 0 && (errno == ENOSYS || errno == EPERM))
        return -ENOSYS;
    return result(fd);
}

int holdfast_own(int fd, uid_t uid, gid_t gid) { return result(fchownat(fd, "", uid, gid, AT_EMPTY_PATH)); }

static void magic_link(char path[32], int fd) { snprintf(path, 32, "/proc/self/fd/%d", fd); }

int holdfast_set_mode(int fd, mode_t mode) {
    char path[32];
    magic_link(path, fd);
    return result(chmod(path, mode));
}

int holdfast_reopen(int fd, int flags) {
    char path[32];
    magic_link(path, fd);
    return result(open(path, (flags & ~O_NOFOLLOW) | O_CLOEXEC));
}

int holdfast_link(int fd, int dir, const char *name) {
    char path[32];
    magic_link(path, fd);
    return result(linkat(AT_FDCWD, path, dir, name, AT_SYMLINK_FOLLOW));
}

int holdfast_rename(int from, const char *name, int to, const char *target, int mode) {
    unsigned flags = mode == HOLDFAST_RENAME_EXCHANGE ? RENAME_EXCHANGE : RENAME_NOREPLACE;
    return result(renameat2(from, name, to, target, flags));
}

struct bind_errand {
    int root, socket;
    const struct sockaddr *address;
    socklen_t length;
    volatile int result;
};

/* The child shares our memory (as in spawn.c): system calls only. Its root is its own: clone had no CLONE_FS. */
static int bind_below(void *argument) {
    struct bind_errand *errand = argument;
    if (syscall(SYS_fchdir, errand->root) < 0 || syscall(SYS_chroot, ".") < 0 ||
        syscall(SYS_bind, errand->socket, errand->address, errand->length) < 0)
        errand->result = -errno;
    else
        errand->result = 0;
    return 0;
}

int holdfast_bind_below(int root, int socket, const struct sockaddr *address, socklen_t length) {
    char *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED)
        return -errno;
    struct bind_errand errand = {
        .root = root, .socket = socket, .address = address, .length = length, .result = -ECHILD};
    /* A handler of ours that ran in the child would write into our memory. */
    unsigned long all = ~0UL, before = 0;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, sizeof all);
    /* Without an exit signal only our own wait can find this child, and only with __WALL. */
    int pid = clone(bind_below, stack + STACK_SIZE, CLONE_VM | CLONE_VFORK, &errand);
    int result = pid < 0 ? -errno : 0;
    if (pid > 0)
        while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
            ;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, sizeof before);
    munmap(stack, STACK_SIZE);
    return result < 0 ? result : errand.result;
}
