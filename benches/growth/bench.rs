//! What all cases share: how long, how often, where to.

use std::{
    error::Error,
    fs,
    future::Future,
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::{
    runtime::{Builder, Runtime},
    task::LocalSet,
    time::timeout,
};

use crate::{
    grid::Grid,
    plot::{self, Panel},
};

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Whatever has not come by then is not coming.
pub(crate) const SOON: Duration = Duration::from_mins(1);

/// A load runs for this long before it counts.
pub(crate) const WARM_UP: Duration = Duration::from_millis(300);

/// How to measure, and the thread that all clients share.
pub(crate) struct Bench {
    pub(crate) time: Duration,
    pub(crate) rounds: usize,
    out: PathBuf,
    runtime: Runtime,
    clients: LocalSet,
}

impl Bench {
    pub(crate) fn new(secs: f64, rounds: usize, out: PathBuf) -> Result<Self> {
        let time = Duration::try_from_secs_f64(secs).map_err(|error| format!("--secs: {error}"))?;
        if time.is_zero() || rounds == 0 {
            return Err("--secs and --rounds are more than 0".into());
        }
        let mut files = getrlimit(Resource::Nofile);
        files.current = files.maximum;
        setrlimit(Resource::Nofile, files)?;
        fs::create_dir_all(&out)?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Bench { time, rounds, out, runtime, clients: LocalSet::new() })
    }

    /// Makes sure that this process and its children may open so many connections.
    #[expect(clippy::unused_self, reason = "the limit was raised when it was made")]
    pub(crate) fn need_connections(&self, connections: u64) -> Result<()> {
        let needed = connections + 200;
        match getrlimit(Resource::Nofile).current {
            Some(files) if files < needed => Err(format!(
                "{connections} connections need {needed} file descriptors, and the hard limit is {files}: raise it (ulimit -Hn {needed})"
            )
            .into()),
            _ => Ok(()),
        }
    }

    /// Runs clients to their end; it must come within a minute after the time of a measurement.
    pub(crate) fn run<T>(&self, what: &str, clients: impl Future<Output = Result<T>>) -> Result<T> {
        let most = self.time + WARM_UP + SOON;
        let ended = self.clients.block_on(&self.runtime, async { timeout(most, clients).await });
        ended
            .map_err(|_| format!("{what}: not done after {most:?}"))?
            .map_err(|error| format!("{what}: {error}").into())
    }

    /// Tells on standard error what is being measured.
    #[expect(clippy::unused_self, reason = "a bench speaks")]
    pub(crate) fn say(&self, text: &str) {
        writeln!(io::stderr(), "{text}").ok();
    }

    /// Prints and writes what a case has found.
    pub(crate) fn report(&self, case: &str, title: &str, grids: &[&Grid], panels: &[Panel]) -> Result<()> {
        let mut text = format!("## {title}\n\nMedians of {} rounds of {:?}.\n", self.rounds, self.time);
        for grid in grids {
            text += "\n";
            text += &grid.markdown();
        }
        writeln!(io::stdout(), "{text}")?;
        fs::write(self.out.join(format!("{case}.md")), text)?;
        plot::draw(&self.out.join(format!("{case}.svg")), panels)
    }
}

/// A number of something as a float.
#[expect(clippy::cast_precision_loss, reason = "it is for people")]
pub(crate) fn float(number: u64) -> f64 {
    number as f64
}

/// A time in milliseconds.
pub(crate) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
