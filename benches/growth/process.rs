//! The server, and the limits, as processes.

use std::{
    fmt::Write as _,
    fs,
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, sync_channel},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    bench::{Bench, Result, SOON, float, ms},
    limit,
    wire::Wire,
};

/// argon2id of "surabaya" at the lowest cost that there is.
const CHEAP_HASH: &str =
    "$argon2id$v=19$m=8,t=1,p=1$Y29tcGFyZXNhbHQxMjM0NQ$eF2jJ9O9Osv2IfM6OWa8sOOUC76oTlDW/VstedTxG4g";

/// Writes a users file of u0, u1 and so on.
pub(crate) fn write_users(path: &Path, users: u64) -> Result<()> {
    let mut text = String::new();
    for number in 0..users {
        write!(text, "[users.u{number}]\nname = \"u{number}\"\npassword = \"{CHEAP_HASH}\"\n")?;
    }
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}

/// Where a server keeps its messages.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// In SQLite, synced.
    Durable,
    /// In memory.
    Memory,
}

/// A process that serves, ended when dropped.
pub(crate) struct Process {
    pub(crate) address: SocketAddr,
    child: Child,
    lines: Receiver<String>,
    began: Instant,
}

/// The server.
pub(crate) fn chat_server(users: &Path, data: &Path, kept: Kept) -> Result<Process> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chat-server"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CHAT_")) {
        command.env_remove(name);
    }
    let store = if kept == Kept::Durable { "sqlite" } else { "memory" };
    command.args(["--no-limits", "--inbox-limit", "1000000000", "--port", "0", "--log-level", "warn"]);
    command.args(["--store", store]).arg("--users").arg(users).arg("--data").arg(data);
    Process::serve(command)
}

/// One of the limits, with its files in this folder.
pub(crate) fn limit(kind: limit::Kind, folder: &Path) -> Result<Process> {
    Process::serve(limit_command(kind, folder)?)
}

fn limit_command(kind: limit::Kind, folder: &Path) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--limit", kind.name(), "--folder"]).arg(folder);
    Ok(command)
}

/// Rows that SQLite stores in a second, in transactions of so many.
pub(crate) fn sqlite_rows(bench: &Bench, folder: &Path, rows: usize) -> Result<f64> {
    let mut command = limit_command(limit::Kind::Sqlite, folder)?;
    command.args(["--rows", &rows.to_string(), "--secs", &bench.time.as_secs_f64().to_string()]);
    let (mut child, lines, _) = spawn(command)?;
    let line = lines.recv_timeout(bench.time + SOON);
    end(&mut child, SOON)?;
    Ok(line.map_err(|_| "the SQLite limit says nothing")?.trim().parse()?)
}

impl Process {
    /// Starts a program whose first line ends with its address.
    fn serve(command: Command) -> Result<Self> {
        let name = format!("{command:?}");
        let (child, lines, began) = spawn(command)?;
        let mut process = Process { address: ([127, 0, 0, 1], 0).into(), child, lines, began };
        let line =
            process.lines.recv_timeout(SOON).map_err(|error| format!("{name} does not start: {error}"))?;
        let address = line.split_whitespace().last().and_then(|word| word.parse().ok());
        process.address = address.ok_or_else(|| format!("{name} says {line:?}"))?;
        Ok(process)
    }

    /// Milliseconds from its start to its first reply to somebody.
    pub(crate) fn first_reply(&self, bench: &Bench) -> Result<f64> {
        let address = self.address;
        bench.run("first reply", async move { Wire::open(address).await?.log_in(0).await })?;
        Ok(ms(self.began.elapsed()))
    }

    /// Its resident memory in MiB.
    pub(crate) fn rss(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        let kib: u64 = line.trim_end_matches("kB").trim().parse()?;
        Ok(float(kib) / 1024.0)
    }

    /// Ends it as an operator does.
    pub(crate) fn stop(mut self) -> Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        end(&mut self.child, SOON)
    }

    /// Ends it by kill -9.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn spawn(mut command: Command) -> Result<(Child, Receiver<String>, Instant)> {
    let began = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let out = child.stdout.take().ok_or("not piped")?;
    let (said, lines) = sync_channel(16);
    thread::spawn(move || {
        // To the end, also when nobody listens: it is never blocked by what it says.
        for line in BufReader::new(out).lines().map_while(std::result::Result::ok) {
            said.try_send(line).ok();
        }
    });
    Ok((child, lines, began))
}

/// Waits until it has ended well.
fn end(child: &mut Child, most: Duration) -> Result<()> {
    let until = Instant::now() + most;
    while Instant::now() < until {
        match child.try_wait()? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(format!("a process ended with {status}").into()),
            None => thread::sleep(Duration::from_millis(5)),
        }
    }
    child.kill()?;
    child.wait()?;
    Err(format!("a process did not end within {most:?}").into())
}
