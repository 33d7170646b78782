internal import ArgumentParser
internal import CLinux
internal import Glibc

/// Confirmation of a destructive verb, asked for only at a terminal.
struct Consent: ParsableArguments {
    @Flag(name: .shortAndLong, help: "Skip the confirmation, which is asked for only if standard input is a terminal.")
    var yes = false

    /// Returns if the answer is yes, or if there is no terminal; otherwise throws.
    func ask(_ question: String) throws(Failure) {
        guard !yes, isatty(STDIN_FILENO) == 1 else { return }
        Output.printPart("\(Output.printable(question)) [y/N] ")
        let answer = (readLine() ?? "").lowercased()
        guard answer == "y" || answer == "yes" else { throw .failed("nothing was done") }
    }
}
