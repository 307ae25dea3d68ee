internal import CDeP2PSodium

/// libsodium asks to be initialised once before anything else; a `static let` runs once whatever the thread.
enum Sodium {
    static let isReady: Bool = sodium_init() >= 0

    static func prepare() {
        precondition(isReady, "libsodium found no source of randomness")
    }
}

/// Compares without telling by its duration where two values differ. Their lengths are not secret.
package func constantTimeEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
    left.count == right.count && sodium_memcmp(left, right, left.count) == 0
}

/// Overwrites bytes in a way the compiler can't leave out, then empties the array.
package func wipe<Element: BitwiseCopyable>(_ elements: inout [Element]) {
    elements.withUnsafeMutableBytes { buffer in
        if let start = buffer.baseAddress { sodium_memzero(start, buffer.count) }
    }
    elements.removeAll()
}

/// Randomness of the operating system, by way of libsodium.
package enum SecureRandom {
    package static func bytes(_ count: Int) -> [UInt8] {
        Sodium.prepare()
        var bytes = [UInt8](repeating: 0, count: count)
        if count > 0 { randombytes_buf(&bytes, count) }
        return bytes
    }

    package static func uint64() -> UInt64 {
        Sodium.prepare()
        var value: UInt64 = 0
        randombytes_buf(&value, MemoryLayout<UInt64>.size)
        return value
    }
}
