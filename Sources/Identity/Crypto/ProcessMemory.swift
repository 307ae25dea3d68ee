internal import CDeP2PSystem

/// The memory of this process, which holds keys.
package enum ProcessMemory {
    /// Keeps it from core dumps and from other processes of the same user. To be called before a key is read.
    ///
    /// - Returns: whether the kernel does it; nothing else depends on it.
    @discardableResult
    package static func keepPrivate() -> Bool { dep2p_forbid_core_dumps() == 0 }
}
