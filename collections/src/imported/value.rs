//! What fits one word, as Rust has it.

use std::string::String;
use std::vec::Vec;

use coheap_alloc::{Error, Result};

use super::agent::{Structure, agent, sealed::Sealed};
use super::crossing::Given;
use super::{Cell, Map, MapKey};
use crate::scalar::{NUMBER, Scalar};
use crate::string::Form;
use crate::value::{self, Tag};

/// What a structure can be said to hold. JavaScript reads and writes the same words.
pub trait Value: Sealed + 'static {
    /// How it is given.
    type Arg<'a>: Copy;
    /// How it comes out.
    type Out;
    /// What errors call it.
    #[doc(hidden)]
    const TAG: u32;
    #[doc(hidden)]
    fn give<'a>(arg: Self::Arg<'a>) -> Given<'a>;
    /// `None` for what is none of these.
    #[doc(hidden)]
    fn out(scalar: Scalar) -> Option<Result<Self::Out>>;
}

/// What a cell can hold: values that are no structures.
pub trait CellValue: Value {}

/// What can be added to.
pub trait Number: for<'a> Value<Arg<'a> = Self, Out = Self> + Copy {
    #[doc(hidden)]
    fn number(self) -> f64;
}

macro_rules! numbers {
    ($($type:ty),*) => { $(
        impl Sealed for $type {}

        impl Value for $type {
            type Arg<'a> = Self;
            type Out = Self;
            const TAG: u32 = NUMBER;

            fn give<'a>(arg: Self) -> Given<'a> {
                Given::number(f64::from(arg))
            }

            fn out(scalar: Scalar) -> Option<Result<Self>> {
                match scalar {
                    // Not rounded, not cut: what the type cannot hold is no value of it.
                    Scalar::Number(number) if value::from_number(number) == value::from_number(f64::from(number as Self)) => {
                        Some(Ok(number as Self))
                    }
                    _ => None,
                }
            }
        }

        impl CellValue for $type {}

        impl Number for $type {
            fn number(self) -> f64 {
                f64::from(self)
            }
        }
    )* };
}

numbers!(f64, u32, i32);

impl Sealed for bool {}

impl Value for bool {
    type Arg<'a> = Self;
    type Out = Self;
    const TAG: u32 = Tag::Special as u32;

    fn give<'a>(arg: Self) -> Given<'a> {
        Given::word(if arg { value::TRUE } else { value::FALSE })
    }

    fn out(scalar: Scalar) -> Option<Result<Self>> {
        if let Scalar::Bool(value) = scalar { Some(Ok(value)) } else { None }
    }
}

/// A string: given as `&str`, and a `String` when it comes out.
#[derive(Debug)]
pub enum Str {}

impl Sealed for Str {}

impl Value for Str {
    type Arg<'a> = &'a str;
    type Out = String;
    const TAG: u32 = Tag::String as u32;

    fn give<'a>(arg: Self::Arg<'a>) -> Given<'a> {
        if arg.is_ascii() {
            return Given::contents(Form::Ascii, arg.as_bytes());
        }
        match arg.chars().map(|character| u8::try_from(character).ok()).collect::<Option<Vec<u8>>>() {
            Some(units) => Given::contents(Form::Latin1, units),
            None => give_units(arg.encode_utf16()),
        }
    }

    fn out(scalar: Scalar) -> Option<Result<String>> {
        if let Scalar::Text(text) = scalar { Some(Ok(text)) } else { None }
    }
}

fn give_units<'a>(units: impl Iterator<Item = u16>) -> Given<'a> {
    Given::contents(Form::Utf16, units.flat_map(u16::to_le_bytes).collect::<Vec<u8>>())
}

/// Bytes: given as `&[u8]`, and a `Vec<u8>` when they come out.
#[derive(Debug)]
pub enum Bytes {}

impl Sealed for Bytes {}

impl Value for Bytes {
    type Arg<'a> = &'a [u8];
    type Out = Vec<u8>;
    const TAG: u32 = Tag::Data as u32;

    fn give<'a>(arg: Self::Arg<'a>) -> Given<'a> {
        Given::contents(Form::Bytes, arg)
    }

    fn out(scalar: Scalar) -> Option<Result<Vec<u8>>> {
        if let Scalar::Bytes(bytes) = scalar { Some(Ok(bytes)) } else { None }
    }
}

/// Any value: given as `&Scalar`, and a [`Scalar`] when it comes out.
#[derive(Debug)]
pub enum Any {}

impl Sealed for Any {}

impl Value for Any {
    type Arg<'a> = &'a Scalar;
    type Out = Scalar;
    const TAG: u32 = NUMBER;

    fn give<'a>(arg: Self::Arg<'a>) -> Given<'a> {
        match arg {
            Scalar::Undefined => Given::word(value::UNDEFINED),
            Scalar::Null => Given::word(value::NULL),
            Scalar::Bool(value) => bool::give(*value),
            Scalar::Number(number) => Given::number(*number),
            Scalar::Integer(negative, words) => {
                let form = if *negative { Form::Negative } else { Form::Natural };
                Given::contents(form, words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>())
            }
            Scalar::Text(text) => Str::give(text),
            Scalar::Units(units) => give_units(units.iter().copied()),
            Scalar::Bytes(bytes) => Bytes::give(bytes),
            Scalar::Object(handle) => Given::reference(*handle),
        }
    }

    fn out(scalar: Scalar) -> Option<Result<Scalar>> {
        Some(Ok(scalar))
    }
}

impl CellValue for bool {}
impl CellValue for Str {}
impl CellValue for Bytes {}
impl CellValue for Any {}

macro_rules! structures {
    ($([$($parameters:tt)*] $type:ty),*) => { $(
        impl<$($parameters)*> Value for $type {
            type Arg<'a> = &'a Self;
            type Out = Self;
            const TAG: u32 = Tag::Object as u32;

            fn give<'a>(arg: Self::Arg<'a>) -> Given<'a> {
                Given::reference(arg.handle())
            }

            // As a value of a map, a structure is itself: the map has a reference of its own to it.
            fn out(scalar: Scalar) -> Option<Result<Self>> {
                if let Scalar::Object(handle) = scalar { Some(agent().and_then(|agent| agent.open(handle))) } else { None }
            }
        }
    )* };
}

structures!([K: MapKey, V: Value] Map<K, V>, [V: CellValue] Cell<V>);

/// What a structure that holds a `V` answers for a value.
///
/// # Errors
/// [`Error::UnexpectedValue`]; those of opening it for a structure.
pub(super) fn typed<V: Value>(scalar: Scalar) -> Result<V::Out> {
    let found = scalar.tag();
    V::out(scalar).unwrap_or(Err(Error::unexpected_value(V::TAG, found)))
}
