internal import DeP2PReactor
internal import Glibc

/// What the transfers under way may still write, for each file system: two that fit alone are not both taken when they
/// do not fit together.
///
/// A reservation shrinks as its bytes are written, since the file system's own count then has them. It counts as far as
/// it is believable, since an offer costs its sender nothing: in full while the transfer writes at a rate that fills it
/// within a day; before that, all such together with half of what is free, and only for ``patience``.
struct RoomLedger: Sendable {
    typealias ID = UInt64

    enum OnReserve: Equatable {
        case reserved
        /// Free bytes beside what others have reserved: too few.
        case refused(available: UInt64, reservedByOthers: UInt64)
    }

    /// How long what was written vouches for the rest, and how long a transfer may take to begin to write.
    static let patience = Duration.seconds(60)
    /// Bytes that each byte of one ``patience`` vouches for: a day at that rate.
    static let vouched: UInt64 = 24 * 60

    private struct Reservation {
        let device: UInt64
        var outstanding: UInt64
        let began: NetworkInstant
        /// Bytes written since then, and in the ``patience`` before.
        var since: NetworkInstant
        var written: UInt64 = 0
        var before: UInt64 = 0

        init(_ bytes: UInt64, on device: UInt64, at now: NetworkInstant) {
            (self.device, outstanding, began, since) = (device, bytes, now, now)
        }

        mutating func look(at now: NetworkInstant) {
            let elapsed = now.duration(since: since)
            guard elapsed >= patience else { return }
            (before, written, since) = (elapsed < patience * 2 ? written : 0, 0, now)
        }

        /// What the transfer will write for all that can be known, and what it has only said that it will.
        func count(at now: NetworkInstant) -> (proven: UInt64, said: UInt64) {
            let (most, overflow) = max(written, before).multipliedReportingOverflow(by: vouched)
            let proven = overflow ? outstanding : min(outstanding, most)
            return (proven, now.duration(since: began) < patience ? outstanding - proven : 0)
        }
    }

    private var reservations: [ID: Reservation] = [:]
    /// Bytes that all transfers have written, by file system; past the largest number it begins anew.
    private(set) var written: [UInt64: UInt64] = [:]

    /// - Parameter mark: ``written`` from before the room was asked for. What was written since then may be missing from what
    ///   is reserved and still be free in `room`, so it counts as reserved.
    mutating func reserve(
        _ bytes: UInt64, for id: ID, in room: FileSystemRoom, since mark: [UInt64: UInt64], at now: NetworkInstant
    ) -> OnReserve {
        let since = (written[room.device] ?? 0) &- (mark[room.device] ?? 0)
        let reserved = reserved(in: room, beside: id, at: now)
        let others = reserved + min(since, .max - reserved)
        let available = room.freeBytes - min(room.freeBytes, others)
        guard bytes <= available else {
            return .refused(available: available, reservedByOthers: min(others, room.freeBytes))
        }
        reservations[id] = Reservation(bytes, on: room.device, at: reservations[id]?.began ?? now)
        return .reserved
    }

    /// Makes sure of room for what is about to be written: a stream has reserved nothing, and a file with holes may have
    /// more data than was offered.
    mutating func cover(
        _ bytes: UInt64, for id: ID, in room: FileSystemRoom, since mark: [UInt64: UInt64], at now: NetworkInstant
    ) -> OnReserve {
        bytes <= outstanding(id) ? .reserved : reserve(bytes, for: id, in: room, since: mark, at: now)
    }

    mutating func wrote(_ bytes: UInt64, for id: ID, at now: NetworkInstant) {
        guard var reservation = reservations[id] else { return }
        written[reservation.device, default: 0] &+= bytes
        reservation.look(at: now)
        reservation.outstanding -= min(reservation.outstanding, bytes)
        reservation.written += min(bytes, .max - reservation.written)
        reservations[id] = reservation
    }

    /// Bytes that are left out after all: nothing was written, so they vouch for nothing.
    mutating func spare(_ bytes: UInt64, for id: ID) {
        guard var reservation = reservations[id] else { return }
        reservation.outstanding -= min(reservation.outstanding, bytes)
        reservations[id] = reservation
    }

    mutating func release(_ id: ID) { reservations[id] = nil }

    /// Bytes that the transfer itself will still write.
    func outstanding(_ id: ID) -> UInt64 { reservations[id]?.outstanding ?? 0 }

    /// Bytes that others than `id` will still write there.
    mutating func reserved(in room: FileSystemRoom, beside id: ID, at now: NetworkInstant) -> UInt64 {
        var (proven, said): (UInt64, UInt64) = (0, 0)
        for other in reservations.keys where other != id && reservations[other]?.device == room.device {
            reservations[other]?.look(at: now)
            guard let count = reservations[other]?.count(at: now) else { continue }
            proven += min(count.proven, .max - proven)
            said += min(count.said, .max - said)
        }
        return proven + min(said, room.freeBytes / 2, .max - proven)
    }

    /// The reservations of this process.
    static let shared = SharedRoomLedger()
}
