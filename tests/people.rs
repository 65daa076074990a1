//! `chat-server user` as an operator uses it.

mod files;
mod terminal;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Output,
};

use chat_service::users::{
    self,
    edit::{self, EditError},
};

use crate::support::{
    SENT,
    program::{Program, chat_server, run, said},
    users_toml,
};

/// A folder with a users file. The entries of [`TEXT`] have many forms.
struct Folder(tempfile::TempDir);

const TEXT: &str = "# About all.\n[users.ann]  # the boss\nname = \"Ann\"\npassword = 'in the clear'  # soon better\n\
                    # of ann\n\n\n# Right above bob.\n[users.\"bob\"]\ncountry='X'\nname = '''B\no\nb'''\n\
                    password = \"also clear\" # bob's\n\n# About the rest.\n\n[users.carl]\nname=\"Carl\"\npassword=\"x y\"\n";

impl Folder {
    fn new(text: &str) -> Self {
        let folder = Folder(tempfile::tempdir().expect("a folder"));
        fs::write(folder.users(), text).expect("written");
        folder
    }

    fn users(&self) -> PathBuf {
        self.0.path().join("users.toml")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.users()).expect("readable")
    }

    /// Runs `chat-server user` in the folder; returns standard output, standard error and exit status.
    fn user(&self, args: &[&str], input: &str) -> (String, String, Option<i32>) {
        let mut command = chat_server();
        command.arg("user").args(args).current_dir(self.0.path());
        told(&run(command, input))
    }

    fn done(&self, args: &[&str], input: &str) -> String {
        let (out, err, code) = self.user(args, input);
        assert_eq!(code, Some(0), "{args:?}: {out}{err}");
        assert!(out.ends_with("; a running server picks it up by itself\n"), "{out}");
        out
    }

    fn refused(&self, args: &[&str], input: &str) -> String {
        let before = fs::read(self.users()).ok();
        let (out, err, code) = self.user(args, input);
        assert_eq!((out.as_str(), code), ("", Some(1)), "{args:?}: {err}");
        assert_eq!(fs::read(self.users()).ok(), before, "{args:?}");
        err
    }

    fn names(&self) -> Vec<String> {
        let users = users::load(&self.users()).expect("understood").users;
        let mut names: Vec<_> = users.iter().map(|user| user.username.to_string()).collect();
        names.sort_unstable();
        names
    }
}

fn told(output: &Output) -> (String, String, Option<i32>) {
    let (out, code) = said(output);
    (out, String::from_utf8(output.stderr.clone()).expect("UTF-8"), code)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("there").permissions().mode() & 0o777
}

#[test]
fn somebody_is_added_at_the_end_and_can_log_in() {
    for text in [TEXT.to_owned(), TEXT.replace('\n', "\r\n"), TEXT.trim_end().to_owned()] {
        let folder = Folder::new(&text);
        let out = folder
            .done(&["add", "d.e", "--name", "Dé \"E\" \\", "--country", "Inggris"], "correct horse\nrest\n");
        assert!(out.starts_with("users.toml: d.e was added;"), "{out}");
        let after = folder.text();
        assert!(after.starts_with(&text), "{after}");
        let alone = after.replace("\r\n", "");
        assert!(!text.contains("\r\n") || !alone.contains('\n'), "one kind of line end: {after:?}");
        assert_eq!(mode(&folder.0.path().join("users.toml.lock")), 0o600);
        let users = users::load(&folder.users()).expect("understood").users;
        let user = users.get("d.e").expect("there");
        assert_eq!((user.name.as_str(), user.country.as_str()), ("Dé \"E\" \\", "Inggris"));
        let server = Program::start(&["--users", folder.users().to_str().expect("UTF-8")]);
        assert!(server.talk("auth d.e correct horse\n").contains("tokenid"));
        server.stop();
    }
}

#[test]
fn the_first_one_makes_the_file() {
    let folder = Folder::new("");
    fs::remove_file(folder.users()).expect("removed");
    for args in [&["passwd", "ann"][..], &["remove", "ann"], &["list"]] {
        assert!(folder.refused(args, "correct horse\n").contains("users.toml: No such file"), "{args:?}");
    }
    assert_eq!(fs::read_dir(folder.0.path()).expect("a folder").count(), 0);
    folder.done(&["add", "ann"], "correct horse\n");
    assert_eq!((folder.names(), mode(&folder.users())), (vec!["ann".to_owned()], 0o600));
    assert!(folder.text().starts_with("[users.ann]\nname = \"ann\"\npassword = \"$argon2id$"));
}

#[test]
fn a_password_is_replaced_and_nothing_else() {
    for (name, old) in [("ann", "'in the clear'"), ("bob", "\"also clear\""), ("carl", "\"x y\"")] {
        let folder = Folder::new(&TEXT.replace('\n', "\r\n"));
        folder.done(&["passwd", name], "correct horse\r\n");
        let after = folder.text();
        let at = after.find("\"$argon2id$").expect("a hash");
        let end = at + 1 + after[at + 1..].find('"').expect("its end") + 1;
        let back = [&after[..at], old, &after[end..]].concat();
        assert_eq!(back, TEXT.replace('\n', "\r\n"));
    }
}

#[test]
fn somebody_is_removed_with_the_comment_above() {
    let check = |name: &str, gone: &str| {
        let folder = Folder::new(TEXT);
        folder.done(&["remove", name], "");
        assert!(TEXT.contains(gone));
        let text = folder.text();
        let (rest, removed) = text.split_once("\n[removed]\n").expect("the removal is noted");
        assert_eq!(rest, TEXT.replace(gone, ""));
        assert!(removed.starts_with(&format!("{name} = 20")) && removed.lines().count() == 1, "{removed}");
        assert_eq!(folder.names().len(), 2);
    };
    check("ann", "[users.ann]  # the boss\nname = \"Ann\"\npassword = 'in the clear'  # soon better\n");
    check(
        "bob",
        "# Right above bob.\n[users.\"bob\"]\ncountry='X'\nname = '''B\no\nb'''\npassword = \"also clear\" # bob's\n\n",
    );
    check("carl", "\n[users.carl]\nname=\"Carl\"\npassword=\"x y\"\n");
}

#[test]
fn what_cannot_be_done_is_told_and_changes_nothing() {
    let folder = Folder::new(TEXT);
    for (args, input, expected) in [
        (&["add", "ann"][..], "correct horse\n", "ann is there already\n  remedy: "),
        (&["add", "Ann"], "correct horse\n", "\"Ann\" is not a user name\n  remedy: "),
        (&["add", "dan", "--name", "a\u{1b}[31m"], "correct horse\n", "cannot be shown\n  remedy: "),
        (&["add", "dan", "--name", " "], "correct horse\n", "cannot be shown\n  remedy: "),
        (&["add", "dan"], "short\n", "at least 8 characters"),
        (&["add", "dan"], "", "the password is empty: choose"),
        (&["add", "dan"], "Password1\n", "which attackers try first"),
        (&["add", "danielle"], "danielle1\n", "which attackers try first"),
        (&["add", "dan.the.man"], "dan.the.man99\n", "the user's name, or little more"),
        (&["passwd", "ann"], "surabaya\n", "the sample users"),
        (&["passwd", "dan"], "correct horse\n", "there is no user \"dan\"\n  remedy: "),
        (&["remove", "dan"], "", "there is no user \"dan\"\n  remedy: "),
    ] {
        let err = folder.refused(args, input);
        assert!(err.contains(expected), "{args:?}: {err}");
    }
    for args in [&["passwd", "ann", "correct horse"][..], &["add", "dan", "correct horse"], &["add"]] {
        assert_eq!(folder.user(args, "").2, Some(2), "{args:?}: a password is never an argument");
    }
    assert_eq!(folder.user(&["add", "dan", "--fresh", "--reclaim"], "").2, Some(2));
    assert_eq!(folder.text(), TEXT);
}

#[test]
fn a_file_that_is_wrong_is_left_as_it_is() {
    let folder = Folder::new("[users.ann]\nname = \"Ann\"\npasword = \"in the clear\"\n");
    for args in [&["add", "bob"][..], &["passwd", "ann"], &["remove", "ann"], &["list"], &["import", "-"]] {
        let err = folder.refused(args, "correct horse\n");
        assert!(err.contains("users.toml:3: unknown field `pasword`"), "{args:?}: {err}");
    }
}

#[test]
fn users_in_an_inline_table_are_changed_there() {
    let folder = Folder::new("users = { ann = { name = \"Ann\", password = \"in the clear\" } } # all\n");
    folder.done(&["add", "bob"], "correct horse\n");
    folder.done(&["passwd", "ann"], "correct horse\n");
    assert_eq!(folder.names(), ["ann", "bob"]);
    folder.done(&["remove", "ann"], "");
    assert_eq!(folder.names(), ["bob"]);
    assert!(folder.text().starts_with("users = { bob = { name = \"bob\", password = \"$argon2id$"));
    assert!(folder.text().contains("Z } } # all\n\n[removed]\nann = 20"));
}

#[test]
fn the_list_shows_how_passwords_are_kept_and_no_password() {
    let folder = Folder::new(&users_toml());
    folder.done(&["add", "ann", "--country", "Bali"], "correct horse\n");
    let mut text = folder.text();
    text.push_str("[users.bob]\nname = \"B\\u001b[31m\\tob\"\npassword = \"in the clear\"\n");
    text.push_str("[users.carl]\nname = \"Carl\"\npassword = \"surabaya\"\n");
    fs::write(folder.users(), text).expect("written");
    let (out, _, code) = folder.user(&["list"], "");
    assert_eq!(code, Some(0));
    assert_eq!(
        out,
        "ann\tann\tBali\thashed\nbob\tB\\u{1b}[31m\\tob\t\tclear\ncarl\tCarl\t\tsample\n\
         henderson\tJordan Henderson\tInggris\tweak hash\nlineker\tGary Lineker\tInggris\tweak hash\n\
         messi\tLionel Messi\tArgentina\tweak hash\n"
    );
    // `--users` before the subcommand names the same file.
    let mut command = chat_server();
    command.arg("--users").arg(folder.users()).args(["user", "list"]);
    assert_eq!(said(&run(command, "")), (out, Some(0)));
}

#[test]
fn a_list_of_people_is_imported_whole_or_not_at_all() {
    let folder = Folder::new(TEXT);
    let hash =
        users::hash(&chat_service::model::Secret::new("battery staple".to_owned())).as_str().to_owned();
    let csv = format!(
        "\u{feff}country,username,password,name\n,dan,,\n\"X, Y\",eve,\"good, enough\",\"Eve \"\"E\"\"\"\n,fay,\"{hash}\",Fay\n"
    );
    let (out, err, code) = folder.user(&["import", "-"], &csv);
    assert_eq!(code, Some(0), "{err}");
    assert!(err.starts_with("users.toml: 3 users were added; a running server"), "{err}");
    let made = out.trim_end().strip_prefix("dan,").expect("dan's");
    assert!(made.len() == 16 && !made.contains('\n'), "{out}");
    let server = Program::start(&["--users", folder.users().to_str().expect("UTF-8")]);
    let answers = server.talk(format!("auth dan {made}\nauth eve good, enough\nauth fay battery staple\n"));
    assert_eq!(answers.matches("tokenid").count(), 3, "{answers}");
    server.stop();
    for (rows, expected) in [
        ("gus,,,\nann,,,\n", "list.csv:3: users.toml: ann is there already"),
        ("gus,,,\ngus,,,\n", "list.csv:3: gus is there twice"),
        ("gus,,,\nhal,,,canary\n", "list.csv:3: this password is too short"),
        ("gus,,,\nhal,,,$argon2id$canary\n", "list.csv:3: "),
        ("gus,,,\nhal,,canary\n", "list.csv:3: not as many fields"),
        ("gus,,,\nHal,,,\n", "list.csv:3: \"Hal\" is not a user name"),
        ("gus,,,\n\n\"a\nb\",,,\n", "list.csv:4: \"a\\nb\" is not a user name"),
    ] {
        let csv = format!("username,name,country,password\n{rows}");
        fs::write(folder.0.path().join("list.csv"), csv).expect("written");
        let err = folder.refused(&["import", "list.csv"], "");
        assert!(err.contains(expected) && !err.contains("canary"), "{err}");
    }
    let err = folder.refused(&["import", "-"], "username,password\n");
    assert!(err.contains("-:1: the first line has to be: username,name,country,password"), "{err}");
    assert!(folder.refused(&["import", "none.csv"], "").contains("none.csv: No such file"));
}

#[test]
fn a_hash_that_is_too_dear_is_refused_unless_it_is_allowed() {
    const OUTPUT: &str = "p=1$Y29tcGFyZXNhbHQxMjM0NQ$eF2jJ9O9Osv2IfM6OWa8sOOUC76oTlDW/VstedTxG4g";
    const ALLOWED: [&str; 2] = ["--max-password-hash", "m=65536,t=5"];
    let folder = Folder::new(TEXT);
    let csv = format!("username,name,country,password\nhal,,,\"$argon2id$v=19$m=65536,t=5,{OUTPUT}\"\n");
    let err = folder.refused(&["import", "-"], &csv);
    let problem = "hal's password hash costs more than m=65536,t=4\n  remedy: ";
    assert!(err.contains(&format!("-:2: {problem}")) && err.contains(&ALLOWED.join(" ")), "{err}");
    assert!(!folder.names().contains(&"hal".to_owned()));
    let (_, err, code) = folder.user(&["import", ALLOWED[0], ALLOWED[1], "-"], &csv);
    assert_eq!(code, Some(0), "{err}");
    let users = folder.users();
    let mut command = chat_server();
    command.args(["--port", "0", "--users"]).arg(&users);
    let (_, err, code) = told(&run(command, ""));
    assert_eq!(code, Some(1), "{err}");
    assert!(
        err.contains(problem) && err.contains("users.toml:") && err.contains(&ALLOWED.join(" ")),
        "{err}"
    );
    let users = users.to_str().expect("UTF-8");
    let server = Program::start(&["--users", users, ALLOWED[0], ALLOWED[1]]);
    let dearer = format!(
        "{}[users.gus]\nname = \"G\"\npassword = \"$argon2id$v=19$m=65536,t=6,{OUTPUT}\"\n",
        folder.text()
    );
    fs::write(users, dearer).expect("written");
    server.wait_for_log("the old users stay");
    assert!(server.stop().contains("gus's password hash costs more than m=65536,t=5"));
}

#[test]
fn a_password_that_has_changed_meanwhile_is_not_replaced() {
    let folder = Folder::new(TEXT);
    let hash =
        users::hash(&chat_service::model::Secret::new("battery staple".to_owned())).as_str().to_owned();
    let set = |expected, hash: &str| edit::set_password(&folder.users(), "ann", Some(expected), hash);
    set("in the clear", &hash).expect("set");
    let error = set("in the clear", &hash).expect_err("changed");
    assert!(matches!(error, EditError::Changed { .. }), "{error}");
    set(&hash, &hash).expect("the same again");
    let error = set(&hash, "$no hash").expect_err("not written");
    assert!(matches!(error, EditError::Form { .. }), "{error}");
    assert!(folder.text().contains(&hash));
}

#[test]
fn a_name_that_was_used_is_given_away_knowingly() {
    let folder = Folder::new(&users_toml());
    let (users, data) = (folder.users(), folder.0.path().join("chat-data"));
    let (of_users, of_data) = (users.to_str().expect("UTF-8"), data.to_str().expect("UTF-8"));
    // With `--no-limits`, the server does not renew weak hashes.
    let server = Program::start(&["--users", of_users, "--data", of_data, "--no-limits"]);
    let answers =
        server.talk("auth messi surabaya\nsend henderson a\nsend messi b\njoin #lab\nsend #lab c\n");
    assert_eq!(answers.matches(SENT).count(), 3, "{answers}");
    server.talk("auth henderson surabaya\nsend henderson d\nsend messi e\n");
    // The server is running, and no message is indexed yet.
    folder.done(&["remove", "messi"], "");
    folder.done(&["remove", "lineker"], "");
    let err = folder.refused(&["add", "messi"], "correct horse\n");
    // The server ends the sessions of a removed user within a second, so the number of logins may vary.
    assert!(err.contains("4 messages from and to it, 1 rooms and "), "{err}");
    assert!(err.contains(" logins\n  remedy: "), "{err}");
    assert!(err.contains("user add messi --reclaim ") && err.contains("user add messi --fresh "), "{err}");
    let csv = "username,name,country,password\nmessi,,,\n";
    assert!(folder.refused(&["import", "-"], csv).contains("-:2: messi was somebody's name before"));
    let out = folder.done(&["add", "messi", "--reclaim"], "correct horse\n");
    assert!(out.contains("messi was added, who gets everything back"), "{out}");
    assert_eq!(folder.text().matches("\nreclaimed = 20").count(), 1);
    server.stop();
    // The server is stopped. Nothing is stored for lineker, but the file says that somebody had the name.
    folder.done(&["remove", "messi"], "");
    let out = folder.done(&["add", "messi", "--fresh"], "correct horse\n");
    assert!(out.contains("messi was added, who gets nothing of what there was"), "{out}");
    let err = folder.refused(&["add", "lineker"], "correct horse\n");
    assert!(err.contains("a user of that name was removed at 20"), "{err}");
    folder.done(&["add", "lineker", "--fresh"], "correct horse\n");
    assert_eq!(folder.text().matches("\nfresh_since = 20").count(), 2);
    let server = Program::start(&["--users", of_users, "--data", of_data]);
    assert!(server.talk("auth messi correct horse\ninbox\n").ends_with("\"messages\": {}}\r\n\r\n"));
    server.stop();
}
