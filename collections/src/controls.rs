//! The seeded bugs of this crate, each chosen at run time: a test that cannot find its bug proves nothing.

use coheap_alloc::sync::switch::Switch;

/// A waiter does not look at the value again after it has announced itself.
pub const WAIT_WITHOUT_LOOK: u32 = 8;
/// What was read is not validated after the read.
pub const READ_WITHOUT_CHECK: u32 = 9;
/// A setter looks for waiters before it changes the value.
pub const WAKE_BEFORE_CHANGE: u32 = 101;
/// A writer's hold is not in its slot when it looks at the object.
pub const HOLD_BY_PLAIN_STORE: u32 = 102;
/// Generations stay the same when an entry is freed.
pub const SAME_GENERATION: u32 = 103;

/// A mark is noted when it is overwritten already.
pub const NOTE_AFTER: u32 = 104;
/// Recovery looks at the done word before it looks at the mark.
pub const DONE_FIRST: u32 = 105;
/// A change is begun under the same mark as an old one that still stands in the word.
pub const OLD_MARK: u32 = 106;
/// A mark is noted for whatever its maker is doing under the same low bits.
pub const NOTE_ANYTHING: u32 = 107;

/// A read of a map does not look at the era afterwards.
pub const READ_WITHOUT_ERA: u32 = 108;
/// Nobody sees that an agent is at work in a map.
pub const NO_ERA: u32 = 109;
/// What is taken out of a map is freed while others are at work in it.
pub const FREE_AT_ONCE: u32 = 110;

/// A change that meets another agent's overwrites it, or is said to have happened.
pub const LOST_UPDATE: u32 = 111;

/// A reference that is taken out of a structure is given back without being claimed.
pub const DROP_UNCLAIMED: u32 = 112;
/// Recovery does not look at the references that were on their way into structures and out of them.
pub const DROP_UNSETTLED: u32 = 113;

/// The head of a pipe is moved on without a look whether it is the same still.
pub const HEAD_BY_STORE: u32 = 114;
/// What is read from a pipe is freed before the head has passed it.
pub const CLEAN_BEFORE_HEAD: u32 = 115;
/// A hint that a loan came back is taken back although one has come back since.
pub const HINT_WITHOUT_COUNT: u32 = 116;
/// A pipe is closed whatever stands in its next place.
pub const CLOSE_BY_STORE: u32 = 117;
/// Nobody says for a loan that it has its bytes.
pub const NO_HELP: u32 = 118;
/// A pipe is called full of one token when others have filled it since.
pub const FULL_SINCE: u32 = 119;
/// A change of a list is not refused when its root ends.
pub const SET_UNREFUSED: u32 = 120;

/// Recovery does not commit the loan of a transaction that was committed.
pub const LOAN_UNSETTLED: u32 = 121;
/// Readers take what a transaction adds before that is decided.
pub const UNDECIDED_SEEN: u32 = 122;

/// Recovery decides nothing that an operation left but what becomes of its block.
pub const NOTHING_SETTLED: u32 = 140;
/// A list becomes longer by a store into the place that was empty when it was looked at.
pub const LENGTH_BY_STORE: u32 = 141;
/// Whoever meets a transaction that is undecided waits for its owner, hosts too.
pub const WAIT_WITHOUT_END: u32 = 142;
/// A handle is good for any object of its type that has its place.
pub const ANY_GENERATION: u32 = 143;
/// What was made after an agent began is met by it without a word, and freed by others.
pub const COVERS_ALL: u32 = 144;
/// What hangs on a root of a list is taken apart while its editor is not done with it.
pub const EDITOR_UNSEEN: u32 = 146;
/// Where a change of a place is under way, nothing is said to stand.
pub const CHANGED_BEFORE_DONE: u32 = 147;
/// A chunk of a map that was made after an agent began is kept for it, too.
pub const KEEPS_CHUNKS: u32 = 148;
/// A number that is none is stored with the bits that it came with.
pub const ANY_NAN: u32 = 160;
/// A batch of entries among the first thousand begins with the last one of the batch before.
pub const BATCH_AGAIN: u32 = 161;

static ON: Switch = Switch::new();

/// Turns one bug on and all others off; 0 turns all off.
pub fn set(control: u32) {
    ON.set(control);
}

/// Whether this bug is on.
#[must_use]
pub fn is_on(control: u32) -> bool {
    ON.is(control)
}

/// Turns on what `COHEAP_CONTROL` names: for native test programs.
#[cfg(feature = "std")]
pub fn set_from_environment() {
    ON.set_from_environment();
}
