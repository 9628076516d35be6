/* Waits until a child that shares our memory has executed its program or has ended.
 *
 * CLONE_VFORK is unsuitable: the kernel then wakes the parent only once the child releases the memory, and after the
 * change of user other users control when that happens. The service's user may stop the child (a user may signal its
 * own processes), hold a lease on the program (fcntl(2), F_SETLEASE: 45 seconds for each start), or serve the program
 * or its directory by FUSE; the control group may be frozen. The supervisor is blocked meanwhile and must not wait for
 * any of these.
 *
 * The child uses the errno of the waiting thread, so this thread must not write to it: its system calls are bare
 * (bare.h). */
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
    CHECK_INTERVAL_MS = 5, /* between checks of a child; most need one */
    SLEEPING_MOST = 1000, /* milliseconds that a child may wait interruptibly: for a lease, for FUSE, or frozen */
    SLEEPING_LEAST = 100, /* the same after earlier children have used up that time */
    WORKING_FACTOR = 5,  /* factor for uninterruptible waits: for a disk */
    DYING_LIMIT_MS = 200, /* that a killed child may take to die */
};

/* Whether the child has released our memory, after waiting for at most CHECK_INTERVAL_MS. */
static int has_released_memory(struct child_request *request) {
    struct timespec time = {.tv_nsec = CHECK_INTERVAL_MS * 1000000L};
    if (__atomic_load_n(&request->is_running, __ATOMIC_ACQUIRE) != 0)
        bare(SYS_futex, (long)&request->is_running, FUTEX_WAIT, 1, (long)&time);
    return __atomic_load_n(&request->is_running, __ATOMIC_ACQUIRE) == 0;
}

/* The state letter of proc(5); 0 if it cannot be read. */
static char state_of(const char *path) {
    char text[128];
    long fd = bare(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    long length = bare(SYS_read, fd, (long)text, sizeof text - 1, 0);
    bare(SYS_close, fd, 0, 0, 0);
    /* The program name before the state may contain parentheses and spaces; the fields after it contain none. */
    for (long i = length - 2; i > 0; i--)
        if (text[i] == ')')
            return i + 2 < length ? text[i + 2] : 0;
    return 0;
}

/* Milliseconds wasted on children that failed. One of every twenty that pass is forgiven. */
static long wasted;
static struct timespec wasted_at;

static void forget_waste(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    long passed = (now.tv_sec - wasted_at.tv_sec) * 1000 + (now.tv_nsec - wasted_at.tv_nsec) / 1000000;
    wasted = wasted > passed / 20 ? wasted - passed / 20 : 0;
    wasted_at = now;
}

/* Checks the child until it has released our memory or will not do so in time. Returns the reason, or 0. */
static int await_child(struct child_request *request, const char *path) {
    long most = SLEEPING_MOST;
    int sleeping = 0, working = 0;
    for (int looks = 0; !has_released_memory(request); looks++) {
        if (looks == 0) {
            /* Nearly all children need only the first check; the others are worth reading the clock. */
            forget_waste();
            most = SLEEPING_MOST - wasted > SLEEPING_LEAST ? SLEEPING_MOST - wasted : SLEEPING_LEAST;
        }
        switch (state_of(path)) {
        case 'T': case 't': return EINTR;
        case 'S': sleeping += CHECK_INTERVAL_MS; break;
        /* A running or runnable child makes progress, however busy the host is. */
        case 'R': break;
        default: working += CHECK_INTERVAL_MS; break;
        }
        if (sleeping < most && working < most * WORKING_FACTOR)
            continue;
        wasted += sleeping + working;
        return sleeping >= most ? EAGAIN : ETIME;
    }
    return 0;
}

int holdfast_await_child(struct child_request *request, long pid) {
    char path[32];
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    int reason = await_child(request, path);
    if (reason == 0)
        return 0;
    /* A stopped or frozen child dies of SIGKILL. One that waits for FUSE may not die yet, but executes nothing before
     * it does. */
    bare(SYS_kill, pid, SIGKILL, 0, 0);
    for (int waited = 0; waited < DYING_LIMIT_MS; waited += CHECK_INTERVAL_MS)
        if (has_released_memory(request))
            return reason;
    request->abandoned = 1;
    return reason;
}

void holdfast_reap_child(long pid, int pidfd) {
    /* A dying child closes its descriptors first, which may take as long as their file systems like; after
     * DYING_LIMIT_MS the reaper of orphans reaps it. */
    struct pollfd end = {.fd = pidfd, .events = POLLIN};
    if (pidfd >= 0)
        while (poll(&end, 1, DYING_LIMIT_MS) < 0 && errno == EINTR)
            ;
    while (waitpid((pid_t)pid, NULL, pidfd >= 0 ? WNOHANG : 0) < 0 && errno == EINTR)
        ;
}
