//! Parameters of commands, and their values in a request.

use std::{borrow::Cow, fmt};

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// One parameter of a command.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    /// Name in usage lines, such as `USER`.
    pub name: &'static str,
    /// Name of the JSON field, such as `to`.
    pub field: &'static str,
    /// Where a request has it.
    pub form: Form,
    /// Type of its value.
    pub kind: Kind,
}

/// Where a request has a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A required word.
    Word,
    /// The rest of the line, without spaces and tabs at both ends. It is required and the last parameter.
    Rest,
    /// An optional word.
    Optional,
    /// An optional JSON field. The line form does not have it.
    FieldOnly,
}

/// Type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text: a JSON string, not empty.
    Text,
    /// A number: decimal digits, or a JSON number. Numbers over 2⁶³ − 1 count as that.
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

    /// An optional word.
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

/// Value of a parameter.
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
                // A number that is too large counts as the largest one.
                digits.then(|| Value::Number(word.parse().unwrap_or(u64::MAX)))
            }
            Kind::Flag => None,
        }
    }

    /// Whether a JSON field for a parameter of this type may have this value.
    pub(super) fn fits(&self, kind: Kind) -> bool {
        match (self, kind) {
            (Value::Text(text), Kind::Text) => !text.is_empty(),
            (Value::Number(_), Kind::Number | Kind::NumberOr(_)) | (Value::Flag(_), Kind::Flag) => true,
            _ => false,
        }
    }
}

/// Largest number in a request: the largest one in the database.
pub(super) const MAX_NUMBER: u64 = i64::MAX as u64;

/// A string has no NUL. It is borrowed from the line if it has no escapes.
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
