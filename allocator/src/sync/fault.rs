//! Fault points: every shared write is counted, and the k-th can be the agent's last. At any word a thread can let others go on.
//!
//! An agent dies here by unwinding out of its operation. That is a faithful death because no type of this crate or of
//! `coheap` has a `Drop` that writes the heap (SAFETY.md, I-9): what was written stays, nothing more is.
extern crate std;

use std::cell::Cell;
use std::panic::resume_unwind;
use std::prelude::v1::*;

/// What an injected death unwinds with.
#[derive(Debug)]
pub struct Died;

std::thread_local! {
    static PASSED: Cell<u64> = const { Cell::new(0) };
    static LAST: Cell<u64> = const { Cell::new(u64::MAX) };
    static LOADED: Cell<u64> = const { Cell::new(0) };
    static UNTIL_PAUSE: Cell<u64> = const { Cell::new(u64::MAX) };
}

/// This thread lets others go on once, before the word number `at` (from 0) that it loads or writes from now on: where processors are few,
/// operations would hardly meet otherwise.
pub fn pause(at: u64) {
    UNTIL_PAUSE.set(at);
}

fn pass() {
    match UNTIL_PAUSE.get() {
        u64::MAX => {}
        0 => {
            UNTIL_PAUSE.set(u64::MAX);
            std::thread::yield_now();
        }
        left => UNTIL_PAUSE.set(left.wrapping_sub(1)),
    }
}

/// How many words this thread has loaded.
#[must_use]
pub fn loaded() -> u64 {
    LOADED.get()
}

pub(super) fn load() {
    pass();
    LOADED.set(LOADED.get().wrapping_add(1));
}

/// Counts the writes of this thread from zero again; the agent on it dies instead of its write number `at` (from 0).
pub fn arm(at: u64) {
    PASSED.set(0);
    LAST.set(at);
}

/// Ends the injection; answers how many writes were counted since [`arm`].
pub fn disarm() -> u64 {
    LAST.set(u64::MAX);
    PASSED.get()
}

pub(super) fn point() {
    pass();
    let passed = PASSED.get();
    if passed == LAST.get() {
        LAST.set(u64::MAX);
        resume_unwind(Box::new(Died));
    }
    PASSED.set(passed.wrapping_add(1));
}
