/* System calls that do not write to errno, for a process that shares errno with another one running at the same time.
 * */
#ifndef HOLDFAST_BARE_H
#define HOLDFAST_BARE_H

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Returns a result of 0 or more, or a negated errno. */
static inline long bare(long number, long a, long b, long c, long d) {
#if defined(__x86_64__)
    long result;
    register long fourth __asm__("r10") = d;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth) : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__)
    register long call __asm__("x8") = number;
    register long first __asm__("x0") = a;
    register long second __asm__("x1") = b;
    register long third __asm__("x2") = c;
    register long fourth __asm__("x3") = d;
    __asm__ volatile("svc #0" : "+r"(first) : "r"(call), "r"(second), "r"(third), "r"(fourth) : "memory", "cc");
    return first;
#else
/* syscall(2) writes to errno. */
#error "bare() has no code for this architecture"
#endif
}

#endif
