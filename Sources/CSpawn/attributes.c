/* Scheduling, limits and accounting attributes of the child, in systemd's order (its exec_child): steps that need
 * privilege precede the change of user. The rules of child.c apply here, too. */
#define _GNU_SOURCE
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static int lacks_privilege(int error) { return error == EPERM || error == EACCES; }

static void ease(struct child_request *request, int bit) { request->eased |= 1ULL << bit; }

/* Sets the nice level; without the privilege, the lowest that RLIMIT_NICE allows (systemd's setpriority_closest()). */
static int set_nice(struct child_request *request) {
    int wanted = request->plan->nice;
    if (syscall(SYS_setpriority, PRIO_PROCESS, 0, wanted) >= 0)
        return 0;
    int error = errno;
    /* The system call returns 20 - nice. */
    long raw = syscall(SYS_getpriority, PRIO_PROCESS, 0);
    uint64_t pair[2];
    if (!lacks_privilege(error) || raw < 0 || wanted > 20 - raw
        || syscall(SYS_prlimit64, 0, RLIMIT_NICE, NULL, pair) < 0) {
        errno = error;
        return holdfast_child_fail(request, HOLDFAST_STEP_NICE, 0);
    }
    long current = 20 - raw, limit = pair[0] >= 40 ? -20 : pair[0] < 1 ? 19 : 20 - (long)pair[0];
    if (wanted < current)
        ease(request, HOLDFAST_EASED_NICE);
    if (current > limit && syscall(SYS_setpriority, PRIO_PROCESS, 0, limit) < 0)
        return holdfast_child_fail(request, HOLDFAST_STEP_NICE, 0);
    return 0;
}

/* Sets a limit. Without the privilege, as much as the hard limit allows, as systemd's setrlimit_closest(). */
static int set_limit(struct child_request *request, int i) {
    const struct holdfast_limit *limit = &request->plan->limits[i];
    uint64_t wanted[2] = {limit->soft, limit->hard}, have[2];
    if (syscall(SYS_prlimit64, 0, limit->resource, wanted, NULL) >= 0)
        return 0;
    int error = errno;
    if (error != EPERM || syscall(SYS_prlimit64, 0, limit->resource, NULL, have) < 0 || have[1] == ~0ULL) {
        errno = error;
        return holdfast_child_fail(request, HOLDFAST_STEP_LIMITS, i);
    }
    for (int part = 0; part < 2; part++)
        if (wanted[part] > have[1])
            wanted[part] = have[1];
    if (syscall(SYS_prlimit64, 0, limit->resource, wanted, NULL) < 0)
        return holdfast_child_fail(request, HOLDFAST_STEP_LIMITS, i);
    ease(request, i);
    return 0;
}

static int schedule(struct child_request *request) {
    const struct holdfast_spawn *plan = request->plan;
    if (plan->change_nice) {
        int status = set_nice(request);
        if (status != 0)
            return status;
    }
    if (plan->change_scheduler) {
        int parameter = plan->scheduler_priority; /* struct sched_param has this one member */
        if (syscall(SYS_sched_setscheduler, 0, plan->scheduler_policy, &parameter) < 0)
            return holdfast_child_fail(request, HOLDFAST_STEP_CPU_SCHEDULING, 0);
    }
    if (plan->cpu_mask_size > 0 && syscall(SYS_sched_setaffinity, 0, plan->cpu_mask_size, plan->cpu_mask) < 0)
        return holdfast_child_fail(request, HOLDFAST_STEP_CPU_AFFINITY, 0);
    if (plan->change_io_priority && syscall(SYS_ioprio_set, 1 /* IOPRIO_WHO_PROCESS */, 0, plan->io_priority) < 0)
        return holdfast_child_fail(request, HOLDFAST_STEP_IO_SCHEDULING, 0);
    return 0;
}

int holdfast_child_attributes(struct child_request *request) {
    const struct holdfast_spawn *plan = request->plan;
    /* The kernel gives the score to the supervisor as well, which shares the memory: holdfast_spawn restores it afterwards. */
    if (plan->oom_score_adj
        && holdfast_child_write(
               AT_FDCWD, "/proc/self/oom_score_adj", plan->oom_score_adj, strlen(plan->oom_score_adj)) < 0) {
        if (!lacks_privilege(errno))
            return holdfast_child_fail(request, HOLDFAST_STEP_OOM_SCORE, 0);
        ease(request, HOLDFAST_EASED_OOM_SCORE);
    }
    /* The filter belongs to the memory, which is still the supervisor's, too: holdfast_spawn restores it afterwards. */
    if (plan->coredump_filter
        && holdfast_child_write(
               AT_FDCWD, "/proc/self/coredump_filter", plan->coredump_filter, strlen(plan->coredump_filter)) < 0) {
        if (!lacks_privilege(errno))
            return holdfast_child_fail(request, HOLDFAST_STEP_COREDUMP_FILTER, 0);
        ease(request, HOLDFAST_EASED_COREDUMP_FILTER);
    }
    int status = schedule(request);
    if (status != 0)
        return status;
    if (plan->change_timer_slack && syscall(SYS_prctl, PR_SET_TIMERSLACK, plan->timer_slack, 0, 0, 0) < 0)
        return holdfast_child_fail(request, HOLDFAST_STEP_TIMER_SLACK, 0);
    if (plan->change_personality && syscall(SYS_personality, plan->personality) < 0)
        return holdfast_child_fail(request, HOLDFAST_STEP_PERSONALITY, 0);
    if (plan->change_umask)
        syscall(SYS_umask, plan->umask);
    status = holdfast_child_keyring(request);
    if (status != 0)
        return status;
    for (size_t i = 0; i < plan->limit_count; i++) {
        status = set_limit(request, (int)i);
        if (status != 0)
            return status;
    }
    return 0;
}

/* Makes a session keyring. It belongs to the real uid of its maker, so the real uid is the service's for a moment.
 * Kernels and containers without keyrings have nothing to separate. */
int holdfast_child_keyring(struct child_request *request) {
    const struct holdfast_spawn *plan = request->plan;
    if (plan->keyring == HOLDFAST_KEYRING_INHERIT)
        return 0;
    long uid = syscall(SYS_getuid), gid = syscall(SYS_getgid);
    if (plan->change_groups && syscall(SYS_setregid, plan->gid, -1) < 0)
        return holdfast_child_fail(request, HOLDFAST_STEP_KEYRING, 0);
    if (plan->change_user && syscall(SYS_setreuid, plan->uid, -1) < 0)
        return holdfast_child_fail(request, HOLDFAST_STEP_KEYRING, 0);
    int error = 0;
    if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0) < 0)
        error = errno;
    else if (plan->keyring == HOLDFAST_KEYRING_SHARED
             && syscall(SYS_keyctl, KEYCTL_LINK, KEY_SPEC_USER_KEYRING, KEY_SPEC_SESSION_KEYRING, 0, 0) < 0)
        error = errno;
    if ((plan->change_user && syscall(SYS_setreuid, uid, -1) < 0)
        || (plan->change_groups && syscall(SYS_setregid, gid, -1) < 0))
        return holdfast_child_fail(request, HOLDFAST_STEP_KEYRING, 0);
    if (error == ENOSYS || error == EPERM || error == EACCES)
        return 0;
    if (error != 0) {
        errno = error;
        return holdfast_child_fail(request, HOLDFAST_STEP_KEYRING, 0);
    }
    if (plan->invocation) {
        long key = syscall(SYS_add_key, "user", "invocation_id", plan->invocation, 16, KEY_SPEC_SESSION_KEYRING);
        /* Possessor and user may view, read and search the key, and no user may change it. Errors are ignored. */
        if (key >= 0)
            syscall(SYS_keyctl, KEYCTL_SETPERM, key, 0x0b0b0000, 0, 0);
    }
    return 0;
}
