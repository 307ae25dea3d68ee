#ifndef DEP2P_CCARES_H
#define DEP2P_CCARES_H

#include <stddef.h>
#include <stdint.h>

// The door to c-ares: text records, which getaddrinfo(3) does not know. Every call blocks, for a bounded time.

// Pointers: `found` is called before dep2p_dns_text returns, on its thread, with bytes that count for that call alone. A
// message of dep2p_dns_message is a constant.

/// Asks the resolvers of this machine (/etc/resolv.conf) for the text records of `name`, just as it stands, for
/// `timeout_ms` at most. `found` is called for each record with its strings in one, up to `record_limit` times; longer
/// ones than `length_limit` bytes are left out. Returns 0, or the error of c-ares.
int dep2p_dns_text(const char *name, int timeout_ms, size_t record_limit, size_t length_limit, void *context,
                   void (*found)(void *context, const uint8_t *bytes, size_t length));

/// Whether the error says that the name, or a record of the kind, does not exist: an answer like any other.
int dep2p_dns_is_absent(int error);

const char *dep2p_dns_message(int error);

#endif
