//! Who may be shown what: the least that is known of a chat server.

use std::collections::{HashMap, HashSet};

use chat_service::protocol::{
    request::Request,
    spec::{Access, find},
};
use serde_json::Value;

/// Who there is; each one's password is the name, too, and what others are shown is the name in capitals.
pub const USERS: [&str; 4] = ["ana", "bo", "cy", "di"];

/// One of [`USERS`].
pub type User = usize;

/// A request of a command that there is, with its first two parameters as far as they fit.
pub struct Asked {
    pub command: String,
    pub token: Option<String>,
    words: [Option<String>; 2],
    key: Option<String>,
}

impl Asked {
    /// What is on the line, if that is a request of a command that there is.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let mut request = Request::parse(line).ok()??;
        let name = request.command().to_owned();
        let command = find(&name)?;
        let token = match command.access {
            Access::Anyone => None,
            Access::Session => request.take_token().ok()?.map(|token| token.reveal()),
        };
        let arguments = request.bind(command.parameters).ok()?;
        let text = |index| arguments.optional(index).map(str::to_owned);
        Some(Asked { command: name, token, words: [text(0), text(1)], key: text(2) })
    }

    /// Whether it is a try to log in that fails: that takes 20 ms, and others have tested it.
    pub fn is_guess(&self) -> bool {
        self.command == "auth" && self.right_user().is_none()
    }

    fn right_user(&self) -> Option<User> {
        let [name, password] = &self.words;
        USERS.iter().position(|user| Some(*user) == name.as_deref()).filter(|_| name == password)
    }
}

/// What was sent, and who may be shown it.
struct Sent {
    from: User,
    to: String,
    text: String,
    audience: HashSet<User>,
}

/// What the replies have told so far.
#[derive(Default)]
pub struct Model {
    tokens: HashMap<String, User>,
    members: HashMap<String, HashSet<User>>,
    keys: HashSet<(User, String)>,
    sent: Vec<Sent>,
    /// As whom each connection speaks.
    own: HashMap<usize, User>,
    /// For whom each connection has ever watched.
    watched: HashMap<usize, HashSet<User>>,
}

impl Model {
    /// A reply has come on a connection to what was asked.
    pub fn replied(&mut self, connection: usize, asked: Option<&Asked>, reply: &Value) {
        let Some(asked) = asked.filter(|_| reply["status"] == "OK") else {
            self.check(&HashSet::new(), reply);
            return;
        };
        if asked.command == "auth" {
            let user = asked.right_user().expect("nobody else gets in");
            let token = reply["tokenid"].as_str().expect("a token").to_owned();
            self.tokens.insert(token, user);
            self.own.insert(connection, user);
            return;
        }
        let by_token = asked.token.as_ref().and_then(|token| self.tokens.get(token));
        let Some(user) = by_token.or_else(|| self.own.get(&connection)).copied() else {
            // Nobody: shown nothing.
            self.check(&HashSet::new(), reply);
            return;
        };
        self.check(&HashSet::from([user]), reply);
        let room = || asked.words[0].clone().expect("required");
        match asked.command.as_str() {
            "join" => drop(self.members.entry(room()).or_default().insert(user)),
            "leave" => drop(self.members.entry(room()).or_default().remove(&user)),
            "watch" => drop(self.watched.entry(connection).or_default().insert(user)),
            "send" => self.sent(user, asked),
            _ => {}
        }
    }

    /// An event has come.
    pub fn told(&self, connection: usize, event: &Value) {
        let nobody = HashSet::new();
        let watched = self.watched.get(&connection).unwrap_or(&nobody);
        let unasked = ["session_ended", "closing"].iter().any(|kind| event["event"] == *kind);
        assert!(unasked || !watched.is_empty(), "who does not watch is sent {event}");
        self.check(watched, event);
    }

    fn sent(&mut self, from: User, asked: &Asked) {
        if asked.key.as_ref().is_some_and(|key| !self.keys.insert((from, key.clone()))) {
            // Repeated: nothing new was sent.
            return;
        }
        let [Some(to), Some(text)] = asked.words.clone() else {
            panic!("sent without a recipient or a text");
        };
        let mut audience = self.members.get(&to).cloned().unwrap_or_default();
        if to.starts_with('#') {
            assert!(audience.contains(&from), "one who is not a member has sent to a room");
        } else {
            audience.extend(USERS.iter().position(|user| *user == to));
        }
        audience.insert(from);
        self.sent.push(Sent { from, to, text, audience });
    }

    /// Every message in what is shown was sent, and one of `shown_to` may see it.
    fn check(&self, shown_to: &HashSet<User>, value: &Value) {
        if let Value::Array(values) = value {
            for value in values {
                self.check(shown_to, value);
            }
        }
        let Value::Object(fields) = value else {
            return;
        };
        fields.values().for_each(|value| self.check(shown_to, value));
        let field = |name| fields.get(name).and_then(Value::as_str);
        if let (Some(from), Some(to), Some(text)) = (field("msg_from"), field("msg_to"), field("msg")) {
            let is_it = |sent: &Sent| {
                let to_is =
                    if sent.to.starts_with('#') { sent.to == to } else { sent.to.to_uppercase() == to };
                to_is && sent.text == text && USERS[sent.from].to_uppercase() == from
            };
            let may_see = |sent: &Sent| !sent.audience.is_disjoint(shown_to);
            assert!(
                self.sent.iter().any(|sent| is_it(sent) && may_see(sent)),
                "{value} was shown to {shown_to:?}"
            );
        }
    }
}
