import CDeP2PQUICShim
import DeP2PQUIC
import DeP2PSimulation
import Foundation
import Testing

/// What ngtcp2 never gets to see: Sources/CQUICShim/UPSTREAM.md says why.
@Suite struct GuardTests {
    enum Verdict: String { case accept, drop, refuse }
    enum Space: String { case initial, handshake, application = "1rtt", zeroRTT = "0rtt", retry }

    struct Vector {
        let verdict: Verdict
        let roles: [String]
        let space: Space
        let name: String
        let payload: [UInt8]
    }

    static func vectors() throws -> [Vector] {
        try vectorLines("guard.txt").map { fields in
            let bytes = fields[4] == "-" ? [] : try #require(hexadecimal(fields[4]))
            return Vector(
                verdict: try #require(Verdict(rawValue: fields[0])),
                roles: fields[1] == "both" ? ["client", "server"] : [fields[1]],
                space: try #require(Space(rawValue: fields[2])), name: fields[3], payload: bytes)
        }
    }

    @Test func vectors() throws {
        for vector in try Self.vectors() {
            for role in vector.roles {
                var state = guardState(role)
                let before = state
                let result = look(&state, vector.payload, in: vector.space)
                #expect(result.verdict == vector.verdict, "\(vector.name) to a \(role) in \(vector.space)")
                #expect((result.reason == nil) == (vector.verdict == .accept), "\(vector.name)")
                if vector.verdict != .accept { #expect(isSame(state, before), "\(vector.name) left something behind") }
            }
        }
    }

    @Test func nothingBeyondThePayloadIsRead() throws {
        // Each payload ends at a page that can't be read, so a byte too far is a crash.
        let fence = try Fence()
        var random = SplitMix64(seed: 7)
        for vector in try Self.vectors() {
            for count in 0...vector.payload.count {
                fence.hold(vector.payload.prefix(count)) { pointer in
                    var state = guardState("server")
                    _ = look(&state, pointer, in: vector.space)
                }
            }
        }
        let seeds = try Self.vectors().map(\.payload).filter { !$0.isEmpty }
        for _ in 0..<50_000 {
            var bytes = seeds.randomElement(using: &random) ?? []
            for _ in 0..<Int.random(in: 0...3, using: &random) {
                bytes[Int.random(in: bytes.indices, using: &random)] = .random(in: 0...255, using: &random)
            }
            bytes += seeds.randomElement(using: &random) ?? []
            fence.hold(bytes.prefix(Int.random(in: 0...bytes.count, using: &random))) { pointer in
                var state = guardState("client-later")
                let verdict = look(&state, pointer, in: .application).verdict
                // What is taken for plain at first sight holds nothing else.
                let base = pointer.baseAddress?.assumingMemoryBound(to: UInt8.self)
                if dep2p_guard_is_plain(0x40, base, pointer.count) != 0 { #expect(verdict == .accept) }
            }
        }
    }

    @Test func plainPacketsAreShortOnesOfOneStream() throws {
        let data = [UInt8](repeating: 0xff, count: 70)
        var plain: [UInt8] = [0x0e]
        plain += integer(4)
        plain += integer(9)
        plain += [0x40, 70]
        plain += data
        #expect(dep2p_guard_is_plain(0x42, plain, plain.count) != 0)
        #expect(dep2p_guard_is_plain(0x43, plain, plain.count) == 0)
        #expect(dep2p_guard_is_plain(0xc0, plain, plain.count) == 0)
        #expect(dep2p_guard_is_plain(0x40, plain + data, plain.count + 1) == 0)
        #expect(dep2p_guard_is_plain(0x40, plain, plain.count - 1) == 0)
        #expect(dep2p_guard_is_plain(0x40, [0x0c, 4, 9] + data, data.count + 3) != 0)
    }

    @Test func idsAreRetiredWhileNGTCP2CountsThem() {
        var state = guardState("server")
        let free = UInt64(DEP2P_GUARD_FREE_IDS)
        for sequence in 1...free {
            #expect(look(&state, newID(sequence, retiring: sequence)).verdict == .accept)
        }
        // Later ones are taken, but have nothing more retired; what was said before may be said again.
        #expect(look(&state, newID(free + 1)).verdict == .accept)
        #expect(look(&state, newID(free + 2, retiring: free)).verdict == .accept)
        #expect(look(&state, newID(free + 2, retiring: free + 1)).verdict == .refuse)
        #expect(look(&state, newID(free, retiring: free)).verdict == .accept)
    }

    @Test(arguments: [
        (Space.initial, DEP2P_GUARD_HANDSHAKE_CRYPTO), (.handshake, DEP2P_GUARD_HANDSHAKE_CRYPTO),
        (.application, DEP2P_GUARD_CRYPTO),
    ])
    func handshakesEnd(space: Space, limit: Int) {
        var state = guardState("server")
        #expect(look(&state, crypto(at: limit - 1), in: space).verdict == .accept)
        #expect(look(&state, crypto(at: limit), in: space).verdict == (space == .initial ? .drop : .refuse))
    }

    @Test func framesHaveAnAllowance() {
        var state = guardState("server")
        state.now = 1_000_000_000
        let perPacket = 1_000
        let few = [UInt8](repeating: 1, count: Int(DEP2P_GUARD_FRAMES_IN_PACKET))
        let many = [UInt8](repeating: 1, count: perPacket + few.count)
        for _ in 0..<Int(DEP2P_GUARD_FRAME_BURST) / perPacket { #expect(look(&state, many).verdict == .accept) }
        #expect(look(&state, many).verdict == .refuse)
        #expect(look(&state, few).verdict == .accept)
        // A packet's worth of time later there is a packet's worth of allowance, and no more.
        state.now += 1_000_000_000 * UInt64(perPacket) / UInt64(DEP2P_GUARD_FRAMES_PER_SECOND)
        #expect(look(&state, many).verdict == .accept)
        #expect(look(&state, many).verdict == .refuse)
        state.now += 3_600_000_000_000
        for _ in 0..<Int(DEP2P_GUARD_FRAME_BURST) / perPacket { #expect(look(&state, many).verdict == .accept) }
        #expect(look(&state, many).verdict == .refuse)
    }

    @Test func packetNumbersStopLongBeforeTheyOverflow() {
        // As fast as they can rise, by half a window of four bytes: 2^31 packets would reach what ngtcp2 aborts at.
        var state = guardState("server")
        state.expected.2 = (1 << 60) - (1 << 33)
        var verdicts: [Verdict] = []
        for _ in 1...6 {
            let truncated = (state.expected.2 &+ (1 << 31)) & 0xffff_ffff
            verdicts.append(look(&state, [1], number: truncated, length: 4).verdict)
        }
        #expect(verdicts == [.accept, .accept, .accept, .drop, .drop, .drop])
        #expect(state.expected.2 <= 1 << 60)
    }

    @Test(arguments: [(1, 4), (2, 300), (3, 70_000), (4, 20_000_000)])
    func packetNumbersAreReconstructed(length: Int, step: UInt64) {
        // RFC 9000 A.3: in order, then one that comes late.
        var state = guardState("client-later")
        for number in stride(from: UInt64(0), through: step * 100, by: UInt64.Stride(step / 4)) {
            _ = look(&state, [1], number: number & (UInt64(1) << (8 * UInt64(length)) &- 1), length: length)
            #expect(state.expected.2 == number + 1)
        }
        let last = state.expected.2
        _ = look(&state, [1], number: (last - 3) & (UInt64(1) << (8 * UInt64(length)) &- 1), length: length)
        #expect(state.expected.2 == last)
    }

    @Test func probesAreToldFromWhatMovesAServer() {
        var state = guardState("server")
        let challenge: [UInt8] = [0x1a, 1, 2, 3, 4, 5, 6, 7, 8]
        let response: [UInt8] = [0x1b, 1, 2, 3, 4, 5, 6, 7, 8]
        let probe = look(&state, challenge + response + newID(1) + [0, 0])
        #expect(probe.hasChallenge && !probe.isNonProbing)
        #expect(look(&state, [0, 1]).isNonProbing)
        #expect(look(&state, [0x08, 0x00]).isNonProbing)
    }
}

private struct Look {
    let verdict: GuardTests.Verdict
    let reason: String?
    let isNonProbing: Bool
    let hasChallenge: Bool
}

private func guardState(_ role: String) -> dep2p_guard {
    var state = dep2p_guard()
    state.is_server = role == "server" ? 1 : 0
    state.is_past_handshake = role == "client-later" ? 1 : 0
    return state
}

private func isSame(_ one: dep2p_guard, _ other: dep2p_guard) -> Bool {
    guard one.expected == other.expected, one.highest_id == other.highest_id else { return false }
    return one.retired_prior == other.retired_prior && one.frames == other.frames
}

/// A header as it is authenticated: what the guard needs of it is in its first and last bytes.
private func header(_ space: GuardTests.Space, number: UInt64, length: Int) -> [UInt8] {
    let first: UInt8 =
        switch space {
        case .initial: 0xc0
        case .zeroRTT: 0xd0
        case .handshake: 0xe0
        case .retry: 0xf0
        case .application: 0x40
        }
    let digits = (0..<length).reversed().map { UInt8(truncatingIfNeeded: number >> (8 * UInt64($0))) }
    var bytes = [first | UInt8(length - 1)]
    bytes += [UInt8](repeating: 0xcc, count: 16)
    return bytes + digits
}

private func look(
    _ state: inout dep2p_guard, _ payload: UnsafeRawBufferPointer, in space: GuardTests.Space, number: UInt64 = 0,
    length: Int = 1
) -> Look {
    let header = header(space, number: number, length: length)
    let result = dep2p_guard_packet(
        &state, header, header.count, payload.baseAddress?.assumingMemoryBound(to: UInt8.self), payload.count)
    let verdict: GuardTests.Verdict =
        switch Int(result.verdict) {
        case DEP2P_GUARD_ACCEPT: .accept
        case DEP2P_GUARD_DROP: .drop
        default: .refuse
        }
    return Look(
        verdict: verdict, reason: result.reason.map { String(cString: $0) }, isNonProbing: result.is_non_probing != 0,
        hasChallenge: result.has_challenge != 0)
}

@discardableResult
private func look(
    _ state: inout dep2p_guard, _ payload: [UInt8], in space: GuardTests.Space = .application, number: UInt64 = 0,
    length: Int = 1
) -> Look {
    payload.withUnsafeBytes { look(&state, $0, in: space, number: number, length: length) }
}

private func integer(_ value: Int) -> [UInt8] {
    let wide = UInt32(truncatingIfNeeded: value) | 0x8000_0000
    return withUnsafeBytes(of: wide.bigEndian) { Array($0) }
}

private func newID(_ sequence: UInt64, retiring prior: UInt64 = 0) -> [UInt8] {
    var frame: [UInt8] = [0x18]
    frame += integer(Int(sequence))
    frame += integer(Int(prior))
    frame.append(8)
    return frame + [UInt8](repeating: 0xdd, count: 24)
}

private func crypto(at offset: Int) -> [UInt8] { [0x06] + integer(offset) + [1, 0] as [UInt8] }

private func hexadecimal(_ text: String) -> [UInt8]? {
    let digits = Array(text.utf8)
    let bytes = stride(from: 0, to: digits.count - 1, by: 2).compactMap {
        UInt8(String(decoding: digits[$0...$0 + 1], as: UTF8.self), radix: 16)
    }
    return bytes.count * 2 == digits.count ? bytes : nil
}

/// Bytes that end where memory does.
private final class Fence {
    private static let page = 4_096
    private let memory: UnsafeMutableRawPointer

    init() throws {
        let protection = PROT_READ | PROT_WRITE
        let mapped = mmap(nil, Self.page * 2, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        memory = try #require(mapped == MAP_FAILED ? nil : mapped)
        try #require(mprotect(memory + Self.page, Self.page, PROT_NONE) == 0)
    }

    deinit { munmap(memory, Self.page * 2) }

    func hold(_ bytes: ArraySlice<UInt8>, _ body: (UnsafeRawBufferPointer) -> Void) {
        let start = memory + Self.page - bytes.count
        bytes.withUnsafeBytes { source in
            if let base = source.baseAddress { start.copyMemory(from: base, byteCount: source.count) }
        }
        body(UnsafeRawBufferPointer(start: start, count: bytes.count))
    }
}
