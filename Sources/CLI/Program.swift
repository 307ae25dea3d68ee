import Glibc

/// The program from its arguments to its exit status.
enum Program {
    /// - Parameter arguments: without the program's name.
    static func run(
        _ arguments: [Argument], _ environment: Environment, _ interruption: Interruption
    ) async -> ExitStatus {
        if let status = Rendering.runHidden(arguments) { return status }
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
        let status = await run(parsed, environment, output, interruption)
        return finalStatus(status, output)
    }

    private static func run(
        _ parsed: ParsedCommandLine, _ environment: Environment, _ output: Output, _ interruption: Interruption
    ) async -> ExitStatus {
        switch parsed {
        case .help(let command):
            output.content(Array(HelpText.render(command).utf8))
            return .ok
        case .version:
            output.content(Array("\(Release.program) \(Release.version)\n".utf8))
            return .ok
        case .failure(let error, let command):
            output.fail(withHelpHint(error, command), usage: HelpText.usage(command))
            return error.code.status
        case .run(let invocation):
            let context = RunContext(
                environment: environment, output: output, interruption: interruption, invocation: invocation)
            return await run(invocation, context)
        }
    }

    private static func run(_ invocation: Invocation, _ context: RunContext) async -> ExitStatus {
        do throws(CLIError) {
            let files = try ConfigurationLoading.files(invocation, context.environment)
            let options = try ResolvedOptions(invocation, environment: context.environment, files: files)
            for line in options.origins { context.output.detail(line) }
            let plan = try invocation.command.plan(options)
            let result = try await plan.run(in: context)
            context.output.finish(result)
            return result.status
        } catch {
            let usage = error.code == .usage ? HelpText.usage(invocation.command) : []
            context.output.fail(
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
            noColor = invocation.given["no-color"] != nil || environment["DEP2P_NO_COLOR"] != nil
        case .failure(_, let command):
            let options = arguments.prefix { $0.text != "--" }
            style.form = options.contains(Argument("--json")) ? .json : .human
            style.command = command?.name
            noColor = options.contains(Argument("--no-color"))
        case .help, .version: break
        }
        style.allowsColour = Colour.isAllowed(noColor: noColor, environment)
        return style
    }

    /// A result that could not be written was not delivered; but a reader that went away wanted no more of it.
    private static func finalStatus(_ status: ExitStatus, _ output: Output) -> ExitStatus {
        guard let failure = output.failure else { return status }
        if failure == EPIPE { return .ok }
        guard status == .ok else { return status }
        let text = "\(Release.program): error: can't write standard output: \(SystemError.text(failure))\n"
        _ = StandardStream.error.write(Array(text.utf8))
        return .ioError
    }
}

/// What a running command may touch.
struct RunContext: Sendable {
    let environment: Environment
    let output: Output
    let interruption: Interruption
    let invocation: Invocation

    /// The options read anew, with what variables and configuration files say now.
    func reload() throws(CLIError) -> ResolvedOptions {
        let files = try ConfigurationLoading.files(invocation, environment)
        return try ResolvedOptions(invocation, environment: environment, files: files)
    }
}
