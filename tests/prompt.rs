//! What the prompt of `chat-client` says: hints, help, and the end.

use crate::support::terminal::{Stage, Terminal};

#[test]
fn a_line_that_was_taken_as_a_command_is_explained_once() {
    let stage = Stage::set(&[]);
    let mut messi = stage.messi(&[]);
    let hint = "-- taken as a command; with a space before it, such a line is a message";
    for (typed, said) in [
        ("to be or not to be", " messi → henderson: to be or not to be ✓"),
        ("to lineker", " messi → henderson: to lineker ✓"),
        ("join team", "!! usage: join #ROOM; with a space before it, such a line is a message"),
        ("history lesson", "!! no such user (no_such_user)"),
        (" ping", " messi → henderson: ping ✓"),
        ("/presence maybe", "!! usage: /presence on or /presence off"),
        ("/to henderson lineker", "!! usage: /to USER or /to #ROOM"),
        ("/help histroy", "!! no such command \"histroy\"; did you mean history?"),
        ("/help to", "Set the recipient: then a line is a message."),
        ("send them home", "!! not sent to them: no such user (no_such_user); Up brings it back"),
    ] {
        messi.type_keys(&format!("{typed}\r"));
        messi.until(said, |screen| {
            let contents = screen.contents();
            contents.lines().any(|line| line.ends_with(said)) && contents.trim_end().ends_with("henderson>")
        });
    }
    let shown = messi.contents();
    assert_eq!(shown.matches(hint).count(), 1, "{shown}");
    assert_eq!(stage.arrived(), ["to be or not to be", "to lineker", "ping"]);
    // The page of this conversation.
    messi.type_keys("\u{c}/history 1\r");
    messi.line("-- history again shows what was before");
    assert!(!messi.contents().contains("to be"), "{}", messi.contents());
    messi.type_keys("\u{4}");
    assert_eq!(messi.end(), Some(0));
    stage.server.stop();
}

#[test]
fn a_room_that_was_left_is_no_recipient() {
    let stage = Stage::set(&[]);
    let mut messi = stage.messi(&[]);
    messi.type_keys("/join #team\r/to #team\r");
    messi.draft("messi → #team> ", 0);
    messi.type_keys("/leave #team\r");
    messi.draft("messi> ", 0);
    messi.type_keys("hello there\r");
    messi.line("!! usage: hello VERSION; /to USER sets whom you write to");
    stage.server.stop();
}

#[test]
fn the_end_says_that_a_message_waits_and_can_be_hurried() {
    let stage = Stage::set(&[]);
    let mut messi = stage.messi(&[]);
    stage.server.signal("STOP");
    messi.type_keys("are you there?\r");
    messi.line_end(" messi → henderson: are you there? (waiting for the server)");
    messi.draft("messi → henderson> ", 0);
    messi.type_keys("\u{4}");
    messi.line("-- 1 message waits for the server; Ctrl-C gives up");
    messi.type_keys("\u{3}");
    let (shown, code) = messi.end_with_screen();
    // It was sent, and not answered.
    assert!(shown.contains("1 message is not known to be stored: the server has not answered"), "{shown}");
    assert_eq!(code, Some(3));
    stage.server.signal("CONT");
    stage.server.stop();
}

#[test]
fn ctrl_c_drops_a_line_and_a_password_on_every_terminal() {
    let stage = Stage::set(&[]);
    for (term, prompt) in [("xterm", "messi>"), ("dumb", "messi>")] {
        let mut client = stage.client(&[]);
        client.env("TERM", term);
        let mut messi = Terminal::start(client);
        let is_at_prompt = |screen: &vt100::Screen| {
            screen.contents().trim_end().lines().last().map(str::trim_end) == Some(prompt)
        };
        messi.until(prompt, is_at_prompt);
        messi.type_keys("half a li");
        messi.until("a draft", |screen| screen.contents().trim_end().ends_with("half a li"));
        messi.type_keys("\u{3}");
        messi.until(prompt, is_at_prompt);
        messi.type_keys("auth henderson\r");
        messi.until("a question", |screen| screen.contents().contains("Password of henderson:"));
        messi.type_keys("sura\u{3}");
        messi.until(prompt, is_at_prompt);
        assert!(!messi.contents().contains("!!"), "{}", messi.contents());
        messi.type_keys("whoami\r");
        messi.until("the same user", |screen| screen.contents().contains("messi (Lionel Messi) at "));
        messi.type_keys("\u{4}");
        assert_eq!(messi.end(), Some(0));
    }
    stage.server.stop();
}

#[test]
fn a_server_that_hangs_at_the_start_is_waited_for_with_a_word() {
    let stage = Stage::set(&[]);
    stage.server.signal("STOP");
    let mut messi = Terminal::start(stage.client(&[]));
    messi.line(&format!("chat-client: waiting for 127.0.0.1:{}", stage.server.address.port()));
    stage.server.signal("CONT");
    messi.draft("messi> ", 0);
    // Another user has another login and another recipient.
    messi.type_keys("/to henderson\r");
    messi.draft("messi → henderson> ", 0);
    messi.type_keys("login lineker\r");
    messi.until("a question", |screen| screen.contents().contains("Password of lineker:"));
    messi.type_keys("surabaya\r");
    messi.line("-- this login is kept: commands in a shell use it, too");
    messi.draft("lineker> ", 0);
    messi.type_keys("\t\t");
    messi.until("names", |screen| {
        screen.contents().contains("/presence") && screen.contents().contains("conversations")
    });
    assert!(!messi.contents().contains("unwatch"), "{}", messi.contents());
    messi.type_keys("\u{4}");
    assert_eq!(messi.end(), Some(0));
    stage.server.stop();
}

#[test]
fn messages_that_a_wider_window_may_have_lost_are_shown_again() {
    let stage = Stage::set(&[]);
    let mut messi = stage.messi(&[]);
    stage.henderson_says("one");
    stage.henderson_says("two");
    messi.line_end(" henderson: two");
    // A draft of one row loses nothing.
    messi.resize((24, 40));
    messi.resize((24, 80));
    messi.type_keys(&"draft ".repeat(9));
    messi.until("a draft", |screen| screen.contents().trim_end().ends_with("draft draft"));
    messi.resize((24, 40));
    messi.until("two rows", |screen| screen.rows(0, 40).any(|row| row.starts_with("ft draft")));
    assert!(!messi.contents().contains("once more"), "{}", messi.contents());
    messi.resize((24, 80));
    messi.line("-- the window is wider, so the last lines once more:");
    messi.until("the message and the draft", |screen| {
        let contents = screen.contents();
        let after = contents.split("once more:").nth(1).unwrap_or_default();
        after.contains(" henderson: two") && after.trim_end().ends_with("draft draft")
    });
    messi.type_keys("\u{15}\u{4}");
    assert_eq!(messi.end(), Some(0));
    stage.server.stop();
}
