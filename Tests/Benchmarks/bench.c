// What benchmarks start, and the floors they are divided by. One program, its first argument says which part it plays:
//
//   wait                        does nothing, until it is killed
//   stamp FILE                  appends "PID NANOSECONDS\n" (CLOCK_MONOTONIC) to FILE or FIFO as its first act, then waits
//   print BYTES                 prints so many bytes, numbered lines of 80, with writes of 4 KiB as stdio does them into a pipe
//   barrier COUNT FILE          COUNT times BARRIER=1 to $NOTIFY_SOCKET, median round trip in nanoseconds into FILE, then waits
//   barrier-floor COUNT         the same against a process of ours that does nothing but close the descriptor
//   spawn COUNT PROGRAM ARG...  the floor of starts: vfork + execve, nothing else; prints begin and end, kills them at end of input
//   sessions COUNT PROGRAM ARG...
//                               the same with setsid(2) before each execve, which is what a supervisor cannot leave out
//   hand NOTIFY PUBLIC PRIVATE BACKEND... -- CHECK... -- PROXY...
//                               a generation started by hand: see hand()
//
// No error is handled beyond ending with a message: a benchmark that fails is to be looked at.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void die(const char *what) {
    fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

__attribute__((noreturn)) static int wait_for_signal(void) {
    for (;;) pause();
}

static int stamp(const char *path) {
    char text[64];
    int64_t time = now();
    int file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0) die(path);
    int length = snprintf(text, sizeof text, "%d %lld\n", (int)getpid(), (long long)time);
    if (write(file, text, length) != length) die(path);
    close(file);
    return wait_for_signal();
}

static int print(int64_t bytes) {
    char block[4096];
    // Lines do not end where blocks do: 80 does not divide 4096.
    int64_t offset = 0;
    while (offset < bytes) {
        int length = bytes - offset < (int64_t)sizeof block ? (int)(bytes - offset) : (int)sizeof block;
        for (int i = 0; i < length; i++) block[i] = (offset + i) % 80 == 79 ? '\n' : 'a' + (offset + i) % 80 % 26;
        // The number is in the first twelve bytes of a line, of which a part may be in the block before.
        for (int64_t line = offset / 80; line * 80 < offset + length; line++) {
            char number[24];
            snprintf(number, sizeof number, "%012lld ", (long long)line);
            for (int i = 0; i < 13; i++) {
                int64_t at = line * 80 + i - offset;
                if (at >= 0 && at < length) block[at] = number[i];
            }
        }
        for (int done = 0; done < length;) {
            ssize_t count = write(1, block + done, length - done);
            if (count < 0) die("write");
            done += count;
        }
        offset += length;
    }
    return 0;
}

// sd_notify(3): the receiver closes the descriptor that came with BARRIER=1 when it has handled everything before it.
static int64_t barrier(int to) {
    int pair[2];
    if (pipe2(pair, O_CLOEXEC) < 0) die("pipe");
    char text[] = "BARRIER=1", control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec part = {text, sizeof text - 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &pair[1], sizeof(int));
    int64_t begin = now();
    if (sendmsg(to, &message, 0) < 0) die("sendmsg");
    close(pair[1]);
    struct pollfd wanted = {pair[0], 0, 0};
    if (poll(&wanted, 1, 5000) != 1) die("no answer to BARRIER=1");
    int64_t result = now() - begin;
    close(pair[0]);
    return result;
}

static int compare(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static int64_t median_barrier(int to, int count) {
    int64_t *times = calloc(count, sizeof *times);
    for (int i = 0; i < count; i++) times[i] = barrier(to);
    qsort(times, count, sizeof *times, compare);
    int64_t result = times[count / 2];
    free(times);
    return result;
}

static int connect_to(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    int result = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (result < 0 || connect(result, (struct sockaddr *)&address, sizeof address) < 0) die(path);
    return result;
}

static int barriers(int count, const char *path) {
    const char *notify = getenv("NOTIFY_SOCKET");
    if (!notify) die("NOTIFY_SOCKET");
    int64_t median = median_barrier(connect_to(notify), count);
    FILE *file = fopen(path, "w");
    if (!file) die(path);
    fprintf(file, "%lld\n", (long long)median);
    fclose(file);
    return wait_for_signal();
}

static int barrier_floor(int count) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) < 0) die("socketpair");
    pid_t child = fork();
    if (child == 0) {
        // Waits with poll and receives credentials, as every receiver of sd_notify messages must.
        int yes = 1;
        setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes);
        close(pair[0]);
        for (;;) {
            char text[4096], control[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
            struct iovec part = {text, sizeof text};
            struct msghdr message = {
                .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
            struct pollfd wanted = {pair[1], POLLIN, 0};
            if (poll(&wanted, 1, -1) < 0 || recvmsg(pair[1], &message, MSG_CMSG_CLOEXEC) <= 0) _exit(0);
            for (struct cmsghdr *h = CMSG_FIRSTHDR(&message); h; h = CMSG_NXTHDR(&message, h))
                if (h->cmsg_type == SCM_RIGHTS) close(*(int *)CMSG_DATA(h));
        }
    }
    close(pair[1]);
    printf("%lld\n", (long long)median_barrier(pair[0], count));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return 0;
}

static int spawn(int count, char **command, int sessions) {
    pid_t *pids = calloc(count, sizeof *pids);
    int64_t begin = now();
    for (int i = 0; i < count; i++) {
        pids[i] = vfork();
        if (pids[i] == 0) {
            if (sessions) setsid();
            execv(command[0], command);
            _exit(127);
        }
        if (pids[i] < 0) die("vfork");
    }
    printf("%lld %lld\n", (long long)begin, (long long)now());
    fflush(stdout);
    char end;
    while (read(0, &end, 1) > 0) {}
    for (int i = 0; i < count; i++) kill(pids[i], SIGKILL);
    for (int i = 0; i < count; i++) waitpid(pids[i], NULL, 0);
    return 0;
}

// vfork + execve with `descriptor` as 3. LISTEN_PID is known only in the child, which shares our memory: it writes it there.
static pid_t start(char **command, int descriptor, char *listen_pid) {
    pid_t child = vfork();
    if (child == 0) {
        // As under a supervisor: with autogroup scheduling it decides who gets the processor.
        setsid();
        if (descriptor == 3) fcntl(3, F_SETFD, 0);
        else dup2(descriptor, 3);
        snprintf(listen_pid, 32, "LISTEN_PID=%d", (int)getpid());
        execv(command[0], command);
        _exit(127);
    }
    if (child < 0) die("vfork");
    return child;
}

static void wait_until_ready(int notify, const char *who) {
    for (;;) {
        char text[4096];
        struct pollfd wanted = {notify, POLLIN, 0};
        if (poll(&wanted, 1, 10000) != 1) die(who);
        ssize_t count = recv(notify, text, sizeof text - 1, 0);
        if (count < 0) die("recv");
        text[count] = 0;
        if (strstr(text, "READY=1")) return;
    }
}

static void expect(const char *word) {
    char line[64];
    // The other end is gone: whoever measures was interrupted. Our group goes with us.
    if (!fgets(line, sizeof line, stdin)) {
        signal(SIGTERM, SIG_IGN);
        kill(0, SIGTERM);
        exit(1);
    }
    if (strncmp(line, word, strlen(word)) != 0) die(word);
}

// The programs' own start-up, without a supervisor but one step after the other as one would do it: on "go" the backend on
// its socket until READY=1, the check of the proxy's configuration, the proxy until READY=1; answers "ready". On "drain" the
// proxy is told to stop (SIGUSR1), and the backend (SIGTERM) when it is gone; answers "gone". Then ends.
static int hand(int argc, char **argv) {
    int public = atoi(argv[1]), private = atoi(argv[2]);
    char **part[3] = {argv + 3, NULL, NULL};
    for (int i = 3, next = 1; i < argc; i++)
        if (strcmp(argv[i], "--") == 0 && next < 3) {
            argv[i] = NULL;
            part[next++] = argv + i + 1;
        }
    if (!part[2]) die("usage");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, argv[0], sizeof address.sun_path - 1);
    // Descriptor 3 is the one that the programs expect; ours must not lie there.
    int notify = fcntl(socket(AF_UNIX, SOCK_DGRAM, 0), F_DUPFD_CLOEXEC, 10);
    public = fcntl(public, F_DUPFD_CLOEXEC, 10);
    private = fcntl(private, F_DUPFD_CLOEXEC, 10);
    close(3);
    if (bind(notify, (struct sockaddr *)&address, sizeof address) < 0) die(argv[0]);
    char listen_pid[32] = "LISTEN_PID=0";
    putenv(listen_pid);
    setenv("NOTIFY_SOCKET", argv[0], 1);
    setenv("LISTEN_FDS", "1", 1);
    expect("go");
    pid_t backend = start(part[0], private, listen_pid);
    wait_until_ready(notify, "the backend does not get ready");
    int status;
    pid_t check = start(part[1], public, listen_pid);
    if (waitpid(check, &status, 0) != check || status != 0) die("the proxy's configuration is not accepted");
    pid_t proxy = start(part[2], public, listen_pid);
    wait_until_ready(notify, "the proxy does not get ready");
    puts("ready");
    fflush(stdout);
    expect("drain");
    kill(proxy, SIGUSR1);
    waitpid(proxy, NULL, 0);
    kill(backend, SIGTERM);
    waitpid(backend, NULL, 0);
    unlink(argv[0]);
    puts("gone");
    return 0;
}

int main(int argc, char **argv) {
    const char *mode = argc > 1 ? argv[1] : "";
    if (strcmp(mode, "wait") == 0) return wait_for_signal();
    if (strcmp(mode, "stamp") == 0 && argc == 3) return stamp(argv[2]);
    if (strcmp(mode, "print") == 0 && argc == 3) return print(atoll(argv[2]));
    if (strcmp(mode, "barrier") == 0 && argc == 4) return barriers(atoi(argv[2]), argv[3]);
    if (strcmp(mode, "barrier-floor") == 0 && argc == 3) return barrier_floor(atoi(argv[2]));
    if (strcmp(mode, "spawn") == 0 && argc > 3) return spawn(atoi(argv[2]), argv + 3, 0);
    if (strcmp(mode, "sessions") == 0 && argc > 3) return spawn(atoi(argv[2]), argv + 3, 1);
    if (strcmp(mode, "hand") == 0 && argc > 7) return hand(argc - 2, argv + 2);
    fputs("bench: see bench.c\n", stderr);
    return 2;
}
