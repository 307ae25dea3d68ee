internal import CDeP2PSodium

/// Base64 with padding (RFC 4648 section 4), by libsodium, in a time that does not depend on the bytes.
package enum Base64 {
    package static func encode(_ bytes: [UInt8]) -> String {
        var digits = [CChar](
            repeating: 0, count: sodium_base64_encoded_len(bytes.count, sodium_base64_VARIANT_ORIGINAL))
        sodium_bin2base64(&digits, digits.count, bytes, bytes.count, sodium_base64_VARIANT_ORIGINAL)
        // The last one is C's zero.
        return String(decoding: digits.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}
