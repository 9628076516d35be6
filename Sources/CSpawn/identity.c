/* User, groups and capabilities(7) of the child. The rules of child.c apply here, too. */
#define _GNU_SOURCE
#include "child.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

struct capabilities {
    uint64_t effective, permitted, inheritable;
};

static int get_capabilities(struct capabilities *out) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &header, data) < 0)
        return -1;
    out->effective = (uint64_t)data[1].effective << 32 | data[0].effective;
    out->permitted = (uint64_t)data[1].permitted << 32 | data[0].permitted;
    out->inheritable = (uint64_t)data[1].inheritable << 32 | data[0].inheritable;
    return 0;
}

static int set_capabilities(const struct capabilities *in) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    struct __user_cap_data_struct data[2] = {
        {(uint32_t)in->effective, (uint32_t)in->permitted, (uint32_t)in->inheritable},
        {(uint32_t)(in->effective >> 32), (uint32_t)(in->permitted >> 32), (uint32_t)(in->inheritable >> 32)}};
    return (int)syscall(SYS_capset, &header, data);
}

static int raise_ambient(struct child_request *request) {
    for (int i = 0; i < 64; i++) {
        if (!(request->plan->ambient >> i & 1))
            continue;
        /* A set such as "~CAP_KILL" has more bits than the kernel has capabilities. */
        if (syscall(SYS_prctl, PR_CAPBSET_READ, i, 0, 0, 0) < 0)
            break;
        if (syscall(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0) < 0)
            return holdfast_child_fail(request, HOLDFAST_STEP_AMBIENT_CAPABILITIES, i);
    }
    return 0;
}

static int drop_bounding(struct child_request *request) {
    for (int i = 0; i < 64; i++) {
        if (request->plan->bounding >> i & 1)
            continue;
        long has = syscall(SYS_prctl, PR_CAPBSET_READ, i, 0, 0, 0);
        if (has < 0)
            break; /* past the kernel's last one */
        if (has > 0 && syscall(SYS_prctl, PR_CAPBSET_DROP, i, 0, 0, 0) < 0)
            return holdfast_child_fail(request, HOLDFAST_STEP_CAPABILITIES, i);
    }
    return 0;
}

int holdfast_child_capabilities(struct child_request *request) {
    const struct holdfast_spawn *plan = request->plan;
    if (plan->bounding == ~0ULL && plan->ambient == 0)
        return 0;
    int status = drop_bounding(request);
    if (status != 0)
        return status;
    struct capabilities own;
    if (get_capabilities(&own) < 0)
        return holdfast_child_fail(request, HOLDFAST_STEP_CAPABILITIES, 0);
    uint64_t inheritable = (own.inheritable & plan->bounding) | (plan->ambient & own.permitted);
    if (inheritable != own.inheritable) {
        own.inheritable = inheritable;
        if (set_capabilities(&own) < 0)
            return holdfast_child_fail(request, HOLDFAST_STEP_CAPABILITIES, 0);
    }
    return raise_ambient(request);
}

int holdfast_child_user(struct child_request *request) {
    const struct holdfast_spawn *plan = request->plan;
    if (!plan->change_user)
        return 0;
    /* setresuid from root clears the capabilities that the program keeps, and those for setting secure bits. */
    if (plan->uid != 0 && (plan->ambient != 0 || plan->secure_bits != 0)) {
        long bits = syscall(SYS_prctl, PR_GET_SECUREBITS, 0, 0, 0, 0);
        if (bits < 0 || syscall(SYS_prctl, PR_SET_SECUREBITS, bits | SECBIT_KEEP_CAPS, 0, 0, 0) < 0)
            return holdfast_child_fail(request, HOLDFAST_STEP_SECURE_BITS, 0);
    }
    if (syscall(SYS_setresuid, plan->uid, plan->uid, plan->uid) < 0)
        return holdfast_child_fail(request, HOLDFAST_STEP_USER, 0);
    return raise_ambient(request);
}

int holdfast_child_secure_bits(struct child_request *request) {
    const struct holdfast_spawn *plan = request->plan;
    if (plan->ambient == 0 && plan->secure_bits == 0)
        return 0;
    /* Reading needs no privilege, setting does; exec clears keep-caps by itself. */
    long bits = syscall(SYS_prctl, PR_GET_SECUREBITS, 0, 0, 0, 0);
    if (bits >= 0 && (bits & ~SECBIT_KEEP_CAPS) == (plan->secure_bits & ~SECBIT_KEEP_CAPS))
        return 0;
    struct capabilities own;
    if (get_capabilities(&own) < 0)
        return holdfast_child_fail(request, HOLDFAST_STEP_SECURE_BITS, 0);
    /* The change of user cleared its effective bit. The program does not get it: exec computes its sets anew. */
    own.effective |= own.permitted & 1ULL << CAP_SETPCAP;
    if (set_capabilities(&own) < 0 || syscall(SYS_prctl, PR_SET_SECUREBITS, plan->secure_bits, 0, 0, 0) < 0)
        return holdfast_child_fail(request, HOLDFAST_STEP_SECURE_BITS, 0);
    return 0;
}
