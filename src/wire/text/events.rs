//! Events as objects of the line protocol.

use super::{Body, object::Object};
use crate::{
    chat::Event,
    protocol::{
        json::{END, write_object},
        objects::EventObject,
    },
    users::Users,
};

/// Renders events; `None` if this protocol has none of them.
pub(super) fn render(events: Vec<Event>, users: &Users) -> Option<Body> {
    let mut out = Vec::new();
    for event in events {
        write(&event, users, &mut out);
    }
    (!out.is_empty()).then_some(Body::Rendered(out))
}

fn write(event: &Event, users: &Users, out: &mut Vec<u8>) {
    let object = match event {
        Event::Message(message) => {
            // By hand, because it is the most frequent one.
            Object::event(message, users).write(out);
            out.extend_from_slice(END);
            return;
        }
        Event::Acked { upto } => EventObject::Acked { upto: upto.0 },
        Event::Delivered { id, at } => EventObject::Delivered { id: id.0, at: *at },
        Event::Presence { user, presence } => EventObject::Presence {
            username: user.to_string().into(),
            active: presence.active,
            connected: presence.connected,
            last_seen: presence.left,
        },
        Event::Read { with, upto, by } => {
            EventObject::Read { with: with.to_string().into(), upto: upto.0, by: by.to_string().into() }
        }
        Event::Typing { from, to } => {
            EventObject::Typing { from: from.to_string().into(), to: to.to_string().into() }
        }
        Event::SessionEnded => EventObject::SessionEnded,
        // This protocol does not have them, and does not ask for them.
        Event::Joined { .. } | Event::Left { .. } => return,
    };
    write_object(&object, out);
}
