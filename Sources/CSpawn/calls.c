/* Small calls that Swift cannot make itself; CSpawn.h gives the reason for each. */
#define _GNU_SOURCE
#include "CSpawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <linux/tcp.h>
#include <signal.h>
#include <string.h>
#include <linux/kd.h>
#include <linux/vt.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

static int result(long value) { return value < 0 ? -errno : (int)value; }

int holdfast_pidfd_open(pid_t pid) { return result(syscall(SYS_pidfd_open, pid, 0)); }

int holdfast_pidfd_send_signal(int pidfd, int signal) {
    return result(syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0));
}

int holdfast_pidfd_getfd(int pidfd, int target) { return result(syscall(SYS_pidfd_getfd, pidfd, target, 0)); }

int holdfast_keep_room(int fd, int64_t bytes) { return result(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, bytes)); }

int holdfast_become_subreaper(int on) { return result(prctl(PR_SET_CHILD_SUBREAPER, on, 0, 0, 0)); }

int holdfast_duplicate(int fd, int floor) { return result(fcntl(fd, F_DUPFD_CLOEXEC, floor)); }

int holdfast_set_nonblocking(int fd, int on) {
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        return -errno;
    return result(fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK));
}

int holdfast_set_cloexec(int fd, int on) { return result(fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0)); }

int holdfast_close_from(unsigned first) { return result(syscall(SYS_close_range, first, ~0U, 0)); }

int holdfast_open(const char *path, int flags, mode_t mode) { return result(open(path, flags | O_CLOEXEC, mode)); }

int holdfast_openat(int dir, const char *path, int flags, mode_t mode) {
    return result(openat(dir, path, flags | O_CLOEXEC, mode));
}

int holdfast_is_same_file(int left, int right) {
    pid_t own = getpid();
    return syscall(SYS_kcmp, own, own, KCMP_FILE, left, right) == 0;
}

int holdfast_signal_descriptor(int signal) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    return result(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

int holdfast_take_signal(int fd) {
    struct signalfd_siginfo info;
    ssize_t count = read(fd, &info, sizeof info);
    return count < 0 ? -errno : count == sizeof info;
}

int holdfast_memory_file(const char *name) { return result(memfd_create(name, MFD_CLOEXEC)); }

int holdfast_wait(int type, int id, int reap, struct holdfast_exit *out) {
    siginfo_t info;
    memset(&info, 0, sizeof info);
    idtype_t idtype = type == HOLDFAST_WAIT_PID ? P_PID : type == HOLDFAST_WAIT_PIDFD ? P_PIDFD : P_ALL;
    int flags = WEXITED | WNOHANG | (reap ? 0 : WNOWAIT);
    while (waitid(idtype, (id_t)id, &info, flags) < 0)
        if (errno != EINTR)
            return -errno;
    out->pid = info.si_pid;
    out->signaled = info.si_code == CLD_KILLED ? 1 : info.si_code == CLD_DUMPED ? 2 : 0;
    out->status = info.si_status;
    return 0;
}

int holdfast_receive(int fd, void *buffer, size_t size, struct holdfast_datagram *out) {
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(sizeof(int) * HOLDFAST_MOST_DESCRIPTORS)];
    } control;
    int *descriptors = out->descriptors;
    struct iovec vector = {.iov_base = buffer, .iov_len = size};
    struct msghdr message = {
        .msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    memset(out, 0, sizeof *out);
    out->descriptors = descriptors;
    ssize_t length = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (length < 0)
        return -errno;
    out->length = (size_t)length;
    out->truncated = (message.msg_flags & MSG_TRUNC) != 0;
    out->lost_descriptors = (message.msg_flags & MSG_CTRUNC) != 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
        if (c->cmsg_level != SOL_SOCKET)
            continue;
        if (c->cmsg_type == SCM_CREDENTIALS && c->cmsg_len == CMSG_LEN(sizeof(struct ucred))) {
            struct ucred credentials;
            memcpy(&credentials, CMSG_DATA(c), sizeof credentials);
            out->has_credentials = 1;
            out->pid = credentials.pid;
            out->uid = credentials.uid;
            out->gid = credentials.gid;
        } else if (c->cmsg_type == SCM_RIGHTS) {
            int count = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
            for (int i = 0; i < count; i++) {
                int received;
                memcpy(&received, CMSG_DATA(c) + sizeof(int) * (size_t)i, sizeof received);
                if (out->descriptor_count < HOLDFAST_MOST_DESCRIPTORS)
                    out->descriptors[out->descriptor_count++] = received;
                else
                    holdfast_close_received(&received, 1);
            }
        }
    }
    return 0;
}

int holdfast_send_with_descriptors(int fd, const void *data, size_t size, const int *descriptors, size_t count) {
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int) * 16)];
    } control;
    if (count > 16)
        return -EINVAL;
    struct iovec vector = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    if (count > 0) {
        memset(&control, 0, sizeof control);
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int) * count);
        memcpy(CMSG_DATA(header), descriptors, sizeof(int) * count);
    }
    return result(sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT));
}

int holdfast_accept_queue(int fd, uint32_t *queued, uint32_t *limit) {
    struct tcp_info info;
    socklen_t size = sizeof info;
    memset(&info, 0, sizeof info);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
        return -errno;
    /* For a listening socket the kernel returns the length and limit of the queue in these members (tcp_get_info). */
    *queued = info.tcpi_unacked;
    *limit = info.tcpi_sacked;
    return 0;
}

int holdfast_is_dev_null(uint32_t mode, uint64_t rdev) {
    return (mode & S_IFMT) == S_IFCHR && major(rdev) == 1 && minor(rdev) == 3;
}

const char *holdfast_error_text(int error) { return strerrordesc_np(error); }

int holdfast_pipe(int ends[2]) { return result(pipe2(ends, O_CLOEXEC)); }

int holdfast_peek_pipe(int fifo, const int scratch[2], void *buffer, size_t size) {
    ssize_t there = tee(fifo, scratch[1], size, SPLICE_F_NONBLOCK);
    if (there < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    ssize_t got = 0;
    while (got < there) {
        ssize_t count = read(scratch[0], (char *)buffer + got, (size_t)(there - got));
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return count < 0 ? -errno : -EIO;
        got += count;
    }
    return (int)got;
}

int holdfast_skip_pipe(int fifo, int null, size_t count) {
    while (count > 0) {
        ssize_t gone = splice(fifo, NULL, null, NULL, count, SPLICE_F_NONBLOCK);
        if (gone < 0 && errno == EINTR)
            continue;
        if (gone <= 0)
            return gone < 0 ? -errno : -EIO;
        count -= (size_t)gone;
    }
    return 0;
}

int holdfast_pipe_length(int fifo) {
    int length = 0;
    return ioctl(fifo, FIONREAD, &length) < 0 ? -errno : length;
}

int holdfast_accept(int fd) { return result(accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)); }

int holdfast_peer_credentials(int fd, pid_t *pid, uid_t *uid, gid_t *gid) {
    struct ucred credentials;
    socklen_t size = sizeof credentials;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0)
        return -errno;
    *pid = credentials.pid;
    *uid = credentials.uid;
    *gid = credentials.gid;
    return 0;
}

int holdfast_terminal_hangup(int terminal) {
    return ioctl(terminal, TIOCVHANGUP) < 0 ? -errno : 0;
}

int holdfast_terminal_resize(int terminal, unsigned short rows, unsigned short columns) {
    struct winsize size;
    if (ioctl(terminal, TIOCGWINSZ, &size) < 0)
        return -errno;
    if (rows > 0)
        size.ws_row = rows;
    if (columns > 0)
        size.ws_col = columns;
    return ioctl(terminal, TIOCSWINSZ, &size) < 0 ? -errno : 0;
}

void holdfast_terminal_text_mode(int terminal) {
    (void)ioctl(terminal, TIOCNXCL);
    (void)ioctl(terminal, KDSETMODE, KD_TEXT);
    (void)ioctl(terminal, KDSKBMODE, K_UNICODE);
}

int holdfast_terminal_deallocate(int console, int number) {
    return ioctl(console, VT_DISALLOCATE, number) < 0 ? -errno : 0;
}
