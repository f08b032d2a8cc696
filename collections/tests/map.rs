//! Maps: keys and values as a test knows them, and one agent that works with a map of them.
#![cfg(not(any(loom, shuttle)))]
mod common;

#[path = "map/contract.rs"]
mod contract;
#[path = "map/hostile.rs"]
mod hostile;
#[path = "map/memory.rs"]
mod memory;
#[path = "map/model.rs"]
mod model;

use coheap::cell::Taken;
use coheap::map::{self, Key};
use coheap::string::{Form, Given, Source};
use coheap::value;
use coheap::{Handle, Table, Type, release};
use coheap_alloc::layout::body;
use coheap_alloc::{Agent, Heap, Operation, Result};
use common::{agent, run};

/// A key or a value, as a test knows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Item {
    /// The bits of a number.
    Number(u64),
    Special(u64),
    Text(Vec<u16>),
    Bytes(Vec<u8>),
}

fn number(number: f64) -> Item {
    Item::Number(value::from_number(number))
}

fn text(text: &str) -> Item {
    Item::Text(text.encode_utf16().collect())
}

impl Item {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Text(units) => units.iter().flat_map(|unit| unit.to_le_bytes()).collect(),
            Self::Bytes(bytes) => bytes.clone(),
            _ => Vec::new(),
        }
    }

    fn given<'a>(&self, table: Table, bytes: &'a [u8]) -> Given<'a> {
        match self {
            Self::Number(word) | Self::Special(word) => Given::Word(*word),
            Self::Text(_) => Given::new(table, Form::Utf16, Source::Slice(bytes)).expect("units"),
            Self::Bytes(_) => Given::bytes(bytes),
        }
    }

    /// As a key: −0 is 0.
    fn key(&self) -> Self {
        match self {
            Self::Number(word) if *word == 1 << 63 => Self::Number(0),
            other => other.clone(),
        }
    }
}

const ROOM: u32 = 8192;

fn table(agent: Agent) -> Table {
    Table { memory: agent.memory(), control: agent.control() }
}

fn item(table: Table, taken: Taken, at: u32) -> Item {
    match taken.block {
        None => match value::tag(taken.word) {
            None => Item::Number(taken.word),
            Some(value::Tag::Special) => Item::Special(taken.word),
            Some(value::Tag::Short) => {
                let (units, length) = value::to_short(taken.word);
                Item::Text(units[..length].iter().map(|&unit| u16::from(unit)).collect())
            }
            other => panic!("{other:?}"),
        },
        Some((form, length)) => {
            assert!(length <= ROOM);
            let mut bytes = vec![0; length as usize];
            table.memory.copy_out(at, &mut bytes);
            contents(form, bytes)
        }
    }
}

fn contents(form: Form, bytes: Vec<u8>) -> Item {
    match form {
        Form::Ascii | Form::Latin1 => Item::Text(bytes.into_iter().map(u16::from).collect()),
        Form::Utf16 => Item::Text(bytes.chunks(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect()),
        _ => Item::Bytes(bytes),
    }
}

/// A map and an agent that works with it.
#[derive(Clone, Copy)]
struct Shared {
    agent: Agent,
    handle: Handle,
}

impl Shared {
    fn new(heap: Heap) -> Self {
        let agent = agent(heap);
        Self { agent, handle: run(agent, map::create) }
    }

    fn with<R>(self, key: &Item, f: impl FnOnce(&Operation, &Key<'_>) -> Result<R>) -> Result<R> {
        let bytes = key.bytes();
        self.agent.operation(|operation| {
            let table = Table::of(operation);
            f(operation, &Key::given(table, key.given(table, &bytes)).expect("a key"))
        })
    }

    fn try_set(self, key: &Item, value: &Item) -> Result<()> {
        let bytes = value.bytes();
        self.with(key, |o, key| map::set(o, self.handle, key, value.given(Table::of(o), &bytes)))
    }

    fn set(self, key: &Item, value: &Item) {
        self.try_set(key, value).expect("it is set");
    }

    fn get(self, key: &Item) -> Option<Item> {
        let at = self.agent.transfer();
        let table = table(self.agent);
        let taken = self.with(key, |_, key| map::get(table, self.handle, key, at, ROOM)).expect("it is read");
        assert_eq!(self.with(key, |_, key| map::has(table, self.handle, key)), Ok(taken.is_some()));
        taken.map(|taken| item(table, taken, at))
    }

    fn insert_if_absent(self, key: &Item, value: &Item) -> Option<Item> {
        let (at, bytes) = (self.agent.transfer(), value.bytes());
        let there = self.with(key, |o, key| {
            map::insert_if_absent(o, self.handle, key, value.given(Table::of(o), &bytes), at, ROOM)
        });
        there.expect("it is asked").map(|taken| item(table(self.agent), taken, at))
    }

    fn delete(self, key: &Item) -> bool {
        self.with(key, |o, key| map::delete(o, self.handle, key)).expect("it is deleted")
    }

    fn add(self, key: &Item, delta: f64) -> Result<f64> {
        self.with(key, |o, key| map::add(o, self.handle, key, delta))
    }

    fn compare_and_set(self, key: &Item, expected: Option<&Item>, value: Option<&Item>) -> bool {
        let bytes = [expected, value].map(|item| item.map(Item::bytes).unwrap_or_default());
        let done = self.with(key, |o, key| {
            let table = Table::of(o);
            let expected = expected.map(|item| item.given(table, &bytes[0]));
            let value = value.map(|item| item.given(table, &bytes[1]));
            map::compare_and_set(o, self.handle, key, expected, value)
        });
        done.expect("it is compared")
    }

    fn clear(self) {
        run(self.agent, |o| map::clear(o, self.handle));
    }

    fn size(self) -> u64 {
        map::size(table(self.agent), self.handle).expect("a size")
    }

    /// One batch, and where the next begins.
    fn batch(self, from: u64, limit: u32) -> (Vec<(Item, Item)>, u64) {
        let (table, at) = (table(self.agent), self.agent.transfer());
        let batch = map::entries(table, self.handle, from, limit, at, body::TRANSFER_LENGTH).expect("entries");
        assert_eq!(batch.needed, 0);
        let mut from = at;
        let mut record = || {
            let kind = table.memory.own32(from);
            let number = f64::from_bits(table.memory.own64(from + 8));
            from += 16;
            match kind {
                0 => Item::Number(value::from_number(number)),
                1 => Item::Special(value::UNDEFINED + number as u64),
                2 => item(table, taken(value::tagged(value::Tag::Short, number as u64)), 0),
                _ => {
                    let mut bytes = vec![0; number as usize];
                    table.memory.copy_out(from, &mut bytes);
                    from += (number as u32).next_multiple_of(8);
                    contents(Form::from_tag(kind - 8).expect("a form"), bytes)
                }
            }
        };
        ((0..batch.count).map(|_| (record(), record())).collect(), batch.next)
    }

    fn entries(self) -> Vec<(Item, Item)> {
        let (mut all, mut from) = (Vec::new(), 0);
        loop {
            let (some, next) = self.batch(from, 64);
            if some.is_empty() {
                return all;
            }
            all.extend(some);
            from = next;
        }
    }

    fn release(self) {
        run(self.agent, |o| release(o, self.handle, Type::Map).map(drop));
    }
}

fn taken(word: u64) -> Taken {
    Taken { word, block: None, generation: 0, region: None }
}
