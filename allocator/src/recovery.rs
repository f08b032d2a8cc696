//! Recovery: what an operation that did not come to its end was doing, decided from its record; then a sweep of what
//! was private to it.
//!
//! Idempotent, so it may itself be cut short and run again. Never runs inside another operation.

use crate::agent::Agent;
use crate::error::Result;
use crate::layout::{PAGE, slot};
use crate::operation::{Operation, retire};
use crate::page;
use crate::reclaim::{Pages, Took};
use crate::record::{self, Block, Claim};
use crate::sync::Address;
use crate::words::{PageKind, PageWord};

/// Recovers this agent's own cut-off operation; `settle` gets the note of the layer above, if there is one. Whether that is all, or
/// `pages` ended it.
pub(crate) fn recover_own(
    agent: Agent,
    pages: Pages,
    settle: &impl Fn(&Operation, u32, u64) -> Result<bool>,
) -> Result<bool> {
    // Also between two parts of settling: an exception may have cut one short.
    decide(agent);
    let note = agent.recorded(record::NOTE);
    if !pages.are_behind(agent) {
        if !sweep_own(agent, pages) {
            return Ok(false);
        }
        #[cfg(not(any(loom, shuttle)))]
        crate::arena::discard(agent);
        agent.memory().set_own32(agent.field(slot::DEPTH), 0);
        agent.memory().set_own32(agent.field(slot::LEFT), 0);
    }
    if note != 0 {
        let operation = Operation::new(agent);
        let settled = settle(&operation, agent.index(), note);
        // The note stays until it is settled.
        if !settled? {
            operation.close(false);
            pages.leave_behind(agent);
            return Ok(false);
        }
        operation.close(true);
    }
    agent.clear_record();
    pages.begin_anew(agent);
    Ok(true)
}

/// Finishes or undoes what the record names; then the record names no block any more.
fn decide(agent: Agent) {
    let new = Block::from_word(agent.recorded(record::NEW));
    let old = Block::from_word(agent.recorded(record::OLD));
    let kind = agent.recorded(record::KIND);
    // Whether the cell has something else than the recorded word.
    let lacks = |word| {
        let cell = agent.recorded(record::CELL) as Address;
        kind == record::REPLACE && agent.memory().load64(cell) != agent.recorded(word)
    };
    // The old block is done with before the new one is begun: each free writes its block into `OLD`.
    if let Some(block) = old {
        if lacks(record::EXPECTED) {
            retire(agent, block);
        }
        finish_free(agent, block);
    }
    // Not there: never published, or replaced again and retired by who did.
    if let Some(block) = new.filter(|_| lacks(record::REPLACEMENT)) {
        retire(agent, block);
    }
    if kind == record::INSTALL {
        agent.finish_recorded_install();
    }
    match Claim::from_word(agent.recorded(record::CLAIM)) {
        Some(Claim::Run { first, length }) => agent.finish_run_claim(first, length, agent.index()),
        Some(Claim::Granules { page, generation, .. }) => agent.finish_granule_claim(page, generation),
        None => {}
    }
    agent.record(record::KIND, 0);
    agent.record(record::NEW, 0);
    agent.record(record::OLD, 0);
    agent.record_claim(None);
}

/// Goes on with a free whose header or first page already says so.
fn finish_free(agent: Agent, block: Block) {
    let page = block.address / PAGE;
    match agent.page_word(page).kind() {
        // The owner may not have been told.
        PageKind::Slab => agent.freed_hints().set(page),
        PageKind::Granules => agent.finish_granule_free(block),
        PageKind::RunBody => agent.finish_run(page, PageWord::free(block.generation).next_generation()),
        _ => {}
    }
}

/// Frees every private block of this agent and makes its lists anew: its slabs' from the headers, the rings from the
/// page table. Linear in the pages of the heap. Whether that is all, or `pages` ended it.
pub(crate) fn sweep_own(agent: Agent, pages: Pages) -> bool {
    if pages.from(agent) == 0 {
        agent.forget_slabs();
    }
    let is_all = pages.each(agent, |page, word| {
        match word.kind() {
            PageKind::Slab if word.0 & PageWord::OWN == agent.own() => {
                let at = page::address(page);
                let taken = agent.rebuild_swept(at, word.class());
                agent.link(at, word.class());
                if taken == 0 {
                    agent.unlink(at, word.class());
                    agent.release_page(page);
                }
                return Took::Long;
            }
            PageKind::Private if word.slot() == agent.index() && word.tenure() == agent.tenure() & 0xF_FFFF => {
                agent.release_page(page);
            }
            PageKind::Granules => agent.sweep_granules(page, agent.index()),
            PageKind::Run if word.run_slot() == agent.index() && !word.is_run_live() => {
                let _ = agent.free_large(page::address(page), word, Some(word.generation()));
            }
            _ => {}
        }
        Took::Short
    });
    if is_all {
        agent.record(record::NEW, 0);
        agent.record(record::OLD, 0);
    }
    is_all
}
