//! `chat-client` on a terminal, as a person sees it: what stands on the screen after each key and each message.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::support::{
    program::{Program, command},
    terminal::{Stage, Terminal, client_in},
};

#[test]
fn a_message_in_mid_line_leaves_the_draft() {
    let stage = Stage::set(&[]);
    let mut messi = stage.messi(&[]);
    messi.type_keys("I am typing a long mess\u{1b}[D\u{1b}[D");
    messi.draft("messi → henderson> I am typing a long mess", 2);
    stage.henderson_says("hello from henderson");
    messi.line_end(" henderson: hello from henderson");
    messi.draft("messi → henderson> I am typing a long mess", 2);
    messi.type_keys("\u{5}age\r");
    messi.line_end(" messi → henderson: I am typing a long message ✓");
    assert_eq!(stage.arrived(), ["I am typing a long message"]);
    // A draft of several rows, with wide characters and the cursor inside.
    let long = "これは長い下書きです".repeat(8);
    messi.type_keys(&long);
    messi.until(&long, |screen| screen.contents().replace('\n', "").contains(&long));
    stage.henderson_says(&"漢字".repeat(60));
    messi.until("the message", |screen| screen.contents().replace('\n', "").contains(&"漢字".repeat(60)));
    messi.until(&long, |screen| screen.contents().replace('\n', "").ends_with(&long));
    messi.type_keys("\u{3}");
    messi.draft("messi → henderson> ", 0);
    messi.type_keys("\u{4}");
    assert_eq!(messi.end(), Some(0));
    stage.server.stop();
}

#[test]
fn keys_edit_the_line_and_never_get_into_a_message() {
    let stage = Stage::set(&[]);
    let mut messi = stage.messi(&[]);
    messi.type_keys("lefty\u{1b}[D\u{1b}[D!\r");
    messi.line_end(" messi → henderson: lef!ty ✓");
    // History: the line before; completion of commands and users; Ctrl-C drops the line; Ctrl-L clears the screen.
    messi.draft("messi → henderson> ", 0);
    messi.type_keys("\u{1b}[A");
    messi.draft("messi → henderson> lef!ty", 0);
    messi.type_keys("\u{3}");
    messi.draft("messi → henderson> ", 0);
    messi.type_keys("/sen\t");
    messi.draft("messi → henderson> /send ", 0);
    messi.type_keys("line\t");
    messi.draft("messi → henderson> /send lineker ", 0);
    messi.type_keys("\u{c}");
    messi.until("a clear screen", |screen| screen.contents().trim() == "messi → henderson> /send lineker");
    messi.type_keys("\u{15}");
    messi.draft("messi → henderson> ", 0);
    messi.type_keys("quit\r");
    assert_eq!(messi.end(), Some(0));
    assert_eq!(stage.arrived(), ["lef!ty"]);
    // The history is there in the next run, for nobody else, and has no password.
    let file = stage.home.path().join(".local/state/chat-service/history");
    let mode = fs::metadata(&file).expect("kept").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut messi = stage.messi(&[]);
    messi.type_keys("\u{1b}[A\u{1b}[A");
    messi.draft("messi → henderson> quit", 0);
    messi.type_keys("\u{15}auth messi surabaya\r");
    messi.until("two logins", |screen| screen.contents().matches("you are messi at").count() == 2);
    messi.type_keys("passwd surabaya\r");
    messi.line("!! usage: passwd OLD NEW");
    messi.type_keys("\u{4}");
    assert_eq!(messi.end(), Some(0));
    let history = fs::read_to_string(&file).expect("kept");
    assert!(!history.contains("surabaya") && history.contains("/to henderson"), "{history}");
    assert!(!stage.arrived().iter().any(|text| text.contains("surabaya")));
    stage.server.stop();
}

#[test]
fn what_is_pasted_is_one_message_and_nothing_of_it_is_carried_out() {
    let stage = Stage::set(&[]);
    let mut messi = stage.messi(&[]);
    let letter = "Dear Jordan,\nbest wishes\nlogout\nquit";
    messi.type_keys(&format!("\u{1b}[200~{}\u{1b}[201~", letter.replace('\n', "\r")));
    messi.line("quit");
    messi.type_keys("\r");
    messi.line_end("      quit ✓");
    // As long as a terminal without an editor could not take it.
    let long = format!("{}END", "A".repeat(5000));
    messi.type_keys(&format!("\u{1b}[200~{long}\u{1b}[201~\r"));
    messi.line_end("END ✓");
    // Beyond the limit, it is refused, and stays as a draft.
    messi.type_keys(&format!("\u{1b}[200~{}\u{1b}[201~\r", "B".repeat(8197)));
    messi.line(
        "!! not sent to henderson: too long: 8,197 of 8,192 bytes (message_too_long); Up brings it back",
    );
    messi.type_keys("\u{4}");
    assert_eq!(messi.end(), Some(0));
    assert_eq!(stage.arrived(), [letter.to_owned(), long]);
    stage.server.stop();
}

#[test]
fn what_was_shown_leaves_the_inbox_and_is_read_when_somebody_is_there() {
    let stage = Stage::set(&["--inbox-limit", "3"]);
    let waiting = || stage.shell(&["inbox", "--keep", "--json"], "").lines().count();
    stage.henderson_says("before");
    let mut messi = stage.messi(&[]);
    messi.line_end(" henderson: before");
    // More than the inbox takes: a person who reads everything never has a full one.
    for i in 0..6 {
        stage.henderson_says(&format!("message {i}"));
        messi.line_end(&format!(" henderson: message {i}"));
        stage.shell(&["--profile", "h", "send", "henderson", "x"], "");
        stage.shell(&["--profile", "h", "inbox"], "");
        let id = stage.newest();
        stage.until_state(id, "acked");
    }
    assert_eq!(waiting(), 0);
    messi.type_keys("hello");
    messi.draft("messi → henderson> hello", 0);
    stage.until_state(stage.newest(), "read");
    // Henderson has read what messi wrote.
    messi.type_keys("\r");
    messi.line_end(" messi → henderson: hello ✓");
    let id = stage.newest();
    stage.shell(&["--profile", "h", "read", "messi", &id.to_string()], "");
    messi.line("      ✓✓ henderson has read: hello");
    messi.type_keys("\u{4}");
    assert_eq!(messi.end(), Some(0));
    // For a second program of the same user: what is shown stays.
    let mut messi = stage.messi(&["--no-ack"]);
    stage.henderson_says("stays");
    messi.line_end(" henderson: stays");
    messi.type_keys("\u{4}");
    assert_eq!(messi.end(), Some(0));
    assert_eq!(waiting(), 1);
    stage.server.stop();
}

#[test]
fn a_server_that_goes_and_comes_back_is_said_once_and_nothing_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("users.toml"), include_str!("../users.toml")).expect("written");
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("free").port();
    let start = || {
        let mut server = crate::support::program::chat_server();
        server.args(["--port", &port.to_string()]).current_dir(folder.path());
        Program::try_start(server).expect("it starts")
    };
    let stage = Stage { server: start(), home: tempfile::tempdir().expect("a folder") };
    stage.shell(&["login", "messi"], "surabaya\n");
    stage.shell(&["--profile", "h", "login", "henderson"], "surabaya\n");
    let mut messi = stage.messi(&[]);
    messi.type_keys("before\r");
    messi.line_end(" messi → henderson: before ✓");
    messi.type_keys("half of a th");
    messi.draft("messi → henderson> half of a th", 0);
    let Stage { server, home } = stage;
    server.stop_now();
    messi.until("a word", |screen| screen.contents().contains("-- lost the server: "));
    messi.draft("messi → henderson> half of a th", 0);
    messi.type_keys("ought\r");
    messi.line_end(" messi → henderson: half of a thought (waiting for the server)");
    messi.type_keys("and a draft");
    messi.draft("messi → henderson> and a draft", 0);
    let stage = Stage { server: start(), home };
    messi.line("      ✓ stored: half of a thought");
    messi.line("-- the server is back");
    messi.draft("messi → henderson> and a draft", 0);
    stage.henderson_says("welcome back");
    messi.line_end(" henderson: welcome back");
    let shown = messi.contents();
    assert_eq!(shown.matches("lost the server").count(), 1, "{shown}");
    assert_eq!(shown.matches("messi → henderson: before").count(), 1, "{shown}");
    messi.type_keys("\u{15}\u{4}");
    assert_eq!(messi.end(), Some(0));
    assert_eq!(stage.arrived(), ["before", "half of a thought"]);
    stage.server.stop();
}

#[test]
fn a_new_user_logs_in_at_the_prompt_with_a_hidden_password() {
    let server = Program::start(&["--login-deadline", "1"]);
    let home = tempfile::tempdir().expect("a folder");
    let client = || client_in(home.path(), server.address.port(), &[]);
    let mut messi = Terminal::start(client());
    messi.draft("> ", 0);
    messi.line_end(" is there: auth USER logs in, help lists the commands");
    // A wrong password, a wrong command, and no login.
    for (typed, said) in [
        ("hlep", "!! no such command \"hlep\"; did you mean help?; /to USER sets whom you write to"),
        ("auth", "!! usage: auth USER PASSWORD"),
        ("/join team", "!! usage: join #ROOM"),
        ("who", "!! not logged in: auth USER logs in"),
        ("hi everybody", "!! no such command \"hi\"; help lists them; /to USER sets whom you write to"),
        ("auth messi wrong", "!! wrong user name or password (bad_credentials)"),
    ] {
        messi.type_keys(&format!("{typed}\r"));
        messi.line(said);
    }
    messi.type_keys("auth messi\r");
    messi.line("Password of messi:");
    messi.type_keys("surabaya\r");
    messi.draft("messi> ", 0);
    assert!(!messi.contents().contains("surabaya"), "{}", messi.contents());
    messi.type_keys("/to nobody\r");
    messi.line("!! no such user (no_such_user)");
    messi.type_keys("/who\r");
    messi.until("a table", |screen| {
        screen
            .contents()
            .lines()
            .any(|line| line.starts_with("henderson  ") && line.ends_with("  Jordan Henderson"))
    });
    messi.type_keys("help send\r");
    messi.line("send TO TEXT");
    messi.type_keys("logout\r");
    messi.line("-- logged out, also for commands in a shell");
    messi.draft("> ", 0);
    messi.type_keys("\u{4}");
    assert_eq!(messi.end(), Some(0));
    server.stop();
}

#[test]
fn what_others_write_does_nothing_to_the_terminal() {
    let stage = Stage::set(&[]);
    let mut messi = stage.messi(&[]);
    stage.shell(&["--profile", "h", "send", "messi", "\u{1b}[2J\u{1b}]0;title\u{7}\u{202e}x\u{9b}5mend"], "");
    messi.until("the text", |screen| {
        screen.contents().contains("\\u001b[2J\\u001b]0;title\\u0007\\u202ex\\u009b5mend")
    });
    messi.draft("messi → henderson> ", 0);
    // A smaller window: the draft is drawn anew.
    messi.type_keys("a draft that is longer than the window will be");
    messi.draft("messi → henderson> a draft that is longer than the window will be", 0);
    messi.resize((24, 40));
    messi.type_keys("!");
    messi.until("the draft in two rows", |screen| {
        screen.contents().ends_with("messi → henderson> a draft that is longe\nr than the window will be!")
            || screen
                .contents()
                .replace('\n', "")
                .ends_with("a draft that is longer than the window will be!")
    });
    messi.resize((24, 80));
    messi.type_keys("\u{3}");
    messi.draft("messi → henderson> ", 0);
    messi.type_keys("\u{4}");
    assert_eq!(messi.end(), Some(0));
    // Without colours, and on a terminal that cannot move its cursor.
    for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let mut client = stage.client(&[]);
        client.env(name, value);
        let mut messi = Terminal::start(client);
        messi.until("a prompt", |screen| screen.contents().contains("messi>"));
        messi.type_keys("/to henderson\r");
        messi.until("a prompt", |screen| screen.contents().contains("henderson>"));
        messi.type_keys(&format!("by {name}\r"));
        messi.line_end(&format!(" messi → henderson: by {name} ✓"));
        messi.type_keys("\u{4}");
        assert_eq!(messi.end(), Some(0));
    }
    assert_eq!(stage.arrived(), ["by NO_COLOR", "by TERM"]);
    stage.server.stop();
}

#[test]
fn a_line_that_the_terminal_has_cut_is_refused() {
    let stage = Stage::set(&[]);
    for (args, term) in [(&["--classic"][..], "xterm"), (&[], "dumb")] {
        let mut client = stage.client(args);
        client.env("TERM", term);
        let mut messi = Terminal::start(client);
        let prompt = if args.is_empty() { "messi>" } else { "Command :" };
        messi.until(prompt, |screen| screen.contents().trim_end().ends_with(prompt));
        if !args.is_empty() {
            messi.type_keys("auth messi surabaya\r");
            messi.until("a token", |screen| screen.contents().contains("logged in, token"));
        }
        messi.type_keys(&format!("send henderson {}END\r", "A".repeat(5000)));
        messi.until("a refusal", |screen| {
            screen.contents().contains("this line may be cut: a terminal takes 4,095 bytes")
        });
        messi.type_keys("\u{4}");
        assert_eq!(messi.end(), Some(i32::from(!args.is_empty())));
    }
    assert!(stage.arrived().is_empty());
    stage.server.stop();
}

#[test]
fn what_is_typed_never_reaches_the_shell_behind() {
    let home = tempfile::tempdir().expect("a folder");
    let server = Program::start(&[]);
    let port = server.address.port();
    // A shell in which the client runs, and goes on typing when the server is gone for good.
    let mut shell = client_in(home.path(), port, &[]);
    let program = shell.get_program().to_owned();
    shell = command("bash");
    shell.args(["--norc", "-i"]).env("HOME", home.path()).env("PS1", "shell$ ").env("TERM", "xterm");
    shell.env("CHAT_PORT", port.to_string()).env("CLIENT", program);
    let mut typed = Terminal::start(shell);
    typed.until("a shell", |screen| screen.contents().trim_end().ends_with("shell$"));
    typed.type_keys("\"$CLIENT\"\r");
    typed.line_end("auth USER logs in, help lists the commands");
    typed.type_keys("auth messi surabaya\r");
    typed.draft("messi> ", 0);
    server.stop_now();
    typed.until("a word", |screen| screen.contents().contains("-- lost the server: "));
    typed.type_keys("send henderson touch evil\r");
    typed.line_end("(waiting for the server)");
    typed.type_keys("who\r");
    typed.draft("messi> ", 0);
    typed.type_keys("\u{4}");
    typed.until("the end", |screen| screen.contents().trim_end().ends_with("shell$"));
    assert!(typed.contents().contains("1 message is not known to be stored"), "{}", typed.contents());
    assert!(!typed.contents().contains("command not found"), "{}", typed.contents());
    typed.type_keys("exit 0\r");
    typed.end();
}
