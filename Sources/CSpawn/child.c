/* The code between clone and execve, in a process that shares the supervisor's memory while the supervisor's thread
 * waits (CLONE_VM; await.c).
 *
 * Rules for this file and its siblings: system calls only, through syscall(2), because glibc's setuid family would
 * signal the threads of the *parent* (it believes that it still runs there). errno is the waiting thread's own, and
 * the caller restores it. */
#define _GNU_SOURCE
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

int holdfast_child_fail(struct child_request *request, int step, int index) {
    request->error = errno;
    request->index = index;
    request->step = step;
    return 127;
}

int holdfast_child_write(int dir, const char *path, const char *text, size_t length) {
    long fd = syscall(SYS_openat, dir, path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    long written = syscall(SYS_write, fd, text, length);
    int error = errno;
    syscall(SYS_close, fd);
    errno = error;
    return written == (long)length ? 0 : -1;
}

static void write_pid(char *slot, long pid) {
    char digits[12];
    int count = 0;
    do {
        digits[count++] = (char)('0' + pid % 10);
        pid /= 10;
    } while (pid > 0 && count < 11);
    for (int i = 0; i < count; i++)
        slot[i] = digits[count - 1 - i];
    slot[count] = 0;
}

/* The assignment of sources to targets; a target's source becomes PLACED once the target has it. `users[n]` is the
 * number of other targets that still need descriptor n as it is now. */
struct placement {
    int count;
    int *source, *users;
};
enum { PLACED = -2 };

/* Fills a target whose present descriptor no other target needs, then those that this makes free. A duplicate made by
 * dup3 without O_CLOEXEC survives execve; if source and target are the same number, the flag is cleared. */
static int place(struct child_request *request, struct placement *all, int target) {
    for (;;) {
        int from = all->source[target];
        long result = from == target ? syscall(SYS_fcntl, target, F_SETFD, 0) : syscall(SYS_dup3, from, target, 0);
        if (result < 0)
            return holdfast_child_fail(request, HOLDFAST_STEP_DESCRIPTORS, target);
        all->source[target] = PLACED;
        if (from == target || from >= all->count || --all->users[from] > 0 || all->source[from] == PLACED)
            return 0;
        target = from;
    }
}

/* Fills a cycle of targets: duplicates the first one's descriptor elsewhere, fills the others, and then uses the
 * duplicate. */
static int place_circle(struct child_request *request, struct placement *all, int first) {
    long aside = syscall(SYS_fcntl, first, F_DUPFD_CLOEXEC, all->count);
    if (aside < 0)
        return holdfast_child_fail(request, HOLDFAST_STEP_DESCRIPTORS, first);
    for (int target = first;;) {
        int from = all->source[target];
        if (syscall(SYS_dup3, from == first ? aside : from, target, 0) < 0)
            return holdfast_child_fail(request, HOLDFAST_STEP_DESCRIPTORS, target);
        all->source[target] = PLACED;
        if (from == first)
            break;
        target = from;
    }
    syscall(SYS_close, aside);
    return 0;
}

/* Places the descriptors. A target may be the number of another source, so the order is such that no descriptor is
 * overwritten while it is still needed, with one extra descriptor for cycles. Duplicating all of them would need twice
 * as many as the service gets. */
static int place_descriptors(struct child_request *request) {
    const struct holdfast_spawn *plan = request->plan;
    int count = (int)plan->descriptor_count;
    int source[count > 0 ? count : 1], users[count > 0 ? count : 1];
    struct placement all = {.count = count, .source = source, .users = users};
    /* The extra descriptor is closed before the program runs, so it may use the supervisor's reserve of numbers
     * (FileLimit). The program's own limit is set later; if the plan has none, the limit is restored. */
    struct rlimit before, most;
    if (syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &before) < 0)
        return holdfast_child_fail(request, HOLDFAST_STEP_DESCRIPTORS, 0);
    most = before;
    most.rlim_cur = most.rlim_max;
    syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &most, NULL);
    for (int i = 0; i < count; i++)
        users[i] = 0;
    for (int i = 0; i < count; i++) {
        source[i] = plan->descriptors[i];
        if (source[i] < 0) {
            errno = EBADF;
            return holdfast_child_fail(request, HOLDFAST_STEP_DESCRIPTORS, i);
        }
        if (source[i] != i && source[i] < count)
            users[source[i]]++;
    }
    /* The first pass fills the targets that wait for none, and those that this makes free; the second fills the rest,
     * which are cycles. */
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < count; i++) {
            int is_next = source[i] != PLACED && (pass == 1 || source[i] == i || users[i] == 0);
            int status = !is_next ? 0 : pass == 0 ? place(request, &all, i) : place_circle(request, &all, i);
            if (status != 0)
                return status;
        }
    syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &before, NULL);
    /* All ours are close-on-exec already; this is for descriptors that a library opened otherwise. */
    syscall(SYS_close_range, (unsigned)count, ~0U, 0);
    return 0;
}

static int become_groups(struct child_request *request) {
    const struct holdfast_spawn *plan = request->plan;
    if (!plan->change_groups)
        return 0;
    if (syscall(SYS_setgroups, plan->group_count, plan->groups) < 0
        || syscall(SYS_setresgid, plan->gid, plan->gid, plan->gid) < 0)
        return holdfast_child_fail(request, HOLDFAST_STEP_GROUP, 0);
    return 0;
}

/* Changes the root while the child is still privileged. The working directory is set later, inside. */
static int change_root(struct child_request *request) {
    const struct holdfast_spawn *plan = request->plan;
    if (!plan->root)
        return 0;
    if (syscall(SYS_chroot, plan->root) < 0)
        return plan->root_optional && errno == ENOENT
                   ? 0
                   : holdfast_child_fail(request, HOLDFAST_STEP_ROOT_DIRECTORY, 0);
    if (syscall(SYS_chdir, "/") < 0)
        return holdfast_child_fail(request, HOLDFAST_STEP_ROOT_DIRECTORY, 0);
    return 0;
}

/* Runs as the user: on NFS only that user may be allowed to enter the directory. */
static int change_directory(struct child_request *request) {
    const struct holdfast_spawn *plan = request->plan;
    if (!plan->working_directory || syscall(SYS_chdir, plan->working_directory) == 0)
        return 0;
    if (plan->working_directory_optional && errno == ENOENT && syscall(SYS_chdir, "/") == 0)
        return 0;
    return holdfast_child_fail(request, HOLDFAST_STEP_WORKING_DIRECTORY, 0);
}

/* Resets signals. Ours may be blocked, ignored or handled; a program expects the kernel's defaults. */
static void reset_signals(const struct holdfast_spawn *plan) {
    /* Zeroes are SIG_DFL in the kernel's own struct on every architecture; glibc's sigaction refuses 32 and 33. */
    unsigned long action[8] = {0};
    for (int signal = 1; signal <= 64; signal++)
        if (signal != SIGKILL && signal != SIGSTOP)
            syscall(SYS_rt_sigaction, signal, action, NULL, 8);
    /* The handler is the first member, and SIG_IGN is 1. */
    action[0] = 1;
    if (plan->ignore_sigpipe)
        syscall(SYS_rt_sigaction, SIGPIPE, action, NULL, 8);
}

typedef int step_function(struct child_request *);
/* The steps in systemd's order. Descriptors precede the limits: a low RLIMIT_NOFILE is meant for the program. */
static step_function *const steps[] = {
    place_descriptors, holdfast_child_attributes, become_groups, holdfast_child_capabilities, change_root,
    holdfast_child_user, change_directory, holdfast_child_secure_bits,
};

int holdfast_child(void *argument) {
    struct child_request *request = argument;
    const struct holdfast_spawn *plan = request->plan;
    reset_signals(plan);
    if (request->join_cgroup && holdfast_child_write(plan->cgroup, "cgroup.procs", "0", 1) < 0)
        return holdfast_child_fail(request, HOLDFAST_STEP_CGROUP, 0);
    if (plan->new_session && syscall(SYS_setsid) < 0)
        return holdfast_child_fail(request, HOLDFAST_STEP_SESSION, 0);
    /* Only the leader of a session without a terminal may take it. */
    if (plan->terminal >= 0 && syscall(SYS_ioctl, plan->terminal, TIOCSCTTY, plan->terminal_force) < 0)
        return holdfast_child_fail(request, HOLDFAST_STEP_TERMINAL, 0);
    /* This step needs privilege and the descriptor, which placing the descriptors closes. */
    if (plan->network >= 0 && syscall(SYS_setns, plan->network, CLONE_NEWNET) < 0)
        return holdfast_child_fail(request, HOLDFAST_STEP_NETWORK, 0);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        int status = steps[i](request);
        if (status != 0)
            return status;
    }
    if (plan->no_new_privileges && syscall(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return holdfast_child_fail(request, HOLDFAST_STEP_NO_NEW_PRIVILEGES, 0);
    unsigned long none = 0;
    if (syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof none) < 0)
        return holdfast_child_fail(request, HOLDFAST_STEP_SIGNALS, 0);
    for (size_t i = 0; i < plan->pid_slot_count; i++)
        write_pid(plan->pid_slots[i], syscall(SYS_getpid));
    syscall(SYS_execve, plan->program, plan->argv, plan->envp);
    return holdfast_child_fail(request, HOLDFAST_STEP_EXEC, 0);
}
