//! Death at every shared write of many additions with a loan: the same agent recovers, and all is added and the loan is
//! gone, or nothing is and the loan is the agent's. Whoever meets the keys meanwhile goes on.
#![cfg(feature = "fault-points")]
mod common;

use coheap::map::{self, Key};
use coheap::pipe::{self, Lease, Outcome, SMALLEST, Source};
use coheap::recovery::settle;
use coheap::string::Given;
use coheap::{Handle, Table, value};
use coheap_alloc::{Agent, Error, Operation, Result};
use common::additions::Words;
use common::faults::{controls_of_both, dies, reap, reap_both, unmap};
use common::{Watchdog, agent, audit, heap, leave, run};

const LONG: &[u8] = b"a key that needs a block of its own";
const OTHER: &[u8] = b"another key that needs a block of its own";

type Additions = &'static [(&'static [u8], f64)];

/// What is there before, and what is added.
struct Case {
    what: &'static str,
    before: Additions,
    added: Additions,
}

static CASES: [Case; 5] = [
    Case { what: "to what is there", before: &[(b"a", 1.0), (LONG, 2.0)], added: &[(b"a", 10.0), (LONG, 20.0)] },
    Case { what: "to nothing", before: &[], added: &[(b"a", 10.0), (OTHER, 20.0), (b"b", 0.0)] },
    Case {
        what: "to some",
        before: &[(b"a", 1.0), (LONG, 2.0)],
        added: &[(b"a", 10.0), (OTHER, 20.0), (LONG, 30.0), (b"new", 40.0), (b"a", 50.0), (OTHER, 60.0)],
    },
    Case { what: "one", before: &[(b"a", 1.0)], added: &[(b"a", 10.0)] },
    Case { what: "nothing", before: &[(b"a", 1.0)], added: &[] },
];

struct World {
    agent: Agent,
    map: Handle,
    pipe: Handle,
    loan: Lease,
}

impl World {
    fn new(case: &Case) -> Self {
        let agent = agent(heap(64));
        let (map, pipe) = (run(agent, map::create), run(agent, |o| pipe::create(o, SMALLEST)));
        for &(word, number) in case.before {
            run(agent, |o| map::set(o, map, &key(Table::of(o), word), Given::number(number)));
        }
        let _ = run(agent, |o| pipe::write(o, pipe, Source::Slice(b"bytes"), false));
        let leased = run(agent, |o| pipe::lease(o, pipe, 64, None, &mut None, false)).0;
        let Outcome::Done(Some(loan)) = leased else { panic!("no loan: {leased:?}") };
        // So that it knows of it, as an agent does that goes on.
        let _ = run(agent, |o| pipe::lease(o, pipe, 64, None, &mut None, false));
        Self { agent, map, pipe, loan }
    }

    fn add(&self, operation: &Operation, case: &Case) -> Result<()> {
        let words = Words { table: Table::of(operation), words: case.added };
        map::add_many(operation, self.map, &words, Some((self.pipe, self.loan))).map(drop)
    }

    fn number(&self, by: Agent, word: &[u8]) -> Option<f64> {
        let table = Table { memory: by.memory(), control: by.control() };
        let taken = run(by, |_| map::get(table, self.map, &key(table, word), 0, 0))?;
        Some(value::to_number(taken.word).expect("a number"))
    }

    /// Which of the two it is: as it was before, or after; with so much more on each key.
    fn is_done(&self, by: Agent, case: &Case, more: f64) -> Result<bool, String> {
        let words = || case.before.iter().chain(case.added).map(|&(word, _)| word);
        let sum = |all: Additions, word: &[u8]| all.iter().filter(|(other, _)| *other == word).map(|(_, n)| n).sum();
        let numbers: Vec<Option<f64>> = words().map(|word| self.number(by, word)).collect();
        for (is_done, all) in [(false, case.before), (true, case.added)] {
            let is_so = words().zip(&numbers).all(|(word, &number)| {
                let was = case.before.iter().any(|&(other, _)| other == word);
                let is = was || is_done || more != 0.0;
                let base: f64 = sum(case.before, word);
                let added: f64 = if is_done { sum(all, word) } else { 0.0 };
                number == is.then_some(base + added + more)
            });
            if is_so && (is_done || case.added.iter().any(|&(_, delta)| delta != 0.0)) {
                return Ok(is_done);
            }
            if is_so {
                // Nothing to be seen: the loan says it.
                return Ok(!self.has_loan());
            }
        }
        Err(format!("{numbers:?}"))
    }

    fn has_loan(&self) -> bool {
        let table_length = (self.agent.transfer(), 1);
        let found = self.agent.operation(|o| pipe::lease_bytes(o, self.pipe, self.loan, 0, table_length));
        match found {
            Ok(()) => true,
            Err(Error::LeaseLost { .. }) => false,
            other => panic!("{other:?}"),
        }
    }

    /// After recovery: all or nothing, and the heap is whole.
    fn check(&self, case: &Case, more: f64) -> Result<bool, String> {
        self.agent.audit(&mut coheap::Objects).map_err(|error| format!("{error:?}"))?;
        let is_done = self.is_done(self.agent, case, more)?;
        if is_done == self.has_loan() {
            return Err(format!("added: {is_done}, and the loan says the other"));
        }
        Ok(is_done)
    }

    /// The agent goes on, and everything comes back.
    fn go_on(&self, case: &Case, is_done: bool) -> Result<(), String> {
        let again = self.agent.operation(|o| self.add(o, case));
        match again {
            Ok(()) if !is_done => {}
            Err(Error::LeaseLost { .. }) if is_done => {}
            other => return Err(format!("{other:?}")),
        }
        leave(self.agent);
        let other = agent(coheap_alloc::Heap::open(self.agent.memory(), self.agent.control()).expect("the heap"));
        for _ in 0..100 {
            let made = run(other, |o| coheap::cell::create(o, 1.0));
            let _ = run(other, |o| coheap::release(o, made, coheap::Type::Cell));
        }
        let figures = audit(other);
        if figures.live_blocks > 1 { Err(format!("{} blocks are left", figures.live_blocks)) } else { Ok(()) }
    }
}

fn key(table: Table, word: &[u8]) -> Key<'_> {
    Key::given(table, Given::text(word)).expect("a key")
}

#[test]
fn additions_are_all_or_nothing_wherever_their_agent_dies() {
    controls_of_both();
    let _watchdog = Watchdog::new("additions_are_all_or_nothing_wherever_their_agent_dies");
    let (mut points, mut done) = (0, 0);
    for case in &CASES {
        for at in 0.. {
            let world = World::new(case);
            if !dies(at, || run(world.agent, |o| world.add(o, case))) {
                points += at;
                println!("{}: {at} writes", case.what);
                break;
            }
            world.agent.recover(&settle).expect("the record is settled");
            let checked = world.check(case, 0.0);
            done += u32::from(checked == Ok(true));
            if let Err(why) = checked.and_then(|is_done| world.go_on(case, is_done)) {
                panic!("{}, death at write {at}: {why}", case.what);
            }
        }
    }
    println!("{points} fault points, {done} of them behind the decision");
    println!("cases additions_are_all_or_nothing_wherever_their_agent_dies {points}");
    assert!(done > 0 && u64::from(done) < points, "deaths before the decision and behind it");
}

#[test]
fn recovery_that_dies_too_is_as_good() {
    controls_of_both();
    let _watchdog = Watchdog::new("recovery_that_dies_too_is_as_good");
    let mut pairs = 0;
    for case in &CASES {
        // Some points of the additions, of their recovery others each time.
        'at: for at in (0..).step_by(37) {
            for again in (at % 11..).step_by(11) {
                let world = World::new(case);
                if !dies(at, || run(world.agent, |o| world.add(o, case))) {
                    break 'at;
                }
                let twice = dies(again, || world.agent.recover(&settle).expect("the record is settled"));
                world.agent.recover(&settle).expect("the record is settled");
                if let Err(why) = world.check(case, 0.0) {
                    panic!("{}, deaths at {at} and in recovery at {again}: {why}", case.what);
                }
                pairs += 1;
                if !twice {
                    break;
                }
            }
        }
    }
    println!("cases recovery_that_dies_too_is_as_good {pairs}");
}

#[test]
fn whoever_meets_what_a_dead_agent_left_goes_on() {
    controls_of_both();
    let _watchdog = Watchdog::new("whoever_meets_what_a_dead_agent_left_goes_on");
    let mut points = 0;
    for case in &CASES {
        for at in 0.. {
            let world = World::new(case);
            let other = agent(coheap_alloc::Heap::open(world.agent.memory(), world.agent.control()).expect("the heap"));
            if !dies(at, || run(world.agent, |o| world.add(o, case))) {
                points += at;
                break;
            }
            let mut words: Vec<_> = case.before.iter().chain(case.added).map(|&(word, _)| word).collect();
            words.sort_unstable();
            words.dedup();
            // Reads, which see all or nothing and do not decide.
            let read = world.is_done_while_dead(other, case);
            for word in words {
                run(other, |o| map::add(o, world.map, &key(Table::of(o), word), 1.0));
            }
            world.agent.recover(&settle).expect("the record is settled");
            let checked = read.and_then(|read| match world.check(case, 1.0) {
                Ok(false) if read == Some(true) => Err("what was read was taken back".to_owned()),
                checked => checked,
            });
            if let Err(why) = checked {
                panic!("{}, death at write {at}: {why}", case.what);
            }
        }
    }
    println!("cases whoever_meets_what_a_dead_agent_left_goes_on {points}");
}

/// Dies at a write, and is reaped, by one that dies at a write of its own, if so; whether its bytes are in the pipe again, and whether
/// the reaper died, too. `None`: it did not die. All was added and the loan is gone, or nothing and it is back.
fn take_over(case: &Case, at: u64, again: Option<u64>) -> Option<(bool, bool)> {
    let world = World::new(case);
    let others = [(); 2].map(|()| {
        let heap = coheap_alloc::Heap::open(world.agent.memory(), world.agent.control());
        let other = agent(heap.expect("the heap"));
        run(other, |o| coheap::acquire(o, world.map, None));
        run(other, |o| coheap::acquire(o, world.pipe, None));
        other
    });
    if !dies(at, || run(world.agent, |o| world.add(o, case))) {
        return None;
    }
    let twice = match again {
        Some(again) => dies(again, || reap(others[0], world.agent)),
        None => {
            reap(others[0], world.agent);
            false
        }
    };
    if twice {
        reap_both(others[1], others[0], world.agent);
    }
    let by = others[usize::from(twice)];
    audit(by);
    let _ = run(by, |o| pipe::close(o, world.pipe));
    let read = run(by, |o| pipe::read(o, world.pipe, (by.transfer(), 64), None, &mut None, false)).0;
    let is_back = match read {
        Outcome::Done(pipe::Read::Bytes(5)) => true,
        Outcome::Done(pipe::Read::End) => false,
        other => panic!("{other:?}"),
    };
    let is_whole = case.added.is_empty() || world.is_done(by, case, 0.0).expect("all or nothing") != is_back;
    assert!(is_whole, "{}, death at {at}, {again:?}: counted and back, or neither", case.what);
    unmap(by);
    Some((is_back, twice))
}

#[test]
fn reader_that_takes_over_finds_what_was_not_counted() {
    controls_of_both();
    let _watchdog = Watchdog::new("reader_that_takes_over_finds_what_was_not_counted");
    let (mut points, mut seconds, mut done) = (0, 0, 0);
    for case in &CASES {
        for at in 0.. {
            let Some((is_back, _)) = take_over(case, at, None) else { break };
            points += 1;
            done += u64::from(!is_back);
            if at % 5 == 0 {
                let twice = [at * 7 % 40, at * 3 % 200].map(|again| take_over(case, at, Some(again)));
                seconds += twice.iter().flatten().filter(|(_, twice)| *twice).count() as u64;
            }
        }
    }
    println!("{points} deaths, {done} of them behind the decision, {seconds} of reapers");
    println!("cases reader_that_takes_over_finds_what_was_not_counted {}", points + seconds);
    assert!(done > 0 && done < points, "deaths before the decision and behind it");
}

impl World {
    /// As [`World::is_done`], by another agent, before recovery; `None` when only the loan tells.
    fn is_done_while_dead(&self, by: Agent, case: &Case) -> Result<Option<bool>, String> {
        if case.added.iter().all(|&(_, delta)| delta == 0.0) {
            return Ok(None);
        }
        self.is_done(by, case, 0.0).map(Some)
    }
}
