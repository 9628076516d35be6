/* Declarations shared by the files of the child; not part of the module's interface. */
#ifndef HOLDFAST_CHILD_H
#define HOLDFAST_CHILD_H

#include "CSpawn.h"

struct child_request {
    const struct holdfast_spawn *plan;
    int join_cgroup; /* clone could not put the child into it */
    /* 1 until the child has released our memory, by executing its program or by ending (CLONE_CHILD_CLEARTID). */
    int is_running;
    int abandoned; /* the child was killed and has not ended yet */
    /* Written by the child, read after it has executed or died. */
    volatile int step, error, index;
    /* Bit i: limit i is the nearest that the kernel allows, not the requested one; above them the bits of
     * HOLDFAST_EASED_…. */
    volatile uint64_t eased;
};

/* Returns 0 once the child has executed its program or has ended by itself. Otherwise the child was killed, and the
 * result is EINTR if it was stopped, EAGAIN if it waited for something under its user's control, ETIME if it took too
 * long. */
int holdfast_await_child(struct child_request *request, long pid);
/* Reaps a child that never executed the program, so that its exit is not reported elsewhere. */
void holdfast_reap_child(long pid, int pidfd);

/* Runs all steps between clone and execve; never returns 0. */
int holdfast_child(void *request);

/* The steps return 0, or the result of `holdfast_child_fail`. */
int holdfast_child_fail(struct child_request *request, int step, int index);
int holdfast_child_write(int dir, const char *path, const char *text, size_t length);
int holdfast_child_attributes(struct child_request *request);
int holdfast_child_keyring(struct child_request *request);
int holdfast_child_capabilities(struct child_request *request);
int holdfast_child_user(struct child_request *request);
int holdfast_child_secure_bits(struct child_request *request);

#endif
