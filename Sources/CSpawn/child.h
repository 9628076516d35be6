/* What the files of the child share; not part of the module's interface. */
#ifndef HOLDFAST_CHILD_H
#define HOLDFAST_CHILD_H

#include "CSpawn.h"

struct order {
    const struct holdfast_spawn *plan;
    int join_cgroup; /* clone could not put us there */
    /* Written by the child, read after it has executed or died. */
    volatile int step, error, index;
    /* Bit i: limit i is not what was asked for but the nearest that the kernel allows; then the bits below. */
    volatile uint64_t eased;
};

/* Everything between clone and execve; never returns 0. */
int holdfast_child(void *order);

/* Its steps return 0, or what `holdfast_child_fail` returns. */
int holdfast_child_fail(struct order *order, int step, int index);
int holdfast_child_write(int dir, const char *path, const char *text, size_t length);
int holdfast_child_attributes(struct order *order);
int holdfast_child_keyring(struct order *order);
int holdfast_child_capabilities(struct order *order);
int holdfast_child_user(struct order *order);
int holdfast_child_secure_bits(struct order *order);

#endif
