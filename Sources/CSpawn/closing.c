/* Closes descriptors in another process if other users control how long that takes.
 *
 * close(2) may block. The last close of a TCP socket waits for unsent data (SO_LINGER of socket(7)), and any close of a
 * file may wait for its file system (with FUSE: for a program of the user who mounted it). The last close of a Unix
 * socket also closes descriptors in transit in it. Other processes can send us such descriptors (SCM_RIGHTS of
 * unix(7)), put them into a socket that we share, or set such an option on one. Any of them could thus block the
 * supervisor, which has a single thread. A process that shares our descriptor table and does nothing else therefore
 * closes such descriptors.
 *
 * The rules of spawn.c apply here: system calls only. They are bare, because errno is ours. */
#define _GNU_SOURCE
#include "bare.h"
#include "CSpawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    MOST_CLOSERS = 32,
    MOST_AT_ONCE = 32, /* those behind one whose close waits stay open with it */
    MOST_WAITING = 1024,
    CLOSER_BUDGET_MS = 50, /* of each second spent waiting for closers; nearly all need one */
    STACK_SIZE = 16 * 1024,
};

/* A process and its memory: this structure at one end, the stack at the other. */
struct closer {
    int is_running; /* 1 until the process has ended (CLONE_CHILD_CLEARTID) */
    int next;  /* index of the first descriptor that it has not begun to close */
    int count;
    int descriptors[MOST_AT_ONCE];
};

static struct {
    struct closer *work; /* NULL: the entry is free */
    pid_t pid;           /* 0: no process could be made for it so far */
} closers[MOST_CLOSERS];

/* Descriptors that wait for a free entry. */
static int waiting[MOST_WAITING];
static size_t waiting_count;

static int close_all(void *argument) {
    struct closer *work = argument;
    /* The process has all our open descriptors, including the lock of the runtime directory: it must not outlive us. */
    bare(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0);
    /* Counted before the close: a number that is free may be another descriptor's when the next process looks. */
    for (int i = work->next; i < work->count; i++) {
        __atomic_store_n(&work->next, i + 1, __ATOMIC_RELEASE);
        bare(SYS_close, work->descriptors[i], 0, 0, 0);
    }
    return 0;
}

/* Starts a process for the entry. Returns 0 if none can be made. */
static int start_process(int place) {
    struct closer *work = closers[place].work;
    work->is_running = 1;
    /* A signal handler of ours that ran in the closer would write into our memory. */
    unsigned long all = ~0UL, before = 0;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, sizeof all);
    /* SIGCHLD makes the reaper of orphans look at it (holdfast_reap_closer), so that no zombie stays until the next
     * close. */
    pid_t pid = clone(close_all, (char *)work + STACK_SIZE, CLONE_VM | CLONE_FILES | CLONE_CHILD_CLEARTID | SIGCHLD, work,
                      NULL, NULL, &work->is_running);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, sizeof before);
    closers[place].pid = pid > 0 ? pid : 0;
    return pid > 0;
}

/* Frees the entry of a process that has ended. The descriptors behind the one at which it was killed get a new process:
 * they are open in our table. */
static void reap_closer_at(int i) {
    struct closer *work = closers[i].work;
    if (!work || (closers[i].pid > 0 && waitpid(closers[i].pid, NULL, WNOHANG | __WALL) == 0))
        return;
    closers[i].pid = 0;
    if (__atomic_load_n(&work->next, __ATOMIC_ACQUIRE) < work->count) {
        start_process(i);
        return;
    }
    munmap(work, STACK_SIZE);
    closers[i].work = NULL;
}

static void reap_closers(void) {
    for (int i = 0; i < MOST_CLOSERS; i++)
        reap_closer_at(i);
}

/* Reaps a closer for the reaper of orphans, which must not do that itself: the pid could then belong to another child
 * by the time start_closer or reap_closers waits for it. */
int holdfast_reap_closer(int32_t pid) {
    for (int i = 0; i < MOST_CLOSERS; i++) {
        if (!closers[i].work || pid <= 0 || closers[i].pid != pid)
            continue;
        reap_closer_at(i);
        return 1;
    }
    return 0;
}

/* Kills all closers when others need an entry: those that still wait for a peer or a file system have waited long
 * enough. The kernel continues to send a socket's unsent data after that. */
static void kill_closers(void) {
    for (int i = 0; i < MOST_CLOSERS; i++)
        if (closers[i].work && closers[i].pid > 0)
            kill(closers[i].pid, SIGKILL);
}

/* Waits for the closer for a short time: only after the close is an address free, or a path without a listener. */
static void await_closer(struct closer *work) {
    static struct timespec second;
    static long left;
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    if (start.tv_sec != second.tv_sec) {
        second = start;
        left = CLOSER_BUDGET_MS * 1000000L;
    }
    if (left <= 0)
        return;
    struct timespec most = {.tv_nsec = left};
    if (__atomic_load_n(&work->is_running, __ATOMIC_ACQUIRE) != 0)
        bare(SYS_futex, (long)&work->is_running, FUTEX_WAIT, 1, (long)&most);
    clock_gettime(CLOCK_MONOTONIC, &end);
    left -= (end.tv_sec - start.tv_sec) * 1000000000L + end.tv_nsec - start.tv_nsec;
}

/* Starts a closer for waiting descriptors. Returns 0 if there is no free entry, or no process can be made. */
static int start_closer(int patient) {
    int place = 0;
    while (place < MOST_CLOSERS && closers[place].work)
        place++;
    if (place == MOST_CLOSERS)
        return 0;
    void *memory = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED)
        return 0;
    struct closer *work = memory;
    work->next = 0;
    work->count = (int)(waiting_count < MOST_AT_ONCE ? waiting_count : MOST_AT_ONCE);
    waiting_count -= (size_t)work->count;
    memcpy(work->descriptors, waiting + waiting_count, (size_t)work->count * sizeof *waiting);
    closers[place].work = work;
    if (!start_process(place)) {
        waiting_count += (size_t)work->count;
        munmap(memory, STACK_SIZE);
        closers[place].work = NULL;
        return 0;
    }
    if (patient)
        await_closer(work);
    reap_closer_at(place);
    return 1;
}

static void start_closers(int patient) {
    reap_closers();
    while (waiting_count > 0 && start_closer(patient))
        ;
    if (waiting_count > 0)
        kill_closers();
}

static void close_elsewhere(int fd) {
    if (waiting_count == MOST_WAITING) {
        start_closers(0);
        /* As a last resort, close here. */
        if (waiting_count == MOST_WAITING) {
            close(fd);
            return;
        }
    }
    waiting[waiting_count++] = fd;
}

/* Whether a Unix socket may have descriptors in transit: its last close closes those as well. */
static int holds_others(int fd) {
    struct pollfd state = {.fd = fd, .events = POLLIN};
    if (poll(&state, 1, 0) <= 0)
        return 0;
    int type = 0, listens = 0, unread = 0;
    socklen_t size = sizeof type;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_STREAM)
        return 1;
    size = sizeof listens;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) < 0 || listens)
        return 1;
    /* A stream is also readable at its end, with nothing unread. */
    return ioctl(fd, FIONREAD, &unread) < 0 || unread > 0;
}

static int may_wait_for_peer(int fd) {
    struct linger linger = {0};
    socklen_t size = sizeof linger;
    return getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &size) == 0 && linger.l_onoff && linger.l_linger > 0;
}

/* Whether closing the socket may block; -1 if the descriptor is not a socket. */
static int socket_may_wait(int fd) {
    int family = 0;
    socklen_t size = sizeof family;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size) < 0)
        return errno == ENOTSOCK || errno == EBADF ? -1 : 1;
    return family == AF_UNIX ? holds_others(fd) : may_wait_for_peer(fd);
}

/* Whether the file is one in memory, as made by memfd_create(2). */
static int is_memory(const struct statx *status) {
    static unsigned major, minor;
    static int known;
    if (!known) {
        struct statx own;
        int fd = memfd_create("holdfast", MFD_CLOEXEC);
        known = fd >= 0 && statx(fd, "", AT_EMPTY_PATH, STATX_TYPE, &own) == 0 ? 1 : -1;
        if (known > 0) {
            major = own.stx_dev_major;
            minor = own.stx_dev_minor;
        }
        if (fd >= 0)
            close(fd);
    }
    return known > 0 && status->stx_dev_major == major && status->stx_dev_minor == minor;
}

static int file_may_wait(int fd) {
    struct statx status;
    /* AT_STATX_DONT_SYNC: a request to the file system itself could block. */
    if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &status) < 0)
        return 1;
    switch (status.stx_mode & S_IFMT) {
    case S_IFIFO: case S_IFDIR: case S_IFLNK: return 0;
    default: return !is_memory(&status);
    }
}

void holdfast_close(int fd) {
    int error = errno;
    if (socket_may_wait(fd) > 0) {
        close_elsewhere(fd);
        start_closers(1);
    } else {
        /* The result is not useful: after EINTR or EIO Linux has freed the number nevertheless (close(2)). */
        close(fd);
    }
    errno = error;
}

void holdfast_close_received(const int *descriptors, size_t count) {
    int error = errno;
    for (size_t i = 0; i < count; i++) {
        int may_wait = socket_may_wait(descriptors[i]);
        if (may_wait < 0)
            may_wait = file_may_wait(descriptors[i]);
        if (may_wait)
            close_elsewhere(descriptors[i]);
        else
            close(descriptors[i]);
    }
    /* Does not wait for the closers: no address of ours depends on these descriptors, and other processes may send them
     * endlessly. */
    start_closers(0);
    errno = error;
}
