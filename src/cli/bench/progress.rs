//! How far a run is, as a bar on standard error, if that is a terminal.

use std::{convert::Infallible, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::sleep;

use super::load::Run;

/// Time between two looks.
const TICK: Duration = Duration::from_millis(100);

/// Shows a bar until the future is dropped.
pub(super) async fn show(run: &Run) -> Infallible {
    let duration = run.duration.map(milliseconds);
    // Anywhere but on a terminal, it draws nothing.
    let bar = Bar(ProgressBar::new(run.messages.or(duration).unwrap_or_default()));
    let style = ProgressStyle::with_template("{bar:30} {percent:>3} % {msg}");
    bar.0.set_style(style.expect("the template is sound"));
    loop {
        let answered = run.answered();
        bar.0.set_position(if run.messages.is_some() { answered } else { milliseconds(run.began.elapsed()) });
        let rate = u128::from(answered) * 1000 / run.began.elapsed().as_millis().max(1);
        bar.0.set_message(format!("{rate} sends/s"));
        sleep(TICK).await;
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A bar that goes away when it is dropped.
struct Bar(ProgressBar);

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
