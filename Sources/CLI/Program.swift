import Glibc

/// The program from its arguments to its exit status.
enum Program {
    /// - Parameter arguments: without the program's name.
    static func run(
        _ arguments: [Argument], _ environment: Environment, _ interruption: Interruption
    ) async -> ExitStatus {
        if let status = Rendering.runHidden(arguments) { return status }
        if let status = NameListing.runHidden(arguments, environment) { return status }
        if arguments.isEmpty {
            // Nobody asked for help, so it is no result.
            _ = StandardStream.error.write(Array(HelpText.render(nil).utf8))
            return .usage
        }
        let parsed = ArgumentParser.parse(arguments)
        let style = style(parsed, arguments, environment)
        let output = Output(
            style, standardOutput: .stream(.output), standardError: .stream(.error),
            onBrokenPipe: { interruption.trigger(.brokenPipe) })
        TraceLogHandler.install(output)
        let status = await run(parsed, environment, output, interruption)
        interruption.endGrace()
        // Whoever was told to end does not wait for a reader that may never come.
        var patience: Duration?
        if case .signal = interruption.reason { patience = Self.lastPatience }
        let isWritten = output.drain(patience: patience)
        return finalStatus(status, output, isWritten: isWritten)
    }

    /// How long after a signal what is still to be written waits for its reader.
    private static let lastPatience = Duration.seconds(2)

    private static func run(
        _ parsed: ParsedCommandLine, _ environment: Environment, _ output: Output, _ interruption: Interruption
    ) async -> ExitStatus {
        switch parsed {
        case .help(let command):
            output.courtesy(HelpText.render(command))
            return .ok
        case .version:
            output.courtesy("\(Release.program) \(Release.version)\n")
            return .ok
        case .failure(let error, let command):
            output.fail(withHelpHint(error, command), usage: HelpText.usage(command))
            return error.code.status
        case .run(let invocation): return await run(invocation, environment, output, interruption)
        }
    }

    private static func run(
        _ invocation: Invocation, _ environment: Environment, _ output: Output, _ interruption: Interruption
    ) async -> ExitStatus {
        do throws(CLIError) {
            let files = try ConfigurationLoading.files(invocation, environment)
            let options = try ResolvedOptions(invocation, environment: environment, files: files)
            for line in options.origins { output.detail(line) }
            for line in environment.mistypedSettings { output.note(line) }
            _ = try options.value(.logFormat) { argument throws(CLIError) in
                try NodePlan.choice(argument, of: .logFormat, "no such form")
            }
            let plan = try invocation.command.plan(options)
            let context = RunContext(
                environment: environment, output: output, interruption: interruption, invocation: invocation,
                options: options)
            let result = try await plan.run(in: context)
            output.finish(result)
            return result.status
        } catch {
            let usage = error.code == .usage ? HelpText.usage(invocation.command) : []
            output.fail(
                error.code.status == .usage ? withHelpHint(error, invocation.command) : error, usage: usage)
            return error.code.status
        }
    }

    private static func withHelpHint(_ error: CLIError, _ command: CommandEntry?) -> CLIError {
        guard error.hint == nil else { return error }
        let line = [Release.program, command?.name, "--help"].compactMap(\.self).joined(separator: " ")
        return CLIError(error.code, error.message, hint: "\(line) shows more", details: error.details)
    }

    /// What can be known of the wanted style even of a line that is wrong.
    private static func style(
        _ parsed: ParsedCommandLine, _ arguments: [Argument], _ environment: Environment
    ) -> Output.Style {
        var style = Output.Style()
        var noColor = false
        switch parsed {
        case .run(let invocation):
            style.form = invocation.given["json"] == nil ? .human : .json
            style.verbosity =
                invocation.given["quiet"] == nil ? min(2, invocation.given["verbose"]?.count ?? 0) : -1
            style.command = invocation.command.name
            style.logsJSON = invocation.given["log-format"]?.last?.text == "json"
            noColor = invocation.given["no-color"] != nil || environment["DEP2P_NO_COLOR"] != nil
        case .failure(_, let command):
            let options = arguments.prefix { $0.text != "--" }
            style.form = options.contains(Argument("--json")) ? .json : .human
            style.command = command?.name
            noColor = options.contains(Argument("--no-color"))
        case .help, .version: break
        }
        style.allowsColour = Colour.isAllowed(noColor: noColor, environment)
        style.allowsEscapes = !Colour.isDumb(environment)
        return style
    }

    /// The status of the work, unless the work was what could not be written: a reader that leaves makes no failure a
    /// success, and no success a failure but that.
    private static func finalStatus(_ status: ExitStatus, _ output: Output, isWritten: Bool) -> ExitStatus {
        let isOpen = status == .ok || status == .brokenPipe
        guard let failure = output.failure else { return isWritten || !isOpen ? status : .ioError }
        if failure == EPIPE { return status == .ok && output.lostContent ? .brokenPipe : status }
        guard isOpen else { return status }
        output.fail(CLIError(.ioError, "can't write standard output: \(SystemError.text(failure))"))
        _ = output.drain(patience: lastPatience)
        return .ioError
    }
}

/// What a running command may touch.
struct RunContext: Sendable {
    let environment: Environment
    let output: Output
    let interruption: Interruption
    let invocation: Invocation
    /// As they were at the start.
    let options: ResolvedOptions

    /// The options read anew, with what variables and configuration files say now.
    ///
    /// - Throws: also when a file is gone that there was at the start: that is hardly meant to lift its restrictions.
    func reload() throws(CLIError) -> ResolvedOptions {
        if let gone = options.files.first(where: { $0 != [UInt8(ascii: "-")] && !FileReading.exists($0) }) {
            throw CLIError(.configuration, "configuration file '\(TerminalText.escape(gone))' is gone")
        }
        let files = try ConfigurationLoading.files(invocation, environment, again: true)
        return try ResolvedOptions(invocation, environment: environment, files: files)
    }
}
