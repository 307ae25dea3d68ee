#include "quic_internal.h"

// Packets without a connection: what arrives first, and the answers that need no state.

int dep2p_packet_inspect(const uint8_t *data, size_t length, size_t short_length, dep2p_cid *dcid, dep2p_cid *scid,
                         uint32_t *version) {
    ngtcp2_version_cid found;
    int status = ngtcp2_pkt_decode_version_cid(&found, data, length, short_length);
    if (status != 0 && status != NGTCP2_ERR_VERSION_NEGOTIATION) return DEP2P_PACKET_MALFORMED;
    if (found.dcidlen > sizeof dcid->data || found.scidlen > sizeof scid->data) return DEP2P_PACKET_MALFORMED;
    cid_out(dcid, found.dcid, found.dcidlen);
    cid_out(scid, found.scid, found.scid ? found.scidlen : 0);
    *version = found.version;
    if (status == NGTCP2_ERR_VERSION_NEGOTIATION) return DEP2P_PACKET_UNKNOWN_VERSION;
    return (data[0] & 0x80) ? DEP2P_PACKET_LONG : DEP2P_PACKET_SHORT;
}

int dep2p_initial_inspect(const uint8_t *data, size_t length, dep2p_initial *initial) {
    ngtcp2_pkt_hd header;
    int status = ngtcp2_accept(&header, data, length);
    if (status != 0 && status != NGTCP2_ERR_RETRY) return DEP2P_ACCEPT_NO;
    if (header.version != NGTCP2_PROTO_VER_V1) return DEP2P_ACCEPT_NO;
    cid_out(&initial->dcid, header.dcid.data, header.dcid.datalen);
    cid_out(&initial->scid, header.scid.data, header.scid.datalen);
    initial->version = header.version;
    initial->token = header.token;
    initial->token_length = header.tokenlen;
    return status == 0 ? DEP2P_ACCEPT_OK : DEP2P_ACCEPT_RETRY;
}

size_t dep2p_initial_header(const uint8_t *packet, size_t length) {
    // RFC 9000 17.2.2: first byte and version, both IDs with their lengths, the token with its own.
    if (length < 6 || (packet[0] & 0xb0) != 0x80) return 0;
    size_t at = 5;
    for (int id = 0; id < 2; id++) {
        at += 1 + (size_t)packet[at];
        if (at >= length) return 0;
    }
    size_t bytes = (size_t)1 << (packet[at] >> 6);
    if (bytes > length - at) return 0;
    uint64_t token = packet[at] & 0x3f;
    for (size_t i = 1; i < bytes; i++) token = token << 8 | packet[at + i];
    at += bytes;
    return token > length - at ? 0 : at + (size_t)token;
}

ssize_t dep2p_write_version_negotiation(uint8_t *result, size_t capacity, const dep2p_cid *dcid, const dep2p_cid *scid,
                                        uint8_t random) {
    uint32_t versions[] = {0x1a2a3a4au, NGTCP2_PROTO_VER_V1};  // the first is RFC 9000 15's greasing
    return ngtcp2_pkt_write_version_negotiation(result, capacity, random, scid->data, scid->length, dcid->data,
                                                dcid->length, versions, 2);
}

ssize_t dep2p_write_stateless_reset(uint8_t *result, size_t length, const uint8_t *token) {
    uint8_t random[64];
    size_t random_length = length - NGTCP2_STATELESS_RESET_TOKENLEN;
    if (length < NGTCP2_STATELESS_RESET_TOKENLEN + NGTCP2_MIN_STATELESS_RESET_RANDLEN) return 0;
    if (random_length > sizeof random) random_length = sizeof random;
    dep2p_random(random, random_length);
    return ngtcp2_pkt_write_stateless_reset(result, length, token, random, random_length);
}

ssize_t dep2p_write_retry(uint8_t *result, size_t capacity, const dep2p_initial *initial, const dep2p_address *remote,
                          const dep2p_cid *new_scid, const uint8_t *secret, size_t secret_length, uint64_t ts) {
    uint8_t token[NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN];
    struct sockaddr_storage address;
    socklen_t address_length = dep2p_sockaddr(&address, remote);
    ngtcp2_cid dcid, scid, retry_scid;
    cid_in(&dcid, &initial->dcid);
    cid_in(&scid, &initial->scid);
    cid_in(&retry_scid, new_scid);
    ngtcp2_ssize token_length =
        ngtcp2_crypto_generate_retry_token(token, secret, secret_length, initial->version,
                                           (ngtcp2_sockaddr *)&address, address_length, &retry_scid, &dcid, ts);
    if (token_length < 0) return -1;
    return ngtcp2_crypto_write_retry(result, capacity, initial->version, &scid, &retry_scid, &dcid, token,
                                     (size_t)token_length);
}

int dep2p_verify_retry(const dep2p_initial *initial, const dep2p_address *remote, const uint8_t *secret,
                       size_t secret_length, uint64_t lifetime, uint64_t ts, dep2p_cid *original) {
    struct sockaddr_storage address;
    socklen_t address_length = dep2p_sockaddr(&address, remote);
    ngtcp2_cid odcid, dcid;
    cid_in(&dcid, &initial->dcid);
    if (initial->token_length == 0 || initial->token[0] != NGTCP2_CRYPTO_TOKEN_MAGIC_RETRY)
        return DEP2P_TOKEN_OTHER;
    int status = ngtcp2_crypto_verify_retry_token(&odcid, initial->token, initial->token_length, secret, secret_length,
                                                  initial->version, (ngtcp2_sockaddr *)&address, address_length, &dcid,
                                                  lifetime, ts);
    if (status != 0) return DEP2P_TOKEN_INVALID;
    cid_out(original, odcid.data, odcid.datalen);
    return 0;
}

ssize_t dep2p_write_refusal(uint8_t *result, size_t capacity, const dep2p_initial *initial, uint64_t code) {
    ngtcp2_cid dcid, scid;
    cid_in(&dcid, &initial->scid);
    cid_in(&scid, &initial->dcid);
    return ngtcp2_crypto_write_connection_close(result, capacity, initial->version, &dcid, &scid, code, NULL, 0);
}

