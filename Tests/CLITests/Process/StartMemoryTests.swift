import Glibc
import Testing

@testable import DeP2PCLI

@Suite struct StartMemoryTests {
    private static let table = """
        5607b870b000-5607b9b9b000 r-xp 00000000 fe:00 333332                     /usr/bin/dep2p
        5607b9b9b000-5607b9c1b000 r--p 01490000 fe:00 333332                     /usr/bin/dep2p
        5607b9c1b000-5607b9e6b000 rw-p 01510000 fe:00 333332                     /usr/bin/dep2p
        5607cbd63000-5607cbdb6000 rw-p 00000000 00:00 0                          [heap]
        7f3337ce6000-7f3337ce7000 r-xp 00000000 00:00 0
        7f3339654000-7f33397a9000 r-xp 00028000 fe:00 333671                     /usr/lib/libc.so.6
        7f33397aa000-7f33397ab000 rwxp 00028000 fe:00 333671                     /tmp/written to.so
        7f33397ac000-7f33397ad000 r-xp 00028000 fe:00 333671                     /tmp/a name with spaces
        7ffd59dfb000-7ffd59dfd000 r-xp 00000000 00:00 0                          [vdso]

        """

    @Test func onlyCodeOfFilesIsGivenBack() {
        #expect(
            StartMemory.code(in: Self.table) == [
                0x5607_b870_b000..<0x5607_b9b9_b000, 0x7f33_3965_4000..<0x7f33_397a_9000,
                0x7f33_397a_c000..<0x7f33_397a_d000,
            ])
        for junk in [
            "", "\n\n", "r-xp", "- r-xp 0 0 0 /x", "2-1 r-xp 0 0 0 /x", "zz-10 r-xp 0 0 0 /x", "1-2 r-xp 0 0 0",
        ] {
            #expect(StartMemory.code(in: junk).isEmpty, "\(junk)")
        }
    }

    /// The tests' own code, among it this: it goes on, and less of it is mapped.
    @Test func whatIsGivenBackIsThereWhenItIsNeeded() {
        for _ in 0..<3 {
            StartMemory.release()
            #expect((0..<100).map { String($0) }.joined().count == 190)
        }
    }
}
