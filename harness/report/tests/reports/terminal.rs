//! The terminal's view.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use muster_model::Event;
use muster_report::terminal::from_events;
use muster_report::{Terminal, TerminalOptions, Ticker};

use crate::log;

fn options() -> TerminalOptions {
    TerminalOptions {
        folder: "out/20261124-113005-x7k2".into(),
        ..TerminalOptions::default()
    }
}

fn live(events: &[Event], options: TerminalOptions) -> String {
    let mut terminal = Terminal::new(Vec::new(), options);
    events.iter().for_each(|event| terminal.event(event));
    terminal.finish().unwrap();
    String::from_utf8(terminal.into_inner()).unwrap()
}

/// What a terminal shows after these bytes: only the sequences that the view uses.
fn screen(bytes: &str) -> String {
    let mut lines: Vec<String> = vec![String::new()];
    let mut rest = bytes;
    while let Some(c) = rest.chars().next() {
        if let Some(sequence) = rest.strip_prefix("\x1b[") {
            let end = sequence.find(|c: char| c.is_ascii_alphabetic()).unwrap();
            match &sequence[end..=end] {
                "F" => {
                    let up: usize = sequence[..end].parse().unwrap();
                    lines.truncate(lines.len() - up);
                    *lines.last_mut().unwrap() = String::new();
                }
                "J" => assert_eq!(&sequence[..end], "0"),
                "m" => {}
                other => panic!("unexpected sequence {other}"),
            }
            rest = &sequence[end + 1..];
            continue;
        }
        match c {
            '\n' => lines.push(String::new()),
            c => lines.last_mut().unwrap().push(c),
        }
        rest = &rest[c.len_utf8()..];
    }
    lines.join("\n")
}

#[test]
fn a_passing_run() {
    insta::assert_snapshot!(from_events(&log::passing(), options()));
}

#[test]
fn a_failing_run() {
    insta::assert_snapshot!(from_events(&log::failing(), options()));
}

#[test]
fn an_unreachable_cluster() {
    insta::assert_snapshot!(from_events(&log::unreachable(), options()));
}

#[test]
fn a_killed_run() {
    insta::assert_snapshot!(from_events(&log::killed(), options()));
}

#[test]
fn steps_of_scenarios_side_by_side_are_told_apart() {
    insta::assert_snapshot!(from_events(&log::side_by_side(), options()));
}

#[test]
fn requests_of_each_step_on_request() {
    let text = from_events(
        &log::passing(),
        TerminalOptions {
            stats: true,
            ..options()
        },
    );
    assert!(
        text.contains("deploy Postgres without TLS  11.6s  7 requests, 1 sent again"),
        "{text}"
    );
    assert!(!from_events(&log::passing(), options()).contains("requests"));
}

#[test]
fn without_a_terminal_waits_are_told_in_plain_lines() {
    let text = live(
        &log::passing(),
        TerminalOptions {
            waits: true,
            ..options()
        },
    );
    assert!(
        text.contains("  … waits up to 2m for ready deployment/postgresql\n"),
        "{text}"
    );
    assert!(!text.contains('\x1b'), "{text}");
}

#[test]
fn on_a_terminal_the_running_step_is_replaced_by_its_end() {
    for events in [log::passing(), log::failing(), log::side_by_side(), log::killed()] {
        let shown = screen(&live(
            &events,
            TerminalOptions {
                live: true,
                ..options()
            },
        ));
        assert_eq!(shown, from_events(&events, options()));
    }
}

#[test]
fn on_a_terminal_one_line_tells_what_a_running_step_waits_for() {
    let events = log::killed();
    let mut terminal = Terminal::new(
        Vec::new(),
        TerminalOptions {
            live: true,
            ..options()
        },
    );
    events.iter().for_each(|event| terminal.event(event));
    let shown = screen(&String::from_utf8(terminal.into_inner()).unwrap());
    let last = shown.trim_end().lines().last().unwrap();
    assert!(
        last.contains("move the server to Postgres, leaving sslmode to the driver  0.9s  crash pod/"),
        "{last}"
    );
    assert!(last.chars().count() < 100, "{last}");
}

#[test]
fn a_line_never_wraps_on_a_narrow_terminal() {
    for width in [0, 1, 10, 30, 60] {
        let options = TerminalOptions {
            live: true,
            width,
            ..options()
        };
        let mut terminal = Terminal::new(Vec::new(), options);
        log::killed().iter().for_each(|event| terminal.event(event));
        let shown = screen(&String::from_utf8(terminal.into_inner()).unwrap());
        let last = shown.trim_end().lines().last().unwrap().chars().count();
        assert!(last <= width.max(1), "{width}: {last}");
    }
}

#[test]
fn colour_is_only_colour() {
    let coloured = from_events(
        &log::failing(),
        TerminalOptions {
            colour: true,
            ..options()
        },
    );
    assert!(coloured.contains("\x1b[1m\x1b[31m"), "{coloured:?}");
    assert_eq!(screen(&coloured), from_events(&log::failing(), options()));
}

#[test]
fn what_a_log_line_holds_cannot_steer_the_terminal() {
    let text = from_events(&log::failing(), options());
    assert!(!text.contains('\x1b') && text.contains("\\u{1b}[31m"), "{text}");
}

#[test]
fn the_elapsed_time_moves_between_events() {
    let terminal = Arc::new(Mutex::new(Terminal::new(
        Vec::new(),
        TerminalOptions {
            live: true,
            ..options()
        },
    )));
    log::killed()
        .iter()
        .for_each(|event| terminal.lock().unwrap().event(event));
    let ticker = Ticker::start(Arc::clone(&terminal));
    std::thread::sleep(Duration::from_millis(700));
    drop(ticker);
    let terminal = Arc::into_inner(terminal).unwrap().into_inner().unwrap();
    let bytes = String::from_utf8(terminal.into_inner()).unwrap();
    let times: std::collections::BTreeSet<&str> = bytes
        .lines()
        .filter_map(|line| line.split("to the driver  ").nth(1)?.split_whitespace().next())
        .collect();
    assert!(times.len() > 2, "{times:?}");
}

#[test]
fn a_writer_that_fails_is_told_at_the_end() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("disk full"))
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut terminal = Terminal::new(Full, options());
    log::passing().iter().for_each(|event| terminal.event(event));
    assert_eq!(terminal.finish().unwrap_err().to_string(), "disk full");
}
