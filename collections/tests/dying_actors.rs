//! Eight threads at work on every structure at once, each shared write of which may be an agent's last: another thread
//! reaps the dead while the rest go on, and a new agent takes its place.
#![cfg(feature = "fault-points")]
mod common;

use std::collections::{HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, MutexGuard};

use coheap::fields::{Name, Text};
use coheap::list::Removed;
use coheap::map::{self, Key};
use coheap::name::{self, Shape};
use coheap::pipe::{self, Outcome, Read, Source, Until};
use coheap::reap::{Dead, Proof, reap};
use coheap::string::Given;
use coheap::wait::native::Threads;
use coheap::{Handle, Table, Type, acquire, bytes, cell, fields, list, release};
use coheap_alloc::layout::body;
use coheap_alloc::reap::left;
use coheap_alloc::sync::fault::{Died, arm, disarm};
use coheap_alloc::{Agent, Error, Figures, Heap, Operation, Result, SlotWord, slot};
use common::additions::add_many;
use common::faults::{controls_of_both, seat_of, unmap};
use common::{Random, Watchdog, agent, audit, heap, leave, run};

const ACTORS: usize = 8;
/// Deaths; `COHEAP_DEATHS` says otherwise.
const DEATHS: u64 = 30_000;
/// One in so many writes is an agent's last.
const WRITES_OF_A_LIFE: f64 = 1000.0;
/// Deaths on one heap: then all leave, and what is left is looked at.
const DEATHS_OF_A_HEAP: u64 = 500;
const PIPE: u32 = 16 * 1024;
const LONG: &[u8] = b"a value that needs a block, because it is too long for a word and for an atom that stays";

/// The structures that all have.
#[derive(Clone, Copy)]
struct Shared {
    map: Handle,
    list: Handle,
    pipe: Handle,
    fields: Handle,
    bytes: Handle,
    cell: Handle,
}

impl Shared {
    fn create(operation: &Operation) -> Result<Self> {
        Ok(Self {
            map: map::create(operation)?,
            list: list::create(operation)?,
            pipe: pipe::create(operation, PIPE)?,
            fields: fields::create(operation, std::iter::empty())?,
            bytes: bytes::create(operation, 5000)?,
            cell: cell::create(operation, 0.0)?,
        })
    }

    fn all(&self) -> [Handle; 6] {
        [self.map, self.list, self.pipe, self.fields, self.bytes, self.cell]
    }
}

/// What the actors of one heap share besides it.
#[derive(Default)]
struct Story {
    /// Agents that nobody has reaped yet, who died first in front.
    dead: VecDeque<Dead>,
    deaths: u64,
    /// Deaths inside an operation, and of those that were reaping somebody.
    repaired: u64,
    reapers: u64,
    /// Records of the pipe that were read for good.
    read: HashSet<u64>,
    /// Additions to the cell that were answered, and such that a death left open.
    added: u64,
    maybe_added: u64,
}

/// What one actor knows across its lives.
struct Actor<'a> {
    number: usize,
    heap: Heap,
    shared: Shared,
    story: &'a Mutex<Story>,
    random: Random,
    /// Transactions of its own that are certain.
    counted: f64,
    /// Records it has begun to write, and values it has begun to push.
    written: u64,
    pushed: u64,
    /// An answer that a death may keep: of a transaction, of an addition to the cell.
    open: (bool, bool),
    /// Whom it is reaping.
    reaping: Option<Dead>,
}

fn told(story: &Mutex<Story>) -> MutexGuard<'_, Story> {
    story.lock().expect("nobody panics with it")
}

fn table(agent: Agent) -> Table {
    Table { memory: agent.memory(), control: agent.control() }
}

fn number_of(agent: Agent, map: Handle, key: &[u8]) -> f64 {
    let table = table(agent);
    let key = Key::given(table, Given::text(key)).expect("a key");
    let found = map::get(table, map, &key, agent.transfer(), body::TRANSFER_LENGTH).expect("it is read");
    found.map_or(0.0, |taken| f64::from_bits(taken.word))
}

/// Calls `f` with texts that stand at the end of the agent's transfer buffer.
fn with_texts<const N: usize, R>(agent: Agent, pieces: [&[u8]; N], f: impl FnOnce([Text; N]) -> R) -> R {
    let memory = agent.memory();
    let mut at = agent.transfer() + body::TRANSFER_LENGTH;
    f(pieces.map(|piece| {
        at -= (piece.len() as u32).next_multiple_of(8);
        memory.copy_in(at, piece);
        Text { memory, at, length: piece.len() as u32 }
    }))
}

/// Takes the seat of a dead agent over, if nobody else is at it, and those that dead reapers have left.
fn reap_all(by: Agent, story: &Mutex<Story>, dead: Dead) {
    let host = Threads::new(by.memory());
    let mut next = Some(dead);
    while let Some(dead) = next {
        // SAFETY: I-28 the agents of this test die by unwinding, and nothing is done in their name afterwards.
        let reaped = unsafe { reap(by, &host, dead, Proof::Ended) }.expect("what it left makes sense");
        let Some(reaped) = reaped else {
            // One who died at it stands in the way until it is reaped itself: then it is left, or not taken over yet.
            let word = slot::word(by.memory(), dead.slot);
            if word.has(SlotWord::ATTACHED) && word.incarnation() == dead.incarnation {
                told(story).dead.push_back(dead);
            }
            break;
        };
        told(story).repaired += u64::from(reaped.repaired);
        next = left(by.memory(), by.control());
    }
}

impl Actor<'_> {
    /// Writes until the last, at one in `WRITES_OF_A_LIFE` for each.
    fn writes_to_live(&mut self) -> u64 {
        let chance = (self.random.below(1 << 53) + 1) as f64 / (1u64 << 53) as f64;
        (chance.ln() / (1.0 - 1.0 / WRITES_OF_A_LIFE).ln()) as u64
    }

    fn act(&mut self, deaths: u64) {
        while told(self.story).deaths < deaths {
            let agent = agent(self.heap);
            for handle in self.shared.all() {
                run(agent, |o| acquire(o, handle, None));
            }
            self.settle_count(agent);
            let writes = self.writes_to_live();
            arm(writes);
            let life = catch_unwind(AssertUnwindSafe(|| self.live(agent, deaths)));
            disarm();
            match life {
                Ok(()) => leave(agent),
                Err(cause) if cause.is::<Died>() => self.bury(agent),
                Err(cause) => resume_unwind(cause),
            }
        }
    }

    fn bury(&mut self, agent: Agent) {
        let mut story = told(self.story);
        story.deaths += 1;
        story.dead.push_back(seat_of(agent));
        if let Some(other) = self.reaping.take() {
            // It may have died before it had that seat.
            story.dead.push_back(other);
            story.reapers += 1;
        }
        if std::mem::take(&mut self.open.1) {
            story.maybe_added += 1;
        }
    }

    /// What the last life began is all there, or nothing of it.
    fn settle_count(&mut self, agent: Agent) {
        let found = number_of(agent, self.shared.map, self.own_key().as_bytes());
        let happened = found == self.counted + 1.0;
        assert!(found == self.counted || self.open.0 && happened, "actor {}: {found}", self.number);
        self.open.0 = false;
        self.counted = found;
    }

    fn own_key(&self) -> String {
        format!("transactions of actor {}", self.number)
    }

    fn live(&mut self, agent: Agent, deaths: u64) {
        let host = Threads::new(agent.memory());
        // Its own objects: ended with it.
        let mut own: Vec<(Handle, Type)> = Vec::new();
        loop {
            let found = {
                let mut story = told(self.story);
                if story.deaths >= deaths {
                    return;
                }
                story.dead.pop_front()
            };
            if let Some(dead) = found {
                self.reaping = Some(dead);
                reap_all(agent, self.story, dead);
                self.reaping = None;
            }
            self.step(agent, &host, &mut own);
        }
    }

    fn step(&mut self, agent: Agent, host: &Threads, own: &mut Vec<(Handle, Type)>) {
        let Shared { map, list, fields, bytes, cell, .. } = self.shared;
        let random = self.random.next() >> 8;
        let key = Key::number((random % 50) as f64);
        match self.random.below(18) {
            0..2 => self.add_many(agent),
            2 => run(agent, |o| map::set(o, map, &key, Given::text(LONG))),
            3 => drop(run(agent, |o| map::delete(o, map, &key))),
            4 => run(agent, |o| {
                let inner = map::create(o)?;
                map::set(o, map, &key, Given::Reference(inner))?;
                release(o, inner, Type::Map).map(drop)
            }),
            5 => drop(run(agent, |o| list::push(o, list, Given::text(LONG)))),
            6 => {
                self.pushed += 1;
                let number = self.number as f64 * 1e9 + self.pushed as f64;
                run(agent, |o| list::push(o, list, Given::number(number)));
            }
            7 => run(agent, |o| {
                let long = list::length(table(agent), list)? > 200;
                let (start, delete) = (0.0, if long { 150 } else { random as u32 % 4 });
                list::splice(o, list, (start, delete), 0, |_| Ok(Given::number(0.0)), &mut Removed::Ignored).map(drop)
            }),
            8 => match agent.operation(|o| list::set(o, list, random % 20, Given::text(&LONG[..70]))) {
                Ok(()) | Err(Error::OutOfRange { .. }) => {}
                Err(error) => panic!("{error:?}"),
            },
            9..11 => self.write(agent, host),
            11 => self.read(agent, host),
            12 => self.lease(agent, host),
            13 => {
                let line = format!("x-name-{}", random % 5);
                with_texts(agent, [line.as_bytes(), LONG], |[name, value]| {
                    run(agent, |o| match random % 3 {
                        0 => fields::delete(o, fields, Name::new(name)?),
                        _ => fields::set(o, fields, Name::new(name)?, std::iter::once(value)),
                    });
                });
            }
            14 => run(agent, |o| bytes::write(o, bytes, random % 4900, LONG)),
            15 => {
                self.open.1 = true;
                run(agent, |o| cell::add(o, cell, 1.0)).1.notify(host);
                self.open.1 = false;
                told(self.story).added += 1;
            }
            16 => {
                let text = format!("name {}", random % 3);
                let opened = run(agent, |o| name::open(o, text.as_bytes(), Shape::Map));
                let removed = agent.operation(|o| name::remove(o, text.as_bytes()));
                removed.expect("it may be gone").1.notify(host);
                run(agent, |o| release(o, opened, Type::Map)).notify(host);
            }
            _ => self.hold(agent, own, random),
        }
    }

    /// An object of its own more or less.
    fn hold(&mut self, agent: Agent, own: &mut Vec<(Handle, Type)>, random: u64) {
        if own.len() > 5 {
            let (handle, kind) = own.swap_remove(random as usize % own.len());
            let _ = run(agent, |o| release(o, handle, kind));
            return;
        }
        let size = [100, 20_000, 100_000][random as usize % 3];
        own.push(match random % 4 {
            0 => (run(agent, list::create), Type::List),
            1 => (run(agent, |o| cell::create_holding(o, Given::text(LONG))), Type::Cell),
            _ => (run(agent, |o| bytes::create(o, size)), Type::Bytes),
        });
    }

    /// One more for this actor and for all, as one step.
    fn add_many(&mut self, agent: Agent) {
        let own = self.own_key();
        let word = format!("word {}", self.random.below(30));
        let words = [(own.as_bytes(), 1.0), (&b"transactions of all"[..], 1.0), (word.as_bytes(), 1.0)];
        self.open.0 = true;
        match agent.operation(|o| add_many(o, self.shared.map, &words)) {
            Ok(()) => self.counted += 1.0,
            // Others wanted the same keys.
            Err(Error::Busy { .. }) => {}
            Err(error) => panic!("{error:?}"),
        }
        self.open.0 = false;
    }

    fn write(&mut self, agent: Agent, host: &Threads) {
        self.written += 1;
        let record = (self.number as u64) << 32 | self.written;
        let line = format!("{record} {}\n", !record);
        run(agent, |o| pipe::write(o, self.shared.pipe, Source::Slice(line.as_bytes()), false)).1.notify(host);
    }

    fn read(&mut self, agent: Agent, host: &Threads) {
        let to = (agent.transfer(), 40 + self.random.below(600) as u32);
        let (read, wake) = run(agent, |o| pipe::read(o, self.shared.pipe, to, Until::new(b"\n"), &mut None, false));
        wake.notify(host);
        if let Outcome::Done(Read::Bytes(count)) = read {
            self.keep(&common::take(agent, count));
        }
    }

    fn lease(&mut self, agent: Agent, host: &Threads) {
        let (pipe, most) = (self.shared.pipe, 40 + self.random.below(600) as u32);
        let (outcome, wake) = run(agent, |o| pipe::lease(o, pipe, most, Until::new(b"\n"), &mut None, false));
        wake.notify(host);
        let Outcome::Done(Some(lease)) = outcome else { return };
        run(agent, |o| pipe::lease_bytes(o, pipe, lease, 0, (agent.transfer(), lease.length)));
        let bytes = common::take(agent, lease.length);
        if self.random.below(3) == 0 {
            run(agent, |o| pipe::give_up(o, pipe, lease)).notify(host);
        } else {
            run(agent, |o| pipe::commit(o, pipe, lease)).notify(host);
            self.keep(&bytes);
        }
    }

    /// Whole records, none of them a second time.
    fn keep(&self, bytes: &[u8]) {
        let mut story = told(self.story);
        for record in std::str::from_utf8(bytes).expect("text").split_terminator('\n') {
            let (one, other) = record.split_once(' ').expect("two numbers");
            let [one, other] = [one, other].map(|number| number.parse::<u64>().expect("a number"));
            assert_eq!(one, !other, "it is a record");
            assert!(story.read.insert(one), "{one:x} was read before");
        }
    }
}

/// What there is, when all that ended is taken apart.
fn figures(host: Agent) -> Figures {
    for _ in 0..2000 {
        let made = run(host, |o| cell::create(o, 1.0));
        let _ = run(host, |o| release(o, made, Type::Cell));
    }
    audit(host)
}

/// Values that one actor pushed stand in the order in which it did.
fn check_list(host: Agent, handle: Handle) {
    let mut last = [0.0; ACTORS];
    for index in 0..list::length(table(host), handle).expect("its length") {
        let number = list::get(table(host), handle, index as f64).expect("a value");
        if !number.is_nan() {
            let last = &mut last[(number / 1e9) as usize];
            assert!(number > *last, "{number} after {last}");
            *last = number;
        }
    }
}

/// So many deaths on one heap: what happened.
fn on_one_heap(deaths: u64, random: &mut Random) -> Story {
    let heap = heap(2048);
    let host = agent(heap);
    let before = figures(host);
    let shared = run(host, Shared::create);
    let story = Mutex::new(Story::default());
    let counted: Vec<f64> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..ACTORS)
            .map(|number| {
                let random = Random::from(random.next());
                let (counted, written, pushed) = (0.0, 0, 0);
                let (open, reaping) = ((false, false), None);
                let story = &story;
                let mut actor = Actor { number, heap, shared, story, random, counted, written, pushed, open, reaping };
                scope.spawn(move || {
                    actor.act(deaths);
                    // Who died last has no next life to say it.
                    let agent = agent(heap);
                    actor.settle_count(agent);
                    leave(agent);
                    actor.counted
                })
            })
            .collect();
        handles.into_iter().map(|handle| handle.join().expect("the actor ends")).collect()
    });
    loop {
        let Some(dead) = told(&story).dead.pop_front() else { break };
        reap_all(host, &story, dead);
    }
    assert_eq!(left(host.memory(), host.control()), None);
    let story = story.into_inner().expect("nobody panicked");
    assert_eq!(audit(host).agents, before.agents);
    let sum: f64 = counted.iter().sum();
    assert_eq!(number_of(host, shared.map, b"transactions of all"), sum, "each was whole or nothing");
    let words: f64 = (0..30).map(|word| number_of(host, shared.map, format!("word {word}").as_bytes())).sum();
    assert_eq!(words, sum, "each was whole or nothing");
    let added = run(host, |o| cell::get(Table::of(o), shared.cell)) as u64;
    assert!((story.added..=story.added + story.maybe_added).contains(&added), "{added}, not {}", story.added);
    check_list(host, shared.list);
    // Who changes the names next leaves those out whose remover died before it did.
    for number in 0..3 {
        let text = format!("name {number}");
        let opened = run(host, |o| name::open(o, text.as_bytes(), Shape::Map));
        let _ = run(host, |o| name::remove(o, text.as_bytes()));
        let _ = run(host, |o| release(o, opened, Type::Map));
    }
    for handle in shared.all() {
        let _ = run(host, |o| coheap::count::release_any(o, handle));
    }
    let after = figures(host);
    assert_eq!((after.live_blocks, after.live_bytes), (before.live_blocks, before.live_bytes));
    unmap(host);
    story
}

#[test]
fn actors_that_die_at_any_write_leave_whole_structures_and_nothing_behind() {
    controls_of_both();
    let name = "actors_that_die_at_any_write_leave_whole_structures_and_nothing_behind";
    let wanted = std::env::var("COHEAP_DEATHS").ok().and_then(|deaths| deaths.parse().ok()).unwrap_or(DEATHS);
    let mut random = Random::new(name);
    let (mut deaths, mut repaired, mut reapers, mut read) = (0, 0, 0, 0);
    while deaths < wanted {
        let _watchdog = Watchdog::new(name);
        let story = on_one_heap(DEATHS_OF_A_HEAP.min(wanted - deaths), &mut random);
        deaths += story.deaths;
        repaired += story.repaired;
        reapers += story.reapers;
        read += story.read.len();
    }
    println!("{deaths} deaths, {repaired} in an operation, {reapers} in reaping; {read} records of pipes were read");
    println!("cases {name} {deaths}");
    assert!(repaired > 0 && reapers > 0 || wanted < 1000);
}
