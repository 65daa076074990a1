//! Conversations in `tests/transcripts/*.txt` and on the protocol page, each run in several ways.
//!
//! - `A> text`: client A sends a line; `A>| text` sends it without its end; `A>.` ends A's input
//! - `A< {…}`: A's next reply; `A<.`: the server has closed A's connection
//! - `# text`: a comment
//!
//! `<name>` stands for a token and `<@name>` for a time. The first reply that shows a name binds it; later ones must match.
//! `<x*N>` stands for N times x, and `\xHH` in a request for a byte. `#! inbox-limit N` sets the server's inbox limit.
//! `UPDATE_TRANSCRIPTS=1 cargo test transcripts` writes the replies anew.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use chat_service::{model::Refusal, protocol::spec::SPECS, server::Server, store::Memory};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    time::sleep,
};

use crate::support::{Peer, Setup, duplex};

enum Step {
    Send { text: String, end: bool },
    EndInput,
    Reply { text: String, line: usize },
    Closed,
}

struct Transcript {
    path: PathBuf,
    inbox_limit: usize,
    steps: Vec<(String, Step)>,
}

fn transcripts() -> Vec<Transcript> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/transcripts");
    let mut paths: Vec<_> =
        fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths.push(PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/protocol.md")));
    let all: Vec<_> = paths.iter().flat_map(|path| Transcript::read(path)).collect();
    assert!(all.len() > 10 && all.iter().all(|transcript| !transcript.steps.is_empty()));
    all
}

impl Transcript {
    /// Reads the conversations of a file: a text file is one, and each transcript block of a page is one.
    fn read(path: &Path) -> Vec<Self> {
        let text = fs::read_to_string(path).expect("UTF-8");
        let lines: Vec<_> = text.lines().map(str::to_owned).enumerate().collect();
        let blocks: Vec<&[(usize, String)]> = if path.extension().is_some_and(|kind| kind == "md") {
            let fenced = lines.split(|(_, line)| line.starts_with("```transcript")).skip(1);
            fenced.map(|block| block.split(|(_, line)| line == "```").next().expect("its lines")).collect()
        } else {
            vec![&lines]
        };
        blocks.into_iter().map(|lines| Self::parse(path, lines)).collect()
    }

    fn parse(path: &Path, lines: &[(usize, String)]) -> Self {
        let mut steps = Vec::new();
        for (line, content) in lines.iter().filter(|(_, c)| !c.is_empty() && !c.starts_with('#')) {
            let (who, what) = content.split_at(content.find(['<', '>']).expect("A> or A<"));
            let step = match what {
                ">." => Step::EndInput,
                "<." => Step::Closed,
                _ if what.starts_with(">| ") => Step::Send { text: what[3..].to_owned(), end: false },
                _ if what.starts_with("> ") => Step::Send { text: what[2..].to_owned(), end: true },
                ">" => Step::Send { text: String::new(), end: true },
                _ if what.starts_with("< ") => Step::Reply { text: what[2..].to_owned(), line: *line },
                _ => panic!("{}:{}: {content:?}", path.display(), line + 1),
            };
            steps.push((who.to_owned(), step));
        }
        let limit = lines.iter().find_map(|(_, line)| line.strip_prefix("#! inbox-limit ")?.parse().ok());
        Transcript { path: path.to_owned(), inbox_limit: limit.unwrap_or(10_000), steps }
    }

    /// Returns the settings of the server for this transcript.
    fn setup(&self) -> Setup {
        Setup { store: Arc::new(Memory::new(self.inbox_limit)), ..Setup::default() }
    }

    fn fail(&self, line: usize, what: &str) -> ! {
        panic!("{}:{}: {what}", self.path.display(), line + 1)
    }
}

/// The token or time that each name stands for.
#[derive(Default)]
struct Names(HashMap<String, String>);

impl Names {
    /// Returns the bytes to send; `None` if a token in them is not known yet.
    fn fill(&self, text: &str) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['<', '\\']) {
            bytes.extend_from_slice(&rest.as_bytes()[..at]);
            rest = &rest[at..];
            if let Some(hex) = rest.strip_prefix("\\x") {
                bytes.push(u8::from_str_radix(&hex[..2], 16).expect("two hexadecimal digits"));
                rest = &hex[2..];
            } else if let Some((name, after)) = rest.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
                match name.split_once('*') {
                    Some((what, times)) => {
                        bytes.extend(what.repeat(times.parse().expect("a number")).bytes());
                    }
                    None => bytes.extend_from_slice(self.0.get(name)?.as_bytes()),
                }
                rest = after;
            } else {
                bytes.push(rest.as_bytes()[0]);
                rest = &rest[1..];
            }
        }
        bytes.extend_from_slice(rest.as_bytes());
        Some(bytes)
    }

    /// Whether `reply` matches `expected`; binds the names that are new.
    fn accept(&mut self, expected: &str, reply: &str) -> bool {
        let Some((before, rest)) = expected.split_once("\"<") else {
            return expected == reply;
        };
        let (name, after) = rest.split_once(">\"").expect("the end of a name");
        let Some((token, reply_after)) = reply
            .strip_prefix(before)
            .and_then(|rest| rest.strip_prefix('"'))
            .and_then(|rest| rest.split_once('"'))
        else {
            return false;
        };
        let bound = self.0.entry(name.to_owned()).or_insert_with(|| token.to_owned());
        let is_whole =
            if name.starts_with('@') { token.len() == 24 && token.ends_with('Z') } else { token.len() == 36 };
        is_whole && bound == token && self.accept(after, reply_after)
    }

    /// Returns the reply with names in place of the tokens.
    fn hide(&self, reply: &str) -> String {
        self.0
            .iter()
            .fold(reply.to_owned(), |reply, (name, token)| reply.replace(token, &format!("<{name}>")))
    }
}

/// How requests are sent.
#[derive(Clone, Copy)]
enum Manner {
    /// One request after the other, with this line end.
    OneByOne(&'static [u8]),
    /// All requests in consecutive steps of a client at once, then their replies.
    Pipelined,
    /// Each request in two parts, cut at this position. The second is sent when the server has read the first.
    Cut(usize),
}

/// Runs a transcript. Returns the replies that differ, each with the number of its line.
async fn play<S: AsyncRead + AsyncWrite + Unpin>(
    transcript: &Transcript,
    manner: Manner,
    mut connect: impl AsyncFnMut() -> Peer<S>,
) -> Vec<(usize, String)> {
    let mut names = Names::default();
    let mut peers: BTreeMap<&str, Peer<S>> = BTreeMap::new();
    let mut different = Vec::new();
    let mut sent = vec![false; transcript.steps.len()];
    for (at, (who, step)) in transcript.steps.iter().enumerate() {
        if !peers.contains_key(who.as_str()) {
            peers.insert(who, connect().await);
        }
        let peer = peers.get_mut(who.as_str()).expect("connected");
        match step {
            Step::Send { .. } | Step::EndInput if sent[at] => {}
            Step::Send { .. } | Step::EndInput => {
                let together = match manner {
                    Manner::Pipelined => {
                        transcript.steps[at..].iter().take_while(|(other, _)| other == who).count()
                    }
                    _ => 1,
                };
                for ((_, step), sent) in transcript.steps[at..].iter().zip(&mut sent[at..]).take(together) {
                    if !write(peer, step, &names, manner).await {
                        break;
                    }
                    *sent = true;
                }
                assert!(sent[at], "a token in {at} is not known");
            }
            Step::Reply { text, line } => {
                let reply = peer.try_reply().await.unwrap_or_else(|| transcript.fail(*line, "closed"));
                if names.accept(text, &reply) {
                    continue;
                }
                if std::env::var_os("UPDATE_TRANSCRIPTS").is_none() {
                    transcript.fail(*line, &format!("\nexpected {text}\n     got {reply}"));
                }
                different.push((*line, format!("{who}< {}", names.hide(&reply))));
            }
            Step::Closed => assert_eq!(peer.try_reply().await, None, "{}", transcript.path.display()),
        }
    }
    different
}

/// Writes the bytes of a step; returns `false` if a token in them is not known. Steps that write nothing count as written.
async fn write<S: AsyncRead + AsyncWrite + Unpin>(
    peer: &mut Peer<S>,
    step: &Step,
    names: &Names,
    manner: Manner,
) -> bool {
    match step {
        Step::Reply { .. } | Step::Closed => true,
        Step::EndInput => {
            peer.stream.shutdown().await.ok();
            true
        }
        Step::Send { text, end } => {
            let Some(mut bytes) = names.fill(text) else {
                return false;
            };
            if *end {
                bytes.extend_from_slice(match manner {
                    Manner::OneByOne(end) => end,
                    Manner::Pipelined => b"\n",
                    Manner::Cut(_) => b"\r\n",
                });
            }
            if let Manner::Cut(at) = manner
                && at < bytes.len()
            {
                peer.send(&bytes[..at]).await;
                // The paused clock advances only when no task has anything to do.
                sleep(Duration::from_millis(1)).await;
                bytes.drain(..at);
            }
            peer.send(bytes).await;
            true
        }
    }
}

/// Replaces the expected replies in the file with the actual ones.
fn rewrite(path: &Path, different: Vec<(usize, String)>) {
    if different.is_empty() {
        return;
    }
    let text = fs::read_to_string(path).expect("UTF-8");
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    for (line, reply) in different {
        lines[line] = reply;
    }
    fs::write(path, lines.join("\n") + "\n").expect("written");
}

#[tokio::test]
async fn transcripts_line_by_line() {
    for transcript in transcripts() {
        for end in [b"\r\n".as_slice(), b"\n"] {
            let server = transcript.setup().start().await;
            let different = play(&transcript, Manner::OneByOne(end), || server.connect()).await;
            rewrite(&transcript.path, different);
            server.stop().await;
        }
    }
}

#[tokio::test]
async fn transcripts_pipelined() {
    for transcript in transcripts() {
        let server = transcript.setup().start().await;
        play(&transcript, Manner::Pipelined, || server.connect()).await;
        server.stop().await;
    }
}

/// Runs the transcripts cut at a part of all positions. (There are several parts, so that they run at the same time.)
async fn play_cut(part: usize) {
    for transcript in transcripts() {
        for at in cuts(&transcript).into_iter().filter(|at| at % PARTS == part) {
            let server: Arc<Server> = transcript.setup().server();
            play(&transcript, Manner::Cut(at), async || duplex(&server, 1 << 20).0).await;
        }
    }
}

const PARTS: usize = 3;

#[tokio::test(start_paused = true)]
async fn transcripts_cut_at_every_third_position() {
    play_cut(0).await;
}

#[tokio::test(start_paused = true)]
async fn transcripts_cut_at_the_position_after_each_third() {
    play_cut(1).await;
}

#[tokio::test(start_paused = true)]
async fn transcripts_cut_at_the_second_position_after_each_third() {
    play_cut(2).await;
}

/// Returns every position in a line; of very long lines, those near the start and near the limit, and some between.
fn cuts(transcript: &Transcript) -> Vec<usize> {
    let sends = transcript.steps.iter().filter_map(|(_, step)| match step {
        // A token is longer than its name.
        Step::Send { text, .. } => Some(text.len() + 40 + text.matches('*').count() * 17_000),
        _ => None,
    });
    let longest = sends.max().unwrap_or(0);
    (1..longest).filter(|at| *at < 300 || (16_300..16_480).contains(at) || at % 997 == 0).collect()
}

/// Codes that no short conversation with a healthy server shows (other tests cover them), and the one that always ends the
/// connection.
const UNHEALTHY: [Refusal; 10] = [
    Refusal::Storage,
    Refusal::Uncertain,
    Refusal::ReadOnly,
    Refusal::Internal,
    Refusal::TooManyRooms { limit: 1 },
    Refusal::TooManyConnections { limit: 1 },
    Refusal::Quota { mib: 1, retry_after: 1 },
    Refusal::Unavailable { retry_after: 1 },
    Refusal::RateLimited { retry_after: 1 },
    Refusal::LineTooLong,
];

#[test]
fn every_command_and_every_code_is_shown_in_both_forms() {
    let all = transcripts();
    let page = |transcript: &&Transcript| transcript.path.extension().is_some_and(|kind| kind == "md");
    let steps = || all.iter().filter(page).flat_map(|transcript| &transcript.steps);
    let sent = |matches: &dyn Fn(&str) -> bool| {
        steps().any(|(_, step)| matches!(step, Step::Send { text, .. } if matches(text)))
    };
    for command in SPECS {
        let name = command.name;
        assert!(sent(&|text| text.split(' ').next() == Some(name)), "{name} in words");
        assert!(sent(&|text| text.contains(&format!("\"command\": \"{name}\""))), "{name} in JSON");
    }
    for refusal in Refusal::ALL.iter().filter(|refusal| !UNHEALTHY.contains(refusal)) {
        let code = format!("\"code\": \"{}\"", refusal.code());
        let shown = all.iter().flat_map(|transcript| &transcript.steps);
        let mut forms = [false; 2];
        let mut last: std::collections::HashMap<&str, Vec<bool>> = std::collections::HashMap::new();
        for (who, step) in shown {
            match step {
                Step::Send { text, .. } => {
                    last.entry(who).or_default().push(text.starts_with('{'));
                }
                Step::Reply { text, .. } if text.contains(&code) => {
                    if let Some(json) = last.get(who.as_str()).and_then(|sent| sent.last()) {
                        forms[usize::from(*json)] = true;
                    }
                }
                _ => {}
            }
        }
        // A request that is not UTF-8 has no JSON form.
        let both = *refusal != Refusal::NotUtf8;
        // Only the JSON form has keys.
        let in_words = forms[0] || *refusal == Refusal::KeyReused;
        assert!(in_words && (forms[1] || !both), "{code}: {forms:?}");
    }
}
