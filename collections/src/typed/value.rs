//! What fits one word, as Rust has it.

use std::string::String;
use std::vec::Vec;

use coheap_alloc::{Error, Operation, Result};

use super::handle::{Handle, Structure, sealed::Sealed};
use super::{Agent, Cell, Fields, List, Map, MapKey};
use crate::cell::{self, Taken};
use crate::scalar::NUMBER;
pub use crate::scalar::Scalar;
pub(super) use crate::scalar::stored;
use crate::string::{Form, Given, Source};
use crate::value::{self, Tag};
use crate::{Table, Type, atom, bytes, count};

/// Bytes of a value that fit the transfer buffer at once.
pub(super) const ROOM: u32 = coheap_alloc::layout::body::TRANSFER_LENGTH;

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
    fn give<R>(arg: Self::Arg<'_>, table: Table, f: impl FnOnce(Given<'_>) -> Result<R>) -> Result<R>;
    /// `None` for what is none of these.
    #[doc(hidden)]
    fn out(scalar: Scalar, agent: &Agent) -> Option<Result<Self::Out>>;
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

            fn give<R>(arg: Self, _: Table, f: impl FnOnce(Given<'_>) -> Result<R>) -> Result<R> {
                f(Given::number(f64::from(arg)))
            }

            fn out(scalar: Scalar, _: &Agent) -> Option<Result<Self>> {
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

    fn give<R>(arg: Self, _: Table, f: impl FnOnce(Given<'_>) -> Result<R>) -> Result<R> {
        f(Given::Word(if arg { value::TRUE } else { value::FALSE }))
    }

    fn out(scalar: Scalar, _: &Agent) -> Option<Result<Self>> {
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

    fn give<R>(arg: &str, table: Table, f: impl FnOnce(Given<'_>) -> Result<R>) -> Result<R> {
        if arg.is_ascii() {
            return f(Given::text(arg.as_bytes()));
        }
        match arg.chars().map(|character| u8::try_from(character).ok()).collect::<Option<Vec<u8>>>() {
            Some(units) => f(Given::text(&units)),
            None => give_units(arg.encode_utf16(), table, f),
        }
    }

    fn out(scalar: Scalar, _: &Agent) -> Option<Result<String>> {
        if let Scalar::Text(text) = scalar { Some(Ok(text)) } else { None }
    }
}

fn give_units<R>(units: impl Iterator<Item = u16>, table: Table, f: impl FnOnce(Given<'_>) -> Result<R>) -> Result<R> {
    let units: Vec<u8> = units.flat_map(u16::to_le_bytes).collect();
    f(Given::new(table, Form::Utf16, Source::Slice(&units))?)
}

/// Bytes: given as `&[u8]`, and a `Vec<u8>` when they come out.
#[derive(Debug)]
pub enum Bytes {}

impl Sealed for Bytes {}

impl Value for Bytes {
    type Arg<'a> = &'a [u8];
    type Out = Vec<u8>;
    const TAG: u32 = Tag::Data as u32;

    fn give<R>(arg: &[u8], _: Table, f: impl FnOnce(Given<'_>) -> Result<R>) -> Result<R> {
        f(Given::bytes(arg))
    }

    fn out(scalar: Scalar, _: &Agent) -> Option<Result<Vec<u8>>> {
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

    fn give<R>(arg: &Scalar, table: Table, f: impl FnOnce(Given<'_>) -> Result<R>) -> Result<R> {
        match arg {
            Scalar::Undefined => f(Given::Word(value::UNDEFINED)),
            Scalar::Null => f(Given::Word(value::NULL)),
            Scalar::Bool(value) => bool::give(*value, table, f),
            Scalar::Number(number) => f(Given::number(*number)),
            Scalar::Integer(negative, words) => {
                let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
                let form = if *negative { Form::Negative } else { Form::Natural };
                f(Given::new(table, form, Source::Slice(&bytes))?)
            }
            Scalar::Text(text) => Str::give(text, table, f),
            Scalar::Units(units) => give_units(units.iter().copied(), table, f),
            Scalar::Bytes(bytes) => f(Given::bytes(bytes)),
            Scalar::Object(handle) => f(Given::Reference(*handle)),
        }
    }

    fn out(scalar: Scalar, _: &Agent) -> Option<Result<Scalar>> {
        Some(Ok(scalar))
    }
}

impl CellValue for bool {}
impl CellValue for Str {}
impl CellValue for Bytes {}
impl CellValue for Any {}

/// As a value of a map, a structure is itself: the map has a reference of its own to it.
fn opened<T: Structure>(scalar: Scalar, agent: &Agent) -> Option<Result<T>> {
    match scalar {
        Scalar::Object(handle) => Some(agent.open(Handle::from_bits(handle.to_word()))),
        _ => None,
    }
}

macro_rules! structures {
    ($([$($parameters:tt)*] $type:ty),*) => { $(
        impl<$($parameters)*> Value for $type {
            type Arg<'a> = &'a Self;
            type Out = Self;
            const TAG: u32 = Tag::Object as u32;

            fn give<R>(arg: &Self, _: Table, f: impl FnOnce(Given<'_>) -> Result<R>) -> Result<R> {
                f(Given::Reference(arg.owned().handle()))
            }

            fn out(scalar: Scalar, agent: &Agent) -> Option<Result<Self>> {
                opened(scalar, agent)
            }
        }
    )* };
}

structures!([K: MapKey, V: Value] Map<K, V>, [V: Value] List<V>, [V: CellValue] Cell<V>, [] Fields);

/// What a structure that holds a `V` answers for a value.
///
/// # Errors
/// [`Error::UnexpectedValue`]; those of [`Agent::open`] for a structure.
pub(super) fn typed<V: Value>(scalar: Scalar, agent: &Agent) -> Result<V::Out> {
    let found = scalar.tag();
    V::out(scalar, agent).unwrap_or(Err(Error::unexpected_value(V::TAG, found)))
}

/// The value of a cell.
pub(super) fn read_cell(operation: &Operation, handle: crate::Handle) -> Result<Scalar> {
    let table = Table::of(operation);
    let to = operation.agent().transfer();
    let taken = cell::take(table, handle, to, ROOM)?;
    match taken.block {
        None => plain(table, taken),
        Some((form, length)) if length <= ROOM => {
            let mut contents = std::vec![0; length as usize];
            table.memory.copy_out(to, &mut contents);
            Ok(stored(form, &contents))
        }
        Some(_) => read_long(operation, handle),
    }
}

/// By way of a region: in one step, however often writers come.
fn read_long(operation: &Operation, handle: crate::Handle) -> Result<Scalar> {
    let table = Table::of(operation);
    let taken = cell::snapshot(operation, handle)?;
    let (Some((form, length)), Some(region)) = (taken.block, taken.region) else { return plain(table, taken) };
    let mut contents = std::vec![0; length as usize];
    let copied = bytes::read(table, region, 0, &mut contents);
    // Nobody waits for it.
    let _ = count::release(operation, region, Type::Bytes)?;
    copied.map(|()| stored(form, &contents))
}

/// A value without a block.
pub(super) fn plain(table: Table, taken: Taken) -> Result<Scalar> {
    let word = taken.word;
    if let Some((form, _)) = taken.block {
        return Ok(stored(form, &[]));
    }
    Ok(match value::tag(word) {
        None => Scalar::Number(f64::from_bits(word)),
        Some(Tag::Short) => {
            let (units, length) = value::to_short(word);
            stored(Form::Latin1, units.get(..length).unwrap_or_default())
        }
        Some(Tag::Atom) => {
            let mut text = [0; atom::LONGEST];
            let length = atom::text(table, value::payload(word) as u32, &mut text).unwrap_or_default();
            stored(Form::Latin1, text.get(..length).unwrap_or_default())
        }
        _ => match word {
            value::NULL => Scalar::Null,
            value::TRUE => Scalar::Bool(true),
            value::FALSE => Scalar::Bool(false),
            _ => Scalar::Undefined,
        },
    })
}
