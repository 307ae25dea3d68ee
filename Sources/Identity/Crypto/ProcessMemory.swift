internal import CDeP2PSystem

/// The memory of this process, which holds keys and code.
package enum ProcessMemory {
    /// Keeps it from core dumps and from other processes of the same user. To be called before a key is read.
    ///
    /// - Returns: whether the kernel does it; nothing else depends on it.
    @discardableResult
    package static func keepPrivate() -> Bool { dep2p_forbid_core_dumps() == 0 }

    /// Gives back what is resident of ranges that are mapped from files and can't be written to: pages that are used again
    /// are mapped again. The kernel refuses any that are locked, which changes nothing else.
    package static func release(filePages ranges: [Range<UInt>]) {
        for range in ranges { _ = dep2p_release_file_pages(range.lowerBound, range.count) }
    }
}
