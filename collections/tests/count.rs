//! Counted references.
#![allow(clippy::disallowed_types, reason = "the switches of a test are no shared words of a heap")]
mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use coheap::count::{self, Change, CountWord, Counted, MOST, Which, release_any};
use coheap::holdings::{self, Holder};
use coheap::name::{self, Shape};
use coheap::object::{self, State};
use coheap::{Handle, Table, Type, acquire, bytes, cell, park, release};
use coheap_alloc::layout::{body, slot};
use coheap_alloc::{Agent, Error, Heap, Result, slot as slots};
use common::{Random, Watchdog, agent, audit, heap, leave, run, threads};

fn table(agent: Agent) -> Table {
    Table { memory: agent.memory(), control: agent.control() }
}

fn is_live(agent: Agent, handle: Handle) -> bool {
    run(agent, |o| Ok(cell::get(Table::of(o), handle).is_ok()))
}

fn take(agent: Agent, handle: Handle) -> Result<Type> {
    agent.operation(|o| acquire(o, handle, None))
}

fn give(agent: Agent, handle: Handle) -> Result<()> {
    agent.operation(|o| release(o, handle, Type::Cell).map(drop))
}

/// How many references an object has, and how many of them are parked.
fn counts(agent: Agent, handle: Handle) -> (u32, u32) {
    let entry = table(agent).entry(handle.index).expect("an entry");
    let count = |offset| CountWord(agent.memory().load64(entry + offset)).count();
    (count(object::COUNT), count(object::PARKED))
}

/// Entries that are not free, by going through the table.
fn taken_entries(agent: Agent) -> usize {
    let table = table(agent);
    let taken = |&entry: &u32| !matches!(table.word(entry).state(), Some(State::Virgin | State::Free));
    (0..8192).filter_map(|index| table.entry(index)).filter(taken).count()
}

#[test]
fn object_lives_until_its_last_reference_is_given_back() {
    let heap = heap(64);
    let (a, b, c) = (agent(heap), agent(heap), agent(heap));
    let object = run(a, |o| cell::create(o, 5.0));
    assert_eq!(take(b, object), Ok(Type::Cell));
    assert_eq!(take(b, object), Ok(Type::Cell), "a second time changes nothing");
    assert_eq!(counts(a, object), (2, 0));
    assert_eq!(give(c, object), Err(object.stale()), "it has none");
    assert_eq!(give(a, object), Ok(()));
    assert_eq!(give(a, object), Err(object.stale()), "it has none any more");
    assert!(is_live(a, object));
    audit(a);
    assert_eq!(give(b, object), Ok(()));
    assert!(!is_live(b, object));
    for agent in [a, b, c] {
        assert_eq!(take(agent, object), Err(object.stale()));
        assert_eq!(give(agent, object), Err(object.stale()));
        assert_eq!(agent.operation(|o| park(o, object)), Err(object.stale()));
    }
    audit(a);
    assert_eq!(taken_entries(a), 0);
}

#[test]
fn object_of_another_type_is_not_acquired() {
    let heap = heap(64);
    let (a, b) = (agent(heap), agent(heap));
    let object = run(a, |o| bytes::create(o, 10));
    let wrong = b.operation(|o| acquire(o, object, Some(Type::Cell)));
    assert_eq!(wrong, Err(Error::WrongType { expected: 1, found: 2 }));
    assert_eq!(counts(a, object), (1, 0));
    assert_eq!(give(a, object), Err(Error::WrongType { expected: 1, found: 2 }));
    let forged = Handle { index: 1 << 31, generation: 0 };
    assert_eq!(run(a, |o| Ok(release_any(o, forged).map(drop))), Err(forged.stale()));
    audit(a);
}

#[test]
fn count_that_is_full_refuses_another_reference() {
    let heap = heap(64);
    let (a, b) = (agent(heap), agent(heap));
    let object = run(a, |o| cell::create(o, 5.0));
    let at = table(a).entry(object.index).expect("an entry") + object::COUNT;
    let before = a.memory().load64(at);
    a.memory().store64(at, CountWord::new(MOST, object.generation).0);
    assert_eq!(take(b, object), Err(Error::TooManyReferences { index: object.index, maximum: MOST }));
    assert_eq!(counts(a, object), (MOST, 0));
    // A word of another generation is another object's.
    a.memory().store64(at, CountWord::new(1, object.generation + 1).0);
    assert_eq!(take(b, object), Err(object.stale()));
    a.memory().store64(at, before);
    assert_eq!(take(b, object), Ok(Type::Cell));
    audit(a);
}

#[test]
fn object_whose_name_is_removed_stays_with_its_holders() {
    let heap = heap(64);
    let (a, b) = (agent(heap), agent(heap));
    let open = |agent: Agent| run(agent, |o| name::open(o, b"a", Shape::Cell(1.0)));
    let object = open(a);
    assert_eq!(open(b), object);
    assert_eq!(counts(a, object), (3, 0));
    assert!(run(b, |o| name::remove(o, b"a")).0);
    assert!(!run(b, |o| name::remove(o, b"a")).0);
    assert_eq!(counts(a, object), (2, 0));
    audit(a);
    let another = open(b);
    assert_ne!(another, object);
    assert_eq!((give(a, object), is_live(a, object)), (Ok(()), true));
    assert_eq!((give(b, object), is_live(a, object)), (Ok(()), false));
    // The directory alone keeps one, and removing the name ends it.
    assert_eq!((give(b, another), is_live(a, another)), (Ok(()), true));
    assert!(run(a, |o| name::remove(o, b"a")).0);
    assert!(!is_live(a, another));
    audit(a);
    assert_eq!(taken_entries(a), 0);
}

#[test]
fn parked_reference_is_the_first_openers() {
    let heap = heap(64);
    let (a, b, c) = (agent(heap), agent(heap), agent(heap));
    let object = run(a, |o| cell::create(o, 5.0));
    run(a, |o| park(o, object));
    assert_eq!(a.operation(|o| park(o, object)), Err(object.stale()), "it has none any more");
    assert_eq!(counts(a, object), (1, 1));
    leave(a);
    audit(b);
    assert!(is_live(b, object), "nobody's, and still there");
    take(b, object).unwrap();
    assert_eq!(counts(b, object), (1, 0));
    take(c, object).unwrap();
    assert_eq!(counts(b, object), (2, 0));
    // Who has one already takes the parked one all the same.
    run(c, |o| park(o, object));
    take(b, object).unwrap();
    assert_eq!(counts(b, object), (1, 0));
    give(b, object).unwrap();
    assert!(!is_live(b, object));
    audit(b);
}

#[test]
fn agent_that_leaves_gives_everything_back() {
    let heap = heap(1024);
    let (a, b) = (agent(heap), agent(heap));
    let mine: Vec<_> = (0..20_000).map(|n| run(a, |o| cell::create(o, f64::from(n)))).collect();
    for handle in mine.iter().step_by(4) {
        take(b, *handle).unwrap();
    }
    for handle in mine.iter().skip(1).step_by(4) {
        give(a, *handle).unwrap();
    }
    audit(b);
    leave(a);
    audit(b);
    for (number, &handle) in mine.iter().enumerate() {
        assert_eq!(is_live(b, handle), number % 4 == 0);
    }
    leave(b);
    let last = agent(heap);
    assert_eq!(audit(last).live_blocks, 0, "the holdings have no block");
    let left = (0..65_536)
        .filter_map(|index| table(last).entry(index))
        .any(|entry| !matches!(table(last).word(entry).state(), Some(State::Virgin | State::Free)));
    assert!(!left);
}

/// What the words must say, by a model of sets.
#[derive(Default)]
struct Model {
    /// Who has a reference.
    holders: BTreeMap<u64, BTreeSet<usize>>,
    parked: BTreeMap<u64, u32>,
    names: BTreeMap<usize, u64>,
}

impl Model {
    fn lives(&self, word: u64) -> bool {
        let held = self.holders.get(&word).is_some_and(|holders| !holders.is_empty());
        held || self.parked.get(&word).is_some_and(|&parked| parked != 0) || self.names.values().any(|&it| it == word)
    }
}

#[test]
fn block_of_holdings_with_a_damaged_word_is_none() {
    let heap = heap(64);
    let agent = agent(heap);
    let objects: Vec<_> = (0..1000).map(|_| run(agent, |o| cell::create(o, 5.0))).collect();
    let object = objects[999];
    let memory = agent.memory();
    let holder = Holder { slot: agent.slot(), index: agent.index() };
    let holds = || holdings::holds(memory, holder, object);
    let word_at = slots::body(memory, agent.slot()).address() + body::HOLDINGS;
    let head_at = memory.load64(word_at) as u32;
    let mut tried = 0;
    let mut damage = |at, bits| {
        memory.store64(at, memory.load64(at) ^ bits);
        assert!(matches!(holds(), Err(Error::Corrupt { .. })), "{bits:#x} of {at}: {:?}", holds());
        memory.store64(at, memory.load64(at) ^ bits);
        tried += 1;
    };
    // Where it is; what it says of its place and length; a length that could be.
    (4..22).for_each(|bit| damage(word_at, 1 << bit));
    (0..64).for_each(|bit| damage(head_at, 1 << bit));
    let length = memory.load64(head_at) & 0xFFFF_FFFF;
    (0..32).map(|bit| 1 << bit).filter(|&other| other != length).for_each(|other| damage(head_at, length | other));
    assert_eq!(holds(), Ok(true));
    println!("cases block_of_holdings_with_a_damaged_word_is_none {tried}");
    leave(agent);
}

#[test]
fn references_under_random_operations_match_a_model() {
    const ROUNDS: u32 = 60_000;
    let mut random = Random::new("references_under_random_operations_match_a_model");
    let heap = heap(256);
    let agents: Vec<_> = (0..5).map(|_| agent(heap)).collect();
    for agent in &agents {
        // So that marks come round, and meet themselves.
        agent.memory().store64(agent.slot() + slot::SEQUENCE, (1 << 20) - 1000 + random.below(2000));
    }
    let mut model = Model::default();
    let mut handles: Vec<Handle> = Vec::new();
    for round in 0..ROUNDS {
        let number = random.below(5) as usize;
        let agent = agents[number];
        let named = random.below(6) as usize;
        let text = [b'a' + named as u8];
        if handles.is_empty() || random.below(8) == 0 {
            let handle = run(agent, |o| cell::create(o, 1.0));
            model.holders.entry(handle.to_word()).or_default().insert(number);
            handles.push(handle);
            continue;
        }
        let place = random.below(handles.len() as u64) as usize;
        let handle = handles[place];
        let word = handle.to_word();
        let lived = model.lives(word);
        let held = model.holders.get(&word).is_some_and(|holders| holders.contains(&number));
        match random.below(8) {
            0 | 1 => {
                assert_eq!(take(agent, handle).is_ok(), lived, "{handle:?}");
                if lived {
                    model.holders.entry(word).or_default().insert(number);
                    if let Some(parked) = model.parked.get_mut(&word) {
                        *parked = parked.saturating_sub(1);
                    }
                }
            }
            2..=4 => {
                assert_eq!(give(agent, handle), if held { Ok(()) } else { Err(handle.stale()) });
                model.holders.entry(word).or_default().remove(&number);
            }
            5 => {
                assert_eq!(agent.operation(|o| park(o, handle)), if held { Ok(()) } else { Err(handle.stale()) });
                if held {
                    model.holders.entry(word).or_default().remove(&number);
                    *model.parked.entry(word).or_default() += 1;
                }
            }
            6 => {
                let handle = run(agent, |o| name::open(o, &text, Shape::Cell(1.0)));
                let word = handle.to_word();
                assert_eq!(*model.names.entry(named).or_insert(word), word);
                model.holders.entry(word).or_default().insert(number);
                if let Some(parked) = model.parked.get_mut(&word) {
                    *parked = parked.saturating_sub(1);
                }
                if !handles.contains(&handle) {
                    handles.push(handle);
                }
            }
            _ => {
                let gone = model.names.remove(&named);
                assert_eq!(run(agent, |o| name::remove(o, &text)).0, gone.is_some());
            }
        }
        assert_eq!(is_live(agent, handle), model.lives(word), "{handle:?} in round {round}");
        if !model.lives(word) && random.below(4) == 0 {
            handles.swap_remove(place);
        }
        if round % 5000 == 0 {
            audit(agent);
        }
    }
    audit(agents[0]);
    for (&word, holders) in &model.holders {
        for (number, &agent) in agents.iter().enumerate() {
            let holds = holdings::holds(
                agent.memory(),
                Holder { slot: agent.slot(), index: agent.index() },
                Handle::from_word(word),
            );
            assert_eq!(holds, Ok(holders.contains(&number)));
        }
    }
    println!("cases references_under_random_operations_match_a_model {ROUNDS}");
}

/// Everybody takes, gives back and parks what everybody made. In the end all leave, and nothing is left.
#[test]
fn references_changed_by_eight_agents_at_once_are_all_counted() {
    let _watchdog = Watchdog::new("references_changed_by_eight_agents_at_once_are_all_counted");
    common::controls();
    let mut random = Random::new("references_changed_by_eight_agents_at_once_are_all_counted");
    let seed = random.next();
    let heap = heap(512);
    let first = agent(heap);
    let board: Vec<_> = (0..16).map(|_| AtomicU64::new(0)).collect();
    for round in 0..4 {
        let done = threads(heap, 8, |number, agent| {
            let mut random = Random::from(seed ^ (round * 8 + number as u64));
            let mut taken = 0u32;
            for _ in 0..20_000 {
                let place = &board[random.below(16) as usize];
                let word = place.load(Ordering::Acquire);
                let handle = Handle::from_word(word);
                match random.below(6) {
                    0 => {
                        let made = run(agent, |o| cell::create(o, f64::from(o.agent().index())));
                        let _ = place.compare_exchange(word, made.to_word(), Ordering::AcqRel, Ordering::Relaxed);
                    }
                    1..=3 if word != 0 => taken += u32::from(take(agent, handle).is_ok()),
                    4 if word != 0 => {
                        let _ = agent.operation(|o| park(o, handle));
                    }
                    _ if word != 0 => {
                        let _ = give(agent, handle);
                    }
                    _ => {}
                }
            }
            taken
        });
        println!("taken: {done:?}");
        audit(first);
        // What is parked is taken by one, and given back.
        for place in &board {
            let _ = place.swap(0, Ordering::AcqRel);
        }
        for index in 0..65_536 {
            let Some(entry) = table(first).entry(index) else { continue };
            let handle = Handle { index, generation: table(first).word(entry).generation() };
            while counts(first, handle).1 != 0 {
                take(first, handle).unwrap();
            }
            let _ = give(first, handle);
        }
        audit(first);
        assert_eq!(taken_entries(first), 0, "round {round}");
    }
}

/// An agent begins a change under the mark of an old change of its own, and dies before it: that change has not happened.
#[test]
fn change_under_an_old_mark_is_not_taken_for_that_one() {
    common::controls();
    for bits in [1 << 20, 1 << 40] {
        let heap = heap(64);
        let (a, b) = (agent(heap), agent(heap));
        let object = run(a, |o| cell::create(o, 5.0));
        take(b, object).unwrap();
        let at = b.slot() + slot::SEQUENCE;
        let last = b.memory().load64(at);
        b.memory().store64(at, last + bits - 1);
        let counted = counted(b, object);
        let holder = run(b, |o| Ok(Holder::of(o)));
        count::begin(b.memory(), holder, counted, Change::Release);
        run(a, |o| count::settle(o, holder));
        assert_eq!(counts(a, object), (1, 0), "the release was still to come");
        audit(a);
    }
}

fn counted(agent: Agent, handle: Handle) -> Counted {
    Counted { entry: table(agent).entry(handle.index).expect("an entry"), handle, which: Which::All }
}

/// An agent that overwrites the mark of an old change must not take it for the one in flight, which is another's object
/// under the same low bits.
#[test]
fn mark_of_an_old_change_is_not_noted_for_one_of_another_object() {
    common::controls();
    let heap = heap(64);
    let (a, b) = (agent(heap), agent(heap));
    let [one, two] = [(); 2].map(|()| run(a, |o| cell::create(o, 5.0)));
    take(b, one).unwrap();
    take(b, two).unwrap();
    // The change of `one` before this has the mark that the change of `two` will have.
    let at = b.slot() + slot::SEQUENCE;
    let mark = table(b).entry(one.index).map(|entry| b.memory().load64(entry + object::COUNT) >> 44).expect("an entry");
    b.memory().store64(at, (1 << 20) + mark - 1);
    let holder = run(b, |o| Ok(Holder::of(o)));
    let sequence = count::begin(b.memory(), holder, counted(b, two), Change::Release);
    assert_eq!(sequence, (1 << 20) + mark);
    give(a, one).unwrap();
    run(a, |o| count::settle(o, holder));
    assert_eq!(counts(a, two), (1, 0), "the release was still to come");
    audit(a);
}

/// Heaps of before this agent's time: nothing is in flight in a slot that nobody had.
#[test]
fn slot_that_nobody_had_has_nothing_to_settle() {
    let heap: Heap = heap(64);
    let a = agent(heap);
    let holder = run(a, |o| Ok(Holder::at(o, a.index() + 3).expect("a slot")));
    run(a, |o| count::settle(o, holder));
    assert_eq!(run(a, |o| Ok(Holder::at(o, 5000))), None);
    audit(a);
}
