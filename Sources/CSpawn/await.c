/* Waiting until a child that shares our memory has executed its program or is gone.
 *
 * Not with CLONE_VFORK: the kernel then wakes us only when the child lets go of the memory, and from the change of user on others
 * have it in hand whether it ever does. The service's user may stop it (a signal is allowed from user to user), hold a lease on
 * the program (fcntl(2), F_SETLEASE: 45 seconds for each start), serve program or directory by FUSE; the control group may be
 * frozen. The supervisor, which does nothing meanwhile, must not wait for any of them.
 *
 * The child uses the errno of the thread that waits here, so this thread touches it not: its calls are bare. */
#define _GNU_SOURCE
#include "bare.h"
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    LOOK = 5,            /* milliseconds from one look at a child to the next; most are through in one */
    SLEEPING_MOST = 1000, /* how long a child may wait interruptibly: for a lease, for FUSE, or frozen */
    SLEEPING_LEAST = 100, /* the same after others have used up that time */
    WORKING_FACTOR = 5,  /* how much longer uninterruptibly: for a disk */
    DYING_MOST = 200,    /* how long one that was killed may take to die */
};

/* Whether the child has let go of our memory within one look's time. */
static int is_through(struct order *order) {
    struct timespec time = {.tv_nsec = LOOK * 1000000L};
    if (__atomic_load_n(&order->lives, __ATOMIC_ACQUIRE) != 0)
        bare(SYS_futex, (long)&order->lives, FUTEX_WAIT, 1, (long)&time);
    return __atomic_load_n(&order->lives, __ATOMIC_ACQUIRE) == 0;
}

/* The state letter of proc(5), 0 if there is none to be had. */
static char state_of(const char *path) {
    char text[128];
    long fd = bare(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    long length = bare(SYS_read, fd, (long)text, sizeof text - 1, 0);
    bare(SYS_close, fd, 0, 0, 0);
    /* The name before it may have parentheses and spaces; what follows it has none. */
    for (long i = length - 2; i > 0; i--)
        if (text[i] == ')')
            return i + 2 < length ? text[i + 2] : 0;
    return 0;
}

/* Milliseconds that children have been waited for in vain, one forgotten for each twenty that pass. */
static long wasted;
static struct timespec wasted_at;

static void forget_waste(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    long passed = (now.tv_sec - wasted_at.tv_sec) * 1000 + (now.tv_nsec - wasted_at.tv_nsec) / 1000000;
    wasted = wasted > passed / 20 ? wasted - passed / 20 : 0;
    wasted_at = now;
}

/* Looks at the child until it is through, or will not be; says why not. */
static int await_child(struct order *order, const char *path) {
    long most = SLEEPING_MOST;
    int sleeping = 0, working = 0;
    for (int looks = 0; !is_through(order); looks++) {
        if (looks == 0) {
            /* The first look is the last for nearly all; the rest is worth a clock. */
            forget_waste();
            most = SLEEPING_MOST - wasted > SLEEPING_LEAST ? SLEEPING_MOST - wasted : SLEEPING_LEAST;
        }
        switch (state_of(path)) {
        case 'T': case 't': return EINTR;
        case 'S': sleeping += LOOK; break;
        /* One that runs, or would if it were its turn, gets there however busy the host is. */
        case 'R': break;
        default: working += LOOK; break;
        }
        if (sleeping < most && working < most * WORKING_FACTOR)
            continue;
        wasted += sleeping + working;
        return sleeping >= most ? EAGAIN : ETIME;
    }
    return 0;
}

int holdfast_await_child(struct order *order, long pid) {
    char path[32];
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    int reason = await_child(order, path);
    if (reason == 0)
        return 0;
    /* Stopped or frozen, it dies of this; waiting for FUSE it may not, but does nothing more before it does. */
    bare(SYS_kill, pid, SIGKILL, 0, 0);
    for (int waited = 0; waited < DYING_MOST; waited += LOOK)
        if (is_through(order))
            return reason;
    order->abandoned = 1;
    return reason;
}

void holdfast_reap_child(long pid, int pidfd) {
    /* Its descriptors are closed first, which may take as long as their file systems like: then the reaper of orphans does it. */
    struct pollfd end = {.fd = pidfd, .events = POLLIN};
    if (pidfd >= 0)
        while (poll(&end, 1, DYING_MOST) < 0 && errno == EINTR)
            ;
    while (waitpid((pid_t)pid, NULL, pidfd >= 0 ? WNOHANG : 0) < 0 && errno == EINTR)
        ;
}
