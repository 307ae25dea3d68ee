import Testing

@testable import DeP2PCLI

@Suite struct ProgressMeterTests {
    private static let mebibyte: UInt64 = 1 << 20

    @Test func theLineTellsBytesShareRateTimeLeftAndPath() {
        var meter = ProgressMeter(name: "disk.img", total: 100 * Self.mebibyte, path: "direct")
        #expect(meter.update(bytes: 0, at: .zero).line?.text(columns: 200) == "disk.img  0 B of 100 MiB  0 %  direct")
        #expect(
            meter.update(bytes: 10 * Self.mebibyte, at: .seconds(1)).line?.text(columns: 200)
                == "disk.img  10.0 MiB of 100 MiB  10 %  10.0 MiB/s  0:09 left  direct")
        #expect(meter.update(bytes: 100 * Self.mebibyte, at: .seconds(2)).line?.figures.contains("100 %") == true)
    }

    @Test func figuresStayWhateverTheNameAndColumnsAreThoseOfTheTerminal() {
        let figures = "1.0 GiB of 2.0 GiB  50 %"
        let wide = ProgressLine(name: String(repeating: "超長的檔案名稱", count: 6), figures: figures).text(columns: 59)
        #expect(wide.hasSuffix("  " + figures))
        #expect(DisplayWidth.columns(wide) <= 59)
        #expect(wide.hasPrefix("超長的檔案"))
        let long = ProgressLine(name: String(repeating: "n", count: 150), figures: figures).text(columns: 59)
        #expect(long.hasSuffix("  " + figures) && DisplayWidth.columns(long) == 59)
        #expect(DisplayWidth.columns("e\u{301}") == 1)
        #expect(DisplayWidth.shortened("超長", to: 3) == "超…")
        #expect(DisplayWidth.shortened("超長", to: 1) == "")
        #expect(ProgressLine(name: "abc", figures: figures).text(columns: 20).count == 20)
    }

    @Test func aStreamHasNoShareAndNothingLeft() {
        var meter = ProgressMeter(name: "stdin", total: nil)
        _ = meter.update(bytes: 0, at: .zero)
        #expect(meter.update(bytes: 2048, at: .seconds(2)).line?.text(columns: 200) == "stdin  2.0 KiB  1.0 KiB/s")
    }

    @Test func eventsComeTwiceASecondAndLinesTenTimes() {
        var meter = ProgressMeter(name: "x", total: 1000)
        let due = (0..<1000).map { meter.update(bytes: UInt64($0), at: .milliseconds($0 * 10)) }
        #expect(due.count { $0.event != nil } == 20)
        #expect(due.count { $0.line != nil } == 100)
    }

    @Test func theRateIsThatOfTheLastSeconds() throws {
        var meter = ProgressMeter(name: "x", total: nil)
        for second in 0...10 { _ = meter.update(bytes: UInt64(second) * 1000, at: .seconds(second)) }
        // Nothing more arrives: the rate falls to zero once the window has passed.
        let due = (11...20).map { meter.update(bytes: 10_000, at: .seconds($0)) }
        #expect(try #require(due.last?.event).contains(.int("rate", 0)))
    }

    @Test func remoteNumbersNeverOverflow() {
        var meter = ProgressMeter(name: "x", total: .max)
        _ = meter.update(bytes: 0, at: .zero)
        #expect(meter.update(bytes: .max, at: .microseconds(1)).line == nil)
        #expect(meter.update(bytes: .max, at: .seconds(1)).line?.figures.contains("100 %") == true)
        var backwards = ProgressMeter(name: "x", total: 1)
        _ = backwards.update(bytes: 100, at: .zero)
        #expect(backwards.update(bytes: 5, at: .seconds(1)).line?.figures.contains("100 %") == true)
        var empty = ProgressMeter(name: "x", total: 0)
        #expect(empty.update(bytes: 0, at: .zero).line?.text(columns: 200) == "x  0 B of 0 B  100 %")
    }
}

@Suite struct RoundTripsTests {
    @Test func sums() {
        var trips = RoundTrips()
        #expect(trips.summary == "0 of 0 answered")
        for millisecond in 1...200 {
            trips.recordSent()
            trips.record(.milliseconds(millisecond))
        }
        trips.recordSent()
        #expect(
            JSONValue.object(trips.fields).encoded
                == #"{"sent":201,"received":200,"min_ms":1.000,"avg_ms":100.500,"max_ms":200.000,"p99_ms":198.000}"#)
        #expect(trips.summary == "200 of 201 answered, min 1.00 ms, avg 100 ms, p99 198 ms, max 200 ms")
    }

    @Test func memoryIsBounded() {
        var trips = RoundTrips()
        for _ in 0..<250_000 { trips.record(.milliseconds(1)) }
        #expect(trips.received == 250_000)
        #expect(trips.keptTimes <= 100_000)
    }
}
