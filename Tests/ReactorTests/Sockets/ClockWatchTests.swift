import Testing

@testable import DeP2PReactor

@Suite struct ClockWatchTests {
    private func reading(_ wall: Int, _ passed: Int, _ awake: Int) -> ClockReading {
        ClockReading(wall: .seconds(wall), passed: .seconds(passed), awake: .seconds(awake))
    }

    @Test func sleepAndSettingsAreToldApart() {
        let start = reading(1_000_000, 500, 400)
        #expect(reading(1_000_100, 600, 500).changes(since: start) == [])
        #expect(reading(1_000_100, 600, 400).changes(since: start) == [.slept(.seconds(100))])
        #expect(reading(1_003_700, 600, 500).changes(since: start) == [.set(by: .seconds(3_600))])
        #expect(reading(996_500, 600, 500).changes(since: start) == [.set(by: .seconds(-3_600))])
        #expect(
            reading(1_043_200, 36_500, 500).changes(since: start)
                == [.slept(.seconds(35_900)), .set(by: .seconds(7_200))])
        // A leap second, and what a machine takes to fall asleep.
        #expect(reading(1_000_109, 600, 499).changes(since: start) == [])
    }

    @Test func theKernelTakesTheWatch() async {
        await networkTask {
            guard let watch = ClockWatch() else {
                Issue.record("the kernel has no timer that is cancelled when the clock is set")
                return
            }
            watch.onChange = { Issue.record("nobody has set the clock: \($0)") }
            watch.close()
        }.value
    }
}
