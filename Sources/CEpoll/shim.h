/* Swift's Glibc module has neither epoll(7) nor signalfd(2), which the loop of holdfast-probe uses. */
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
