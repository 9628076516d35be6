/* Records, in a signal handler, that this process dies by a fault of its own. */
#define _GNU_SOURCE
#include "CSpawn.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

/* Traps of the Swift runtime, bad memory accesses (including a full stack), abort(3); and SIGPROF, the timer against
 * endless loops. SIGKILL is not one of them: it is sent from outside and cannot be caught. */
static const int watched[] = {SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGABRT, SIGPROF};
enum { WATCHED = sizeof watched / sizeof watched[0] };
static struct sigaction before[WATCHED];
/* A separate stack, for the fault of a full stack. */
static char own_stack[32768];
static char note[4096];
static volatile sig_atomic_t stage;
static volatile sig_atomic_t watches;
static pid_t owner;

/* Writes "11 2": two numbers of at most three digits. */
static void compose(char *text, int signal, int step) {
    int numbers[2] = {signal, step};
    for (int index = 0; index < 2; index++) {
        int number = numbers[index] < 0 || numbers[index] > 999 ? 0 : numbers[index];
        if (number >= 100)
            *text++ = (char)('0' + number / 100);
        if (number >= 10)
            *text++ = (char)('0' + number / 10 % 10);
        *text++ = (char)('0' + number % 10);
        *text++ = index == 0 ? ' ' : '\0';
    }
}

static void fault(int signal, siginfo_t *info, void *context) {
    (void)context;
    int error = errno;
    /* The kernel has sent the signal because of an instruction or a timer of this process; or abort(3) has. A signal
     * from kill(2) has a code of zero or less, and proves no fault. */
    int by_kernel = info->si_code > 0;
    int by_abort = signal == SIGABRT && info->si_code == SI_TKILL && info->si_pid == owner;
    /* A child that has not executed its program yet shares this memory. */
    if ((by_kernel || by_abort) && getpid() == owner) {
        char text[16];
        compose(text, signal, stage);
        /* A symbolic link is made in one step and needs no space on a full file system. */
        (void)!symlink(text, note);
    }
    for (int index = 0; index < WATCHED; index++)
        if (watched[index] == signal)
            sigaction(signal, &before[index], NULL);
    /* The faulting instruction is executed again; every other signal is sent again. */
    if (!by_kernel || signal == SIGPROF)
        raise(signal);
    errno = error;
}

int holdfast_watch_faults(const char *path, unsigned seconds) {
    if (strlen(path) >= sizeof note)
        return -ENAMETOOLONG;
    holdfast_unwatch_faults();
    strcpy(note, path);
    owner = getpid();
    stage = 0;
    stack_t present;
    if (sigaltstack(NULL, &present) == 0 && present.ss_flags & SS_DISABLE) {
        stack_t stack = {.ss_sp = own_stack, .ss_size = sizeof own_stack};
        sigaltstack(&stack, NULL);
    }
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    for (int index = 0; index < WATCHED; index++)
        sigaction(watched[index], &action, &before[index]);
    struct itimerval timer = {.it_value = {.tv_sec = (time_t)seconds}};
    setitimer(ITIMER_PROF, &timer, NULL);
    watches = 1;
    return 0;
}

void holdfast_fault_stage(int step) { stage = step; }

void holdfast_unwatch_faults(void) {
    if (!watches)
        return;
    watches = 0;
    struct itimerval none;
    memset(&none, 0, sizeof none);
    setitimer(ITIMER_PROF, &none, NULL);
    for (int index = 0; index < WATCHED; index++)
        sigaction(watched[index], &before[index], NULL);
}
