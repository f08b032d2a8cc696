//! What the targets share: a small heap with three agents, one of which may die at any write, and be reaped by another.

#[path = "../../collections/tests/common/mod.rs"]
mod common;

use coheap::reap::finish_slice;
use coheap::{Handle, Table, acquire};
use coheap_alloc::audit::References;
use coheap_alloc::{Agent, Figures, Heap, Result};
use libfuzzer_sys::arbitrary::{self, Arbitrary};

pub use common::faults::controls_of_both as controls;
use common::faults::{dies, reap, reap_both, unmap};
pub use common::{run, take};

const AGENTS: usize = 3;

/// More than all agents of an input can have: who dies between growing the memory and saying so loses some 16 pages each time.
pub const MOST_PAGES: u32 = 2048;

/// What one agent does, and where it dies in it.
#[derive(Arbitrary, Clone, Debug)]
pub struct Step<O> {
    agent: u8,
    pub operation: O,
    death: Option<Death>,
}

/// At which write, and at which write the one dies that reaps it, if it does.
#[derive(Arbitrary, Clone, Copy, Debug)]
struct Death {
    at: u16,
    again: Option<u16>,
}

/// Every write up to 1023, and the first ones more often: most operations have some dozens.
fn write(number: u16) -> u64 {
    (u64::from(number) * u64::from(number)) >> 22
}

impl<O> Step<O> {
    /// The place of the agent that does it.
    pub fn seat(&self) -> usize {
        usize::from(self.agent) % AGENTS
    }
}

/// How a step ended.
pub enum Ended<R> {
    Done(R),
    /// The agent has died and was reaped, and another sits in its place; so it is with the one that reaped it, if that has died, too.
    Died {
        reaper: Option<usize>,
    },
}

/// A heap of its own for one input.
pub struct World {
    agents: [Agent; AGENTS],
    /// To what every agent has a reference.
    shared: Option<Handle>,
}

impl World {
    pub fn new(maximum_pages: u32) -> Self {
        let heap = common::heap(maximum_pages);
        Self { agents: [(); AGENTS].map(|()| common::agent(heap)), shared: None }
    }

    pub fn agent(&self, seat: usize) -> Agent {
        self.agents[seat]
    }

    pub fn table(&self) -> Table {
        Table { memory: self.agents[0].memory(), control: self.agents[0].control() }
    }

    pub fn audit(&self, references: &mut impl References) -> Figures {
        self.agents[0].audit(references).expect("the heap is whole")
    }

    /// Gives a reference to what the agent of one seat has made to the others, too.
    pub fn share(&mut self, maker: usize, handle: Handle) {
        self.shared = Some(handle);
        for seat in (0..AGENTS).filter(|&seat| seat != maker) {
            run(self.agents[seat], |o| acquire(o, handle, None));
        }
    }

    /// All agents give their references to what they share back.
    pub fn unshare(&mut self) {
        if let Some(handle) = self.shared.take() {
            for agent in self.agents {
                let _ = run(agent, |o| coheap::count::release_any(o, handle));
            }
        }
    }

    /// An agent leaves, and another comes: behind it, because in a full heap there is no room for a fourth.
    pub fn replace(&mut self, seat: usize) {
        common::leave(self.agents[seat]);
        self.agents[seat] = self.attached();
    }

    fn attached(&self) -> Agent {
        let heap = Heap::open(self.agents[0].memory(), self.agents[0].control()).expect("the heap");
        let agent = common::agent(heap);
        if let Some(handle) = self.shared {
            run(agent, |o| acquire(o, handle, None));
        }
        agent
    }

    /// Runs `operation` as the agent of the step; the heap is whole when it has died in it.
    pub fn act<O, R>(
        &mut self,
        step: &Step<O>,
        references: &mut impl References,
        operation: impl FnOnce(Agent) -> R,
    ) -> Ended<R> {
        let agent = self.agents[step.seat()];
        let Some(death) = step.death else { return Ended::Done(operation(agent)) };
        let mut answer = None;
        if !dies(write(death.at), || answer = Some(operation(agent))) {
            return Ended::Done(answer.expect("it did not die"));
        }
        let reaper = self.bury(step.seat(), death.again);
        self.audit(references);
        Ended::Died { reaper }
    }

    /// Who died in it.
    fn bury(&mut self, seat: usize, again: Option<u16>) -> Option<usize> {
        let [next, last] = [1, 2].map(|distance| (seat + distance) % AGENTS);
        let (dead, reaper) = (self.agents[seat], self.agents[next]);
        let died = match again {
            Some(at) => dies(write(at), || reap(reaper, dead)),
            None => {
                reap(reaper, dead);
                false
            }
        };
        if died {
            reap_both(self.agents[last], reaper, dead);
            self.agents[next] = self.attached();
        }
        self.agents[seat] = self.attached();
        died.then_some(next)
    }

    /// Takes apart what has ended and was left to whoever comes.
    pub fn finish(&self) {
        let (mut from, mut worked) = (0, false);
        loop {
            let round = finish_slice(self.agents[0], from).expect("it can be finished");
            worked |= round.worked;
            from = round.next;
            if from == 0 && !std::mem::take(&mut worked) {
                return;
            }
        }
    }

    /// Nothing of what was made since `before` is left.
    pub fn end(mut self, before: Figures, references: &mut impl References) {
        self.unshare();
        self.finish();
        let after = self.audit(references);
        assert_eq!(
            (after.live_bytes, after.live_blocks, after.agents),
            (before.live_bytes, before.live_blocks, before.agents)
        );
        unmap(self.agents[0]);
    }
}

/// The answer, unless there was no memory: then nothing has happened.
pub fn unless_full<R>(answer: Result<R>) -> Option<R> {
    match answer {
        Err(coheap_alloc::Error::OutOfMemory { .. }) => None,
        other => Some(other.expect("the operation succeeds")),
    }
}
