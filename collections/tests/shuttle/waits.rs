//! Who waits for a cell, and who sets it.

use coheap::cell::{put, watch_word};
use coheap::object::VALUE;
use coheap::wait::Watch;
use coheap_alloc::Memory;
use shuttle::sync::{Arc, Condvar, Mutex};
use shuttle::thread;

use super::explore::{ENTRY, explore};

/// Sleeping and waking as the platform does it: the word is compared under the lock that a notify takes.
#[derive(Default)]
pub(super) struct Sleepers {
    turn: Mutex<()>,
    woken: Condvar,
}

impl Sleepers {
    /// Sleeps without a timeout, so a missed wake-up is a deadlock, which shuttle reports.
    pub(super) fn wait(&self, memory: Memory, watch: Watch) {
        let mut turn = self.turn.lock().unwrap();
        while memory.load32_ordered(watch.address) == watch.expected {
            turn = self.woken.wait(turn).unwrap();
        }
    }

    pub(super) fn notify(&self) {
        drop(self.turn.lock().unwrap());
        self.woken.notify_all();
    }
}

/// So many setters, two waiters: each waiter sees a change.
fn setters_and_waiters(memory: Memory, setters: u64) {
    memory.share();
    let sleepers = Arc::new(Sleepers::default());
    let waiters: Vec<_> = (0..2)
        .map(|_| {
            let sleepers = sleepers.clone();
            thread::spawn(move || {
                while let Some(watch) = watch_word(memory, ENTRY, 0) {
                    sleepers.wait(memory, watch);
                }
                assert_ne!(memory.load64(ENTRY + VALUE), 0);
            })
        })
        .collect();
    let setters: Vec<_> = (1..=setters)
        .map(|number| {
            let sleepers = sleepers.clone();
            thread::spawn(move || {
                if put(memory, ENTRY, number).expect("no block").address() != 0 {
                    sleepers.notify();
                }
            })
        })
        .collect();
    for handle in waiters.into_iter().chain(setters) {
        handle.join().unwrap();
    }
}

#[test]
fn waiters_and_setters_under_every_schedule_tried_never_miss_each_other() {
    explore(|memory| setters_and_waiters(memory, 1));
    explore(|memory| setters_and_waiters(memory, 2));
}
