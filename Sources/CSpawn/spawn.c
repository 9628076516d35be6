/* Starting a program. Everything in `child` runs in a process that shares the supervisor's memory while the supervisor's
 * thread is suspended (CLONE_VM | CLONE_VFORK): fork would copy page tables of a daemon with thousands of services.
 *
 * Rules for `child`: system calls only, by syscall(2), because glibc's setuid family would signal the threads of the
 * *parent* (it believes it is still that process). errno is the suspended thread's own and is put back by the caller. */
#define _GNU_SOURCE
#include "CSpawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define STACK_SIZE (64 * 1024)

struct order {
    const struct holdfast_spawn *plan;
    int join_cgroup; /* clone could not put us there */
    /* Written by the child, read after it has executed or died. */
    volatile int step, error, index;
};

static int fail(struct order *order, int step, int index) {
    order->error = errno;
    order->index = index;
    order->step = step;
    return 127;
}

static int write_file(int dir, const char *path, const char *text, size_t length) {
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

/* A target may be the number of another source: so all are duplicated above the range first, then brought down. A
 * duplicate made by dup3 without O_CLOEXEC survives execve, also where source and target were the same number. */
static int place_descriptors(struct order *order) {
    const struct holdfast_spawn *plan = order->plan;
    int count = (int)plan->descriptor_count;
    int above[count > 0 ? count : 1];
    for (int i = 0; i < count; i++) {
        above[i] = (int)syscall(SYS_fcntl, plan->descriptors[i], F_DUPFD_CLOEXEC, count);
        if (above[i] < 0)
            return fail(order, HOLDFAST_STEP_DESCRIPTORS, i);
    }
    for (int i = 0; i < count; i++)
        if (syscall(SYS_dup3, above[i], i, 0) < 0)
            return fail(order, HOLDFAST_STEP_DESCRIPTORS, i);
    /* All ours are close-on-exec already; this is for descriptors that a library opened otherwise. */
    syscall(SYS_close_range, (unsigned)count, ~0U, 0);
    return 0;
}

static int become_user(struct order *order) {
    const struct holdfast_spawn *plan = order->plan;
    if (plan->change_groups) {
        if (syscall(SYS_setgroups, plan->group_count, plan->groups) < 0)
            return fail(order, HOLDFAST_STEP_GROUP, 0);
        if (syscall(SYS_setresgid, plan->gid, plan->gid, plan->gid) < 0)
            return fail(order, HOLDFAST_STEP_GROUP, 0);
    }
    if (plan->change_user && syscall(SYS_setresuid, plan->uid, plan->uid, plan->uid) < 0)
        return fail(order, HOLDFAST_STEP_USER, 0);
    return 0;
}

static int adjust_limits(struct order *order) {
    const struct holdfast_spawn *plan = order->plan;
    if (plan->oom_score_adj
        && write_file(AT_FDCWD, "/proc/self/oom_score_adj", plan->oom_score_adj, strlen(plan->oom_score_adj)) < 0)
        return fail(order, HOLDFAST_STEP_OOM_SCORE, 0);
    if (plan->change_nice && syscall(SYS_setpriority, PRIO_PROCESS, 0, plan->nice) < 0)
        return fail(order, HOLDFAST_STEP_NICE, 0);
    for (size_t i = 0; i < plan->limit_count; i++) {
        uint64_t pair[2] = {plan->limits[i].soft, plan->limits[i].hard};
        if (syscall(SYS_prlimit64, 0, plan->limits[i].resource, pair, NULL) < 0)
            return fail(order, HOLDFAST_STEP_LIMITS, (int)i);
    }
    return 0;
}

static int child(void *argument) {
    struct order *order = argument;
    const struct holdfast_spawn *plan = order->plan;
    /* Zeroes are SIG_DFL in the kernel's own struct on every architecture; glibc's sigaction refuses 32 and 33. */
    unsigned long defaults[8] = {0};
    for (int signal = 1; signal <= 64; signal++)
        if (signal != SIGKILL && signal != SIGSTOP)
            syscall(SYS_rt_sigaction, signal, defaults, NULL, 8);
    if (order->join_cgroup && write_file(plan->cgroup, "cgroup.procs", "0", 1) < 0)
        return fail(order, HOLDFAST_STEP_CGROUP, 0);
    if (plan->new_session && syscall(SYS_setsid) < 0)
        return fail(order, HOLDFAST_STEP_SESSION, 0);
    /* Before the limits: a low RLIMIT_NOFILE is meant for the program, not for placing its descriptors. */
    int status = place_descriptors(order);
    if (status == 0)
        status = adjust_limits(order);
    if (status == 0)
        status = become_user(order);
    if (status != 0)
        return status;
    if (plan->change_umask)
        syscall(SYS_umask, plan->umask);
    /* As the user: on NFS only that user may be allowed to enter. */
    if (plan->working_directory && syscall(SYS_chdir, plan->working_directory) < 0
        && !(plan->working_directory_optional && errno == ENOENT))
        return fail(order, HOLDFAST_STEP_WORKING_DIRECTORY, 0);
    unsigned long none = 0;
    if (syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof none) < 0)
        return fail(order, HOLDFAST_STEP_SIGNALS, 0);
    for (size_t i = 0; i < plan->pid_slot_count; i++)
        write_pid(plan->pid_slots[i], syscall(SYS_getpid));
    syscall(SYS_execve, plan->program, plan->argv, plan->envp);
    return fail(order, HOLDFAST_STEP_EXEC, 0);
}

/* glibc has no clone3: the child comes back on another stack, so the jump into `function` must be in assembler. */
static long clone3_call(struct clone_args *args, int (*function)(void *), void *argument) {
#if defined(__x86_64__)
    long result;
    register int (*target)(void *) __asm__("r12") = function;
    register void *parameter __asm__("r13") = argument;
    __asm__ volatile(
        "syscall\n\t"
        "test %%rax, %%rax\n\t"
        "jnz 1f\n\t"
        "mov %%r13, %%rdi\n\t"
        "call *%%r12\n\t"
        "mov %%eax, %%edi\n\t"
        "mov $231, %%eax\n\t" /* exit_group */
        "syscall\n\t"
        "hlt\n"
        "1:"
        : "=a"(result)
        : "a"((long)SYS_clone3), "D"(args), "S"(sizeof *args), "r"(target), "r"(parameter)
        : "rcx", "r11", "memory", "cc");
    return result;
#elif defined(__aarch64__)
    register long number __asm__("x8") = SYS_clone3;
    register long first __asm__("x0") = (long)args;
    register long second __asm__("x1") = sizeof *args;
    register int (*target)(void *) __asm__("x19") = function;
    register void *parameter __asm__("x20") = argument;
    __asm__ volatile(
        "svc #0\n\t"
        "cbnz x0, 1f\n\t"
        "mov x0, x20\n\t"
        "blr x19\n\t"
        "mov x8, #94\n\t" /* exit_group */
        "svc #0\n\t"
        "brk #1\n"
        "1:"
        : "+r"(first)
        : "r"(number), "r"(second), "r"(target), "r"(parameter)
        : "x30", "memory", "cc");
    return first;
#else
    (void)args, (void)function, (void)argument;
    return -ENOSYS;
#endif
}

static long start_child(struct order *order, char *stack, int *pidfd) {
    const struct holdfast_spawn *plan = order->plan;
    if (plan->use_clone3) {
        struct clone_args args = {
            .flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | (plan->cgroup >= 0 ? CLONE_INTO_CGROUP : 0),
            .pidfd = (uintptr_t)pidfd,
            .exit_signal = SIGCHLD,
            .stack = (uintptr_t)stack,
            .stack_size = STACK_SIZE,
            .cgroup = plan->cgroup >= 0 ? (uint64_t)plan->cgroup : 0,
        };
        long pid = clone3_call(&args, child, order);
        /* ENOSYS and EPERM come from seccomp filters of containers, E2BIG and EINVAL from kernels before 5.7. */
        if (pid > 0 || (pid != -ENOSYS && pid != -EPERM && pid != -E2BIG && pid != -EINVAL))
            return pid;
    }
    order->join_cgroup = plan->cgroup >= 0;
    long pid = clone(child, stack + STACK_SIZE, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, order, pidfd);
    return pid < 0 ? -errno : pid;
}

int holdfast_spawn(const struct holdfast_spawn *plan, struct holdfast_spawn_result *result) {
    struct order order = {.plan = plan};
    result->pid = 0;
    result->pidfd = -1;
    result->index = 0;
    result->step = HOLDFAST_STEP_FORK;
    char *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED)
        return -errno;

    int saved_errno = errno;
    /* A handler of ours that ran in the child would write into our memory: none may run before the reset. */
    unsigned long all = ~0UL, before = 0;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, sizeof all);
    /* The memory is shared, so is its "dumpable" flag, which setresuid clears: put ours back afterwards. */
    int dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
    int pidfd = -1;
    long pid = start_child(&order, stack, &pidfd);
    if (plan->change_user && dumpable == 1)
        prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, sizeof before);
    errno = saved_errno;
    munmap(stack, STACK_SIZE);

    if (pid < 0) {
        /* These name the group, not us: it is being removed, frozen, of another type, or not ours. */
        if (plan->cgroup >= 0 && (pid == -EACCES || pid == -EBUSY || pid == -EOPNOTSUPP || pid == -EBADF || pid == -ENODEV))
            result->step = HOLDFAST_STEP_CGROUP;
        return (int)pid;
    }
    if (order.step != HOLDFAST_STEP_NONE) {
        /* It never became the program: nobody else shall see this child's exit. */
        while (waitpid((pid_t)pid, NULL, 0) < 0 && errno == EINTR)
            ;
        if (pidfd >= 0)
            close(pidfd);
        errno = saved_errno;
        result->step = order.step;
        result->index = order.index;
        return -order.error;
    }
    result->step = HOLDFAST_STEP_NONE;
    result->pid = (pid_t)pid;
    result->pidfd = pidfd;
    return 0;
}
