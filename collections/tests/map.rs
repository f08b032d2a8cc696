//! Maps: what JavaScript's `Map` promises, and memory that comes back.
#![cfg(not(any(loom, shuttle)))]
mod common;

use coheap::cell::Taken;
use coheap::map::{self, Key};
use coheap::name::{self, Shape};
use coheap::string::{Form, Given, Source};
use coheap::value;
use coheap::{Handle, Table, Type, object, release};
use coheap_alloc::layout::{body, slot};
use coheap_alloc::{Agent, Error, Heap, Operation, Result};
use common::{Random, Watchdog, agent, audit, controls, heap, leave, run};
use hashbrown::HashMap;

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

/// What a map is to be: JavaScript's, written in the plainest way.
#[derive(Default)]
struct Model {
    places: Vec<Option<(Item, Item)>>,
    index: HashMap<Item, usize>,
}

impl Model {
    fn get(&self, key: &Item) -> Option<Item> {
        let place = *self.index.get(&key.key())?;
        self.places[place].as_ref().map(|(_, value)| value.clone())
    }

    fn set(&mut self, key: &Item, value: &Item) {
        match self.index.get(&key.key()) {
            Some(&place) => self.places[place] = Some((key.key(), value.clone())),
            None => {
                self.index.insert(key.key(), self.places.len());
                self.places.push(Some((key.key(), value.clone())));
            }
        }
    }

    fn delete(&mut self, key: &Item) -> bool {
        match self.index.remove(&key.key()) {
            Some(place) => {
                self.places[place] = None;
                true
            }
            None => false,
        }
    }

    fn clear(&mut self) {
        *self = Self::default();
    }

    fn entries(&self) -> Vec<(Item, Item)> {
        self.places.iter().flatten().cloned().collect()
    }
}

#[test]
fn map_answers_what_was_set_in_the_order_of_insertion() {
    controls();
    let map = Shared::new(heap(256));
    assert_eq!((map.size(), map.get(&text("a")), map.entries()), (0, None, vec![]));
    map.set(&text("a"), &number(1.0));
    map.set(&number(1.0), &text("one"));
    map.set(&text("1"), &text("a string that needs a block"));
    map.set(&text("a"), &Item::Special(value::NULL));
    assert_eq!((map.size(), map.get(&text("a"))), (3, Some(Item::Special(value::NULL))));
    assert_eq!(map.get(&number(1.0)), Some(text("one")));
    assert_eq!(map.get(&text("1")), Some(text("a string that needs a block")));
    assert!(map.delete(&text("a")) && !map.delete(&text("a")));
    map.set(&text("a"), &number(2.0));
    let keys: Vec<_> = map.entries().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, [number(1.0), text("1"), text("a")]);
    map.clear();
    assert_eq!((map.size(), map.get(&text("a")), map.entries()), (0, None, vec![]));
    map.set(&text("a"), &number(3.0));
    assert_eq!(map.entries(), [(text("a"), number(3.0))]);
    audit(map.agent);
    map.release();
    assert_eq!(audit(map.agent).live_blocks, 0);
}

#[test]
fn keys_are_the_same_as_in_javascript() {
    let map = Shared::new(heap(256));
    map.set(&number(0.0), &number(1.0));
    assert_eq!(map.get(&number(-0.0)), Some(number(1.0)));
    map.set(&number(-0.0), &number(2.0));
    map.set(&number(f64::NAN), &number(3.0));
    assert_eq!(map.get(&Item::Number(value::from_number(-f64::NAN))), Some(number(3.0)));
    // Lone surrogates, and the same units in two widths.
    map.set(&Item::Text(vec![0xD800, 0x61, 0x62, 0x63]), &number(4.0));
    map.set(&Item::Text(vec![0xDC00, 0x61, 0x62, 0x63]), &number(5.0));
    assert_eq!(map.get(&Item::Text(vec![0xD800, 0x61, 0x62, 0x63])), Some(number(4.0)));
    map.set(&text("caf\u{e9} au lait"), &number(6.0));
    let narrow = Key::given(table(map.agent), Given::text(b"caf\xe9 au lait")).expect("a key");
    let found = map::get(table(map.agent), map.handle, &narrow, 0, 0).expect("found").expect("there");
    assert_eq!(found.word, value::from_number(6.0));
    // A name that is an atom for ever, and its text.
    let atom = Key::given(table(map.agent), Given::text(b"content-type")).expect("a key");
    run(map.agent, |o| map::set(o, map.handle, &atom, Given::number(7.0)));
    assert_eq!(map.get(&text("content-type")), Some(number(7.0)));
    assert_eq!(map.size(), 6);
    for word in [value::UNDEFINED, value::TRUE] {
        assert!(Key::given(table(map.agent), Given::Word(word)).is_none());
    }
    assert!(Key::given(table(map.agent), Given::bytes(b"bytes")).is_none());
    audit(map.agent);
}

#[test]
fn changes_that_depend_on_the_value_see_it() {
    let map = Shared::new(heap(256));
    let (key, long) = (text("a key with a block of its own"), text("a value with a block of its own"));
    assert_eq!(map.add(&key, 2.0), Ok(2.0));
    assert_eq!(map.add(&key, 0.5), Ok(2.5));
    assert_eq!(map.insert_if_absent(&key, &long), Some(number(2.5)));
    assert!(!map.compare_and_set(&key, None, Some(&long)));
    assert!(!map.compare_and_set(&key, Some(&number(2.0)), Some(&long)));
    assert!(map.compare_and_set(&key, Some(&number(2.5)), Some(&long)));
    assert_eq!(map.add(&key, 1.0), Err(Error::NotANumber { found: value::Tag::String as u32 }));
    assert_eq!(map.insert_if_absent(&key, &number(1.0)), Some(long.clone()));
    assert!(map.compare_and_set(&key, Some(&long), None) && map.size() == 0);
    assert!(map.compare_and_set(&key, None, None) && map.size() == 0);
    assert!(map.compare_and_set(&key, None, Some(&long)) && map.size() == 1);
    assert!(map.delete(&key));
    assert_eq!(map.insert_if_absent(&key, &long), None);
    assert_eq!(map.get(&key), Some(long));
    audit(map.agent);
}

#[test]
fn map_that_is_gone_or_no_map_is_refused() {
    let heap = heap(256);
    let map = Shared::new(heap);
    let cell = run(map.agent, |o| coheap::cell::create(o, 1.0));
    let wrong = Shared { handle: cell, ..map };
    let refused = Error::WrongType { expected: Type::Map as u32, found: Type::Cell as u32 };
    assert_eq!(wrong.try_set(&number(1.0), &number(1.0)), Err(refused));
    assert_eq!(map::size(table(map.agent), cell), Err(refused));
    let named = run(map.agent, |o| name::open(o, b"map", Shape::Map));
    assert_eq!(run(map.agent, |o| name::open(o, b"map", Shape::Map)), named);
    map.set(&number(1.0), &number(1.0));
    map.release();
    assert_eq!(map.try_set(&number(1.0), &number(1.0)), Err(map.handle.stale()));
    assert_eq!(map::size(table(map.agent), map.handle), Err(map.handle.stale()));
    audit(map.agent);
}

fn random_item(random: &mut Random, is_key: bool) -> Item {
    let small = random.below(40);
    match random.below(if is_key { 8 } else { 10 }) {
        0 => number(f64::NAN),
        1 => number(if small & 1 == 0 { 0.0 } else { -0.0 }),
        2 | 3 => number(small as f64),
        4 => text(&small.to_string()),
        5 => text(&format!("a longer key number {small}")),
        6 => Item::Text((0..small).map(|unit| 0xD7F0 + (unit * small) as u16 % 0x40).collect()),
        7 => Item::Text(vec![0x41 + (small % 26) as u16; (small * 30) as usize]),
        8 => Item::Special(value::UNDEFINED + small % 4),
        _ => Item::Bytes(vec![small as u8; (small * 20) as usize]),
    }
}

#[test]
fn random_changes_are_those_of_the_model() {
    let _watchdog = Watchdog::new("random_changes_are_those_of_the_model");
    let mut random = Random::new("random_changes_are_those_of_the_model");
    let steps: u64 = std::env::var("COHEAP_STEPS").ok().and_then(|steps| steps.parse().ok()).unwrap_or(1_000_000);
    let (map, mut model) = (Shared::new(heap(1024)), Model::default());
    for step in 0..steps {
        let (key, value) = (random_item(&mut random, true), random_item(&mut random, false));
        match random.below(if step % 5000 == 0 { 12 } else { 11 }) {
            0..=3 => {
                map.set(&key, &value);
                model.set(&key, &value);
            }
            4 | 5 => assert_eq!(map.get(&key), model.get(&key), "step {step}: {key:?}"),
            6 | 7 => assert_eq!(map.delete(&key), model.delete(&key), "step {step}: {key:?}"),
            8 => {
                let there = model.get(&key);
                if there.is_none() {
                    model.set(&key, &value);
                }
                assert_eq!(map.insert_if_absent(&key, &value), there, "step {step}: {key:?}");
            }
            9 => {
                let expected = if random.below(2) == 0 { model.get(&key) } else { Some(value.clone()) };
                let new = if random.below(3) == 0 { None } else { Some(random_item(&mut random, false)) };
                let was_so = model.get(&key) == expected;
                if was_so {
                    match &new {
                        Some(new) => model.set(&key, new),
                        None => drop(model.delete(&key)),
                    }
                }
                assert_eq!(map.compare_and_set(&key, expected.as_ref(), new.as_ref()), was_so, "step {step}: {key:?}");
            }
            10 => {
                let number = match model.get(&key) {
                    None => Some(0.0),
                    Some(Item::Number(word)) => Some(f64::from_bits(word)),
                    _ => None,
                };
                let sum = map.add(&key, 3.0);
                assert_eq!(sum.is_ok(), number.is_some(), "step {step}: {key:?}");
                if let Some(number) = number {
                    model.set(&key, &self::number(number + 3.0));
                }
            }
            _ => {
                map.clear();
                model.clear();
            }
        }
        assert_eq!(map.size(), model.index.len() as u64);
        if step % 1000 == 0 {
            assert_eq!(map.entries(), model.entries(), "step {step}");
        }
        if step % 50_000 == 0 {
            audit(map.agent);
        }
    }
    assert_eq!(map.entries(), model.entries());
    let figures = audit(map.agent);
    println!("{} blocks, {} bytes for {} entries", figures.live_blocks, figures.live_bytes, map.size());
    map.release();
    assert_eq!(audit(map.agent).live_blocks, 0);
    leave(map.agent);
}

#[test]
fn map_that_grows_and_shrinks_keeps_its_order_and_gives_everything_back() {
    let _watchdog = Watchdog::new("map_that_grows_and_shrinks_keeps_its_order_and_gives_everything_back");
    let map = Shared::new(heap(2048));
    let count = 100_000;
    for number in 0..count {
        map.set(&self::number(f64::from(number)), &self::number(f64::from(number) * 2.0));
    }
    let figures = audit(map.agent);
    println!(
        "{} entries: {} bytes, {:.1} each",
        map.size(),
        figures.live_bytes,
        figures.live_bytes as f64 / f64::from(count)
    );
    assert_eq!(map.size(), u64::from(count as u32));
    for (place, (key, value)) in map.entries().into_iter().enumerate() {
        assert_eq!((key, value), (number(place as f64), number(place as f64 * 2.0)));
    }
    for number in (0..count).filter(|number| number % 3 != 0) {
        assert!(map.delete(&self::number(f64::from(number))));
    }
    let expected: Vec<_> = (0..count).step_by(3).map(|number| self::number(f64::from(number))).collect();
    assert!(map.entries().into_iter().map(|(key, _)| key).eq(expected.iter().cloned()));
    audit(map.agent);
    for key in &expected {
        assert!(map.delete(key));
    }
    let figures = audit(map.agent);
    println!("none: {} blocks, {} bytes", figures.live_blocks, figures.live_bytes);
    assert!(figures.live_bytes < 3_000_000);
    map.clear();
    for _ in 0..1000 {
        map.set(&number(1.0), &number(1.0));
    }
    let figures = audit(map.agent);
    println!("cleared: {} blocks, {} bytes", figures.live_blocks, figures.live_bytes);
    assert!(figures.live_blocks <= 3);
    map.release();
    assert_eq!(audit(map.agent).live_blocks, 0);
}

#[test]
fn churn_of_distinct_keys_takes_no_more_memory_than_what_lives() {
    let _watchdog = Watchdog::new("churn_of_distinct_keys_takes_no_more_memory_than_what_lives");
    let map = Shared::new(heap(512));
    let (mut most, window) = (0, 500);
    for number in 0..1_000_000u64 {
        map.set(&self::number(number as f64), &self::number(1.0));
        if number >= window {
            assert!(map.delete(&self::number((number - window) as f64)));
        }
        if number % 100_000 == 99_999 {
            let figures = audit(map.agent);
            println!("{number}: {} blocks, {} bytes", figures.live_blocks, figures.live_bytes);
            most = most.max(figures.live_bytes);
        }
    }
    assert_eq!(map.size(), window);
    assert!(most < 200_000);
}

/// A small map, and where its head is.
fn small(count: u32) -> (Shared, u32) {
    let shared = Shared::new(heap(64));
    (0..count).for_each(|key| shared.try_set(&number(f64::from(key)), &number(1.0)).expect("room"));
    let entry = table(shared.agent).entry(shared.handle.index).expect("an entry");
    let head = shared.agent.memory().load64(entry + object::VALUE) as u32;
    (shared, head)
}

fn is_corrupt<R>(result: &Result<R>) -> bool {
    matches!(result, Err(Error::Corrupt { .. }))
}

/// Words of a head, see the table in `map/words.rs`.
const TAIL: u32 = 16;
const PREVIOUS: u32 = 32;
const BUCKETS: u32 = 64;
const CHUNKS: u32 = 328;
const SEGMENTS: u32 = 392;

#[test]
fn bucket_that_is_marked_ends_the_search() {
    let _watchdog = Watchdog::new("bucket_that_is_marked_ends_the_search");
    let (shared, head) = small(1);
    shared.agent.memory().fetch_or64(head + BUCKETS, 2);
    assert!(is_corrupt(&shared.try_set(&number(7.0), &number(1.0))));
    assert!(is_corrupt(&shared.agent.audit(&mut coheap::Objects)));
}

#[test]
fn list_that_leads_back_ends_the_search() {
    let _watchdog = Watchdog::new("list_that_leads_back_ends_the_search");
    let (shared, head) = small(1);
    // The first bucket, listed, leads to itself.
    shared.agent.memory().store64(head + BUCKETS, u64::from(head + BUCKETS) | 5);
    assert!(is_corrupt(&shared.try_set(&number(7.0), &number(1.0))));
    assert!(is_corrupt(&map::has(table(shared.agent), shared.handle, &Key::number(7.0))));
    assert!(is_corrupt(&shared.agent.audit(&mut coheap::Objects)));
}

#[test]
fn log_of_dead_chunks_without_end_ends_the_search() {
    let _watchdog = Watchdog::new("log_of_dead_chunks_without_end_ends_the_search");
    let (shared, head) = small(1);
    let memory = shared.agent.memory();
    // A node whose pairs lead to one node, and so on: 256⁵ chunks, all of them dead, where nobody has a block.
    let node = |level: u32| (memory.pages() - 1) * 65_536 + level * 4096;
    for level in 0..5 {
        let word = if level == 4 { 1 } else { u64::from(node(level + 1)) };
        (0..256).for_each(|pair| memory.store64(node(level) + pair * 16, word));
    }
    memory.store64(head + SEGMENTS + 5 * 16, u64::from(node(0)));
    let first = 4 + 16 + 256 + (1 << 16) + (1 << 24) + (1u64 << 32);
    let at = shared.agent.transfer();
    assert!(is_corrupt(&map::entries(table(shared.agent), shared.handle, first * 20, 4, at, 64)));
    memory.store64(head + TAIL, first);
    assert!(is_corrupt(&shared.try_set(&number(7.0), &number(1.0))));
    assert_eq!(memory.load64(shared.agent.slot() + slot::CHANGE), 0, "nothing is in flight");
}

#[test]
fn heads_that_were_cleared_and_lead_back_are_given_up() {
    let _watchdog = Watchdog::new("heads_that_were_cleared_and_lead_back_are_given_up");
    for is_own in [false, true] {
        let (shared, head) = small(400);
        let memory = shared.agent.memory();
        let entry = table(shared.agent).entry(shared.handle.index).expect("an entry");
        let word = memory.load64(entry + object::VALUE);
        run(shared.agent, |o| map::clear(o, shared.handle));
        assert_ne!(memory.load64(entry + object::VALUE), word);
        let now = memory.load64(entry + object::VALUE) as u32;
        if is_own {
            memory.store64(now + PREVIOUS, u64::from(now));
        } else {
            assert_eq!(memory.load64(now + PREVIOUS), word, "it is not taken apart yet");
            memory.store64(head + PREVIOUS, word);
        }
        let failed = (0..400).filter(|&key| is_corrupt(&shared.try_set(&number(f64::from(key)), &number(1.0)))).count();
        assert!(failed > 0);
        assert_eq!(memory.load64(shared.agent.slot() + slot::RECLAIMING), 0, "the right is given back");
        let _ = run(shared.agent, |o| release(o, shared.handle, Type::Map));
        for _ in 0..100 {
            let _ = run(shared.agent, map::create);
        }
    }
}

#[test]
fn dying_map_that_makes_no_sense_does_not_stop_others() {
    let _watchdog = Watchdog::new("dying_map_that_makes_no_sense_does_not_stop_others");
    let (shared, head) = small(30);
    let (agent, memory) = (shared.agent, shared.agent.memory());
    memory.store64(head + CHUNKS, u64::MAX - 6);
    let _ = run(agent, |o| release(o, shared.handle, Type::Map));
    assert_eq!(memory.load64(agent.slot() + slot::RECLAIMING), 0, "the right is given back");
    // Nor does one that lives, whose cleared heads make none.
    let other = run(agent, map::create);
    let entry = table(agent).entry(other.index).expect("an entry");
    memory.store64(memory.load64(entry + object::VALUE) as u32 + PREVIOUS, 7);
    let handle = run(agent, map::create);
    let full = (0..).find_map(|key| {
        agent.operation(|o| map::set(o, handle, &Key::number(f64::from(key)), Given::bytes(&[1; 4000]))).err()
    });
    assert!(matches!(full, Some(Error::OutOfMemory { .. })), "{full:?}");
}

#[test]
fn position_that_no_entry_can_have_is_behind_the_last() {
    let (shared, _) = small(1);
    for from in [21, 1 << 40, u64::MAX / 2, u64::MAX] {
        let batch = map::entries(table(shared.agent), shared.handle, from, 4, shared.agent.transfer(), 64);
        assert!(matches!(batch, Ok(map::Batch { count: 0, needed: 0, .. })), "{from}: {batch:?}");
    }
}

#[test]
fn audit_sees_keys_that_are_there_twice_and_what_should_be_out() {
    for key in [number(1.0), text("a key that needs a block of its own")] {
        let (shared, head) = small(0);
        let memory = shared.agent.memory();
        shared.try_set(&key, &number(1.0)).expect("room");
        let value_at = memory.load64(head + CHUNKS) as u32 + 32 + 8;
        let value = memory.load64(value_at);
        audit(shared.agent);
        // Hidden, so that it is inserted again.
        let out = value::tagged(value::Tag::Operation, 2 << 44);
        memory.store64(value_at, out);
        shared.try_set(&key, &number(2.0)).expect("room");
        memory.store64(value_at, value);
        let found = shared.agent.audit(&mut coheap::Objects);
        assert!(matches!(found, Err(Error::Corrupt { rule: coheap::rule::MAP, .. })), "{found:?}");
        memory.store64(value_at, out);
        let found = shared.agent.audit(&mut coheap::Objects);
        assert!(matches!(found, Err(Error::Corrupt { rule: coheap::rule::MAP, .. })), "{found:?}");
    }
}
