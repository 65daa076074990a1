//! The server and the client as processes.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream},
    process::{Child, ChildStderr, ChildStdin, Command, Output, Stdio},
    sync::{
        Arc, Condvar, Mutex,
        mpsc::{Receiver, RecvTimeoutError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::net::{self, AddressFamily, SocketType};

use super::SOON;

/// A running `chat-server` in a folder of its own, killed when dropped.
pub(crate) struct Program {
    pub(crate) address: SocketAddr,
    pub(crate) banner: String,
    child: Child,
    log: Log,
    _folder: tempfile::TempDir,
}

/// Returns a command without the environment variables that the programs read.
pub(crate) fn command(path: &str) -> Command {
    let mut command = Command::new(path);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CHAT_")) {
        command.env_remove(name);
    }
    command
}

pub(crate) fn chat_server() -> Command {
    command(env!("CARGO_BIN_EXE_chat-server"))
}

/// Returns a command that runs the server with its standard error redirected by bash. In its folder, `unread` is a named pipe.
pub(crate) fn logging_to(redirection: &str) -> Command {
    let mut shell = command("bash");
    let script = format!("mkfifo unread; exec \"$@\" {redirection}");
    shell.args(["-c", &script, "bash", env!("CARGO_BIN_EXE_chat-server")]);
    shell
}

impl Program {
    /// Starts the server with the sample users on a free port, and waits until it prints its address.
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::start_by(chat_server(), args)
    }

    /// Like [`start`](Self::start), by a command that runs the server with the arguments that follow.
    pub(crate) fn start_by(mut command: Command, args: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let users = folder.path().join("users.toml");
        // The sample users have full hashes. Weaker hashes would be renewed while a test measures.
        std::fs::write(&users, include_str!("../../users.toml")).expect("written");
        if !args.contains(&"--users") {
            command.arg("--users").arg(users);
        }
        if !args.contains(&"--data") {
            command.arg("--data").arg(folder.path().join("data"));
        }
        command.args(["--port", "0"]).args(args).current_dir(folder.path());
        Self::spawn(command, folder).unwrap_or_else(|told| panic!("it did not start: {told}"))
    }

    /// Runs a command that needs no arguments; returns `None` if it ends before it serves.
    pub(crate) fn try_start(command: Command) -> Option<Self> {
        Self::spawn(command, tempfile::tempdir().expect("a folder")).ok()
    }

    fn spawn(mut command: Command, folder: tempfile::TempDir) -> Result<Self, String> {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut log = Log::collect(child.stderr.take().expect("piped"));
        let mut banner = String::new();
        let mut lines = BufReader::new(child.stdout.take().expect("piped"));
        while !banner.contains("try it:") {
            if lines.read_line(&mut banner).expect("UTF-8") == 0 {
                child.wait().expect("it ran");
                return Err(format!("{banner:?}: {}", log.all()));
            }
        }
        let address = banner.lines().next().and_then(|line| line.rsplit(' ').next()).expect("a first line");
        let address = address.parse().expect("an address");
        Ok(Program { address, banner, child, log, _folder: folder })
    }

    /// Whether the address accepts no connections any more.
    pub(crate) fn is_gone(&self) -> bool {
        TcpStream::connect(self.address).is_err()
    }

    /// Kills a server that runs as the child of another program, and waits until that program ends.
    pub(crate) fn kill_child(mut self) {
        Command::new("pkill").args(["-KILL", "-P", &self.child.id().to_string()]).status().expect("pkill");
        self.child.wait().expect("it ran");
    }

    pub(crate) fn connect(&self) -> TcpStream {
        Self::with_timeouts(TcpStream::connect(self.address).expect("a connection"))
    }

    /// Connects from an address of this machine, such as 127.0.0.2.
    pub(crate) fn connect_from(&self, from: Ipv4Addr) -> TcpStream {
        let socket = net::socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        net::bind(&socket, &SocketAddrV4::new(from, 0)).expect("an address of this machine");
        net::connect(&socket, &self.address).expect("a connection");
        Self::with_timeouts(socket.into())
    }

    fn with_timeouts(stream: TcpStream) -> TcpStream {
        stream.set_read_timeout(Some(SOON)).expect("set");
        stream.set_write_timeout(Some(SOON)).expect("set");
        stream
    }

    /// Sends `input` on a connection of its own, ends the input, and returns everything that comes back.
    pub(crate) fn talk(&self, input: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect();
        stream.write_all(input.as_ref()).expect("taken");
        stream.shutdown(std::net::Shutdown::Write).expect("shut down");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    /// Returns a field of `/proc/PID/status` in KiB, such as `VmRSS` or `VmHWM`.
    pub(crate) fn memory_kib(&self, field: &str) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find(|line| line.starts_with(field)).expect("a field");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
    }

    /// Returns a field of `/proc/PID/task/TID/status` of each thread.
    pub(crate) fn status(&self, field: &str) -> Vec<String> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("it runs");
        // A thread may end meanwhile.
        let texts = tasks.flatten().flat_map(|task| std::fs::read_to_string(task.path().join("status")));
        let field = format!("{field}:");
        let find = |text: String| {
            text.lines().find_map(|line| line.strip_prefix(&field).map(str::trim).map(str::to_owned))
        };
        texts.map(|text| find(text).expect("a field")).collect()
    }

    /// Number of threads with this name.
    pub(crate) fn threads(&self, name: &str) -> usize {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("it runs");
        let names =
            tasks.flatten().map(|task| std::fs::read_to_string(task.path().join("comm")).unwrap_or_default());
        names.filter(|found| found.trim_end() == name).count()
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// CPU time of all threads so far.
    pub(crate) fn cpu_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("it runs");
        // The name may contain anything; user and system time are the 12th and 13th after it.
        let (_, fields) = stat.rsplit_once(") ").expect("a name");
        let ticks = fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number"));
        Duration::from_millis(ticks.sum::<u64>() * 1000 / rustix::param::clock_ticks_per_second())
    }

    /// Waits until the log contains `text`.
    pub(crate) fn wait_for_log(&self, text: &str) {
        self.log.wait_for(text);
    }

    /// Number of open sockets on the server's port. (Only root can read the list of its open files.)
    pub(crate) fn sockets(&self) -> usize {
        let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux");
        let port = format!(":{:04X}", self.address.port());
        let fields = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        // A socket that is not accepted yet, or is closed, has no inode.
        fields.filter(|fields| fields[1].ends_with(&port) && fields[9] != "0").count()
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let sent =
            Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().expect("kill");
        assert!(sent.success());
    }

    /// Waits until the server ends; returns its exit status and its log.
    pub(crate) fn wait(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().expect("it ran");
        let log = self.log.all();
        (status.code(), log)
    }

    /// Kills the server, whatever its connections do; returns its log.
    pub(crate) fn stop_now(self) -> String {
        self.signal("KILL");
        self.wait().1
    }

    /// Stops the server as an operator does; returns its log.
    pub(crate) fn stop(self) -> String {
        self.signal("TERM");
        let (code, log) = self.wait();
        assert_eq!(code, Some(0), "{log}");
        assert!(!log.contains("panicked"), "{log}");
        log
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A folder in which a server is started again and again, with the sample users and on the same port.
pub(crate) struct Again {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) port: String,
}

impl Again {
    pub(crate) fn prepare() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("users.toml"), include_str!("../../users.toml")).expect("written");
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("an address").port().to_string();
        Again { folder, port }
    }

    pub(crate) fn start(&self) -> Program {
        let mut server = chat_server();
        server.args(["--port", &self.port, "--no-limits"]).current_dir(self.folder.path());
        Program::try_start(server).expect("it starts")
    }
}

/// Standard error of a program, collected while it runs.
struct Log {
    so_far: Arc<(Mutex<String>, Condvar)>,
    reader: Option<JoinHandle<()>>,
}

impl Log {
    fn collect(stderr: ChildStderr) -> Self {
        let so_far = Arc::<(Mutex<String>, Condvar)>::default();
        let shared = so_far.clone();
        let reader = thread::spawn(move || {
            for line in BufReader::new(stderr).lines() {
                let line = line.expect("UTF-8");
                shared.0.lock().expect("nobody panics").extend([line.as_str(), "\n"]);
                shared.1.notify_all();
            }
        });
        Log { so_far, reader: Some(reader) }
    }

    /// Waits until the log contains `text`.
    fn wait_for(&self, text: &str) {
        let (log, more) = &*self.so_far;
        let log = log.lock().expect("nobody panics");
        let (log, waited) =
            more.wait_timeout_while(log, SOON, |log| !log.contains(text)).expect("nobody panics");
        assert!(!waited.timed_out(), "no {text:?} in {log}");
    }

    /// Waits until the program has closed standard error; returns the whole log.
    fn all(&mut self) -> String {
        self.reader.take().expect("not taken yet").join().expect("UTF-8");
        std::mem::take(&mut *self.so_far.0.lock().expect("nobody panics"))
    }
}

/// Reads one reply, without its end.
pub(crate) fn read_reply(stream: &mut TcpStream) -> String {
    let mut reply = Vec::new();
    while !reply.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a reply");
        reply.push(byte[0]);
    }
    reply.truncate(reply.len() - 4);
    String::from_utf8(reply).expect("UTF-8")
}

/// Runs a command to its end with `input` as its standard input.
pub(crate) fn run(mut command: Command, input: impl AsRef<[u8]>) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    // The program may end before it has read everything.
    child.stdin.take().expect("piped").write_all(input.as_ref()).ok();
    child.wait_with_output().expect("it ends")
}

/// Returns standard output and exit status of a run.
pub(crate) fn said(output: &Output) -> (String, Option<i32>) {
    (String::from_utf8(output.stdout.clone()).expect("UTF-8"), output.status.code())
}

/// Opens a terminal; returns its screen and keyboard, and the side for a program.
pub(crate) fn terminal() -> (File, File) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&ours).expect("granted");
    unlockpt(&ours).expect("unlocked");
    let name = ptsname(&ours, Vec::new()).expect("a name").into_string().expect("UTF-8");
    let theirs = File::options().read(true).write(true).open(name).expect("its other end");
    (ours.into(), theirs)
}

/// A running program with piped input and output: a test writes lines to it and reads the lines that it prints.
pub(crate) struct Conversation {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Conversation {
    pub(crate) fn begin(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("it starts");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let (shown, lines) = sync_channel(1000);
        // A thread reads the output, so that a wait for a line can time out.
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| shown.send(line)));
        Conversation { input: child.stdin.take(), child, lines }
    }

    pub(crate) fn tell(&mut self, text: &str) {
        self.input.as_mut().expect("not ended").write_all(text.as_bytes()).expect("taken");
    }

    /// Returns the next line that the program prints.
    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(SOON).expect("a line soon")
    }

    /// Closes the program's standard input.
    pub(crate) fn finish(&mut self) {
        self.input = None;
    }

    /// Waits until the program ends; returns the lines that are left, and its exit status.
    pub(crate) fn end(mut self) -> (Vec<String>, Option<i32>) {
        let mut rest = Vec::new();
        loop {
            match self.lines.recv_timeout(SOON) {
                Ok(line) => rest.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it goes on after {rest:?}"),
            }
        }
        (rest, self.child.wait().expect("it ran").code())
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Replaces the tokens in a text, because they differ from run to run.
pub(crate) fn without_tokens(text: &str) -> String {
    let is_token = |word: &str| word.len() == 36 && word.matches('-').count() == 4;
    let words = text.split_inclusive([' ', '\n', '"', ':']).map(|word| {
        let end = word.len() - usize::from(word.ends_with([' ', '\n', '"', ':']));
        if is_token(&word[..end]) { format!("TOKEN{}", &word[end..]) } else { word.to_owned() }
    });
    words.collect()
}
