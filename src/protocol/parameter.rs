//! What commands take, and what a request gives for it.

use std::{borrow::Cow, fmt};

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// One parameter of a command.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    /// What usage lines call it: `USER`.
    pub name: &'static str,
    /// What the JSON form calls it: `to`.
    pub field: &'static str,
    /// How a request gives it.
    pub form: Form,
    /// What it is.
    pub kind: Kind,
}

/// How a request gives a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One word. Required.
    Word,
    /// The rest of the line, trimmed of spaces and tabs at both ends. Required, and last.
    Rest,
    /// One word that may be left out, with all that follow.
    Optional,
    /// A JSON field that may be left out; the line form has no place for it.
    FieldOnly,
}

/// What a parameter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text: a JSON string, not empty.
    Text,
    /// A number: decimal digits, or a JSON number. What is over 2⁶³ − 1 is taken for that.
    Number,
    /// A number, or in the line form this word.
    NumberOr(&'static str),
    /// A JSON boolean.
    Flag,
}

impl Parameter {
    /// A required word.
    #[must_use]
    pub const fn word(name: &'static str, field: &'static str) -> Self {
        Parameter { name, field, form: Form::Word, kind: Kind::Text }
    }

    /// The rest of the line.
    #[must_use]
    pub const fn rest(name: &'static str, field: &'static str) -> Self {
        Parameter { name, field, form: Form::Rest, kind: Kind::Text }
    }

    /// A word that may be left out.
    #[must_use]
    pub const fn optional(name: &'static str, field: &'static str, kind: Kind) -> Self {
        Parameter { name, field, form: Form::Optional, kind }
    }

    /// A required number.
    #[must_use]
    pub const fn number(name: &'static str, field: &'static str) -> Self {
        Parameter { name, field, form: Form::Word, kind: Kind::Number }
    }

    /// A field that only the JSON form has.
    #[must_use]
    pub const fn field_only(name: &'static str, field: &'static str, kind: Kind) -> Self {
        Parameter { name, field, form: Form::FieldOnly, kind }
    }

    pub(super) fn is_required(&self) -> bool {
        matches!(self.form, Form::Word | Form::Rest)
    }
}

/// What was given for a parameter.
pub(super) enum Value<'a> {
    Text(Cow<'a, str>),
    Number(u64),
    Flag(bool),
}

impl<'a> Value<'a> {
    pub(super) fn from_word(word: &'a str, kind: Kind) -> Option<Self> {
        match kind {
            Kind::NumberOr(other) if word == other => Some(Value::Text(word.into())),
            Kind::Text => (!word.is_empty()).then_some(Value::Text(word.into())),
            Kind::Number | Kind::NumberOr(_) => {
                let digits = !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
                // More than there can be is as good as the most.
                digits.then(|| Value::Number(word.parse().unwrap_or(u64::MAX)))
            }
            Kind::Flag => None,
        }
    }

    /// Whether the JSON form may give this for a parameter of that kind.
    pub(super) fn fits(&self, kind: Kind) -> bool {
        match (self, kind) {
            (Value::Text(text), Kind::Text) => !text.is_empty(),
            (Value::Number(_), Kind::Number | Kind::NumberOr(_)) | (Value::Flag(_), Kind::Flag) => true,
            _ => false,
        }
    }
}

/// The greatest number that a request can give: what a database can hold.
pub(super) const MAX_NUMBER: u64 = i64::MAX as u64;

/// A string is without NUL, and borrowed from the line where it has no escapes.
impl<'de> Deserialize<'de> for Value<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Scalar;

        fn without_nul<E: Error>(text: Cow<'_, str>) -> Result<Value<'_>, E> {
            match memchr::memchr(0, text.as_bytes()) {
                None => Ok(Value::Text(text)),
                Some(_) => Err(E::custom("a NUL")),
            }
        }

        impl<'de> Visitor<'de> for Scalar {
            type Value = Value<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, a number or a boolean")
            }

            fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Value<'de>, E> {
                without_nul(Cow::Borrowed(value))
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Value<'de>, E> {
                without_nul(Cow::Owned(value.to_owned()))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Value<'de>, E> {
                Ok(Value::Number(value))
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<Value<'de>, E> {
                Ok(Value::Flag(value))
            }
        }

        deserializer.deserialize_any(Scalar)
    }
}
