//! How long a command of `chat-client` takes, beside the least program that makes the same requests.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::one_shot::Shell;

/// How often each program is started.
const ROUNDS: usize = 200;

/// The most that the client may take beyond the least program.
const MOST: Duration = Duration::from_millis(10);

fn time(command: &mut Command) -> Duration {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit());
    let began = Instant::now();
    let status = command.spawn().and_then(|mut child| child.wait()).expect("it runs");
    let took = began.elapsed();
    assert!(status.success(), "{command:?}: {status}");
    took
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[expect(clippy::print_stdout, reason = "whoever runs this wants the figures")]
#[test]
#[ignore = "measures time, so nothing else may run"]
fn a_command_takes_little_longer_than_the_least_program() {
    let shell = Shell::logged_in(&["--store", "memory", "--no-limits"]);
    let bare = shell.home.path().join("bare");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/start/bare.c");
    assert!(
        Command::new("cc").args(["-O2", source, "-o"]).arg(&bare).status().expect("a compiler").success()
    );
    let login = std::fs::read_to_string(shell.profile("default")).expect("a login");
    let login: serde_json::Value = serde_json::from_str(&login).expect("JSON");
    let token = login["token"].as_str().expect("a token");
    let hello = r#"{"command":"hello","device":"me@here","protocol":2}"#;
    for (name, args, request) in [
        ("send", &["send", "lineker", "haloo"][..], r#""send","key":"k","msg":"haloo","to":"lineker""#),
        ("inbox", &["inbox"], r#""fetch","limit":1000"#),
        ("whoami", &["whoami"], r#""whoami""#),
    ] {
        let request = format!(r#"{{"command":{request},"token":"{token}"}}"#);
        let (mut least, mut client) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let mut program = Command::new(&bare);
            least.push(time(program.arg(shell.server.address.port().to_string()).args([hello, &request])));
            client.push(time(&mut shell.client(args)));
        }
        let (least, client) = (median(least), median(client));
        println!("{name}: {client:.2?}, and the least program {least:.2?}: medians of {ROUNDS}");
        assert!(client < least + MOST, "{name}: {client:?}, and the least program {least:?}");
    }
    shell.server.stop();
}
