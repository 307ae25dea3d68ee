import DeP2PSimulation
import Glibc
import Testing

@testable import DeP2PApp

@Suite struct FileTimeTests {
    private static let extremes: [Int64] = [
        .min, .min + 1, -9_223_372_036_000_000_001, -1_000_000_001, -1_000_000_000, -999_999_999, -1, 0, 1, 999_999_999,
        1_000_000_000, 9_223_372_036_000_000_000, 9_223_372_036_854_775_806, .max,
    ]

    @Test(arguments: extremes)
    func nanosecondsComeBack(nanoseconds: Int64) throws {
        let time = FileTime(nanoseconds: nanoseconds).timespec
        #expect((0..<1_000_000_000).contains(time.tv_nsec))
        #expect(FileTime(time)?.nanoseconds == nanoseconds)
    }

    @Test func everyTimeOfAFileSystemIsTakenOrLeftOut() {
        var generator = SplitMix64(seed: 71)
        for _ in 0..<20_000 {
            let seconds =
                [Int.min, Int.max, -9_223_372_037, -9_223_372_036, 9_223_372_036, 9_223_372_037, 0]
                .randomElement(using: &generator).map { $0 &+ Int.random(in: -2...2, using: &generator) } ?? 0
            let nanoseconds =
                [0, 1, 145_224_192, 854_775_807, 854_775_808, 999_999_999, -1, 1_000_000_000, .max, .min]
                .randomElement(using: &generator) ?? 0
            let time = timespec(tv_sec: seconds, tv_nsec: nanoseconds)
            guard let known = FileTime(time) else { continue }
            #expect(known.timespec.tv_sec == seconds && known.timespec.tv_nsec == nanoseconds)
        }
        #expect(FileTime(timespec(tv_sec: 9_223_372_036, tv_nsec: 999_999_999)) == nil)
        #expect(FileTime(timespec(tv_sec: 9_223_372_036, tv_nsec: 854_775_807))?.nanoseconds == .max)
        #expect(FileTime(timespec(tv_sec: -9_223_372_037, tv_nsec: 145_224_192))?.nanoseconds == .min)
    }
}
