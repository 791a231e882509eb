//! The clock of a live view.
//!
//! Invariant: its thread is gone when it is dropped.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::view::Terminal;

/// How often the elapsed times of running steps are drawn anew.
const TICK: Duration = Duration::from_millis(200);

/// Draws a live view anew from time to time, until it is dropped.
pub struct Ticker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    /// Starts a thread that ticks.
    pub fn start<W: Write + Send + 'static>(terminal: Arc<Mutex<Terminal<W>>>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                std::thread::park_timeout(TICK);
                if let Ok(mut terminal) = terminal.lock() {
                    terminal.tick();
                }
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic of the view is no reason to fail the run.
            let _ = thread.join();
        }
    }
}
