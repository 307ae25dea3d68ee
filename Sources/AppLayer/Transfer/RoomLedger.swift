internal import Glibc
internal import Synchronization

/// The room that a file system says it has.
struct FileSystemRoom: Equatable, Sendable {
    let device: UInt64
    let freeBytes: UInt64
    /// What a file takes at least, and its size is rounded up to.
    let blockSize: UInt64

    init?(of descriptor: Descriptor) {
        var status = statvfs()
        guard fstatvfs(descriptor.number, &status) == 0, status.f_blocks > 0,
            case .success(let file) = descriptor.status()
        else { return nil }
        let (bytes, overflow) = UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize))
        guard !overflow else { return nil }
        self.init(device: file.device, freeBytes: bytes, blockSize: UInt64(status.f_frsize))
    }

    init(device: UInt64, freeBytes: UInt64, blockSize: UInt64) {
        (self.device, self.freeBytes, self.blockSize) = (device, freeBytes, blockSize)
    }

    /// What a file of `size` bytes takes; at most what 64 bits hold.
    func taken(by size: UInt64) -> UInt64 {
        guard blockSize > 1, !size.isMultiple(of: blockSize) else { return size }
        let (sum, overflow) = size.addingReportingOverflow(blockSize - size % blockSize)
        return overflow ? .max : sum
    }
}

/// What the transfers under way may still write, for each file system: two that fit alone are not both taken when they
/// do not fit together.
///
/// A reservation shrinks as its bytes are written, since the file system's own count then has them.
struct RoomLedger: Sendable {
    typealias ID = UInt64

    enum OnReserve: Equatable {
        case reserved
        /// Free bytes beside what others have reserved: too few.
        case refused(available: UInt64, reservedByOthers: UInt64)
    }

    private struct Reservation {
        let device: UInt64
        var outstanding: UInt64
    }

    private var reservations: [ID: Reservation] = [:]

    mutating func reserve(_ bytes: UInt64, for id: ID, in room: FileSystemRoom) -> OnReserve {
        let others = reserved(on: room.device, beside: id)
        let available = room.freeBytes - min(room.freeBytes, others)
        guard bytes <= available else {
            return .refused(available: available, reservedByOthers: min(others, room.freeBytes))
        }
        reservations[id] = Reservation(device: room.device, outstanding: bytes)
        return .reserved
    }

    /// Makes sure of room for what is about to be written: a stream has reserved nothing, and a file with holes may have
    /// more data than was offered.
    mutating func cover(_ bytes: UInt64, for id: ID, in room: FileSystemRoom) -> OnReserve {
        bytes <= outstanding(for: id) ? .reserved : reserve(bytes, for: id, in: room)
    }

    mutating func wrote(_ bytes: UInt64, for id: ID) {
        guard let outstanding = reservations[id]?.outstanding else { return }
        reservations[id]?.outstanding = outstanding - min(outstanding, bytes)
    }

    func outstanding(for id: ID) -> UInt64 { reservations[id]?.outstanding ?? 0 }

    mutating func release(_ id: ID) { reservations[id] = nil }

    /// Bytes that others than `id` may still write there.
    func reserved(on device: UInt64, beside id: ID) -> UInt64 {
        reservations.reduce(0) { sum, entry in
            guard entry.key != id, entry.value.device == device else { return sum }
            let (next, overflow) = sum.addingReportingOverflow(entry.value.outstanding)
            return overflow ? .max : next
        }
    }

    /// The reservations of this process.
    static let shared = SharedRoomLedger()
}

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
        state.withLock { $0.ledger.reserve(bytes, for: id, in: room) }
    }

    /// What the transfer may still write of what it has reserved.
    func outstanding(for id: RoomLedger.ID) -> UInt64 { state.withLock { $0.ledger.outstanding(for: id) } }

    func cover(_ bytes: UInt64, for id: RoomLedger.ID, in room: FileSystemRoom) -> RoomLedger.OnReserve {
        state.withLock { $0.ledger.cover(bytes, for: id, in: room) }
    }

    func wrote(_ bytes: UInt64, for id: RoomLedger.ID) { state.withLock { $0.ledger.wrote(bytes, for: id) } }

    func release(_ id: RoomLedger.ID) { state.withLock { $0.ledger.release(id) } }

    func reserved(on device: UInt64, beside id: RoomLedger.ID) -> UInt64 {
        state.withLock { $0.ledger.reserved(on: device, beside: id) }
    }
}
