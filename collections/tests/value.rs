//! Values of every kind in cells: strings, bytes, big integers, constants.
#![allow(clippy::disallowed_types, reason = "the switches of a test are no shared words of a heap")]
mod common;

#[path = "value/agents.rs"]
mod agents;
#[path = "value/contract.rs"]
mod contract;
#[path = "value/model.rs"]
mod model;

use coheap::cell::{self, Taken};
use coheap::string::{Form, Given, Source};
use coheap::value::{self, Tag};
use coheap::{Handle, Table, atom};
use coheap_alloc::layout::body;
use coheap_alloc::{Agent, Result};

/// A value, as a test knows it.
#[derive(Clone, Debug)]
enum Value {
    Number(f64),
    Constant(u64),
    Latin1(Vec<u8>),
    Utf16(Vec<u8>),
    Bytes(Vec<u8>),
    Integer(bool, Vec<u8>),
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()),
            (Self::Constant(a), Self::Constant(b)) => a == b,
            (Self::Latin1(a), Self::Latin1(b)) | (Self::Utf16(a), Self::Utf16(b)) => a == b,
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            (Self::Integer(a, b), Self::Integer(c, d)) => (a, b) == (c, d),
            _ => false,
        }
    }
}

impl Value {
    fn given(&self, table: Table) -> Result<Given<'_>> {
        match self {
            Self::Number(number) => Ok(Given::number(*number)),
            Self::Constant(word) => Ok(Given::Word(*word)),
            Self::Latin1(units) => Ok(Given::text(units)),
            Self::Utf16(units) => Given::new(table, Form::Utf16, Source::Slice(units)),
            Self::Bytes(bytes) => Ok(Given::bytes(bytes)),
            Self::Integer(negative, words) => {
                let form = if *negative { Form::Negative } else { Form::Natural };
                Given::new(table, form, Source::Slice(words))
            }
        }
    }
}

fn set(agent: Agent, cell: Handle, value: &Value) -> Result<()> {
    agent.operation(|o| cell::set_value(o, cell, value.given(Table::of(o))?).map(|_| ()))
}

fn get(agent: Agent, cell: Handle) -> Value {
    agent.operation(|o| read(agent, Table::of(o), cell)).expect("live")
}

/// Reads a value, long contents in pieces.
fn read(agent: Agent, table: Table, cell: Handle) -> Result<Value> {
    const ROOM: u32 = 1000;
    'again: loop {
        let taken = cell::take(table, cell, agent.transfer(), ROOM)?;
        let Some((form, length)) = taken.block else { return Ok(plain(table, taken)) };
        let mut contents = vec![0; length as usize];
        if length <= ROOM {
            agent.memory().copy_out(agent.transfer(), &mut contents);
            return Ok(of(form, contents));
        }
        for (number, part) in (0..).zip(contents.chunks_mut(body::TRANSFER_LENGTH as usize)) {
            let seen = (taken.word, taken.generation);
            let offset = number * body::TRANSFER_LENGTH;
            if !cell::piece(table, cell, seen, offset, agent.transfer(), part.len() as u32)? {
                continue 'again;
            }
            agent.memory().copy_out(agent.transfer(), part);
        }
        return Ok(of(form, contents));
    }
}

fn plain(table: Table, taken: Taken) -> Value {
    match value::tag(taken.word) {
        None => Value::Number(value::to_number(taken.word).expect("a number")),
        Some(Tag::Short) => {
            let (units, length) = value::to_short(taken.word);
            Value::Latin1(units[..length].to_vec())
        }
        Some(Tag::Atom) => {
            let mut text = [0; atom::LONGEST];
            let length = atom::text(table, value::payload(taken.word) as u32, &mut text).expect("an atom");
            Value::Latin1(text[..length].to_vec())
        }
        _ => Value::Constant(taken.word),
    }
}

fn of(form: Form, contents: Vec<u8>) -> Value {
    match form {
        Form::Ascii | Form::Latin1 => {
            assert_eq!(form == Form::Ascii, contents.is_ascii());
            Value::Latin1(contents)
        }
        Form::Utf16 => Value::Utf16(contents),
        Form::Bytes => Value::Bytes(contents),
        Form::Natural => Value::Integer(false, contents),
        Form::Negative => Value::Integer(true, contents),
        Form::Reference => panic!("cells hold no references"),
    }
}

/// Units in the form that JavaScript has them, ill-formed ones too.
fn utf16(units: &[u16]) -> Vec<u8> {
    units.iter().flat_map(|unit| unit.to_le_bytes()).collect()
}
