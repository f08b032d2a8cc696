//! Waiting for a change, natively.
#![cfg(feature = "std")]
mod common;

use coheap::cell::Waited;
use coheap::wait::native::Threads;
use coheap::wait::{Host, Slept};
use coheap::{Handle, Table, Type, acquire, cell, park, release};
use coheap_alloc::{Address, Agent, Error, Seat};
use common::{Watchdog, agent, audit, heap, run, threads};

fn set(agent: Agent, host: &impl Host, cell: Handle, number: f64) {
    run(agent, |operation| cell::set(operation, cell, number)).notify(host);
}

#[test]
fn waiter_sees_every_turn_of_a_game_of_ping_pong() {
    let _watchdog = Watchdog::new("waiter_sees_every_turn_of_a_game_of_ping_pong");
    common::controls();
    let heap = heap(256);
    let host = Threads::new(heap.memory());
    let first = agent(heap);
    let cell = run(first, |operation| cell::create(operation, 0.0));
    threads(heap, 2, |number, agent| {
        for turn in 0..4000 {
            let mine = f64::from(turn * 2 + number as i32);
            // The other's move makes the cell `mine`; ours makes it `mine + 1`.
            while agent.operation(|o| cell::get(Table::of(o), cell)) != Ok(mine) {
                let _ = cell::wait(agent, &host, cell, mine - 1.0, f64::INFINITY);
            }
            set(agent, &host, cell, mine + 1.0);
        }
    });
    audit(first);
}

/// A host whose sleepers are never woken: a missed wake-up would last for ever.
struct Deaf<'a>(&'a Threads);

impl Host for Deaf<'_> {
    fn wait(&self, address: Address, expected: u32, _timeout: f64) -> Slept {
        self.0.wait(address, expected, 30_000.0)
    }
    fn notify(&self, address: Address) {
        self.0.notify(address);
    }
    fn now(&self) -> f64 {
        self.0.now()
    }
}

/// A host on which each sleep takes ten milliseconds of a clock of its own and ends because somebody woke.
struct Restless {
    clock: std::cell::Cell<f64>,
}

impl Host for Restless {
    fn wait(&self, _: Address, _: u32, _: f64) -> Slept {
        self.clock.set(self.clock.get() + 10.0);
        Slept::Woken
    }
    fn notify(&self, _: Address) {}
    fn now(&self) -> f64 {
        self.clock.get()
    }
}

#[test]
fn waiter_that_is_woken_again_and_again_times_out() {
    let agent = agent(heap(64));
    let cell = run(agent, |operation| cell::create(operation, 1.0));
    let host = Restless { clock: std::cell::Cell::new(5.0) };
    assert_eq!(cell::wait(agent, &host, cell, 1.0, 1000.0), Ok(Waited::TimedOut));
    assert_eq!(host.now(), 1005.0);
    let inside = agent.operation(|_| cell::wait(agent, &host, cell, 1.0, 1000.0));
    assert_eq!(inside, Err(Error::Busy { agent: agent.index() }));
}

#[test]
fn waiter_is_woken_by_each_kind_of_change() {
    let _watchdog = Watchdog::new("waiter_is_woken_by_each_kind_of_change");
    let heap = heap(256);
    let threads_host = Threads::new(heap.memory());
    let host = Deaf(&threads_host);
    let first = agent(heap);
    for kind in 0..4 {
        let cell = run(first, |operation| cell::create(operation, 1.0));
        run(first, |operation| park(operation, cell));
        let answers = threads(heap, 2, |number, agent| {
            if number == 0 {
                return Some(cell::wait(agent, &host, cell, 1.0, f64::INFINITY));
            }
            std::thread::sleep(std::time::Duration::from_millis(30));
            let wake = run(agent, |operation| match kind {
                0 => cell::set(operation, cell, 2.0),
                1 => cell::add(operation, cell, 1.0).map(|(_, wake)| wake),
                2 => cell::compare_and_set(operation, cell, 1.0, 2.0).map(|(_, wake)| wake),
                _ => {
                    acquire(operation, cell, None)?;
                    release(operation, cell, Type::Cell)
                }
            });
            wake.notify(&host);
            None
        });
        let stale = Error::StaleHandle { index: cell.index, generation: cell.generation };
        assert_eq!(answers[0], Some(if kind == 3 { Err(stale) } else { Ok(Waited::Changed) }));
    }
}

#[test]
fn waiter_of_a_cell_that_stays_times_out_and_of_one_that_differs_returns() {
    let heap = heap(256);
    let host = Threads::new(heap.memory());
    let agent = agent(heap);
    let cell = run(agent, |operation| cell::create(operation, f64::NAN));
    assert_eq!(cell::wait(agent, &host, cell, f64::NAN, 5.0), Ok(Waited::TimedOut));
    assert_eq!(cell::wait(agent, &host, cell, f64::NAN, 0.0), Ok(Waited::TimedOut));
    assert_eq!(cell::wait(agent, &host, cell, f64::NAN, f64::NAN), Ok(Waited::TimedOut));
    assert_eq!(cell::wait(agent, &host, cell, 0.0, 5.0), Ok(Waited::Changed));
    set(agent, &host, cell, 0.0);
    assert_eq!(cell::wait(agent, &host, cell, -0.0, 5.0), Ok(Waited::Changed));
}

#[test]
fn agent_that_must_not_block_never_sleeps() {
    let heap = heap(256);
    let host = Threads::new(heap.memory());
    let agent = heap.attach(Seat::default()).expect("a seat");
    let cell = run(agent, |operation| cell::create(operation, 1.0));
    assert_eq!(cell::wait(agent, &host, cell, 1.0, 5.0), Err(Error::CannotBlock));
    assert_eq!(cell::wait(agent, &host, cell, 2.0, 5.0), Ok(Waited::Changed));
}
