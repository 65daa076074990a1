//! The runtime that serves connections, with all its threads from the start.
//!
//! A program that needs a thread may find that the system has none left: its user, service or container has a limit. Tokio then
//! panics in the task that needs the thread. So the server makes its threads at start, and refuses to start without them.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc::sync_channel,
    },
    thread,
    time::Duration,
};

use tokio::runtime::{Builder, Runtime};

use super::StartError;
use crate::chat;

/// Threads that read and write files. Four read from the store, which keeps four connections open to read; one may be busy with the
/// users file, and one with the certificate. Work that comes while all are busy waits for one of them.
const FILE_THREADS: usize = 6;

/// Threads that the server needs besides: three of the store, one that hashes passwords, one that prints the banner, and one for each
/// of the two places that are watched for changed files.
const OTHER_THREADS: usize = 7;

/// Most time for a thread to begin, on a machine that does many other things.
const PATIENCE: Duration = Duration::from_secs(10);

/// The runtime that serves connections, with this number of threads. To be made before the other threads, for which it looks whether
/// the system gives them.
///
/// # Errors
/// [`StartError::Threads`] if the system does not give enough threads, or [`StartError::System`].
pub(super) fn runtime(threads: Option<u16>) -> Result<Runtime, StartError> {
    // One core is left to the store, and to clients on this machine.
    let (mut builder, network) = match threads.map_or_else(chat::spare_cores, usize::from) {
        // On one thread, nothing is handed to another one, which would have to be woken.
        1 => (Builder::new_current_thread(), 0),
        threads => {
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(threads);
            (builder, threads)
        }
    };
    // Not all who make threads can say that they get none.
    probe(network + FILE_THREADS + OTHER_THREADS).map_err(|error| StartError::Threads(error.to_string()))?;
    // The threads for the network are made first.
    let made = AtomicUsize::new(0);
    let name = move || if made.fetch_add(1, Ordering::Relaxed) < network { "network" } else { "files" };
    builder.thread_name_fn(move || name().to_owned());
    builder.max_blocking_threads(FILE_THREADS).thread_keep_alive(Duration::MAX);
    let runtime = builder.enable_all().build()?;
    make_file_threads(&runtime)?;
    Ok(runtime)
}

/// Makes this number of threads, and ends them.
fn probe(count: usize) -> io::Result<()> {
    let gate = Mutex::new(());
    thread::scope(|scope| {
        let held = gate.lock();
        let pass = || drop(gate.lock());
        let made: io::Result<Vec<_>> =
            (0..count).map(|_| thread::Builder::new().spawn_scoped(scope, pass)).collect();
        drop(held);
        made.map(drop)
    })
}

/// Makes the runtime start all its threads for files. It keeps them.
fn make_file_threads(runtime: &Runtime) -> Result<(), StartError> {
    let (gate, (begun, begins)) = (Arc::new(Mutex::new(())), sync_channel(FILE_THREADS));
    let held = gate.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..FILE_THREADS {
        let (begun, gate) = (begun.clone(), gate.clone());
        runtime.spawn_blocking(move || {
            begun.send(()).ok();
            // Until all have begun, so that none does the work of another.
            drop(gate.lock());
        });
    }
    let all = (0..FILE_THREADS).try_for_each(|_| begins.recv_timeout(PATIENCE));
    drop(held);
    all.map_err(|_| StartError::Threads("they do not begin".to_owned()))
}
