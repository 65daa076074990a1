//! What commands of `chat-client` say of what is wrong around them: files, variables, streams and texts.

use std::{
    fs::{self, File},
    process::{Child, Stdio},
};

use crate::{
    one_shot::Shell,
    support::program::{run, said},
    tls::complained,
};

#[test]
fn what_cannot_be_written_stays_in_the_inbox() {
    let shell = Shell::logged_in(&[]);
    assert_eq!(shell.run(&["send", "henderson", "hi"], "").1, Some(0));
    for args in [&["inbox"][..], &["inbox", "--json"], &["wait"], &["listen", "--count", "1"]] {
        let mut client = shell.client(&[&["--profile", "h"], args].concat());
        // Open for reading only.
        client
            .stdin(Stdio::null())
            .stdout(File::open("/dev/null").expect("there is one"))
            .stderr(Stdio::piped());
        let output = client.spawn().and_then(Child::wait_with_output).expect("it runs");
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(complained(&output).contains("cannot write: Bad file descriptor"), "{output:?}");
        assert_eq!(shell.waiting(), ["hi"], "{args:?}");
    }
    shell.server.stop();
}

#[test]
fn a_login_that_is_damaged_is_replaced_by_another() {
    let shell = Shell::logged_in(&[]);
    for damage in ["", "{\"user\": \"mes", "nothing"] {
        fs::write(shell.profile("h"), damage).expect("written");
        let (told, code) = shell.fail(&["--profile", "h", "whoami"], "");
        assert_eq!(code, Some(1), "{told}");
        assert!(
            told.contains("this is not a login")
                && told.contains("remedy: chat-client --profile h login USER"),
            "{told}"
        );
        assert_eq!(shell.run(&["--profile", "h", "login", "henderson"], "surabaya\n").1, Some(0));
        assert_eq!(shell.run(&["--profile", "h", "whoami"], "").1, Some(0));
    }
    shell.server.stop();
}

#[test]
fn a_session_that_has_ended_is_told_with_what_to_do() {
    let shell = Shell::logged_in(&[]);
    let login = fs::read_to_string(shell.profile("h")).expect("a login");
    let login: serde_json::Value = serde_json::from_str(&login).expect("JSON");
    assert_eq!(shell.run(&["logout", "all"], "").1, Some(0));
    assert_eq!(shell.run(&["login", "messi"], "surabaya\n").1, Some(0));
    let token = "57ea03e6-234a-439d-9602-ea8cb00fed28";
    let mut client = shell.client(&["whoami"]);
    client.env("CHAT_TOKEN", token);
    let output = run(client, "");
    assert_eq!(output.status.code(), Some(4));
    assert!(
        complained(&output).contains("the token of CHAT_TOKEN or --token-file is that of no session"),
        "{output:?}"
    );
    // A login does not help as long as the variable is set.
    let mut client = shell.client(&["login", "messi"]);
    client.env("CHAT_TOKEN", login["token"].as_str().expect("a token"));
    let output = run(client, "surabaya\n");
    assert_eq!(said(&output), (String::new(), Some(0)));
    assert!(complained(&output).contains("CHAT_TOKEN or --token-file is used instead of it"), "{output:?}");
    // A kept login.
    let number = shell.run(&["--profile", "h", "sessions", "--json"], "").0;
    let number: serde_json::Value = serde_json::from_str(number.trim()).expect("JSON");
    assert_eq!(shell.run(&["--profile", "other", "login", "henderson"], "surabaya\n").1, Some(0));
    assert_eq!(shell.run(&["--profile", "other", "logout", &number["session"].to_string()], "").1, Some(0));
    let (told, code) = shell.fail(&["--profile", "h", "whoami"], "");
    assert_eq!(code, Some(4));
    assert!(told.contains("your session has ended\n  remedy: chat-client --profile h login USER"), "{told}");
    shell.server.stop();
}

#[test]
fn a_text_that_is_none_is_told_with_its_line() {
    let shell = Shell::logged_in(&[]);
    for (args, text, expected) in [
        (&["send", "henderson"][..], &b"x\0y\n"[..], "the text has a NUL character"),
        (&["send", "henderson", "--lines"], b"a\nx\0y\nz\n", "line 2: the text has a NUL character"),
        (
            &["send", "henderson", "--lines"],
            b"b\ncaf\xe9\nz\n",
            "line 2: the text is not UTF-8 (not_utf8); it was not sent",
        ),
        (&["join", "team"], b"", "usage: join #ROOM"),
    ] {
        let (told, code) = shell.fail(args, text);
        assert_eq!(code, Some(1), "{args:?}: {told}");
        assert!(told.contains(expected), "{args:?}: {told}");
    }
    assert_eq!(shell.waiting(), ["a", "b"]);
    for (args, input, expected) in [
        (&["passwd"][..], "surabaya\n", "standard input has two lines: the old password and the new one"),
        (&["wait", "--exec", ""], "", "a value is required for '--exec <COMMAND>'"),
    ] {
        let (told, code) = shell.fail(args, input);
        assert_eq!(code, Some(2), "{args:?}: {told}");
        assert!(told.contains(expected), "{args:?}: {told}");
    }
    shell.server.stop();
}

#[test]
fn an_empty_variable_is_as_none() {
    let shell = Shell::logged_in(&[]);
    let mut client = shell.client(&["whoami"]);
    for name in
        ["CHAT_HOST", "CHAT_PORT", "CHAT_TIMEOUT", "CHAT_PROFILE", "CHAT_DEVICE", "CHAT_TOKEN", "CHAT_CA"]
    {
        client.env(name, "");
    }
    let output = run(client, "");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    shell.server.stop();
}
