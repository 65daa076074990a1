//! Windows whose width changes.

use std::{io, time::Duration};

use rustix::termios::tcgetwinsize;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, sleep_until},
};

/// Time after which a window counts as resized. While somebody drags its edge, it has many sizes.
const CALM: Duration = Duration::from_millis(200);

/// Columns of the terminal.
pub(super) fn columns() -> usize {
    tcgetwinsize(io::stdout()).map_or(80, |size| size.ws_col.into())
}

/// Counts the lines that may go off the screen. When a window gets wider, the editor goes up as many rows as the draft had before. Many
/// terminals have wrapped it anew by then, in fewer rows, so that it takes lines above the draft off.
pub(super) struct Resizing {
    signal: Option<Signal>,
    columns: usize,
    gone: usize,
    calm_at: Option<Instant>,
}

impl Resizing {
    pub(super) fn begin() -> Self {
        // Without signals, nothing is restored.
        let signal = signal(SignalKind::window_change()).ok();
        Resizing { signal, columns: columns(), gone: 0, calm_at: None }
    }

    /// Waits until the window has another width; returns how many lines may have gone, at least one. `rows` counts those of the draft
    /// for a number of columns. Nothing is lost if the future is dropped.
    pub(super) async fn gone(&mut self, rows: impl Fn(usize) -> usize) -> usize {
        loop {
            let calm_at = self.calm_at;
            let signal = async {
                match &mut self.signal {
                    Some(signal) => signal.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(()) = signal => self.resized(columns(), &rows),
                () = sleep_until(calm_at.unwrap_or_else(Instant::now)), if calm_at.is_some() => {
                    self.calm_at = None;
                    if self.gone > 0 {
                        return std::mem::take(&mut self.gone);
                    }
                }
            }
        }
    }

    fn resized(&mut self, columns: usize, rows: impl Fn(usize) -> usize) {
        let before = std::mem::replace(&mut self.columns, columns);
        self.gone += rows(before).saturating_sub(rows(columns));
        self.calm_at = Some(Instant::now() + CALM);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_that_gets_wider_takes_lines_off_and_one_that_gets_narrower_does_not() {
        let mut resizing = Resizing { signal: None, columns: 100, gone: 0, calm_at: None };
        let rows = |columns: usize| 150_usize.div_ceil(columns);
        for (columns, gone) in [(60, 0), (30, 0), (60, 2), (100, 3), (100, 3)] {
            resizing.resized(columns, rows);
            assert_eq!(resizing.gone, gone, "{columns}");
        }
    }
}
