//! The console: the only place that prints.
//!
//! Invariant: results go to standard output, everything else to standard error; no colour and no cursor movement where
//! there is no terminal, in CI, or with `NO_COLOR`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is the place that prints"
)]

use std::io::{IsTerminal, Write};

/// Whether standard output may have colour and cursor movement.
pub fn out_is_live() -> bool {
    plain_wanted() == Plain::No && std::io::stdout().is_terminal()
}

/// Whether standard error may have colour.
pub fn err_is_coloured() -> bool {
    plain_wanted() == Plain::No && std::io::stderr().is_terminal()
}

#[derive(PartialEq, Eq)]
enum Plain {
    Yes,
    No,
}

/// <https://no-color.org>: any non-empty value counts.
fn plain_wanted() -> Plain {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if set("CI") || set("NO_COLOR") {
        Plain::Yes
    } else {
        Plain::No
    }
}

/// A line of the result.
pub fn out(text: impl AsRef<str>) {
    // A closed pipe (`| head`) is no failure of the command.
    let _ = writeln!(std::io::stdout(), "{}", text.as_ref());
}

/// A line about what happens, or went wrong.
pub fn err(text: impl AsRef<str>) {
    let _ = writeln!(std::io::stderr(), "{}", text.as_ref());
}

/// An error, as every command tells it.
pub fn error(text: impl AsRef<str>) {
    err(format!("error: {}", text.as_ref()));
}

/// The width of the terminal in columns.
pub fn width() -> usize {
    rustix::termios::tcgetwinsize(std::io::stdout())
        .ok()
        .map(|size| usize::from(size.ws_col))
        .filter(|width| *width > 20)
        .unwrap_or(100)
}
