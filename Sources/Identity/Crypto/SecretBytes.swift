internal import CDeP2PSodium

/// A secret in memory of its own: between guard pages, kept out of swap and core dumps where the system allows it,
/// read-only once written, wiped when the last reference goes.
final class SecretBytes: @unchecked Sendable {
    // Proof for @unchecked: the memory is written only in `init`, which makes it read-only; `deinit` runs once, when
    // nobody else holds it.

    let count: Int
    /// libsodium's: freed in `deinit` alone, and lent for calls that keep no pointer (the closures below do not escape).
    private let storage: UnsafeMutableRawPointer

    /// A copy of `bytes`; the caller wipes its own.
    init(_ bytes: [UInt8]) {
        Sodium.prepare()
        guard let memory = sodium_malloc(bytes.count) else { preconditionFailure("no memory left for a secret") }
        count = bytes.count
        storage = memory
        memory.copyMemory(from: bytes, byteCount: bytes.count)
        memory.bindMemory(to: UInt8.self, capacity: count)
        sodium_mprotect_readonly(memory)
    }

    deinit {
        // Wipes too.
        sodium_free(storage)
    }

    func withPointer<Result>(_ body: (UnsafePointer<UInt8>) -> Result) -> Result {
        body(storage.assumingMemoryBound(to: UInt8.self))
    }

    func withBytes<Result>(_ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
        withPointer { body(UnsafeBufferPointer(start: $0, count: count)) }
    }

    /// A copy on the heap, for callees that take an array: `wipe` it after use.
    func copy() -> [UInt8] {
        withBytes { [UInt8]($0) }
    }

    func isEqual(to other: SecretBytes) -> Bool {
        count == other.count && sodium_memcmp(storage, other.storage, count) == 0
    }
}
