import DeP2PQUIC
import Glibc
import Testing

@testable import DeP2PApp

/// Holes as the file system tells them.
@Suite struct FileExtentsTests {
    private let scratch: Scratch

    init() throws { scratch = try Scratch() }

    /// A file of so many bytes with data at the given places, the rest holes.
    private func file(_ name: String, size: UInt64, data: [Range<UInt64>]) throws -> Descriptor {
        let path = scratch.path + "/" + name
        let descriptor = try Descriptor.open(Array(path.utf8), in: nil, flags: O_RDWR | O_CREAT, mode: 0o600).get()
        try #require(ftruncate(descriptor.number, off_t(size)) == 0)
        for range in data {
            try Chunk(Array(repeating: 1, count: range.count)).write(to: descriptor.number, at: range.lowerBound).get()
        }
        return descriptor
    }

    private static func runs(_ extents: inout FileExtents, size: UInt64) -> [FileExtents.Run] {
        var (position, runs) = (0 as UInt64, [FileExtents.Run]())
        while position < size, runs.count < 100 {
            let run = extents.run(at: position, below: size)
            runs.append(run)
            switch run {
            case .data(let count), .zeros(let count): position += count
            }
        }
        return runs
    }

    @Test func holesAndDataAreTold() throws {
        let data = [0..<65_536 as Range<UInt64>, 1 << 20..<(1 << 20) + 4096]
        var extents = FileExtents(of: try file("f", size: 1 << 30, data: data))
        let told: [FileExtents.Run] = [.data(65_536), .zeros(983_040), .data(4096), .zeros(1_072_689_152)]
        #expect(Self.runs(&extents, size: 1 << 30) == told)
        #expect(extents.dataSize(of: 1 << 30) == 65_536 + 4096)
        // From the middle of a hole, and up to there.
        #expect(extents.run(at: 1 << 29, below: (1 << 29) + 100_000) == .zeros(100_000))
        #expect(extents.run(at: 1 << 29, below: (1 << 29) + 100) == .data(100))
    }

    /// A hole that is not worth a word is read.
    @Test func shortHolesAreData() throws {
        let data = stride(from: 0 as UInt64, to: 1 << 20, by: 8192).map { $0..<$0 + 4096 }
        var extents = FileExtents(of: try file("f", size: 1 << 20, data: data))
        #expect(extents.dataSize(of: 1 << 20) == 1 << 20)
    }

    @Test func aFileOfManyPiecesIsNotLookedThroughToItsEnd() throws {
        let data = (0..<20 as Range<UInt64>).map { $0 * 65_536..<$0 * 65_536 + 4096 }
        let size: UInt64 = 20 * 65_536
        var extents = FileExtents(of: try file("f", size: size, data: data))
        #expect(extents.dataSize(of: size) == 20 * 4096)
        // Five pieces and their holes are looked at, the others count whole.
        #expect(extents.dataSize(of: size, mostRuns: 10) == 5 * 4096 + 15 * 65_536)
    }

    @Test func whatHasNoHolesIsData() throws {
        var full = FileExtents(of: try file("full", size: 100_000, data: [0..<100_000]))
        #expect(Self.runs(&full, size: 100_000) == [.data(100_000)])
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        defer { ends.forEach { close($0) } }
        var pipe = FileExtents(of: Descriptor(owning: dup(ends[0])))
        #expect(pipe.run(at: 0, below: 1 << 40) == .data(1 << 40))
    }

    /// Beyond its end a file has no zeros: reading it finds out that it became shorter.
    @Test func aFileThatBecameShorterHasNoHoleBehindItsEnd() throws {
        let descriptor = try file("f", size: 1 << 30, data: [])
        var extents = FileExtents(of: descriptor)
        try #require(ftruncate(descriptor.number, 100_000) == 0)
        #expect(extents.run(at: 0, below: 1 << 30) == .zeros(100_000))
        #expect(extents.run(at: 100_000, below: 1 << 30) == .data((1 << 30) - 100_000))
        #expect(extents.run(at: 1 << 29, below: 1 << 30) == .data(1 << 29))
    }
}
