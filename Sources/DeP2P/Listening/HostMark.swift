internal import DeP2PIdentity
internal import Glibc

/// What tells one machine from another.
package struct HostMark: Sendable {
    /// A secret that all processes share which share the machine's loopback interface, and nobody else has; 32 bytes.
    package let secret: [UInt8]
    /// What tells the machine, or container, from others, as far as the system says; the same after a restart. No secret.
    package let machine: [UInt8]

    package init(secret: [UInt8], machine: [UInt8]) { (self.secret, self.machine) = (secret, machine) }

    /// This machine's.
    package static func system() -> HostMark { HostMark(secret: currentSecret(), machine: currentMachine()) }

    /// Longest file read, in bytes.
    private static let limit = 256

    /// The kernel draws its boot id at random (122 bits) and tells it to those who run on it alone. The machine's own id
    /// would not do, which copies of an image share. Of this process alone where the system does not tell.
    private static func currentSecret() -> [UInt8] {
        let boot = contents("/proc/sys/kernel/random/boot_id")
        let network = link("/proc/self/ns/net")
        guard !boot.isEmpty, !network.isEmpty else { return SecureRandom.bytes(32) }
        return hmacSHA256(key: contents("/etc/machine-id") + boot, message: network)
    }

    private static func currentMachine() -> [UInt8] {
        contents("/etc/machine-id") + contents("/proc/sys/kernel/hostname") + link("/proc/self/ns/net")
    }

    private static func contents(_ path: String) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return [] }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: limit)
        let count = read(descriptor, &bytes, limit)
        return count > 0 ? Array(bytes.prefix(count)) : []
    }

    private static func link(_ path: String) -> [UInt8] {
        var bytes = [CChar](repeating: 0, count: limit)
        let count = readlink(path, &bytes, limit)
        return count > 0 ? bytes.prefix(count).map { UInt8(bitPattern: $0) } : []
    }
}
