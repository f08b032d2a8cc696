//! Death at every shared write of every operation on a structure that holds values, and at the writes of its recovery.

use std::panic::{AssertUnwindSafe, catch_unwind};

use coheap::name;
use coheap::object::State;
use coheap::reap::{self, Dead, Proof};
use coheap::recovery::settle;
use coheap::wait::native::Threads;
use coheap::{Handle, Table, Type, release};
use coheap_alloc::sync::fault::{arm, disarm};
use coheap_alloc::{Agent, Heap, Operation, Result, SlotWord};

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

/// What names the agent once it is dead.
pub fn seat_of(agent: Agent) -> Dead {
    Dead { slot: agent.slot(), incarnation: agent.incarnation() }
}

/// Takes the seat of a dead agent over, ends what it left and gives back what it had.
pub fn reap(by: Agent, dead: Agent) {
    // SAFETY: I-28 the agents of these tests die by unwinding, and nothing is done in their name afterwards.
    let reaped = unsafe { reap::reap(by, &Threads::new(by.memory()), seat_of(dead), Proof::Ended) };
    assert!(reaped.expect("what it left makes sense").is_some(), "nobody else is at it");
}

/// Gives the memory of a heap back that a test is done with: there are tens of thousands of them.
pub fn unmap(agent: Agent) {
    // SAFETY: I-1 nothing of the heap is used afterwards.
    unsafe { agent.memory().unmap() }
}

/// As [`reap`], of what an agent left that died in it: its own seat first.
pub fn reap_both(by: Agent, reaper: Agent, dead: Agent) {
    reap(by, reaper);
    let (memory, control) = (by.memory(), by.control());
    let word = coheap_alloc::slot::word(memory, dead.slot());
    if word.has(SlotWord::ATTACHED) {
        // Either it did not get so far as to take the seat, or it left it.
        let is_left = coheap_alloc::reap::is_left(memory, control, dead.slot());
        assert!(is_left || word.incarnation() == dead.incarnation(), "the seat waits for somebody");
        let dead = Dead { slot: dead.slot(), incarnation: word.incarnation() };
        // SAFETY: I-28 as above.
        let reaped = unsafe { reap::reap(by, &Threads::new(memory), dead, Proof::Ended) };
        assert!(reaped.expect("what it left makes sense").is_some(), "nobody else is at it");
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

    /// Dies at every write of every case, recovers, looks and goes on; how many deaths that were, which are the test's cases.
    pub fn die_at_every_write<'a>(&self, test: &str, cases: impl Iterator<Item = &'a Case>) -> u64 {
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
                unmap(agent);
            }
        }
        println!("cases {test} {points}");
        points
    }

    /// Dies in every case, and again in its recovery, then recovers and looks; how many pairs of deaths that were, which are the test's cases.
    pub fn die_in_recovery<'a>(&self, test: &str, cases: impl Iterator<Item = &'a Case>) -> u64 {
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
                    unmap(agent);
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
        println!("cases {test} {pairs}");
        pairs
    }

    /// As [`Subject::prepared`], and two other agents that have a reference, too.
    fn prepared_with_others(&self, case: &Case) -> (Agent, [Agent; 2], Handle) {
        let (agent, handle) = self.prepared(case);
        let others = [(); 2].map(|()| super::agent(Heap::open(agent.memory(), agent.control()).expect("the heap")));
        for other in others {
            run(other, |o| coheap::acquire(o, handle, None));
        }
        (agent, others, handle)
    }

    /// What is there in the end: the structure, how many blocks live, and that the heap is whole.
    fn left(&self, other: Agent, handle: Handle) -> Result<(Seen, u64), String> {
        // Who reaps finishes all that has ended: so does this, whoever was reaped before.
        reap(other, super::agent(Heap::open(other.memory(), other.control()).expect("the heap")));
        let figures = other.audit(&mut coheap::Objects).map_err(|error| format!("{error:?}"))?;
        Ok(((self.seen)(other, handle), figures.live_blocks))
    }

    /// Dies at every fourth write of every case, and another agent takes the seat: in the end all is as if the dead one had recovered and
    /// left. At some points that agent dies in it, too, and a third goes on. How many deaths that were, and how many second ones.
    pub fn be_reaped<'a>(&self, cases: impl Iterator<Item = &'a Case>) -> (u64, u64) {
        let (mut points, mut seconds) = (0, 0);
        for case in cases {
            // Of every case others.
            for at in (case.what.len() as u64 % 4..).step_by(4) {
                let (agent, [other, _], handle) = self.prepared_with_others(case);
                if !dies(at, || run(agent, |o| (case.step)(o, handle))) {
                    break;
                }
                points += 1;
                agent.recover(&settle).expect("the record is settled");
                leave(agent);
                let wanted = self.left(other, handle);
                unmap(agent);
                let (agent, [other, _], handle) = self.prepared_with_others(case);
                dies(at, || run(agent, |o| (case.step)(o, handle)));
                reap(other, agent);
                let found = self.left(other, handle);
                assert!(found == wanted, "{}, death at write {at}: {found:?}, not {wanted:?}", case.what);
                unmap(agent);
                if at / 4 % 15 != 0 {
                    continue;
                }
                for again in (at % 13..).step_by(13) {
                    let (agent, [other, third], handle) = self.prepared_with_others(case);
                    dies(at, || run(agent, |o| (case.step)(o, handle)));
                    let twice = dies(again, || reap(other, agent));
                    if !twice {
                        break;
                    }
                    reap_both(third, other, agent);
                    let found = self.left(third, handle);
                    let what = case.what;
                    assert!(
                        found == wanted,
                        "{what}, deaths at {at}, in reaping at {again}: {found:?}, not {wanted:?}"
                    );
                    unmap(agent);
                    seconds += 1;
                }
            }
        }
        println!("{points} deaths, {seconds} of reapers");
        (points, seconds)
    }
}
