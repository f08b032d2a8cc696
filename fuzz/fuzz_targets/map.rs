//! A map, against a plain list of keys and values in the order of their insertion.
#![no_main]

use coheap::map::{self, Additions, Key};
use coheap::string::{Form, Given};
use coheap::{Handle, Objects, Table, Type, release, value};
use coheap_alloc::layout::body;
use coheap_alloc::{Agent, Error, Operation, Result};
use coheap_fuzz::{Ended, MOST_PAGES, Step, World, controls, run, take};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

const MOST_STEPS: usize = 64;
/// Numbers that one step fills in at most: five chunks.
const MOST_FILLED: u8 = 100;

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Number(u8),
    /// In the word itself.
    Short(u8),
    /// In a block.
    Long(u8),
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    Number(i8),
    Text(u8),
    Bytes(u16),
    /// A map that only this one has.
    Map,
}

#[derive(Arbitrary, Clone, Debug)]
enum Action {
    Set(Name, Value),
    InsertIfAbsent(Name, Value),
    Add(Name, i8),
    Delete(Name),
    /// From what is there, or from another value, to a value or to nothing.
    CompareAndSet {
        name: Name,
        other: Option<Value>,
        to: Option<Value>,
    },
    AddMany(Vec<(Name, i8)>),
    /// So many numbers.
    Fill(u8),
    /// So many numbers from 0 on.
    Drain(u8),
    Clear,
    Get(Name),
    Replace,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq)]
enum Item {
    Number(f64),
    Text(Vec<u8>),
    Bytes(Vec<u8>),
    Map,
}

impl Name {
    fn item(self) -> Item {
        match self {
            Self::Number(number) => Item::Number(f64::from(number)),
            Self::Short(number) => Item::Text(vec![b'a' + number % 8]),
            Self::Long(number) => Item::Text(format!("a key that needs a block of its own: {}", number % 8).into()),
        }
    }
}

impl Value {
    fn item(self) -> Item {
        match self {
            Self::Number(number) => Item::Number(f64::from(number)),
            Self::Text(length) => Item::Text(vec![b't'; usize::from(length)]),
            Self::Bytes(length) => Item::Bytes(vec![length as u8; usize::from(length % 3000)]),
            Self::Map => Item::Map,
        }
    }
}

/// Calls `f` with the value; a map is made for it, which has nobody else's reference afterwards.
fn with_given<R>(operation: &Operation, item: &Item, f: impl FnOnce(Given<'_>) -> Result<R>) -> Result<R> {
    match item {
        Item::Number(number) => f(Given::number(*number)),
        Item::Text(text) => f(Given::text(text)),
        Item::Bytes(bytes) => f(Given::bytes(bytes)),
        Item::Map => {
            let inner = map::create(operation)?;
            map::set(operation, inner, &Key::number(1.0), Given::bytes(&[7; 100]))?;
            let answer = f(Given::Reference(inner));
            let _ = release(operation, inner, Type::Map)?;
            answer
        }
    }
}

fn key<'a>(operation: &Operation, item: &'a Item) -> Key<'a> {
    match item {
        Item::Number(number) => Key::number(*number),
        Item::Text(text) => Key::given(Table::of(operation), Given::text(text)).expect("a key"),
        other => panic!("no key: {other:?}"),
    }
}

/// Additions by the items of their keys.
struct Named<'a> {
    operation: &'a Operation,
    named: &'a [(Item, f64)],
}

impl Additions for Named<'_> {
    fn count(&self) -> u32 {
        self.named.len() as u32
    }

    fn with<R>(&self, position: u32, f: impl FnOnce(&Key<'_>, f64) -> Result<R>) -> Result<(R, u32)> {
        let (item, delta) = &self.named[position as usize];
        Ok((f(&key(self.operation, item), *delta)?, position + 1))
    }
}

/// What a map is to be.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model(Vec<(Item, Item)>);

impl Model {
    fn place(&self, key: &Item) -> Option<usize> {
        self.0.iter().position(|(known, _)| known == key)
    }

    fn get(&self, key: &Item) -> Option<&Item> {
        self.place(key).map(|place| &self.0[place].1)
    }

    fn set(&mut self, key: Item, value: Item) {
        match self.place(&key) {
            Some(place) => self.0[place].1 = value,
            None => self.0.push((key, value)),
        }
    }

    /// The sum, if that is one.
    fn add(&mut self, key: Item, delta: i8) -> Option<f64> {
        let sum = f64::from(delta)
            + match self.get(&key) {
                None => 0.0,
                Some(Item::Number(number)) => *number,
                Some(_) => return None,
            };
        self.set(key, Item::Number(sum));
        Some(sum)
    }

    /// As another one, but for the order of what came at once.
    fn is_like(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.0.iter().all(|(key, value)| other.get(key) == Some(value))
    }
}

/// What a step answers.
#[derive(Debug, PartialEq)]
enum Answer {
    Nothing,
    Was(bool),
    Found(Option<Item>),
    Sum(Option<f64>),
}

/// Every state that the map goes through, and the answer.
fn states(model: &Model, action: &Action) -> (Vec<Model>, Answer) {
    let mut states = vec![model.clone()];
    let mut now = model.clone();
    let answer = match action {
        Action::Set(name, value) => {
            now.set(name.item(), value.item());
            Answer::Nothing
        }
        Action::InsertIfAbsent(name, value) => {
            let there = now.get(&name.item()).cloned();
            if there.is_none() {
                now.set(name.item(), value.item());
            }
            Answer::Found(there)
        }
        Action::Add(name, delta) => Answer::Sum(now.add(name.item(), *delta)),
        Action::Delete(name) => {
            let place = now.place(&name.item());
            place.map(|place| now.0.remove(place));
            Answer::Was(place.is_some())
        }
        Action::CompareAndSet { name, other, to } => {
            let there = now.get(&name.item()).cloned();
            let was = expected(model, *name, *other) == there && there != Some(Item::Map);
            match to {
                Some(to) if was => now.set(name.item(), to.item()),
                None if was && there.is_some() => drop(now.0.remove(now.place(&name.item()).expect("its place"))),
                _ => {}
            }
            Answer::Was(was)
        }
        Action::AddMany(additions) => {
            let is_number = |sum: Option<f64>| sum.is_some();
            let all = additions.iter().all(|(name, delta)| is_number(now.add(name.item(), *delta)));
            if !all {
                now = model.clone();
            }
            Answer::Was(all)
        }
        Action::Fill(count) => {
            for number in 0..count % MOST_FILLED {
                now.set(Name::Number(number).item(), Item::Number(1.0));
                states.push(now.clone());
            }
            Answer::Nothing
        }
        Action::Drain(count) => {
            for number in 0..count % MOST_FILLED {
                if let Some(place) = now.place(&Name::Number(number).item()) {
                    now.0.remove(place);
                    states.push(now.clone());
                }
            }
            Answer::Nothing
        }
        Action::Clear => {
            now.0.clear();
            Answer::Nothing
        }
        Action::Get(name) => Answer::Found(now.get(&name.item()).cloned()),
        Action::Replace => Answer::Nothing,
    };
    states.push(now);
    (states, answer)
}

fn expected(model: &Model, name: Name, other: Option<Value>) -> Option<Item> {
    other.map_or_else(|| model.get(&name.item()).cloned(), |other| Some(other.item()))
}

fn act(agent: Agent, map: Handle, model: &Model, action: &Action) -> Answer {
    match action {
        Action::Set(name, value) => {
            run(agent, |o| with_given(o, &value.item(), |given| map::set(o, map, &key(o, &name.item()), given)));
            Answer::Nothing
        }
        Action::InsertIfAbsent(name, value) => {
            let (at, room) = (agent.transfer(), body::TRANSFER_LENGTH);
            let there = run(agent, |o| {
                with_given(o, &value.item(), |given| {
                    map::insert_if_absent(o, map, &key(o, &name.item()), given, at, room)
                })
            });
            Answer::Found(there.map(|taken| item(agent, taken)))
        }
        Action::Add(name, delta) => {
            match agent.operation(|o| map::add(o, map, &key(o, &name.item()), f64::from(*delta))) {
                Err(Error::NotANumber { .. }) => Answer::Sum(None),
                sum => Answer::Sum(Some(sum.expect("it is added"))),
            }
        }
        Action::Delete(name) => Answer::Was(run(agent, |o| map::delete(o, map, &key(o, &name.item())))),
        Action::CompareAndSet { name, other, to } => {
            let expected = expected(model, *name, *other);
            Answer::Was(run(agent, |o| {
                let key_item = name.item();
                let compare = |expected: Option<Given<'_>>| match to {
                    None => map::compare_and_set(o, map, &key(o, &key_item), expected, None),
                    Some(to) => with_given(o, &to.item(), |given| {
                        map::compare_and_set(o, map, &key(o, &key_item), expected, Some(given))
                    }),
                };
                match &expected {
                    None => compare(None),
                    Some(expected) => with_given(o, expected, |given| compare(Some(given))),
                }
            }))
        }
        Action::AddMany(additions) => {
            let named: Vec<_> = additions.iter().map(|(name, delta)| (name.item(), f64::from(*delta))).collect();
            match agent.operation(|o| map::add_many(o, map, &Named { operation: o, named: &named }, None)) {
                Err(Error::NotANumber { .. }) => Answer::Was(false),
                done => {
                    let _ = done.expect("it is added");
                    Answer::Was(true)
                }
            }
        }
        Action::Fill(count) => {
            run(agent, |o| {
                (0..count % MOST_FILLED)
                    .try_for_each(|number| map::set(o, map, &Key::number(f64::from(number)), Given::number(1.0)))
            });
            Answer::Nothing
        }
        Action::Drain(count) => {
            run(agent, |o| {
                (0..count % MOST_FILLED)
                    .try_for_each(|number| map::delete(o, map, &Key::number(f64::from(number))).map(drop))
            });
            Answer::Nothing
        }
        Action::Clear => {
            run(agent, |o| map::clear(o, map));
            Answer::Nothing
        }
        Action::Get(name) => {
            let at = agent.transfer();
            let found = run(agent, |o| map::get(Table::of(o), map, &key(o, &name.item()), at, body::TRANSFER_LENGTH));
            Answer::Found(found.map(|taken| item(agent, taken)))
        }
        Action::Replace => Answer::Nothing,
    }
}

/// What was copied to the transfer buffer.
fn item(agent: Agent, taken: coheap::cell::Taken) -> Item {
    match taken.block {
        None => plain(taken.word),
        Some((form, length)) => contents(form, take(agent, length)),
    }
}

fn plain(word: u64) -> Item {
    match value::tag(word) {
        None => Item::Number(f64::from_bits(word)),
        Some(value::Tag::Short) => {
            let (units, length) = value::to_short(word);
            Item::Text(units[..length].to_vec())
        }
        other => panic!("nobody put a {other:?} there"),
    }
}

fn contents(form: Form, bytes: Vec<u8>) -> Item {
    match form {
        Form::Ascii => Item::Text(bytes),
        Form::Bytes => Item::Bytes(bytes),
        Form::Reference => Item::Map,
        other => panic!("nobody put a {other:?} there"),
    }
}

/// The map, read by batches.
fn entries(agent: Agent, map: Handle) -> Model {
    let table = Table { memory: agent.memory(), control: agent.control() };
    let (mut all, mut from) = (Vec::new(), 0);
    loop {
        let room = body::TRANSFER_LENGTH;
        let batch = map::entries(table, map, from, 16, agent.transfer(), room).expect("entries");
        if batch.count == 0 {
            assert_eq!(batch.needed, 0);
            assert_eq!(map::size(table, map), Ok(all.len() as u64));
            return Model(all);
        }
        let mut at = agent.transfer();
        let mut record = || {
            let (kind, number) = (agent.memory().own32(at), f64::from_bits(agent.memory().own64(at + 8)));
            at += 16;
            match kind {
                0 => Item::Number(number),
                2 => plain(value::tagged(value::Tag::Short, number as u64)),
                _ => {
                    let mut bytes = vec![0; number as usize];
                    agent.memory().copy_out(at, &mut bytes);
                    at += (number as u32).next_multiple_of(8);
                    contents(Form::from_tag(kind - 8).expect("a form"), bytes)
                }
            }
        };
        all.extend((0..batch.count).map(|_| (record(), record())));
        from = batch.next;
    }
}

fuzz_target!(|steps: Vec<Step<Action>>| {
    controls();
    let mut world = World::new(MOST_PAGES);
    let before = world.audit(&mut Objects);
    let map = run(world.agent(0), map::create);
    world.share(0, map);
    let mut model = Model::default();
    for step in steps.iter().take(MOST_STEPS) {
        if let Action::Replace = step.operation {
            world.replace(step.seat());
        }
        let (mut states, answer) = states(&model, &step.operation);
        let done = world.act(step, &mut Objects, |agent| act(agent, map, &model, &step.operation));
        if let Ended::Done(given) = &done {
            assert_eq!(*given, answer, "{step:?}");
            model = states.pop().expect("the last state");
            states = vec![model.clone()];
        }
        // What came at once may be in any order.
        if matches!(step.operation, Action::AddMany(_)) || matches!(done, Ended::Died { .. }) {
            let found = entries(world.agent(step.seat()), map);
            assert!(
                states.contains(&found) || states.iter().any(|state| at_once(step, state, &found)),
                "{step:?}: {found:?}, not one of {states:?}"
            );
            model = found;
        }
    }
    assert_eq!(entries(world.agent(2), map), model);
    world.audit(&mut Objects);
    world.end(before, &mut Objects);
});

fn at_once(step: &Step<Action>, state: &Model, found: &Model) -> bool {
    matches!(step.operation, Action::AddMany(_)) && state.is_like(found)
}
