//! Seeded bugs, switched on at run time in a test build: each must redden the test that guards against it.

use crate::sync::switch::Switch;

/// One seeded bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Control {
    /// Entering an operation by a plain store instead of a compare-exchange from the known word.
    StoreEntry = 1,
    /// Believing that coheap is the only one that grows the memory.
    AssumeContiguous = 2,
    /// A remote free that stores instead of exchanging.
    PlainRemoteFree = 3,
    /// An adopter that takes blocks before it has rebuilt the list.
    AdoptWithoutRebuild = 4,
    /// Reporting out of memory without revoking offline agents first.
    NeverRevoke = 5,
    /// Publishing without filling the record.
    NoRecord = 6,
    /// Handing out middle blocks without looking at the word again.
    BlindGranules = 7,
    /// A waiter that does not look at the value again after it has set the waiting bit.
    WaitWithoutLook = 8,
    /// A read that is not validated after the copy.
    ReadWithoutCheck = 9,
    /// An arena that frees what another agent allocated.
    ForeignArenaFree = 10,
    /// Believing what the slot says of its agent, who may be another one by now.
    TrustTheSlot = 11,
    /// A block is live before the record says which cell it is for.
    LiveBeforeRecord = 12,
    /// A cell refers to a block that is not live yet.
    LinkBeforeLive = 13,
    /// No bug: nothing that was freed is used again, so that a dead thread that writes into it is found.
    KeepFreed = 14,
    /// Handing out the block that was handed out last.
    HandOutTwice = 15,
    /// Words of structures may stand in any page of the memory.
    AnyPage = 16,
    /// What another agent frees stays taken.
    RemoteFreeLost = 20,
    /// Who died while it attached is nobody's.
    SeatedOnly = 30,
}

static ACTIVE: Switch = Switch::new();

/// Switches one bug on; 0 switches it off.
pub fn set(number: u32) {
    ACTIVE.set(number);
}

/// Whether this bug is on.
#[must_use]
pub fn active(control: Control) -> bool {
    ACTIVE.is(control as u32)
}

/// Switches on what `COHEAP_CONTROL` names by number: for native test programs.
#[cfg(feature = "std")]
pub fn set_from_environment() {
    ACTIVE.set_from_environment();
}
