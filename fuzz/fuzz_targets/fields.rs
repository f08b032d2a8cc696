//! HTTP fields, against a plain list of names and values.
#![no_main]

use coheap::fields::{self, Lines, Name, Text};
use coheap::{Handle, Objects, Table};
use coheap_alloc::layout::body;
use coheap_alloc::{Agent, Error, Result};
use coheap_fuzz::{Ended, MOST_PAGES, Step, World, controls, run, take};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

const MOST_STEPS: usize = 64;
const MOST_LINES: usize = 40;
/// Around whole words, and two that differ in a sign that the bit of the casing also tells apart.
const NAMES: [&str; 8] =
    ["a", "accept", "x-trace-", "x-trace-i", "a^", "a~", "content-type", "a-long-name-of-24-bytes"];

#[derive(Arbitrary, Clone, Copy, Debug)]
struct Line {
    name: u8,
    /// The letters that are in upper case.
    upper: u8,
    value: u16,
    byte: u8,
}

#[derive(Arbitrary, Clone, Debug)]
enum Action {
    /// The first line's name gets the values of all.
    Set(Vec<Line>),
    Append(Vec<Line>),
    Delete(Line),
    Get(Line),
    /// A name that cannot be one.
    SetBad(u8),
    Freeze,
    /// What all share is from here on a copy.
    Duplicate,
    Replace,
}

impl Line {
    fn name(&self) -> Vec<u8> {
        let name = NAMES[usize::from(self.name) % NAMES.len()].bytes();
        let cased = |(place, byte): (usize, u8)| {
            if self.upper >> (place % 8) & 1 == 1 { byte.to_ascii_uppercase() } else { byte }
        };
        name.enumerate().map(cased).collect()
    }

    fn value(&self) -> Vec<u8> {
        let length = if self.value < 0xF000 { self.value % 40 } else { self.value % 3000 };
        vec![if self.byte == 0x7F { b'\t' } else { self.byte.max(b' ') }; usize::from(length)]
    }

    fn pair(&self) -> (Vec<u8>, Vec<u8>) {
        (self.name(), self.value())
    }
}

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// What fields are to be.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    lines: Pairs,
    is_frozen: bool,
}

impl Model {
    fn set(&mut self, name: &[u8], values: impl Iterator<Item = Vec<u8>>) {
        let first = self.lines.iter().position(|(known, _)| known.eq_ignore_ascii_case(name));
        let at = first.unwrap_or(self.lines.len());
        let name = first.map_or(name, |at| &self.lines[at].0).to_vec();
        self.lines.retain(|(known, _)| !known.eq_ignore_ascii_case(&name));
        let new: Vec<_> = values.map(|value| (name.clone(), value)).collect();
        self.lines.splice(at..at, new);
    }

    fn append(&mut self, (name, value): (Vec<u8>, Vec<u8>)) {
        let known = self.lines.iter().find(|(known, _)| known.eq_ignore_ascii_case(&name));
        self.lines.push((known.map_or(name, |(known, _)| known.clone()), value));
    }

    fn get(&self, name: &[u8]) -> Option<Vec<u8>> {
        let values: Vec<_> = self
            .lines
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| &value[..])
            .collect();
        (!values.is_empty()).then(|| values.join(&b", "[..]))
    }

    /// The fields behind a step.
    fn after(&self, action: &Action) -> Self {
        let mut after = self.clone();
        match action {
            _ if self.is_frozen => {}
            Action::Set(lines) => {
                if let Some(first) = lines.first() {
                    after.set(&first.name(), lines.iter().map(Line::value));
                }
            }
            Action::Append(lines) => lines.iter().for_each(|line| after.append(line.pair())),
            Action::Delete(line) => after.set(&line.name(), std::iter::empty()),
            Action::Freeze => after.is_frozen = true,
            Action::Get(_) | Action::SetBad(_) | Action::Duplicate | Action::Replace => {}
        }
        after
    }
}

/// Calls `f` with the texts, which stand at the end of the agent's transfer buffer.
fn with_texts<R>(agent: Agent, pieces: &[Vec<u8>], f: impl FnOnce(&[Text]) -> R) -> R {
    let memory = agent.memory();
    let mut at = agent.transfer() + body::TRANSFER_LENGTH;
    let texts: Vec<_> = pieces
        .iter()
        .map(|piece| {
            at -= (piece.len() as u32).next_multiple_of(8);
            memory.copy_in(at, piece);
            Text { memory, at, length: piece.len() as u32 }
        })
        .collect();
    f(&texts)
}

fn table(agent: Agent) -> Table {
    Table { memory: agent.memory(), control: agent.control() }
}

/// A line that is there before anything else is done.
fn first() -> (Vec<u8>, Vec<u8>) {
    (b"Host".to_vec(), b"example.org".to_vec())
}

fn create(agent: Agent) -> Handle {
    let (name, value) = first();
    with_texts(agent, &[name, value], |texts| {
        run(agent, |o| fields::create(o, std::iter::once_with(|| Ok((Name::new(texts[0])?, texts[1])))))
    })
}

fn set(agent: Agent, handle: Handle, name: Vec<u8>, values: impl Iterator<Item = Vec<u8>>) -> Result<()> {
    let pieces: Vec<_> = std::iter::once(name).chain(values).collect();
    with_texts(agent, &pieces, |texts| {
        agent.operation(|o| fields::set(o, handle, Name::new(texts[0])?, texts[1..].iter().copied()))
    })
}

fn append(agent: Agent, handle: Handle, lines: &[Line]) -> Result<()> {
    let pieces: Vec<_> = lines.iter().flat_map(|line| [line.name(), line.value()]).collect();
    with_texts(agent, &pieces, |texts| {
        let lines = texts.chunks(2).map(|pair| Ok((Name::new(pair[0])?, pair[1])));
        agent.operation(|o| fields::append(o, handle, lines.clone()))
    })
}

/// All lines, in pieces that fit the transfer buffer.
fn found(agent: Agent, handle: Handle) -> Model {
    let mut copy = Vec::new();
    loop {
        let at = copy.len() as u32;
        let copied = fields::lines(table(agent), handle, at, agent.transfer(), 4096).expect("lines");
        copy.extend(take(agent, (copied.size - at).min(4096)));
        if copy.len() == copied.size as usize {
            let lines = Lines::new(&copy).expect("lines");
            return Model {
                lines: lines.map(|(name, value)| (name.to_vec(), value.to_vec())).collect(),
                is_frozen: fields::is_frozen(table(agent), handle).expect("they are there"),
            };
        }
    }
}

fn is_refused(done: &Result<()>) -> bool {
    matches!(done, Err(Error::Immutable { .. }))
}

/// Does a step on the fields and looks at its answer.
fn act(agent: Agent, handle: Handle, model: &Model, action: &Action) {
    let done = match action {
        Action::Set(lines) => match lines.first() {
            Some(first) => set(agent, handle, first.name(), lines.iter().map(Line::value)),
            None => return,
        },
        // Of no lines nothing is asked.
        Action::Append(lines) if lines.is_empty() => return,
        Action::Append(lines) => append(agent, handle, lines),
        Action::Delete(line) => set(agent, handle, line.name(), std::iter::empty()),
        Action::Get(line) => {
            let answer = with_texts(agent, &[line.name()], |texts| {
                let (to, room) = (agent.transfer(), body::TRANSFER_LENGTH / 2);
                fields::get(table(agent), handle, Name::wanted(texts[0]), to, room).expect("they are there").0
            });
            match (answer, model.get(&line.name())) {
                (None, None) => {}
                (Some(length), Some(value)) if length > body::TRANSFER_LENGTH / 2 => {
                    assert_eq!(length as usize, value.len());
                }
                (Some(length), Some(value)) => assert_eq!(take(agent, length), value),
                other => panic!("{line:?}: {other:?}"),
            }
            return;
        }
        Action::SetBad(byte) => {
            let byte = if byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte) { b' ' } else { *byte };
            let done = set(agent, handle, vec![b'a', byte], std::iter::empty());
            assert!(matches!(done, Err(Error::InvalidField { offset: 1, .. })), "{byte}: {done:?}");
            return;
        }
        Action::Freeze => agent.operation(|o| fields::freeze(o, handle)).map_err(|error| panic!("{error:?}")),
        Action::Duplicate | Action::Replace => return,
    };
    let may_be_refused = model.is_frozen && !matches!(action, Action::Freeze);
    assert!(done == Ok(()) && !may_be_refused || may_be_refused && is_refused(&done), "{action:?}: {done:?}");
}

fuzz_target!(|steps: Vec<Step<Action>>| {
    controls();
    let mut world = World::new(MOST_PAGES);
    let before = world.audit(&mut Objects);
    let mut handle = create(world.agent(0));
    world.share(0, handle);
    let mut model = Model { lines: vec![first()], is_frozen: false };
    for step in steps.iter().take(MOST_STEPS) {
        match &step.operation {
            // Too much for a transfer buffer, or for the time that there is.
            Action::Set(lines) | Action::Append(lines) if model.lines.len() + lines.len() > MOST_LINES => continue,
            Action::Set(lines) | Action::Append(lines)
                if lines.iter().map(|line| line.value().len() + 32).sum::<usize>() > 8192 =>
            {
                continue;
            }
            Action::Replace => world.replace(step.seat()),
            _ => {}
        }
        let mut copy = None;
        let done = world.act(step, &mut Objects, |agent| match step.operation {
            Action::Duplicate => copy = Some(run(agent, |o| fields::duplicate(o, handle))),
            _ => act(agent, handle, &model, &step.operation),
        });
        let after = model.after(&step.operation);
        match done {
            Ended::Done(()) => {
                model = after;
                if let Some(copy) = copy {
                    model.is_frozen = false;
                    let maker = world.agent(step.seat());
                    assert_eq!(found(maker, copy), model, "it is a copy");
                    world.unshare();
                    world.share(step.seat(), copy);
                    handle = copy;
                }
            }
            Ended::Died { .. } => {
                let now = found(world.agent(step.seat()), handle);
                assert!(now == model || now == after, "{step:?}: {now:?}, neither {model:?} nor {after:?}");
                model = now;
            }
        }
    }
    assert_eq!(found(world.agent(2), handle), model);
    world.audit(&mut Objects);
    world.end(before, &mut Objects);
});
