//! The task that has the connection: it writes requests, reads replies and events, and connects again.

use std::{
    collections::{BTreeSet, VecDeque},
    io,
    sync::Arc,
    time::Duration,
};

use serde::Deserialize;
use tokio::{
    sync::mpsc::Receiver,
    time::{Instant, sleep_until, timeout_at},
};

use super::{
    ClientError, Event, Options, Shared, WatchOptions,
    connection::{Connection, connect},
    events::EventSender,
    request::Request,
    watch::{Stream, Watch, next_of},
};
use crate::protocol::objects::{ErrorReply, EventObject, Status};

/// First pause before another try to connect.
const PAUSE: Duration = Duration::from_millis(100);

/// Most requests that were sent and not answered. Others wait in the client.
const MOST_UNDER_WAY: usize = 256;

/// What the handles ask the task for.
pub(super) enum Order {
    /// A request.
    Ask(Request),
    /// A stream of events, in the place of an earlier one.
    Watch(WatchOptions, EventSender),
}

pub(super) struct Task {
    pub(super) options: Arc<Options>,
    pub(super) shared: Arc<Shared>,
    pub(super) orders: Receiver<Order>,
    /// Requests that were not sent.
    waiting: VecDeque<Request>,
    /// Requests that were sent and not answered, oldest first.
    under_way: VecDeque<Request>,
    watch: Option<Watch>,
    /// When a request was sent while nothing else was under way: since then, the server owes an answer.
    asked: Instant,
    /// It was told that the connection is lost, and not that there is another one.
    is_told_lost: bool,
    /// Pause before the next try to connect.
    pause: Duration,
}

/// Why the task leaves a connection.
enum End {
    /// No handle is left.
    Unused,
    /// It is lost.
    Lost(String),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        End::Lost(error.to_string())
    }
}

impl Task {
    pub(super) fn new(options: Arc<Options>, shared: Arc<Shared>, orders: Receiver<Order>) -> Self {
        Task {
            options,
            shared,
            orders,
            waiting: VecDeque::new(),
            under_way: VecDeque::new(),
            watch: None,
            asked: Instant::now(),
            is_told_lost: false,
            pause: PAUSE,
        }
    }

    /// Serves the handles until none is left, or until the connection is lost for good.
    pub(super) async fn run(mut self, connection: Connection) {
        let mut connection = Some(connection);
        while let Some(mut open) = connection.take() {
            self.greet();
            let End::Lost(reason) = self.serve(&mut open).await else { return };
            let next = open.place() + 1;
            drop(open);
            self.lose(&reason);
            connection = self.connect_again(&reason, next).await;
            if let Some(connection) = &connection {
                connection.server().clone_into(&mut self.shared.lock().server);
            }
        }
    }

    /// Begins a conversation: says `hello`, and asks for events again.
    fn greet(&mut self) {
        if let Some(watch) = &mut self.watch {
            self.waiting.push_front(watch.begin());
        }
        let mut hello = Request::own("hello", false);
        hello.fields.insert("protocol".to_owned(), 2.into());
        if let Some(device) = &self.options.device {
            hello.fields.insert("device".to_owned(), device.as_str().into());
        }
        self.waiting.push_front(hello);
    }

    /// Serves one connection until its end.
    async fn serve(&mut self, connection: &mut Connection) -> End {
        loop {
            while self.under_way.len() < MOST_UNDER_WAY
                && let Some(request) = self.waiting.pop_front()
            {
                if self.under_way.is_empty() {
                    self.asked = Instant::now();
                }
                request.write(self.shared.token(), &mut connection.out);
                self.under_way.push_back(request);
            }
            let is_asked = !self.under_way.is_empty();
            let patience = self.options.timeout;
            let deadline = if is_asked {
                connection.heard.max(self.asked) + patience
            } else {
                connection.heard + self.options.keepalive
            };
            tokio::select! {
                order = self.orders.recv() => match order {
                    None => return End::Unused,
                    Some(order) => self.take(order),
                },
                done = connection.exchange() => {
                    if let Err(end) = done.map_err(End::from).and_then(|()| self.read(connection)) {
                        return end;
                    }
                }
                stream = next_of(self.watch.as_ref()) => self.follow(&stream),
                () = sleep_until(deadline) => {
                    if is_asked {
                        return End::Lost(format!("no word from it within {patience:?}"));
                    }
                    self.waiting.push_back(Request::own("ping", false));
                }
            }
        }
    }

    fn take(&mut self, order: Order) {
        match order {
            Order::Ask(request) => self.waiting.push_back(request),
            Order::Watch(options, events) => {
                let mut watch = Watch { options, events, is_on: true, own: BTreeSet::new(), is_stale: false };
                self.waiting.push_back(watch.begin());
                self.watch = Some(watch);
            }
        }
    }

    fn follow(&mut self, stream: &Stream) {
        match (stream, &mut self.watch) {
            (Stream::HasRoom, Some(watch)) => {
                let begin = watch.begin();
                watch.is_stale = true;
                self.waiting.push_back(begin);
            }
            (Stream::IsOver, Some(watch)) => {
                if watch.is_on {
                    self.waiting.push_back(Request::own("unwatch", true));
                }
                self.watch = None;
            }
            (_, None) => {}
        }
    }

    /// Takes the replies and events that have come.
    fn read(&mut self, connection: &mut Connection) -> Result<(), End> {
        /// What every object has one of.
        #[derive(Deserialize)]
        struct Kind {
            status: Option<Status>,
            event: Option<serde::de::IgnoredAny>,
            id: Option<u64>,
        }
        while let Some(json) = connection.take_object()? {
            let kind: Kind = serde_json::from_str(&json).map_err(|error| End::Lost(error.to_string()))?;
            match kind {
                Kind { event: Some(_), .. } => self.take_event(&json)?,
                Kind { status: Some(status), id, .. } => {
                    let Some(request) = self.under_way.pop_front() else {
                        return Err(End::Lost("it has replied to nothing".to_owned()));
                    };
                    if status == Status::Ok {
                        // The first one is that of `hello`.
                        self.has_answered();
                        if let Some(watch) = &mut self.watch {
                            if let (true, Some(id)) = (request.is_send(), id) {
                                watch.sent(id);
                            }
                            watch.is_stale &= !request.is_watch();
                        }
                        request.answer(Ok(json));
                        continue;
                    }
                    let refused = refusal(&json);
                    if request.is_watch()
                        && let (ClientError::Refused(refused), Some(watch)) = (&refused, self.watch.take())
                    {
                        watch.events.put(Event::Refused(refused.clone()));
                    }
                    if request.is_own()
                        && let (false, ClientError::Refused(refused)) = (request.is_watch(), &refused)
                    {
                        // As when there are too many connections: it closes this one.
                        return Err(End::Lost(format!("it refused the connection: {}", refused.message)));
                    }
                    request.answer(Err(refused));
                }
                _ => return Err(End::Lost(format!("it said {json:?}"))),
            }
        }
        Ok(())
    }

    fn take_event(&mut self, json: &str) -> Result<(), End> {
        // A server of a later version may have others.
        let Ok(event) = serde_json::from_str::<EventObject>(json) else { return Ok(()) };
        if let EventObject::Closing { reason } = &event {
            return Err(End::Lost(format!("it has closed the connection: {reason}")));
        }
        let Some(watch) = self.watch.as_mut().filter(|watch| watch.is_on && !watch.is_stale) else {
            return Ok(());
        };
        if let EventObject::Message(message) = &event
            && watch.pass(message.id)
        {
            return Ok(());
        }
        if !watch.events.put(Event::Server(event)) {
            // It goes on after the last message when there is room again.
            watch.is_on = false;
            self.waiting.push_back(Request::own("unwatch", true));
        }
        Ok(())
    }

    /// Notes that the server serves this connection. A connection alone says nothing: a program that hangs accepts one, too.
    fn has_answered(&mut self) {
        self.shared.lock().is_there = true;
        self.pause = PAUSE;
        if std::mem::take(&mut self.is_told_lost) {
            self.tell(Event::Connected);
        }
    }

    /// Keeps the requests that can be repeated, and fails the others that were under way.
    fn lose(&mut self, reason: &str) {
        let lost = std::mem::take(&mut self.under_way);
        for request in lost.into_iter().rev() {
            if request.is_repeatable && self.options.reconnect.is_some() {
                self.waiting.push_front(request);
            } else {
                request.answer(Err(ClientError::Lost(reason.to_owned())));
            }
        }
        // Those of the task itself are made anew.
        self.waiting.retain(|request| !request.is_own());
        self.shared.lock().is_there = false;
        if !std::mem::replace(&mut self.is_told_lost, true) {
            self.tell(Event::Disconnected(reason.to_owned()));
        }
    }

    /// Connects again, beginning with the server at `next`; meanwhile, requests are kept. `None` if nobody needs it any more, or if
    /// that is not wanted.
    async fn connect_again(&mut self, reason: &str, next: usize) -> Option<Connection> {
        let Some(longest) = self.options.reconnect else {
            self.give_up(reason).await;
            return None;
        };
        let options = self.options.clone();
        loop {
            let until = Instant::now() + self.pause.min(longest);
            self.pause = (self.pause * 2).min(longest);
            while let Ok(order) = timeout_at(until, self.orders.recv()).await {
                self.take_apart(order?);
            }
            let mut connecting = std::pin::pin!(connect(&options, next));
            loop {
                tokio::select! {
                    connected = &mut connecting => match connected {
                        Ok(connection) => return Some(connection),
                        Err(_) => break,
                    },
                    order = self.orders.recv() => self.take_apart(order?),
                }
            }
        }
    }

    /// Keeps an order while there is no connection.
    fn take_apart(&mut self, order: Order) {
        self.take(order);
        // The watch is asked for when there is a connection.
        self.waiting.retain(|request| !request.is_own());
    }

    /// Fails everything, now and later.
    async fn give_up(&mut self, reason: &str) {
        self.watch = None;
        let lost = || ClientError::Lost(reason.to_owned());
        self.waiting.drain(..).for_each(|request| request.answer(Err(lost())));
        while let Some(order) = self.orders.recv().await {
            if let Order::Ask(request) = order {
                request.answer(Err(lost()));
            }
        }
    }

    fn tell(&mut self, event: Event) {
        if let Some(watch) = &self.watch {
            watch.events.put(event);
        }
    }
}

/// The error of a refusal.
fn refusal(json: &str) -> ClientError {
    match serde_json::from_str::<ErrorReply>(json) {
        Ok(refusal) => ClientError::Refused(Box::new(refusal)),
        Err(_) => ClientError::Protocol(json.to_owned()),
    }
}
