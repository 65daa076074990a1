//! Messages that were typed, until it is known what became of them.

use std::time::Duration;

use tokio::{sync::Notify, time::timeout};

use super::{ANSWER, Talk, orders::worded};
use crate::cli::{
    Exit, complain,
    terminal::{
        outbox::{Draft, Outbox, Sent},
        paint::Mark,
    },
};

/// Time for which the end waits for messages that are on their way.
const LAST_MESSAGES: Duration = Duration::from_secs(3);

impl Talk {
    /// Puts a message on its way.
    pub(super) fn send(&mut self, to: &str, text: String, outbox: &mut Outbox) {
        let Some(login) = &self.login else {
            self.problem("not sent, because you are not logged in: auth USER logs in; Up brings it back");
            return;
        };
        let client = login.client.clone();
        let on_its_way = (to.to_owned(), text.clone(), false);
        match outbox.put(Draft { client, to: to.to_owned(), text }) {
            Ok(()) => self.on_their_way.push_back(on_its_way),
            Err(_) => self
                .problem("too many messages wait for the server: this one was not sent; Up brings it back"),
        }
    }

    /// Shows what became of a message.
    pub(super) fn sent(&mut self, Sent { to, text, outcome }: Sent) {
        let was_shown = self.on_their_way.pop_front().is_some_and(|(_, _, is_shown)| is_shown);
        match outcome {
            Ok(sent) => {
                self.marks.sent(sent.id, &to, &text);
                let line = if was_shown {
                    self.paint.now_stored(&text)
                } else {
                    self.paint.own(sent.at, &to, &text, Mark::Stored)
                };
                self.printer.print(line);
            }
            // It is no draft of the next line: that may have begun, and may go to somebody else.
            Err(error) => self.problem(&format!("not sent to {to}: {}; Up brings it back", worded(&error))),
        }
    }

    /// Shows what becomes of the messages that are on their way, until the last.
    pub(super) async fn finish_sending(&mut self, outbox: &mut Outbox) {
        while outbox.waiting() > 0 {
            let sent = outbox.next().await;
            self.sent(sent);
        }
    }

    /// Waits for messages that are on their way.
    pub(super) async fn end(&mut self, outbox: &mut Outbox, interrupted: &Notify) -> Exit {
        if timeout(ANSWER, self.finish_sending(outbox)).await.is_err() {
            let waiting = messages(outbox.waiting(), "waits", "wait");
            self.note(&format!("{waiting} for the server; Ctrl-C gives up"));
            tokio::select! {
                _ = timeout(LAST_MESSAGES, self.finish_sending(outbox)) => {}
                () = interrupted.notified() => {}
            }
        }
        if outbox.waiting() == 0 {
            return Exit::Done;
        }
        let open = messages(outbox.waiting(), "is", "are");
        let told = "not known to be stored: the server has not answered\n  remedy: `chat-client history` shows what is stored";
        complain(&format!("{open} {told}"));
        Exit::Lost
    }
}

/// A number of messages, and a verb for one or for more.
fn messages(number: usize, one: &str, more: &str) -> String {
    if number == 1 { format!("1 message {one}") } else { format!("{number} messages {more}") }
}
