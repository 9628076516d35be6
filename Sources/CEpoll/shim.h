/* The Glibc module of Swift shows neither epoll(7) nor signalfd(2); holdfast-probe's loop stands on both. */
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
