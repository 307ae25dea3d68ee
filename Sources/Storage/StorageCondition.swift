internal import Glibc

/// How a store is: what a user is told when a node cannot remember.
package struct StorageCondition: Hashable, Sendable {
    /// Why what is new is kept in memory only; `nil` when it is on disk within a second.
    package var problem: StorageProblem?
    /// The damaged file that was put aside in this run, so that remembering could start anew.
    package var setAside: String?
    /// Changes of this run that were lost: nothing could be written, and there was no more room in memory.
    package var lost = 0

    package init() {}
}
