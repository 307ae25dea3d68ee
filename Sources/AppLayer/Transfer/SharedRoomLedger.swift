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

    func reserve(_ bytes: UInt64, for id: RoomLedger.ID, in room: FileSystemRoom) -> RoomLedger.OnReserve {
        state.withLock { $0.ledger.reserve(bytes, for: id, in: room, at: Self.now) }
    }

    func cover(_ bytes: UInt64, for id: RoomLedger.ID, in room: FileSystemRoom) -> RoomLedger.OnReserve {
        state.withLock { $0.ledger.cover(bytes, for: id, in: room, at: Self.now) }
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
        guard bytes > outstanding(id), let place = folder.room(),
            case .refused(let available, let reserved) = cover(bytes, for: id, in: place), reserved > 0
        else { return }
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
