//! The `muster` binary.

fn main() -> std::process::ExitCode {
    muster::enter_if_child();
    muster::main().into()
}
