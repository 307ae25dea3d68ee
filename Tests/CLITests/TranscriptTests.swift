import Testing

@Suite struct TranscriptTests {
    @Test(arguments: Transcript.all)
    func theProgramStillDoesWhatTheTranscriptSays(_ transcript: Transcript) throws {
        #expect(!transcript.heading.isEmpty, "a transcript starts with what it pins")
        let text = try transcript.replay()
        if Transcript.isRewriting { transcript.rewrite(text) }
        #expect(text == transcript.expected)
    }

    @Test func thereAreTranscripts() {
        #expect(Transcript.all.count >= 10)
    }
}
