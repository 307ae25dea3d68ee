#ifndef DEP2P_CREACTOR_H
#define DEP2P_CREACTOR_H

// The network thread's system calls: epoll, UDP, TCP, routes, and TLS over TCP. Nothing here owns policy.

#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>

// ---- the network thread (poll.c) ----

/// An event descriptor that wakes an epoll; -1 with errno on failure.
int dep2p_wake_create(void);
void dep2p_wake_signal(int descriptor);
void dep2p_wake_drain(int descriptor);
int dep2p_epoll_create(void);
void dep2p_name_thread(const char *name);

/// epoll_pwait2 with a timeout in nanoseconds: negative waits for ever, 0 polls.
int dep2p_epoll_wait(int epoll, struct epoll_event *events, int capacity, int64_t timeout_ns);

// ---- clocks (clock.c) ----

/// Nanoseconds: since 1970 as the machine has been told, since its start, and those of them in which it did not sleep.
typedef struct {
    int64_t wall;
    int64_t passed;
    int64_t awake;
} dep2p_clock_reading;

void dep2p_clock_read(dep2p_clock_reading *result);
/// A descriptor that becomes readable when the wall clock is set or the machine wakes up (timerfd_create(2),
/// TFD_TIMER_CANCEL_ON_SET); -errno on failure.
int dep2p_clock_watch_open(void);
/// Has it tell of the next time: 0 or the errno.
int dep2p_clock_watch_again(int descriptor);

// ---- addresses (address.c) ----

/// An IP address and port in host order; family is 4 or 6; IPv4 sits in the low 32 bits of `low`.
typedef struct {
    uint64_t high;
    uint64_t low;
    uint32_t scope;
    uint16_t port;
    uint8_t family;
} dep2p_address;

/// Fills a sockaddr of the address's family and returns its length.
socklen_t dep2p_sockaddr(struct sockaddr_storage *result, const dep2p_address *from);
void dep2p_address_from(dep2p_address *result, const struct sockaddr *from);

// ---- UDP (udp.c) ----

// Pointers: the kernel copies within the call. What it did not take at once, Endpoint keeps a copy of.

/// A bound, non-blocking UDP socket with GRO, ECN and packet info; -errno on failure. A shared one leaves its port to
/// others that share it (SO_REUSEADDR): each gets what its multicast groups get, the last bound what is sent to it alone.
int dep2p_udp_open(const dep2p_address *bind_to, int buffer_bytes, int is_shared);
/// Joins a multicast group on an interface (0: the one that its route leads over) and sends to groups over that, to this
/// machine's members too, with a hop limit of 255 (RFC 6762 section 11). 0 or -errno.
int dep2p_udp_join(int descriptor, const dep2p_address *group, uint32_t interface);
/// The address the socket is bound to; 0 or -errno.
int dep2p_udp_local_address(int descriptor, dep2p_address *result);

typedef struct {
    dep2p_address local;
    dep2p_address remote;
    uint32_t length;
    /// The length of each datagram in the buffer but the last (GRO); equal to `length` for a single one.
    uint32_t segment;
    uint8_t ecn;
} dep2p_received;

/// One recvmmsg into `count` buffers of `size` bytes each, laid out one after the other.
/// Returns the number of messages, 0 when none waits, or -errno.
int dep2p_udp_receive(int descriptor, uint8_t *buffers, size_t size, dep2p_received *received, int count,
                      uint16_t local_port);

/// One sendmsg with UDP_SEGMENT when `segment` < `length`. 0, or -errno.
int dep2p_udp_send(int descriptor, const dep2p_address *local, const dep2p_address *remote, const uint8_t *data,
                   size_t length, size_t segment, uint8_t ecn);

/// Whether the kernel knows UDP_SEGMENT (Linux 4.18).
int dep2p_udp_segments(int descriptor);

/// Takes one error off the socket's error queue (ICMP): its errno with the destination it concerns, or 0.
int dep2p_udp_take_error(int descriptor, dep2p_address *destination);

/// Whether `address` is one of this machine's own.
int dep2p_address_is_local(const dep2p_address *address);

/// The address of this machine that datagrams to `destination` carry; 0, or -errno when there is no route (route.c).
int dep2p_route_source(const dep2p_address *destination, dep2p_address *result);

// ---- changes of this machine's addresses and routes (routes.c) ----

/// A descriptor that becomes readable when the kernel tells of one; -errno on failure.
int dep2p_routes_open(void);
/// Reads what the kernel tells; 1 when an address or a route came or went, 0 when not.
int dep2p_routes_changed(int descriptor);

// ---- TCP (tcp.c) ----

/// A bound, listening, non-blocking TCP socket; -errno on failure. dep2p_udp_local_address tells its port.
int dep2p_tcp_listen(const dep2p_address *bind_to, int backlog);
/// One connection off the queue, non-blocking; -errno, -EAGAIN when none waits.
int dep2p_tcp_accept(int descriptor, dep2p_address *remote);
/// A non-blocking socket on its way to `remote`: writable once it is connected or has failed. Neither side sends segments of
/// more than `largest_segment` bytes, options included; 0 leaves it to the system. -errno on failure.
int dep2p_tcp_connect(const dep2p_address *remote, int largest_segment);
/// The errno that the connect ended with, 0 when it is connected.
int dep2p_tcp_connect_error(int descriptor);
/// Closes after what was written, rather than with a reset.
void dep2p_tcp_close(int descriptor);

// ---- Unix sockets (unix.c) ----

/// A listening, non-blocking stream socket at a path that only its owner may connect to. One that was left behind, which
/// nobody listens at, is replaced. -errno on failure: -ENAMETOOLONG beyond 107 bytes.
int dep2p_unix_listen(const char *path, int backlog);
/// One connection off the queue, non-blocking; -errno, -EAGAIN when none waits.
int dep2p_unix_accept(int descriptor);
/// A connected, non-blocking socket; -errno, -EAGAIN when the listener's queue is full.
int dep2p_unix_connect(const char *path);

// ---- TLS 1.3 over TCP (tls.c) ----

typedef struct ssl_ctx_st dep2p_tls_context;
typedef struct dep2p_tls dep2p_tls;

enum {
    DEP2P_TLS_DONE = 0,
    DEP2P_TLS_WANT_READ = -1,
    DEP2P_TLS_WANT_WRITE = -2,
    /// The peer closed.
    DEP2P_TLS_CLOSED = -3,
    DEP2P_TLS_FAILED = -4,
};

// Pointers: a context is freed by its TLSContext; each SSL counts a reference to it besides. dep2p_tls is freed by its
// TLSSocket, before the descriptor, which is never OpenSSL's: the BIO only borrows it. Buffers are the caller's for the
// call: a write that has to be repeated may come from elsewhere (ACCEPT_MOVING_WRITE_BUFFER) as long as the bytes are the
// same, and DatagramQueue keeps them in front until they are taken. What was read ahead is in the one intake of the
// process, or, of a connection whose turn is over, in memory that dep2p_tls has and frees; what was written and not sent
// is in such memory too.

/// Contexts verify nobody: the outer TLS only gets through firewalls. NULL on failure.
dep2p_tls_context *dep2p_tls_client_context(void);
/// `certificate` and `key` (SEC 1) in DER.
dep2p_tls_context *dep2p_tls_server_context(const uint8_t *certificate, size_t certificate_length, const uint8_t *key,
                                            size_t key_length);
void dep2p_tls_context_free(dep2p_tls_context *context);

/// TLS over a non-blocking socket that stays the caller's. NULL on failure.
dep2p_tls *dep2p_tls_make(dep2p_tls_context *context, int descriptor, int is_server);
void dep2p_tls_free(dep2p_tls *tls);
/// DEP2P_TLS_DONE, or what is missing.
int dep2p_tls_handshake(dep2p_tls *tls);
/// Bytes read, of one record at most, or a status. Give room for a whole record (16 KiB).
int dep2p_tls_read(dep2p_tls *tls, uint8_t *data, int capacity);
/// Whether a whole record was read from the socket that no read has returned yet: the socket alone does not tell of it.
int dep2p_tls_holds_input(dep2p_tls *tls);
/// Bytes taken, of DEP2P_TLS_RECORDS records at most, or a status. They go in one system call; what of them the socket does
/// not take waits (dep2p_tls_unsent), and nothing more is taken before it is gone.
int dep2p_tls_write(dep2p_tls *tls, const uint8_t *data, int length);
enum { DEP2P_TLS_RECORDS = 4 };
/// Bytes of records that the socket has not taken yet.
size_t dep2p_tls_unsent(const dep2p_tls *tls);
/// Sends those. DEP2P_TLS_DONE once none is left, or a status.
int dep2p_tls_flush(dep2p_tls *tls);
void dep2p_tls_shutdown(dep2p_tls *tls);

#endif
