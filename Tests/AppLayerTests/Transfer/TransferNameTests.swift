import DeP2PSimulation
import Testing

@testable import DeP2PApp

@Suite struct TransferNameTests {
    @Test(arguments: [
        [], [""], ["."], [".."], ["a", "..", "b"], ["..", "..", ".ssh", "authorized_keys"], ["/etc/passwd"],
        ["a/b"], ["a", ""], ["", "a"], ["a\u{0}b"], ["a\nb"], ["a\rb"], ["\u{1b}[31mred"], ["a\u{7f}"],
        ["a\u{85}b"], ["a\u{9b}31m"], ["gpj\u{202e}exe"], ["a\u{2066}b\u{2069}"], ["a\u{200f}b"], ["a\u{61c}"],
        ["a\u{2028}b"], ["a\u{e0041}"], [String(repeating: "x", count: 256)],
        [String(repeating: "é", count: 128)], Array(repeating: "d", count: 65),
        [".disk.img.dep2p-partial-0123456789abcdef"], [".dep2p-resume-0123456789abcdef"],
    ])
    func hostileNamesAreRefused(path: [String]) {
        #expect(throws: TransferError(.badName, "")) { try TransferName.checked(path: path) }
    }

    @Test(arguments: [
        ["a"], ["disk.img"], ["..."], ["..a"], [".hidden"], ["notes", "día", "日本語.txt"], ["a b (1).txt"], ["-rf"],
        ["~"], ["$(reboot)"], ["C:\\Windows"], ["👩‍👩‍👧.png"], [String(repeating: "x", count: 255)],
        Array(repeating: "d", count: 64), ["CON"], ["a.dep2p-partial-0123456789abcdef"], [" "],
    ])
    func harmlessNamesPass(path: [String]) throws {
        #expect(try TransferName.checked(path: path).map { Array($0.utf8) } == path.map { Array($0.utf8) })
    }

    /// What was offered, and the name on the disk.
    @Test(arguments: [
        (["disk.img"], ["disk.img"]), (["-rf"], ["_-rf"]), ([".bashrc"], ["_.bashrc"]), (["..."], ["_..."]),
        (["project", ".gitignore"], ["project", ".gitignore"]), (["d", "-rf"], ["d", "-rf"]),
        ([".ssh", "authorized_keys"], ["_.ssh", "authorized_keys"]), (["a\u{200b}b"], ["a{U+200B}b"]),
        (["\u{200b}"], ["{U+200B}"]), (["\u{3164}"], ["{U+3164}"]), (["\u{feff}x"], ["{U+FEFF}x"]),
        (["\u{ad}"], ["{U+00AD}"]), ([" "], ["{U+0020}"]), (["\u{a0}\u{3000}"], ["{U+00A0}{U+3000}"]),
        (["\u{200d}"], ["{U+200D}"]), (["\u{2800}"], ["{U+2800}"]), (["a b"], ["a b"]),
        (["全角\u{3000}名"], ["全角\u{3000}名"]),
        (["👩‍👩‍👧.png"], ["👩‍👩‍👧.png"]), (["❤\u{fe0f}"], ["❤\u{fe0f}"]), (["می\u{200c}خواهم"], ["می\u{200c}خواهم"]),
        (["辻\u{e0100}"], ["辻\u{e0100}"]), (["x", "\u{2060}"], ["x", "{U+2060}"]),
    ])
    func whatWouldMisleadIsWrittenOut(offered: [String], made: [String]) throws {
        let path = TransferName.onDisk(path: try TransferName.checked(path: offered))
        #expect(path.map { Array($0.utf8) } == made.map { Array($0.utf8) })
    }

    @Test func writtenOutNamesKeepTheLimit() throws {
        let long = String(repeating: "\u{200b}", count: 85)
        #expect(TransferName.onDisk(path: [long])[0].utf8.count <= TransferLimits.nameBytes)
        #expect(TransferName.onDisk(path: ["." + String(repeating: "x", count: 254)])[0].utf8.count == 255)
    }

    /// A name of a receiver's own that only the writing out, or the file system, makes.
    @Test func noNameBecomesOneOfOurs() throws {
        let mark = ".dep2p-partial-0123456789abcdef"
        // Written out, it grows by six bytes: as many are cut off behind the mark.
        let padding = String(repeating: "p", count: 255 - 1 - 2 - mark.utf8.count - 6)
        let path = try TransferName.checked(path: ["d", ".\u{ad}" + padding + mark + "yyyyyy"])
        let made = TransferName.onDisk(path: path)[1]
        #expect(!TransferName.isReserved(made) && made.hasPrefix("_.{U+00AD}") && made.utf8.count <= 255)
        for name in [".x\(mark).", ".x\(mark) ", ".dep2p-resume?", ".dep2p-resume-."] {
            #expect(!TransferName.isReserved(TransferName.portable(name)), "\(name)")
        }
    }

    /// To put marks in order takes the square of their number: half a million of them, hours.
    @Test func longNamesAreNotNormalized() {
        let half = 262_144
        let name = "a" + String(repeating: "\u{345}", count: half) + String(repeating: "\u{316}", count: half)
        #expect(throws: TransferError(.badName, "")) { try TransferName.checked(path: [name]) }
    }

    /// What becomes short enough passes.
    @Test func decomposedNamesMayBeThreeTimesAsLong() throws {
        let name = String(repeating: "\u{1112}\u{1161}\u{11ab}", count: 85)
        #expect(try TransferName.checked(path: [name])[0].utf8.count == 255)
    }

    @Test func portableNamesAreTakenEverywhere() {
        #expect(TransferName.portable("a<b>:\"|?*c") == "a_b______c")
        #expect(TransferName.portable("end. .") == "end")
        #expect(TransferName.portable("...") == "_")
        #expect(TransferName.portable(String(repeating: "é", count: 120)).utf8.count == 140)
        #expect(TransferName.portable("disk.img") == "disk.img")
    }

    @Test func decomposedNamesAreComposed() throws {
        let checked = try TransferName.checked(path: ["e\u{301}tude.txt", "\u{1112}\u{1161}\u{11ab}"])
        #expect(checked.map { Array($0.unicodeScalars) } == [Array("étude.txt".unicodeScalars), ["\u{d55c}"]])
    }

    @Test func numbersStandBeforeTheEnding() {
        #expect(TransferName.numbered("disk.img", 0) == "disk.img")
        #expect(TransferName.numbered("disk.img", 1) == "disk (1).img")
        #expect(TransferName.numbered("disk", 12) == "disk (12)")
        #expect(TransferName.numbered("a.tar.gz", 2) == "a (2).tar.gz")
        #expect(TransferName.numbered(".profile", 1) == ".profile (1)")
        #expect(TransferName.numbered("a. long sentence, not an ending", 1) == "a. long sentence, not an ending (1)")
        let long = String(repeating: "é", count: 125) + ".img"
        #expect(TransferName.numbered(long, 10_000).utf8.count <= 255)
        #expect(TransferName.numbered(long, 10_000).hasSuffix(" (10000).img"))
    }

    @Test func twoEntriesOfOneNameAreRefused() throws {
        let entries = ["é", "e\u{301}"].map { TransferEntry(kind: .file, path: [$0], size: 0) }
        #expect(throws: TransferError(.badName, "")) { try TransferOffer(entries: entries).withCheckedNames() }
    }

    /// A sign whose normal form is a letter of ASCII is that letter, whichever comes first.
    @Test(arguments: [["K", "\u{212a}"], ["\u{212a}", "K"], ["a", "a"], ["é", "é"]])
    func namesThatBecomeOneAreRefused(names: [String]) throws {
        let entries = (["x"] + names + ["y"]).map { TransferEntry(kind: .file, path: ["d", $0], size: 0) }
        #expect(throws: TransferError(.badName, "")) { try TransferOffer(entries: entries).withCheckedNames() }
    }

    /// Of the names that are not looked at closely, each is one that a closer look leaves as it is.
    @Test func plainPathsNeedNoChange() throws {
        var generator = SplitMix64(seed: 36)
        let letters = ["a", "Z", " ", "-", ".", "~", "/", "\u{7f}", "\n", "é", "\u{202e}", "_", "\"", "\\", ":"]
        var plain = 0
        let long = String(repeating: "x", count: 256)
        let fixed = [
            [], [""], [" "], ["a", " "], ["-a"], ["a", "-a"], [".a"], ["a", ".a"], [long], ["a b"], ["a", ""],
        ]
        let deep = [Array(repeating: "d", count: 64), Array(repeating: "d", count: 65)]
        let wide = [16, 17].map { Array(repeating: String(repeating: "w", count: 255), count: $0) }
        let random = (0..<20_000).map { _ in
            (0..<Int.random(in: 1...3, using: &generator)).map { _ in
                (0..<Int.random(in: 0...4, using: &generator)).map { _ in letters.randomElement(using: &generator) ?? ""
                }
                .joined()
            }
        }
        for path in fixed + deep + wide + random {
            let entries = TransferEntries([TransferEntry(kind: .file, path: path, size: 0)])
            guard TransferName.isPlain(path: entries.components(at: 0)) else { continue }
            plain += 1
            #expect(try TransferName.onDisk(path: TransferName.checked(path: path)) == path)
        }
        #expect(plain > 1000)
    }

    /// An offer with names of both kinds keeps its order and everything else of its entries.
    @Test func offersWithFewUnusualNamesKeepTheRest() throws {
        let paths = [["d"], ["d", "a"], ["d", "e\u{301}"], ["d", "b"], ["-rf"], [".x", "y"], ["z"]]
        let entries = paths.enumerated().map { index, path in
            TransferEntry(
                kind: index == 0 ? .directory : .file, path: path, size: UInt64(index), isExecutable: index == 3,
                modified: index == 4 ? -7 : nil, dataSize: index == 5 ? 2 : nil)
        }
        let offer = try TransferOffer(entries: entries)
        let checked = try offer.withCheckedNames()
        let expected = [["d"], ["d", "a"], ["d", "\u{e9}"], ["d", "b"], ["_-rf"], ["_.x", "y"], ["z"]]
        #expect(checked.entries.map { $0.path.map { Array($0.utf8) } } == expected.map { $0.map { Array($0.utf8) } })
        for (before, after) in zip(offer.entries, checked.entries) {
            #expect((before.kind, before.size, before.isExecutable) == (after.kind, after.size, after.isExecutable))
            #expect((before.modified, before.dataSize) == (after.modified, after.dataSize))
        }
        let usual = try TransferOffer(entries: Array(entries.prefix(2)))
        #expect(try usual.withCheckedNames() == usual)
    }
}
