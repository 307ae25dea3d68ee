internal import DeP2PReactor
internal import Glibc
internal import Synchronization

/// A ``RoomLedger`` for threads that write side by side.
final class SharedRoomLedger: Sendable {
    private struct State {
        var ledger = RoomLedger()
        var nextID: RoomLedger.ID = 0
    }

    private let state = Mutex(State())

    func makeID() -> RoomLedger.ID {
        state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
    }

    /// - Parameter added: bytes that will be free as well.
    /// - Returns: nil where the file system doesn't say what room it has.
    func reserve(
        _ bytes: UInt64, for id: RoomLedger.ID, in folder: FolderHandle, adding added: UInt64 = 0
    ) -> RoomLedger.OnReserve? {
        with(folder) { ledger, room, mark in
            ledger.reserve(bytes, for: id, in: room.adding(added), since: mark, at: Self.now)
        }
    }

    /// Asks the file system, which may take its time, while others go on.
    private func with(
        _ folder: FolderHandle, _ body: (inout RoomLedger, FileSystemRoom, [UInt64: UInt64]) -> RoomLedger.OnReserve
    ) -> RoomLedger.OnReserve? {
        let mark = state.withLock { $0.ledger.written }
        guard let room = folder.room() else { return nil }
        return state.withLock { body(&$0.ledger, room, mark) }
    }

    func wrote(_ bytes: UInt64, for id: RoomLedger.ID) {
        state.withLock { $0.ledger.wrote(bytes, for: id, at: Self.now) }
    }

    func spare(_ bytes: UInt64, for id: RoomLedger.ID) { state.withLock { $0.ledger.spare(bytes, for: id) } }

    func release(_ id: RoomLedger.ID) { state.withLock { $0.ledger.release(id) } }

    /// What exceeds a transfer's reservation (a stream has none, a file may have less of holes than was offered) may not
    /// take what others have reserved.
    func leaveOthersTheirRoom(
        _ bytes: UInt64, for id: RoomLedger.ID, in folder: FolderHandle
    ) throws(TransferError) {
        guard bytes > outstanding(id) else { return }
        let outcome = with(folder) { $0.cover(bytes, for: id, in: $1, since: $2, at: Self.now) }
        guard case .refused(let available, let reserved) = outcome, reserved > 0 else { return }
        throw TransferError(
            .noSpace,
            "\(bytes) bytes more are needed and \(available) are free beside the \(reserved) that other transfers will "
                + "take; what came so far is kept", limit: bytes, available: available)
    }

    func outstanding(_ id: RoomLedger.ID) -> UInt64 { state.withLock { $0.ledger.outstanding(id) } }

    func reserved(in room: FileSystemRoom, beside id: RoomLedger.ID) -> UInt64 {
        state.withLock { $0.ledger.reserved(in: room, beside: id, at: Self.now) }
    }

    /// The disk is the machine's, and so is its time.
    private static var now: NetworkInstant {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return NetworkInstant(nanoseconds: UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec))
    }
}
