//! Tests.

use super::*;
use crate::users::DecisionKind;

const AT: Timestamp = Timestamp(1_795_530_515_007);

const LATER: Timestamp = Timestamp(1_795_530_516_000);

const FRESH: Decision = Decision { at: AT, kind: DecisionKind::Fresh };

/// What stands between the users and the first one who was removed.
const REMOVAL: &str = "\n[removed]\n";

fn username(name: &str) -> UserName {
    UserName::parse(name).expect("a name")
}

const HASH: &str =
    "$argon2id$v=19$m=8,t=1,p=1$Y29tcGFyZXNhbHQxMjM0NQ$eF2jJ9O9Osv2IfM6OWa8sOOUC76oTlDW/VstedTxG4g";

/// Every form that TOML has for two users, ann and bob, with what must stay as it is around them.
const FORMS: [&str; 8] = [
    "# all\n[users.ann] # a\nname='Ann'\npassword = 'one' # p\n\n# b\n[users.bob]\nname='B'\npassword='two'\n",
    "# all\n[users]\n# a\nann = { name='Ann', password = 'one' } # p\nbob={name='B',password='two'}\n",
    "# all\n\n# a\nusers.ann = { name='Ann', password = 'one' } # p\nusers.bob={name='B',password='two'}\n",
    "# all\n[users]\nann.name='Ann' # n\nann . password = 'one' # p\n\nbob.name='B'\nbob.password='two'\n",
    "# all\nusers.ann.name='Ann'\nusers.bob.name='B'\nusers.ann.password='one' # p\nusers.bob.password='two'\n",
    "# all\nusers = { ann = { name='Ann', password = 'one' }, bob={name='B',password='two'} } # end\n",
    "# all\nusers = { ann.name='Ann', ann.password = 'one', bob={name='B',password='two'}} # end\n",
    "# all\nusers = { # in\n  ann = { name='Ann', password = 'one' }, # a\n  bob = {name='B',password='two'}, # b\n} # end\n",
];

/// Each form with each line end, with and without a byte order mark and an end of the last line.
fn texts() -> Vec<String> {
    let mut texts = Vec::new();
    for form in FORMS {
        for mark in ["", "\u{feff}"] {
            for end in ["\n", "\r\n"] {
                let text = format!("{mark}{}", form.replace('\n', end));
                texts.extend([text.trim_end().to_owned(), text]);
            }
        }
    }
    // Both kinds of line end in one file. (An inline table gets one of them when it is changed.)
    texts.extend(FORMS[..5].iter().map(|form| form.replacen('\n', "\r\n", 2)));
    texts
}

struct File(tempfile::TempDir);

impl File {
    fn new(text: &str) -> Self {
        let file = File(tempfile::tempdir().expect("a folder"));
        fs::write(file.path(), text).expect("written");
        file
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("users.toml")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path()).expect("UTF-8")
    }

    fn names(&self) -> Vec<String> {
        let users = super::super::load(&self.path()).expect("understood").users;
        let mut names: Vec<_> = users.iter().map(|user| user.username.to_string()).collect();
        names.sort_unstable();
        names
    }
}

#[test]
fn a_password_is_replaced_in_every_form_and_nothing_else() {
    for text in texts() {
        let file = File::new(&text);
        for (name, old) in [("ann", "'one'"), ("bob", "'two'")] {
            set_password(&file.path(), name, Some(&old[1..4]), HASH).expect(&text);
            assert_eq!(file.text(), text.replace(old, &format!("\"{HASH}\"")));
            fs::write(file.path(), &text).expect("written");
        }
    }
}

#[test]
fn a_user_is_added_in_every_form() {
    let new = |username: &str, decision| NewUser {
        username: self::username(username),
        name: "Dé \"E\" \\".to_owned(),
        country: String::new(),
        hash: HASH.to_owned(),
        decision,
    };
    for text in texts() {
        let file = File::new(&text);
        add(&file.path(), &[new("d.e", None), new("eve", Some(FRESH))]).expect(&text);
        assert_eq!(file.names(), ["ann", "bob", "d.e", "eve"]);
        // Before and after the new ones there is all that was there.
        let after = file.text();
        let at = after.find("d.e").expect("added");
        let before = text.bytes().zip(after.bytes()).take_while(|(a, b)| a == b).count();
        assert!(before + 8 >= at.min(text.len()), "{text:?} became {after:?}");
        let rest = text[before..].trim_start();
        assert!(after.ends_with(rest), "{text:?} became {after:?}");
    }
}

#[test]
fn a_user_is_removed_in_every_form_with_the_comment_above() {
    let check = |form: usize, name: &str, expected: &str| {
        for end in ["\n", "\r\n"] {
            for mark in ["", "\u{feff}"] {
                let text = |text: &str| format!("{mark}{}", text.replace('\n', end));
                let file = File::new(&text(FORMS[form]));
                remove(&file.path(), &username(name), AT).expect("removed");
                assert_eq!(file.text(), text(&format!("{expected}{REMOVAL}{name} = {AT}\n")));
            }
        }
    };
    check(0, "ann", "# all\n# b\n[users.bob]\nname='B'\npassword='two'\n");
    check(0, "bob", "# all\n[users.ann] # a\nname='Ann'\npassword = 'one' # p\n");
    check(1, "ann", "# all\n[users]\nbob={name='B',password='two'}\n");
    check(1, "bob", "# all\n[users]\n# a\nann = { name='Ann', password = 'one' } # p\n");
    check(2, "ann", "# all\n\nusers.bob={name='B',password='two'}\n");
    check(2, "bob", "# all\n\n# a\nusers.ann = { name='Ann', password = 'one' } # p\n");
    check(3, "ann", "# all\n[users]\n\nbob.name='B'\nbob.password='two'\n");
    check(3, "bob", "# all\n[users]\nann.name='Ann' # n\nann . password = 'one' # p\n\n");
    check(4, "ann", "# all\nusers.bob.name='B'\nusers.bob.password='two'\n");
    check(4, "bob", "# all\nusers.ann.name='Ann'\nusers.ann.password='one' # p\n");
    check(5, "ann", "# all\nusers = { bob={name='B',password='two'} } # end\n");
    check(5, "bob", "# all\nusers = { ann = { name='Ann', password = 'one' }} # end\n");
    check(6, "ann", "# all\nusers = { bob={name='B',password='two'}} # end\n");
    check(7, "bob", "# all\nusers = { # in\n  ann = { name='Ann', password = 'one' }, # b\n} # end\n");
}

#[test]
fn a_decision_is_written_in_every_form_and_nothing_else() {
    let line = format!("fresh_since = {AT}");
    for text in texts() {
        let file = File::new(&text);
        decide(&file.path(), &[(username("ann"), FRESH), (username("bob"), FRESH)]).expect(&text);
        let decided = file.text();
        assert_eq!(decided.matches(&line).count(), 2, "{decided}");
        // Without what was written, and in whatever way it is set off, the text is as it was.
        let rest: String = decided
            .split(&line)
            .map(|part| {
                part.trim_end_matches(['.', 'n', 'a', 'b', 'o', 'u', 's', 'e', 'r', ' ', ',', '\r', '\n'])
            })
            .collect();
        let kept = |text: &str| text.chars().filter(|c| !" ,.\r\nanbouser".contains(*c)).collect::<String>();
        assert_eq!(kept(&rest), kept(&text), "{decided}");
        let again = Decision { at: LATER, kind: DecisionKind::Fresh };
        decide(&file.path(), &[(username("bob"), again)]).expect(&decided);
        assert_eq!(file.text().len(), decided.len(), "the time is replaced");
        let reclaimed = Decision { at: Timestamp(LATER.0 + 1), kind: DecisionKind::Reclaimed };
        decide(&file.path(), &[(username("ann"), reclaimed)]).expect(&decided);
        let users = super::super::load(&file.path()).expect("understood").users;
        let of = |name: &str| users.get(name).expect("there").decision;
        assert_eq!((of("ann"), of("bob")), (Some(reclaimed), Some(again)));
    }
}

#[test]
fn everybody_can_be_removed() {
    for text in texts() {
        let file = File::new(&text);
        remove(&file.path(), &username("ann"), AT).expect(&text);
        remove(&file.path(), &username("bob"), LATER).expect(&text);
        let users = super::super::load(&file.path()).expect("understood").users;
        assert_eq!((users.removed("ann"), users.removed("bob")), (Some(AT), Some(LATER)), "{text}");
        assert_eq!(file.names(), [""; 0]);
        assert!(file.text().contains("# all"));
    }
}
