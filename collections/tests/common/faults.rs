//! Death at every shared write of every operation on a structure that holds values, and at the writes of its recovery.

use std::panic::{AssertUnwindSafe, catch_unwind};

use coheap::name;
use coheap::object::State;
use coheap::recovery::settle;
use coheap::{Handle, Table, Type, release};
use coheap_alloc::sync::fault::{arm, disarm};
use coheap_alloc::{Agent, Operation, Result};

use super::{agent, heap, leave, run};

/// The records of all that is in a structure, and how many are counted; `None` when it is gone.
pub type Seen = Option<(Vec<u8>, u64)>;

pub type Step = fn(&Operation, Handle) -> Result<()>;

/// What a structure is made of, what is done to it, and how many more objects there may be afterwards.
pub struct Case {
    pub what: &'static str,
    pub prepare: Step,
    pub step: Step,
    pub more: usize,
}

/// The structures that are tested.
pub struct Subject {
    pub create: fn(&Operation) -> Result<Handle>,
    pub seen: fn(Agent, Handle) -> Seen,
    /// What is seen between the beginning and the end of a step that goes through more than two states.
    pub between: fn(&Case, Agent, Handle) -> Vec<Seen>,
}

/// Runs `f` and dies at its write number `at`; whether it died.
pub fn dies(at: u64, f: impl FnOnce()) -> bool {
    arm(at);
    let died = catch_unwind(AssertUnwindSafe(f)).is_err();
    disarm();
    died
}

/// The seeded bug of either crate that `COHEAP_CONTROL` names, if any.
pub fn controls_of_both() {
    #[cfg(feature = "controls")]
    {
        coheap_alloc::controls::set_from_environment();
        coheap::controls::set_from_environment();
    }
}

impl Subject {
    pub fn prepared(&self, case: &Case) -> (Agent, Handle) {
        let agent = agent(heap(64));
        let handle = run(agent, self.create);
        run(agent, |o| (case.prepare)(o, handle));
        (agent, handle)
    }

    /// Every state that a structure goes through in a whole run of a step.
    fn states(&self, case: &Case) -> Vec<Seen> {
        let (agent, handle) = self.prepared(case);
        let mut states = vec![(self.seen)(agent, handle)];
        states.extend((self.between)(case, agent, handle));
        run(agent, |o| (case.step)(o, handle));
        states.push((self.seen)(agent, handle));
        states
    }

    /// Writes of a whole run of a step.
    fn writes(&self, case: &Case) -> usize {
        let (agent, handle) = self.prepared(case);
        arm(u64::MAX);
        run(agent, |o| (case.step)(o, handle));
        disarm() as usize
    }

    fn check(&self, agent: Agent, handle: Handle, states: &[Seen], more: usize) -> Result<(), String> {
        agent.audit(&mut coheap::Objects).map_err(|error| format!("{error:?}"))?;
        let table = Table { memory: agent.memory(), control: agent.control() };
        let mut live = 0;
        for entry in (0..2048).filter_map(|index| table.entry(index)) {
            match table.word(entry).state() {
                None | Some(State::Raw) => return Err(format!("an entry is {:?}", table.word(entry))),
                Some(State::Live) => live += 1,
                _ => {}
            }
        }
        if live > 1 + more {
            return Err(format!("{live} objects"));
        }
        let found = (self.seen)(agent, handle);
        if states.contains(&found) { Ok(()) } else { Err(format!("{found:?}, not one of {states:?}")) }
    }

    /// The agent goes on, and everything comes back.
    fn go_on(&self, case: &Case, dead: Agent, handle: Handle) -> Result<(), String> {
        let done = dead.operation(|o| (case.step)(o, handle));
        if done.is_err() && (self.seen)(dead, handle).is_some() {
            return Err(format!("{done:?}"));
        }
        dead.audit(&mut coheap::Objects).map_err(|error| format!("then {error:?}"))?;
        for name in [&b"new"[..], b"child"] {
            let _ = dead.operation(|o| name::remove(o, name));
        }
        leave(dead);
        let other = agent(coheap_alloc::Heap::open(dead.memory(), dead.control()).expect("the heap"));
        // What has ended is taken apart as objects are made.
        for _ in 0..400 {
            let made = run(other, |o| coheap::cell::create(o, 1.0));
            let _ = run(other, |o| release(o, made, Type::Cell));
        }
        let figures = other.audit(&mut coheap::Objects).map_err(|error| format!("at last {error:?}"))?;
        if figures.live_blocks > 1 { Err(format!("{} blocks are left", figures.live_blocks)) } else { Ok(()) }
    }

    /// Dies at every write of every case, recovers, looks and goes on; how many deaths that were.
    pub fn die_at_every_write<'a>(&self, cases: impl Iterator<Item = &'a Case>) -> u64 {
        let mut points = 0;
        for case in cases {
            let states = self.states(case);
            for at in 0.. {
                let (agent, handle) = self.prepared(case);
                if !dies(at, || run(agent, |o| (case.step)(o, handle))) {
                    points += at;
                    println!("{}: {at} writes", case.what);
                    break;
                }
                agent.recover(&settle).expect("the record is settled");
                let whole = self.check(agent, handle, &states, case.more);
                if let Err(why) = whole.and_then(|()| self.go_on(case, agent, handle)) {
                    panic!("{}, death at write {at}: {why}", case.what);
                }
            }
        }
        println!("{points} fault points");
        points
    }

    /// Dies in every case, and again in its recovery, then recovers and looks; how many pairs of deaths that were.
    pub fn die_in_recovery<'a>(&self, cases: impl Iterator<Item = &'a Case>) -> u64 {
        let mut pairs = 0;
        for case in cases {
            let states = self.states(case);
            // Some points of the operation, of its recovery some others each time.
            let distance = self.writes(case) / 25 + 1;
            for at in (0..).step_by(distance) {
                let mut died = false;
                for again in (at % 17..).step_by(17) {
                    let (agent, handle) = self.prepared(case);
                    died = dies(at, || run(agent, |o| (case.step)(o, handle)));
                    if !died {
                        break;
                    }
                    let twice = dies(again, || agent.recover(&settle).expect("the record is settled"));
                    agent.recover(&settle).expect("the record is settled");
                    if let Err(why) = self.check(agent, handle, &states, case.more) {
                        panic!("{}, deaths at {at} and in recovery at {again}: {why}", case.what);
                    }
                    pairs += 1;
                    if !twice {
                        break;
                    }
                }
                if !died {
                    break;
                }
            }
        }
        println!("{pairs} pairs of deaths");
        pairs
    }
}
