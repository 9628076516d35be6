/* CSpawn: the only C of Holdfast. C is used for four reasons, and each function names its own:
 *   (vm)     between a vfork-like clone and execve the child shares our memory: no Swift runtime call, no allocation,
 *            no retain or release may happen there;
 *   (nocall) glibc 2.36 has no function for the system call, or only one with `...`, which Swift cannot call;
 *   (macro)  the interface is a macro or an anonymous union that Swift does not import;
 *   (signal) a signal handler may not call the Swift runtime.
 * Every function returns 0 or more, or a negated errno. */
#ifndef HOLDFAST_CSPAWN_H
#define HOLDFAST_CSPAWN_H

/* No _GNU_SOURCE here: it changes fd_set, and Swift would see two different ones through CSpawn and CSystemd. */
#include <malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <netinet/in.h>
#include <sys/inotify.h>
#include <sys/eventfd.h>
#include <sys/epoll.h>

/* The steps of starting a program, in the order in which the child takes them. */
enum holdfast_step {
    HOLDFAST_STEP_NONE = 0,
    HOLDFAST_STEP_FORK,
    HOLDFAST_STEP_CGROUP,
    HOLDFAST_STEP_SESSION,
    HOLDFAST_STEP_TERMINAL,
    HOLDFAST_STEP_NETWORK,
    HOLDFAST_STEP_DESCRIPTORS,
    HOLDFAST_STEP_OOM_SCORE,
    HOLDFAST_STEP_COREDUMP_FILTER,
    HOLDFAST_STEP_NICE,
    HOLDFAST_STEP_CPU_SCHEDULING,
    HOLDFAST_STEP_CPU_AFFINITY,
    HOLDFAST_STEP_IO_SCHEDULING,
    HOLDFAST_STEP_TIMER_SLACK,
    HOLDFAST_STEP_PERSONALITY,
    HOLDFAST_STEP_KEYRING,
    HOLDFAST_STEP_LIMITS,
    HOLDFAST_STEP_GROUP,
    HOLDFAST_STEP_CAPABILITIES,
    HOLDFAST_STEP_AMBIENT_CAPABILITIES,
    HOLDFAST_STEP_ROOT_DIRECTORY,
    HOLDFAST_STEP_USER,
    HOLDFAST_STEP_WORKING_DIRECTORY,
    HOLDFAST_STEP_SECURE_BITS,
    HOLDFAST_STEP_NO_NEW_PRIVILEGES,
    HOLDFAST_STEP_SIGNALS,
    HOLDFAST_STEP_EXEC,
    HOLDFAST_STEP_HELD, /* the child could not execute the program in time, and was killed */
};

struct holdfast_limit {
    int resource;
    uint64_t soft, hard;
};

enum holdfast_keyring { HOLDFAST_KEYRING_INHERIT, HOLDFAST_KEYRING_PRIVATE, HOLDFAST_KEYRING_SHARED };

/* The request of holdfast_spawn. All pointers stay the caller's; none is kept after the call. */
struct holdfast_spawn {
    const char *program;
    char *const *argv;
    char *const *envp;
    /* The places where the child writes its own pid in decimal, NUL-terminated; 12 bytes each (LISTEN_PID=). */
    char *const *pid_slots;
    size_t pid_slot_count;
    /* descriptors[i] becomes descriptor i; the first three are standard input, output and error. */
    const int *descriptors;
    size_t descriptor_count;
    const char *working_directory; /* NULL: unchanged */
    int working_directory_optional;
    int change_groups; /* setgroups + setresgid */
    int change_user;
    uid_t uid;
    gid_t gid;
    const gid_t *groups;
    size_t group_count;
    int change_umask;
    mode_t umask;
    const struct holdfast_limit *limits;
    size_t limit_count;
    int change_nice;
    int nice;
    const char *oom_score_adj;   /* decimal text, NULL: unchanged */
    const char *coredump_filter; /* hexadecimal text with 0x, NULL: unchanged */
    int change_scheduler;
    int scheduler_policy; /* SCHED_…, with SCHED_RESET_ON_FORK */
    int scheduler_priority;
    const uint64_t *cpu_mask;
    size_t cpu_mask_size; /* bytes, 0: unchanged */
    int change_io_priority;
    int io_priority;
    int change_timer_slack;
    unsigned long timer_slack;
    int change_personality;
    unsigned long personality;
    int ignore_sigpipe;
    int keyring;                     /* enum holdfast_keyring */
    const unsigned char *invocation; /* 16 bytes for the keyring's key "invocation_id", or NULL */
    uint64_t bounding;               /* the capabilities that are permitted; all ones: unchanged */
    uint64_t ambient;
    int secure_bits;
    int no_new_privileges;
    const char *root; /* NULL: unchanged */
    int root_optional;
    int new_session;
    int cgroup; /* descriptor of a cgroup v2 directory, or -1 */
    /* Nonzero: the child enters the cgroup itself. Since 6.18 a cgroup in which cgroup.kill was written kills every
     * process cloned into it. */
    int cgroup_join;
    int network; /* descriptor of a network namespace, or -1 for ours */
    int terminal; /* descriptor of the terminal that becomes its controlling one, or -1 */
    int terminal_force; /* also if it belongs to another session */
    int use_clone3; /* 0 only in tests of the fallback */
};

struct holdfast_spawn_result {
    pid_t pid;
    int pidfd;
    int step;  /* enum holdfast_step of the failure */
    int index; /* the number of the limit, descriptor or capability that failed */
    uint64_t eased; /* bits of limits by index, and HOLDFAST_EASED_... */
};

/* Attributes of which the kernel granted less than requested, because a privilege is missing. */
enum {
    HOLDFAST_EASED_NICE = 61,
    HOLDFAST_EASED_OOM_SCORE = 62,
    HOLDFAST_EASED_COREDUMP_FILTER = 63,
};

/* (vm) Starts the program. After a failure the child has been reaped, except one that could not be killed while it
 * waits for a file system: it is reaped later as an orphan. */
int holdfast_spawn(const struct holdfast_spawn *plan, struct holdfast_spawn_result *result);

/* (vm) Makes a network namespace with its loopback interface up; returns its descriptor. */
int holdfast_make_network(void);
/* (vm) Makes a socket in a network namespace, without this thread entering it. */
int holdfast_socket_in_network(int network, int family, int type, int protocol);

/* (nocall) */
int holdfast_pidfd_open(pid_t pid);
int holdfast_pidfd_send_signal(int pidfd, int signal);
int holdfast_pidfd_getfd(int pidfd, int target);
/* (nocall) fallocate with FALLOC_FL_KEEP_SIZE, which glibc declares for _GNU_SOURCE only. */
int holdfast_keep_room(int fd, int64_t bytes);
/* (nocall) prctl has `...`. */
int holdfast_become_subreaper(int on);
/* (nocall) fcntl has `...`; holdfast_duplicate is F_DUPFD_CLOEXEC at or above `floor`. */
int holdfast_duplicate(int fd, int floor);
int holdfast_set_nonblocking(int fd, int on);
int holdfast_set_cloexec(int fd, int on);
/* (nocall) close_range(2), which the Glibc module does not show. */
int holdfast_close_from(unsigned first);
/* (nocall) open and openat have `...`. */
int holdfast_open(const char *path, int flags, mode_t mode);
int holdfast_openat(int dir, const char *path, int flags, mode_t mode);

/* (nocall) O_PATH is hidden behind _GNU_SOURCE. Opens the file at `name` without the effects of opening a device or a
 * FIFO. Without `follow` it opens a link itself, not its target. */
int holdfast_pin(int dir, const char *name, int follow);
/* (nocall) glibc 2.36 has no openat2. Follows no link and leaves neither `dir` nor its mount; -EXDEV at a mount,
 * -ENOSYS if the kernel has no such call. */
int holdfast_open_below(int dir, const char *name, int flags);
/* (nocall) AT_EMPTY_PATH is hidden behind _GNU_SOURCE. Changes the owner of an open file, also with O_PATH. */
int holdfast_own(int fd, uid_t uid, gid_t gid);
/* (nocall) These three use /proc/self/fd, the only way for a file opened with O_PATH (fchmodat2 is newer than the
 * oldest supported kernel). They set the mode, open the same file again, and give it another name. */
int holdfast_set_mode(int fd, mode_t mode);
int holdfast_reopen(int fd, int flags);
int holdfast_link(int fd, int dir, const char *name);
/* (nocall) renameat2 is hidden behind _GNU_SOURCE. -EEXIST if the target exists, or both files are exchanged. */
enum { HOLDFAST_RENAME_NEW, HOLDFAST_RENAME_EXCHANGE };
int holdfast_rename(int from, const char *name, int to, const char *target, int mode);
/* (vm) Binds a Unix socket at an absolute path below `root`: the socket's name is the path as a process with that root
 * sees it. The thread's own root is unchanged. */
int holdfast_bind_below(int root, int socket, const struct sockaddr *address, socklen_t length);

/* (nocall) kcmp has no function. Returns 1 if both refer to one open file description, else 0. */
int holdfast_is_same_file(int left, int right);
/* (nocall) sys/signalfd.h is not in Swift's module of glibc. Makes a descriptor that is readable while the signal,
 * which must be blocked, is pending; close-on-exec and non-blocking. */
int holdfast_signal_descriptor(int signal);
/* (nocall) struct signalfd_siginfo is missing for the same reason. Takes the pending signal: 1, or -EAGAIN. */
int holdfast_take_signal(int fd);
/* (nocall) memfd_create is hidden behind _GNU_SOURCE. */
int holdfast_memory_file(const char *name);

enum { HOLDFAST_WAIT_PID, HOLDFAST_WAIT_PIDFD, HOLDFAST_WAIT_ANY };
struct holdfast_exit {
    pid_t pid;    /* 0: no process to report */
    int signaled; /* 0 exited, 1 killed, 2 killed with core */
    int status;   /* exit code or signal number */
};
/* (macro) siginfo_t is a union behind macros. Never blocks; `reap` = 0 leaves the zombie. */
int holdfast_wait(int type, int id, int reap, struct holdfast_exit *out);

/* The most descriptors in one message (the kernel's SCM_MAX_FD). */
enum { HOLDFAST_MOST_DESCRIPTORS = 253 };

struct holdfast_datagram {
    size_t length;
    int truncated;
    int lost_descriptors;
    int has_credentials;
    pid_t pid;
    uid_t uid;
    gid_t gid;
    int *descriptors; /* the caller's, with room for HOLDFAST_MOST_DESCRIPTORS */
    int descriptor_count;
};
/* (macro) CMSG_* are macros. Received descriptors are close-on-exec and belong to the caller. `lost_descriptors` is set
 * if the kernel had no room for some and dropped them. */
int holdfast_receive(int fd, void *buffer, size_t size, struct holdfast_datagram *out);

/* (vm) Closes a descriptor. If closing a socket may block, another process does it. */
void holdfast_close(int fd);
/* (vm) Closes descriptors received from other processes. If closing one may block, another process does it; that
 * includes files, because only their file systems determine it. */
void holdfast_close_received(const int *descriptors, size_t count);
/* (vm) Returns 1 if the process is one that closes descriptors for us, after reaping it if it has ended. No other code
 * may reap it. */
int holdfast_reap_closer(int32_t pid);

/* (macro) Sends one datagram with at most 16 descriptors. */
int holdfast_send_with_descriptors(int fd, const void *data, size_t size, const int *descriptors, size_t count);

/* (macro) struct tcp_info differs between linux/tcp.h and netinet/tcp.h. The accept queue of a listening socket. */
int holdfast_accept_queue(int fd, uint32_t *queued, uint32_t *limit);

struct holdfast_tcp_connection {
    uint32_t inode;
    uint8_t state;
    uint16_t local_port, remote_port;
    int family;
    uint8_t local[16], remote[16];
    uint32_t idle; /* milliseconds since data was last sent or received */
};
/* (macro) Netlink attributes and the byte code of inet_diag are macros and packed unions. Lists TCP connections (no
 * listeners, no TIME_WAIT) with this local port; fills at most `capacity`, returns their total number. The kernel
 * answers from memory, without waiting. */
int holdfast_tcp_connections(int family, uint16_t local_port, struct holdfast_tcp_connection *out, size_t capacity);

/* (macro) makedev/major/minor and st_mtim are macros on some architectures; /dev/null is 1:3. */
int holdfast_is_dev_null(uint32_t mode, uint64_t rdev);

/* (nocall) pipe2 and accept4 are hidden behind _GNU_SOURCE. Both set close-on-exec; accepted sockets are
 * non-blocking. */
int holdfast_pipe(int ends[2]);
int holdfast_accept(int fd);

/* (nocall) tee and splice are hidden behind _GNU_SOURCE. Copies the contents of a FIFO, at most `size` bytes, to
 * `buffer` and leaves them there; `scratch` is an empty pipe of ours, and stays empty. Returns 0 if the FIFO is empty.
 * Never blocks. */
int holdfast_peek_pipe(int fifo, const int scratch[2], void *buffer, size_t size);
/* (nocall) As above. Takes `count` existing bytes out of a FIFO; `null` is /dev/null, open for writing. */
int holdfast_skip_pipe(int fifo, int null, size_t count);
/* (nocall) ioctl has `...`. Hangs a terminal up for all processes that have it open (TIOCVHANGUP). */
int holdfast_terminal_hangup(int terminal);
/* (nocall) As above. Sets the size of a terminal; zero: unchanged. */
int holdfast_terminal_resize(int terminal, unsigned short rows, unsigned short columns);
/* (nocall) As above. Sets a virtual console to text and its keyboard to characters; does nothing to other terminals. */
void holdfast_terminal_text_mode(int terminal);
/* (nocall) As above. Frees a virtual console (VT_DISALLOCATE). */
int holdfast_terminal_deallocate(int console, int number);
/* (nocall) ioctl has `...`. Returns the number of bytes in a FIFO (FIONREAD). */
int holdfast_pipe_length(int fifo);

/* (macro) struct ucred is hidden behind _GNU_SOURCE. Reads the peer of a connected Unix socket (SO_PEERCRED). */
int holdfast_peer_credentials(int fd, pid_t *pid, uid_t *uid, gid_t *gid);

/* (macro) struct sockaddr_nl needs linux/netlink.h. A bound, non-blocking netlink socket; `groups` as nl_groups. */
int holdfast_netlink(int family, uint32_t groups);

/* (nocall) mq_open has `...`. `messages` and `size` 0: the system's defaults. */
int holdfast_message_queue(const char *name, int flags, mode_t mode, long messages, long size);

/* (macro) struct sockaddr_vm needs linux/vm_sockets.h. Writes the address, returns its length. */
int holdfast_vsock_address(struct sockaddr_storage *out, uint32_t cid, uint32_t port);
int holdfast_read_vsock_address(const struct sockaddr_storage *from, uint32_t *cid, uint32_t *port);

/* (nocall) fcntl has `...`; F_SETPIPE_SZ. Returns the new size of the pipe. */
int holdfast_set_pipe_size(int fd, int size);

/* (macro) BPF_STMT and BPF_JUMP are macros. Makes a listening TCP socket ignore new connections, or accept them again:
 * clients repeat their SYN until then. Existing and queued connections are not affected. */
int holdfast_hold_back(int fd, int on);

/* (macro) struct sock_filter is compared with the program above. Returns the kind of filter that is attached to a
 * socket: 0 none, 1 the program of holdfast_hold_back, 2 another classic one, 3 an extended one, which the kernel does
 * not show. */
int holdfast_filter(int fd);

/* (macro) Netlink attributes are macros. Removes all TCP-MD5 keys from a listening TCP socket; returns their number. */
int holdfast_remove_md5_keys(int fd);
/* (nocall) glibc 2.36 lacks the option. Returns 1 if the socket has TCP-AO keys. */
int holdfast_has_ao_keys(int fd);

/* (macro) CMSG_* are macros. Discards one datagram, or the contents of a pipe; 0 at the end of a pipe, -EAGAIN if there
 * is none left. */
int holdfast_discard(int fd);
/* (nocall) mqueue.h is not imported. Discards one message; -EAGAIN if there is none left. */
int holdfast_discard_message(int queue);
/* (nocall) mqueue.h is not imported. */
int holdfast_remove_message_queue(const char *name);

/* (signal) After this call a fault of this process (a trap, a bad memory access, abort(3), `seconds` of CPU time used)
 * makes the symbolic link `path` -> "SIGNAL STAGE" before the process dies. Signals from other processes do not. */
int holdfast_watch_faults(const char *path, unsigned seconds);
/* (signal) Sets the stage of the process's work for that link. */
void holdfast_fault_stage(int stage);
/* (signal) Ends holdfast_watch_faults. */
void holdfast_unwatch_faults(void);

/* (nocall) strerrordesc_np is hidden behind _GNU_SOURCE. NULL for a number that is no errno; static, never freed. */
const char *holdfast_error_text(int error);

#endif
