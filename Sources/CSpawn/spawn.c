/* Starts a program in a process that shares our memory until it executes, because fork would copy the page tables of a
 * daemon with thousands of services. child.c has its code before the execution, await.c bounds the wait for it. */
#define _GNU_SOURCE
#include "CSpawn.h"
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STACK_SIZE (64 * 1024)

/* glibc has no clone3: the child returns on another stack, so the jump into `function` must be in assembler. */
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

static long start_child(struct child_request *request, char *stack, int *pidfd) {
    const struct holdfast_spawn *plan = request->plan;
    if (plan->use_clone3) {
        int into_cgroup = plan->cgroup >= 0 && !plan->cgroup_join;
        struct clone_args args = {
            .flags = CLONE_VM | CLONE_CHILD_CLEARTID | CLONE_PIDFD | (into_cgroup ? CLONE_INTO_CGROUP : 0),
            .pidfd = (uintptr_t)pidfd,
            .child_tid = (uintptr_t)&request->is_running,
            .exit_signal = SIGCHLD,
            .stack = (uintptr_t)stack,
            .stack_size = STACK_SIZE,
            .cgroup = into_cgroup ? (uint64_t)plan->cgroup : 0,
        };
        request->join_cgroup = plan->cgroup >= 0 && !into_cgroup;
        long pid = clone3_call(&args, holdfast_child, request);
        /* ENOSYS and EPERM come from seccomp filters of containers, E2BIG and EINVAL from kernels before 5.7. */
        if (pid > 0 || (pid != -ENOSYS && pid != -EPERM && pid != -E2BIG && pid != -EINVAL))
            return pid;
    }
    request->join_cgroup = plan->cgroup >= 0;
    int flags = CLONE_VM | CLONE_CHILD_CLEARTID | CLONE_PIDFD | SIGCHLD;
    long pid = clone(holdfast_child, stack + STACK_SIZE, flags, request, pidfd, NULL, &request->is_running);
    return pid < 0 ? -errno : pid;
}

/* A file of /proc/self that a child changes for us as well, with our value. */
struct shared_setting {
    const char *path;
    char text[34];
    int length; /* 0: there is nothing to restore */
};

/* Reads our value behind `prefix`. */
static void save_setting(struct shared_setting *setting, const char *prefix) {
    size_t begin = strlen(prefix);
    memcpy(setting->text, prefix, begin);
    int fd = open(setting->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t length = read(fd, setting->text + begin, sizeof setting->text - begin);
    close(fd);
    setting->length = length > 0 ? (int)begin + (int)length : 0;
}

static void restore_setting(const struct shared_setting *setting) {
    if (setting->length > 0)
        holdfast_child_write(AT_FDCWD, setting->path, setting->text, (size_t)setting->length);
}

/* Set once a killed child has not ended in time: it still has our memory, as another user. The process then stays
 * undumpable, so that no other process can read the memory by ptrace(2). */
static int stays_undumpable;

/* Fills in the result from the request, and reaps the child if it has not executed the program. */
static int fill_result(struct child_request *request, long pid, int pidfd, int held,
                       struct holdfast_spawn_result *result) {
    int error = request->step != HOLDFAST_STEP_NONE ? request->error : held;
    if (error != 0) {
        result->step = request->step != HOLDFAST_STEP_NONE ? request->step : HOLDFAST_STEP_HELD;
        result->index = request->index;
        if (!request->abandoned)
            holdfast_reap_child(pid, pidfd);
        if (pidfd >= 0)
            close(pidfd);
        return -error;
    }
    result->step = HOLDFAST_STEP_NONE;
    result->eased = request->eased;
    result->pid = (pid_t)pid;
    result->pidfd = pidfd;
    return 0;
}

int holdfast_spawn(const struct holdfast_spawn *plan, struct holdfast_spawn_result *result) {
    result->pid = 0;
    result->pidfd = -1;
    result->index = 0;
    result->eased = 0;
    result->step = HOLDFAST_STEP_FORK;
    char *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED)
        return -errno;
    /* The request is at the far end of the stack and stays with it if the child does: the kernel writes to it when the
     * child ends. */
    struct child_request *request = (struct child_request *)(void *)stack;
    *request = (struct child_request){.plan = plan, .is_running = 1};

    int saved_errno = errno;
    /* A handler of ours that ran in the child would write into our memory: none may run before the reset. */
    unsigned long all = ~0UL, before = 0;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, sizeof all);
    /* The "dumpable" flag is shared with the memory. A change of user or group clears it: restored afterwards. */
    int dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
    /* The filter belongs to the memory. The kernel gives one OOM score to all processes that share memory, except to the
     * parent in vfork(2) (__set_oom_adj in fs/proc/base.c). */
    struct shared_setting filter = {.path = "/proc/self/coredump_filter"}, score = {.path = "/proc/self/oom_score_adj"};
    if (plan->coredump_filter)
        /* The kernel writes hexadecimal without a prefix and requires the prefix for reading. */
        save_setting(&filter, "0x");
    if (plan->oom_score_adj)
        save_setting(&score, "");
    int pidfd = -1;
    long pid = start_child(request, stack, &pidfd);
    int held = pid > 0 ? holdfast_await_child(request, pid) : 0;
    if (request->abandoned)
        stays_undumpable = 1;
    if (!stays_undumpable && (plan->change_user || plan->change_groups) && dumpable == 1)
        prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    restore_setting(&filter);
    restore_setting(&score);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, sizeof before);
    int status = (int)pid;
    if (pid > 0)
        status = fill_result(request, pid, pidfd, held, result);
    else if (plan->cgroup >= 0
             && (pid == -EACCES || pid == -EBUSY || pid == -EOPNOTSUPP || pid == -EBADF || pid == -ENODEV))
        /* These errors concern the cgroup, not us: it is being removed, frozen, of another type, or not ours. */
        result->step = HOLDFAST_STEP_CGROUP;
    if (!request->abandoned)
        munmap(stack, STACK_SIZE);
    errno = saved_errno;
    return status;
}
