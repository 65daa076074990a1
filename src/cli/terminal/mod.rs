//! The prompt on a terminal: people type below, and what others write appears above.
//!
//! Three threads: this one edits the line, another one prints, and the runtime's has the connection ([`Talk`]).

mod command;
mod editor;
mod guard;
mod help;
mod marks;
mod modes;
mod outbox;
mod paint;
mod presence;
mod printer;
mod resize;
mod talk;

use std::{
    io::ErrorKind,
    sync::{Arc, Mutex},
};

use tokio::{
    runtime::Runtime,
    sync::{Notify, mpsc, oneshot},
};

use self::{
    command::Typed,
    editor::{Editor, Keys, Line, Names},
    guard::PlainPrompt,
    modes::Modes,
    printer::Printer,
    talk::{Input, Next, Talk},
};
use super::{Exit, complain, exit::Failure, profile::state_folder, reach::Identity};
use crate::{
    config::{Face, Reach},
    files,
};

/// Runs the prompt until its user ends it.
pub(super) fn run(runtime: &Runtime, reach: &Reach, face: &Face) -> Result<Exit, Failure> {
    let identity = Identity::find(reach)?;
    let modes = Modes::take();
    let plain = Arc::<PlainPrompt>::default();
    let interrupted = Arc::<Notify>::default();
    if let Some(modes) = &modes {
        guard::begin(runtime, modes.original().clone(), plain.clone(), interrupted.clone());
    }
    let (names, keys) = (Arc::<Mutex<Names>>::default(), Arc::<Keys>::default());
    let history = state_folder().map(|folder| folder.join("history"));
    if let Some(history) = &history {
        files::create_private_folder(files::parent(history)).ok();
    }
    let (mut editor, sink) = Editor::open(history, names.clone(), keys.clone(), plain);
    // Without an editor, the terminal edits the line.
    let modes = modes.filter(|_| matches!(editor, Editor::Full { .. }));
    if let Some(modes) = &modes {
        modes.between();
    }
    let (written, was_written) = mpsc::channel(16);
    let printer = Printer::start(sink, keys.screen.clone(), written)
        .map_err(|error| Failure::new(Exit::Refused, format!("cannot start: {error}")))?;
    let (inputs, taken) = mpsc::channel(1);
    // For its signals.
    let _runtime = runtime.enter();
    let talk = Talk::new(reach, face, identity, printer, names, keys);
    // The first prompt comes when it is known who is logged in.
    let (begun, first) = oneshot::channel();
    let talking = runtime.spawn(talk.run(taken, was_written, begun, interrupted));
    let mut next = match first.blocking_recv() {
        Ok(next) => next?,
        Err(_) => return Err(Failure::new(Exit::Refused, "cannot start")),
    };
    loop {
        let line = editor.read(&next.prompt);
        let typed = match line {
            Line::Typed(line) => line,
            Line::Dropped => continue,
            Line::Cut => {
                complain("this line may be cut: a terminal takes 4,095 bytes. Nothing was sent");
                continue;
            }
            Line::End => break,
        };
        let Some(input) = take(&mut editor, modes.as_ref(), &next, &typed) else {
            continue;
        };
        let is_last = matches!(input, Typed::Quit);
        let is_bare = next.has_recipient && !typed.trim_start().starts_with('/');
        let (reply, replied) = oneshot::channel();
        if inputs.blocking_send(Input { typed: input, is_bare, reply }).is_err() || is_last {
            break;
        }
        match replied.blocking_recv() {
            Ok(answer) => next = answer,
            Err(_) => break,
        }
    }
    drop(inputs);
    Ok(runtime.block_on(talking).unwrap_or(Exit::Lost))
}

/// Understands a line: asks for passwords, keeps it in the history unless it has one, and takes messages off the screen, because they
/// are shown with their time when they are stored. `None` if there is nothing to do.
fn take(editor: &mut Editor, modes: Option<&Modes>, next: &Next, line: &str) -> Option<Typed> {
    let typed = command::parse(line, next.has_recipient);
    match typed {
        Typed::Nothing => None,
        Typed::Auth { user, password: None } => {
            editor.remember(line.trim());
            let password = ask(modes, &format!("Password of {user}: "))?;
            Some(Typed::Auth { user, password: Some(password) })
        }
        Typed::Passwd(None) => {
            editor.remember(line.trim());
            let (old, new) = (ask(modes, "Old password: ")?, ask(modes, "New password: ")?);
            if ask(modes, "New password again: ")? != new {
                return Some(Typed::Wrong(
                    "the new passwords are not the same: nothing was changed".to_owned(),
                ));
            }
            Some(Typed::Passwd(Some((old, new))))
        }
        secret @ (Typed::Auth { .. } | Typed::Passwd(_)) => {
            editor.erase(&next.prompt, line);
            Some(secret)
        }
        message @ (Typed::Text(_) | Typed::Send { .. }) => {
            editor.remember(line);
            editor.erase(&next.prompt, line);
            Some(message)
        }
        wrong @ Typed::Wrong(_) => {
            // It may be a password that was typed at the wrong place.
            let begins = |word: &str| line.trim_start().trim_start_matches('/').starts_with(word);
            if !begins("auth") && !begins("passwd") && !begins("login") {
                editor.remember(line);
            }
            Some(wrong)
        }
        other => {
            editor.remember(line.trim());
            Some(other)
        }
    }
}

fn ask(modes: Option<&Modes>, prompt: &str) -> Option<String> {
    // The terminal edits the line.
    if let Some(modes) = modes {
        modes.restore();
    }
    let secret = rpassword::prompt_password(prompt);
    if let Some(modes) = modes {
        modes.between();
    }
    match secret {
        Ok(secret) => Some(secret),
        // Ctrl-C.
        Err(error) if error.kind() == ErrorKind::Interrupted => None,
        Err(error) => {
            complain(&format!("cannot read the password: {error}"));
            None
        }
    }
}
