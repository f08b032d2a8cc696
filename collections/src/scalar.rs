//! Any value, as Rust has it outside the heap.

extern crate std;

use std::string::String;
use std::vec::Vec;

use crate::string::Form;
use crate::value::{self, Tag};

/// Any value, also of those that only JavaScript tells apart.
#[derive(Clone, Debug)]
pub enum Scalar {
    /// JavaScript's `undefined`.
    Undefined,
    /// JavaScript's `null`.
    Null,
    /// A boolean.
    Bool(bool),
    /// A number. There is one NaN.
    Number(f64),
    /// A big integer: whether it is below 0, and its magnitude in words, the lowest first and the last not 0.
    Integer(bool, Vec<u64>),
    /// A string.
    Text(String),
    /// A string of JavaScript that is no text: units of UTF-16 with a surrogate alone.
    Units(Vec<u16>),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Another structure, by its handle, which the agent opens. Only of what structures have; to give it, the agent must have it open.
    Object(crate::Handle),
}

/// As JavaScript's `Object.is`, bytes by their contents.
impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Undefined, Self::Undefined) | (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Number(a), Self::Number(b)) => value::from_number(*a) == value::from_number(*b),
            (Self::Integer(a, b), Self::Integer(c, d)) => (a, b) == (c, d),
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Units(a), Self::Units(b)) => a == b,
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            (Self::Object(a), Self::Object(b)) => a == b,
            _ => false,
        }
    }
}

impl Scalar {
    /// What the C ABI calls the kind of this value: the tag of its word; 8 for a number.
    pub(crate) fn tag(&self) -> u32 {
        match self {
            Self::Number(_) => NUMBER,
            Self::Undefined | Self::Null | Self::Bool(_) => Tag::Special as u32,
            Self::Text(_) | Self::Units(_) => Tag::String as u32,
            Self::Integer(..) | Self::Bytes(_) => Tag::Data as u32,
            Self::Object(_) => Tag::Object as u32,
        }
    }
}

/// In errors: a number, which has no tag.
pub(crate) const NUMBER: u32 = 8;

/// What contents of a form are.
pub(crate) fn stored(form: Form, contents: &[u8]) -> Scalar {
    match form {
        Form::Ascii | Form::Latin1 => Scalar::Text(contents.iter().copied().map(char::from).collect()),
        Form::Utf16 => {
            let units = contents.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect::<Vec<_>>();
            String::from_utf16(&units).map_or(Scalar::Units(units), Scalar::Text)
        }
        Form::Bytes => Scalar::Bytes(contents.to_vec()),
        Form::Natural | Form::Negative => {
            let word = |bytes: &[u8]| bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
            Scalar::Integer(form == Form::Negative, contents.chunks(8).map(word).collect())
        }
        Form::Reference => {
            let word = contents.try_into().map(u64::from_le_bytes).unwrap_or_default();
            Scalar::Object(crate::Handle::from_word(word))
        }
    }
}
