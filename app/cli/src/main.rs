//! The binary: everything is in the library, so that man pages and completions can be made from the same definitions.

fn main() -> std::process::ExitCode {
    lonewire_cli::main()
}
