#ifndef DEP2P_CQUICSHIM_H
#define DEP2P_CQUICSHIM_H

// The door to ngtcp2, GnuTLS and X.509, as flat structures and functions that are the same for every ngtcp2 from 1.11 on.
// Nothing here owns policy.

#include "creactor.h"
#include "quic_guard.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// ---- certificates (certificate.c) ----

// Pointers: every buffer is the caller's for the call alone; what OpenSSL makes is freed before the functions return, but
// for the key, which is freed with dep2p_certificate_key_free (TLSCredentials and TLSContext do so as they leave); credentials
// made of it have a share of their own.

/// A key to sign one certificate with.
typedef struct dep2p_certificate_key dep2p_certificate_key;
/// A new P-256 key.
dep2p_certificate_key *dep2p_certificate_key_make(void);
/// The Ed25519 key of a seed of 32 bytes.
dep2p_certificate_key *dep2p_certificate_key_from(const uint8_t *seed);
void dep2p_certificate_key_free(dep2p_certificate_key *key);
/// Bytes of the DER SubjectPublicKeyInfo written to `result` (at most `capacity`), or -1.
int dep2p_certificate_key_spki(dep2p_certificate_key *key, uint8_t *result, size_t capacity);
/// Bytes of the DER private key (SEC 1, of Ed25519 PKCS #8), or -1.
int dep2p_certificate_key_private(dep2p_certificate_key *key, uint8_t *result, size_t capacity);
/// Bytes of the DER certificate with the libp2p extension (without one when its length is 0), or -1. Of `serial` 62 bits
/// are taken.
int dep2p_certificate_make(dep2p_certificate_key *key, const uint8_t *extension, size_t extension_length,
                           uint64_t serial, int64_t not_before, int64_t not_after, uint8_t *result, size_t capacity);

enum {
    DEP2P_CERTIFICATE_OK = 0,
    DEP2P_CERTIFICATE_MALFORMED = 1,
    DEP2P_CERTIFICATE_NOT_YET_VALID = 2,
    DEP2P_CERTIFICATE_EXPIRED = 3,
    DEP2P_CERTIFICATE_BAD_SIGNATURE = 4,
    DEP2P_CERTIFICATE_NO_EXTENSION = 5,
    DEP2P_CERTIFICATE_UNKNOWN_CRITICAL = 6,
    DEP2P_CERTIFICATE_DUPLICATE_EXTENSION = 7,
    DEP2P_CERTIFICATE_TOO_LARGE = 8,
    DEP2P_CERTIFICATE_UNFIT_KEY = 9,
};

/// Checks one DER certificate as the libp2p TLS specification asks, but for the signature inside the extension:
/// copies out the SubjectPublicKeyInfo and the extension's value (4,096 bytes at most, each). `now` and the dates are in
/// seconds since 1970.
int dep2p_certificate_inspect(const uint8_t *der, size_t length, int64_t now, uint8_t *spki, size_t *spki_length,
                              uint8_t *extension, size_t *extension_length, int64_t *not_before,
                              int64_t *not_after);

/// Signatures over handshakes that OpenSSL has checked in this process (ecdsa.c).
unsigned long dep2p_ecdsa_checks(void);

/// Directions of connections whose packets libipsec-mb protects since this process began (quic_keys.c).
unsigned long dep2p_keys_installed(void);

/// RFC 7748's X25519, of 32 bytes each: zeros where there is none, for a point of small order.
void dep2p_x25519(uint8_t *result, const uint8_t *secret, const uint8_t *point);
/// Shared secrets of handshakes that it has made in this process (x25519.c).
unsigned long dep2p_x25519_agreements(void);

// ---- QUIC (quic.c) ----

typedef struct {
    uint8_t length;
    uint8_t data[20];
} dep2p_cid;

typedef struct {
    const uint8_t *base;
    size_t length;
} dep2p_vec;

typedef struct dep2p_credentials dep2p_credentials;
typedef struct dep2p_quic dep2p_quic;

/// `protocol` is the one application protocol (ALPN) offered or accepted. PEM instead of DER allows a chain; no
/// certificate at all (length 0) makes credentials that prove nothing.
dep2p_credentials *dep2p_credentials_make(const uint8_t *certificate, size_t certificate_length, const uint8_t *key,
                                          size_t key_length, const char *protocol);
/// Of `key`, which the caller still frees, and the certificate (DER) that was made with it.
dep2p_credentials *dep2p_credentials_of(dep2p_certificate_key *key, const uint8_t *certificate,
                                        size_t certificate_length, const char *protocol);
void dep2p_credentials_free(dep2p_credentials *credentials);

// Pointers that cross this part of the door, who frees them and who may still hold them:
// - Stream data (the vectors of dep2p_quic_write): ngtcp2 keeps pointers to what a packet took and reads it again when
//   it is lost. It lets go at stream_acknowledged (what lies below `end`), at stream_closed, and in dep2p_quic_free; a
//   reset or a stop does not count. SendBuffer frees at these three and nowhere else.
// - The connection: its one owner (Connection, by QUICHandle) frees it, never from inside a callback. `user` is that
//   owner, unretained: it outlives what it owns.
// - The callbacks and settings are copied. `result` of dep2p_quic_write is written to until the call that completes the
//   datagram (after DEP2P_QUIC_WRITE_MORE the same buffer must be given again); nothing points there afterwards.
// - What callbacks are given (data, tokens, IDs, addresses, certificates) lies in the received datagram, in ngtcp2 or in
//   GnuTLS, and is valid during the call: Swift copies.
// - dep2p_initial.token lies in the datagram; ngtcp2_conn_server_new copies it.
// - Credentials: GnuTLS sessions point at them. Each Connection keeps its own alive until it is freed itself.
// - Reasons and failure texts: in constant memory of the libraries, or copied within the call.

/// Called on the thread that calls into the connection, with the connection's `user`. Those that return int report
/// 0, or non-zero to fail the connection. None may free the connection.
typedef struct {
    int (*stream_data)(void *user, int64_t stream, int fin, const uint8_t *data, size_t length);
    void (*stream_acknowledged)(void *user, int64_t stream, uint64_t end);
    int (*stream_opened)(void *user, int64_t stream);
    /// Both directions are done; `code` is that of a reset or stop of either side, 0 when there was none.
    void (*stream_closed)(void *user, int64_t stream, uint64_t code);
    void (*stream_reset)(void *user, int64_t stream, uint64_t code);
    void (*stream_credit)(void *user, int64_t stream);
    void (*streams_credit)(void *user);
    void (*handshake_completed)(void *user);
    void (*handshake_confirmed)(void *user);
    /// Fills `cid` (its length is set) and the 16-byte reset token for it.
    int (*new_cid)(void *user, dep2p_cid *cid, uint8_t *token);
    void (*retire_cid)(void *user, const dep2p_cid *cid);
    void (*path_validated)(void *user, const dep2p_address *local, const dep2p_address *remote, int succeeded);
    /// The peer's certificates: DER of the first, and how many there are. 0 accepts. Called when they arrive, before
    /// anything is computed with their key, and once more when the peer has proven to hold it.
    int (*verify_peer)(void *user, const uint8_t *der, size_t length, unsigned count);
    void (*stateless_reset)(void *user);
    /// The peer's 16-byte reset token for an ID that this side uses from now on, or no longer uses.
    void (*reset_token)(void *user, const uint8_t *token, int active);
} dep2p_quic_callbacks;

/// UDP payload where all of the way may be TCP: two of them, each as a relay frame with its length, fill a TLS record
/// (16,384 bytes) exactly.
#define DEP2P_WIDE_DATAGRAM 8181
/// One of them alone does.
#define DEP2P_RECORD_DATAGRAM 16373

typedef struct {
    uint64_t initial_ts;
    uint64_t initial_rtt;
    uint64_t handshake_timeout;
    uint64_t max_idle_timeout;
    uint64_t initial_max_data;
    uint64_t initial_max_stream_data;
    /// How far a stream's window grows by itself. The connection's is this side's to tune.
    uint64_t max_stream_window;
    uint64_t max_streams_bidi;
    /// Unidirectional streams that the peer may open, and what each may carry: neither ever grows.
    uint64_t max_streams_uni;
    uint64_t max_stream_data_uni;
    uint64_t random_seed;
    /// The largest, sought with ngtcp2's own steps; DEP2P_RECORD_DATAGRAM seeks DEP2P_WIDE_DATAGRAM before it.
    size_t datagram_size;
    /// Start with datagram_size at once, without probing: for a path whose MTU is known.
    int fixed_datagram_size;
    int use_bbr;
    /// GnuTLS protects all packets, also those that libipsec-mb could (quic_keys.c).
    int gnutls_keys;
    int grease;
} dep2p_quic_settings;

/// One Initial packet that a server may accept.
typedef struct {
    dep2p_cid dcid;
    dep2p_cid scid;
    uint32_t version;
    const uint8_t *token;
    size_t token_length;
} dep2p_initial;

enum { DEP2P_PACKET_MALFORMED = 0, DEP2P_PACKET_LONG, DEP2P_PACKET_SHORT, DEP2P_PACKET_UNKNOWN_VERSION };
/// Reads the version-independent part of a packet; `short_length` is the length of this endpoint's own IDs.
int dep2p_packet_inspect(const uint8_t *data, size_t length, size_t short_length, dep2p_cid *dcid, dep2p_cid *scid,
                         uint32_t *version);
enum { DEP2P_ACCEPT_OK = 0, DEP2P_ACCEPT_RETRY = 1, DEP2P_ACCEPT_NO = 2 };
int dep2p_initial_inspect(const uint8_t *data, size_t length, dep2p_initial *initial);

ssize_t dep2p_write_version_negotiation(uint8_t *result, size_t capacity, const dep2p_cid *dcid, const dep2p_cid *scid,
                                        uint8_t random);
ssize_t dep2p_write_stateless_reset(uint8_t *result, size_t length, const uint8_t *token);
ssize_t dep2p_write_retry(uint8_t *result, size_t capacity, const dep2p_initial *initial, const dep2p_address *remote,
                          const dep2p_cid *new_scid, const uint8_t *secret, size_t secret_length, uint64_t ts);
enum { DEP2P_TOKEN_OTHER = -1, DEP2P_TOKEN_INVALID = -2 };
/// 0 when the token of `initial` was made by this endpoint for `remote`; `original` is then the client's first DCID.
/// DEP2P_TOKEN_INVALID for any other Retry token, DEP2P_TOKEN_OTHER for what is none.
int dep2p_verify_retry(const dep2p_initial *initial, const dep2p_address *remote, const uint8_t *secret,
                       size_t secret_length, uint64_t lifetime, uint64_t ts, dep2p_cid *original);
/// A CONNECTION_CLOSE for an Initial that is refused without state.
ssize_t dep2p_write_refusal(uint8_t *result, size_t capacity, const dep2p_initial *initial, uint64_t code);

dep2p_quic *dep2p_quic_client(const dep2p_quic_callbacks *callbacks, void *user, dep2p_credentials *credentials,
                              const dep2p_quic_settings *settings, const dep2p_address *local,
                              const dep2p_address *remote, const dep2p_cid *dcid, const dep2p_cid *scid);
/// `original` is non-null after a Retry. `token` is the stateless reset token of `scid`.
dep2p_quic *dep2p_quic_server(const dep2p_quic_callbacks *callbacks, void *user, dep2p_credentials *credentials,
                              const dep2p_quic_settings *settings, const dep2p_address *local,
                              const dep2p_address *remote, const dep2p_initial *initial, const dep2p_cid *scid,
                              const dep2p_cid *original, const uint8_t *token);
void dep2p_quic_free(dep2p_quic *connection);

enum {
    DEP2P_QUIC_OK = 0,
    /// The peer closed; see dep2p_quic_peer_close.
    DEP2P_QUIC_DRAINING = -1,
    DEP2P_QUIC_CLOSING = -2,
    /// Forget the connection at once, silently.
    DEP2P_QUIC_DROP = -3,
    DEP2P_QUIC_RETRY = -4,
    DEP2P_QUIC_IDLE_TIMEOUT = -5,
    DEP2P_QUIC_HANDSHAKE_TIMEOUT = -6,
    /// A protocol or TLS failure: write a close with DEP2P_CLOSE_LIBRARY.
    DEP2P_QUIC_FAILED = -7,
    // From writing a stream only:
    DEP2P_QUIC_STREAM_BLOCKED = -8,
    DEP2P_QUIC_STREAM_GONE = -9,
    DEP2P_QUIC_WRITE_MORE = -10,
    DEP2P_QUIC_VERSION = -11,
};

int dep2p_quic_read(dep2p_quic *connection, const dep2p_address *local, const dep2p_address *remote, uint8_t ecn,
                    const uint8_t *data, size_t length, uint64_t ts);

enum { DEP2P_WRITE_MORE = 1, DEP2P_WRITE_FIN = 2 };
/// Writes one datagram. `stream` is -1 for none. `accepted` is what of the vectors the packet took, -1 for none.
/// Returns bytes, 0 when nothing may be sent now, or a DEP2P_QUIC code.
ssize_t dep2p_quic_write(dep2p_quic *connection, dep2p_address *local, dep2p_address *remote, uint8_t *ecn,
                         uint8_t *result, size_t capacity, ssize_t *accepted, uint32_t flags, int64_t stream,
                         const dep2p_vec *vectors, size_t vector_count, uint64_t ts);
void dep2p_quic_sent(dep2p_quic *connection, uint64_t ts);

enum { DEP2P_CLOSE_APPLICATION, DEP2P_CLOSE_TRANSPORT, DEP2P_CLOSE_LIBRARY };
ssize_t dep2p_quic_write_close(dep2p_quic *connection, dep2p_address *local, dep2p_address *remote, uint8_t *result,
                               size_t capacity, int kind, uint64_t code, const uint8_t *reason, size_t reason_length,
                               uint64_t ts);

typedef struct {
    uint64_t code;
    int is_application;
    size_t reason_length;
    uint8_t reason[256];
} dep2p_close;
void dep2p_quic_peer_close(dep2p_quic *connection, dep2p_close *result);
/// The library's last failure and the TLS alert with it (0 when none), as text.
const char *dep2p_quic_failure(dep2p_quic *connection, uint8_t *alert);

uint64_t dep2p_quic_expiry(dep2p_quic *connection);
int dep2p_quic_handle_expiry(dep2p_quic *connection, uint64_t ts);
int dep2p_quic_in_final_period(dep2p_quic *connection);
uint64_t dep2p_quic_pto(dep2p_quic *connection);
/// When a packet came that was authentic and none before, in nanoseconds; 0 before the first of the application's keys.
uint64_t dep2p_quic_heard(dep2p_quic *connection);
/// When the peer last acknowledged a packet later than all that it had before, in nanoseconds; 0 before the first.
uint64_t dep2p_quic_acknowledged(dep2p_quic *connection);
/// Bytes of the heap that ngtcp2 has for the connection; what streams send is not among them.
size_t dep2p_quic_memory(dep2p_quic *connection);
size_t dep2p_quic_datagram_size(dep2p_quic *connection);
size_t dep2p_quic_path_datagram_size(dep2p_quic *connection);
size_t dep2p_quic_send_quantum(dep2p_quic *connection);
/// Bytes of stream data that the peer's connection-wide flow control still allows.
uint64_t dep2p_quic_data_left(dep2p_quic *connection);
void dep2p_quic_keep_alive(dep2p_quic *connection, uint64_t interval_ns);

int64_t dep2p_quic_open_stream(dep2p_quic *connection);
/// On a server that has keys for what it sends to its client: whether that grants one unidirectional stream of exactly
/// `length` bytes (RFC 9000 18.2).
int dep2p_quic_grants_one_stream_of(dep2p_quic *connection, uint64_t length);
/// As dep2p_quic_open_stream, for a stream of one direction.
int64_t dep2p_quic_open_unidirectional_stream(dep2p_quic *connection);
void dep2p_quic_reset_stream(dep2p_quic *connection, int64_t stream, uint64_t code);
void dep2p_quic_stop_stream(dep2p_quic *connection, int64_t stream, uint64_t code);
/// Lets the peer send so many bytes more on one stream, on the connection, and open so many streams more.
void dep2p_quic_extend_stream(dep2p_quic *connection, int64_t stream, uint64_t bytes);
void dep2p_quic_extend_connection(dep2p_quic *connection, uint64_t bytes);
void dep2p_quic_release_stream_credit(dep2p_quic *connection, size_t count);

int dep2p_quic_migrate(dep2p_quic *connection, const dep2p_address *local, const dep2p_address *remote, uint64_t ts);
/// As above, but moves first and validates then: for a path that is dead, whose congestion window would hold back the
/// validation of another.
int dep2p_quic_migrate_now(dep2p_quic *connection, const dep2p_address *local, const dep2p_address *remote,
                           uint64_t ts);
void dep2p_quic_path(dep2p_quic *connection, dep2p_address *local, dep2p_address *remote);
int dep2p_quic_update_key(dep2p_quic *connection, uint64_t ts);
int dep2p_quic_export(dep2p_quic *connection, const char *label, size_t label_length, uint8_t *result, size_t length);

typedef struct {
    uint64_t smoothed_rtt;
    uint64_t min_rtt;
    uint64_t latest_rtt;
    uint64_t congestion_window;
    uint64_t bytes_in_flight;
} dep2p_quic_info;
void dep2p_quic_info_get(dep2p_quic *connection, dep2p_quic_info *info);

/// Cryptographically secure random bytes.
void dep2p_random(uint8_t *result, size_t length);
const char *dep2p_ngtcp2_version(void);

#endif
