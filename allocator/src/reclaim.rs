//! The last resort before out of memory is reported: everything that is free and that no hint tells of.

use crate::agent::Agent;
use crate::layout::body;
use crate::page;
use crate::words::{PageKind, PageWord};

/// Takes the slabs of offline agents, adopts what is ownerless, collects what others freed, gives empty pages back.
/// Linear in the blocks of the heap; never waits.
pub(crate) fn everything(agent: Agent) {
    #[cfg(feature = "controls")]
    let revoke = !crate::controls::active(crate::controls::Control::NeverRevoke);
    #[cfg(not(feature = "controls"))]
    let revoke = true;
    if revoke {
        agent.revoke_offline();
    }
    agent.find_free_pages();
    for page in 0..agent.limit() {
        let word = agent.page_word(page);
        match word.kind() {
            // An agent that is just being attached has no body, so no slabs.
            PageKind::Slab if agent.body() != 0 => slab(agent, page, word),
            PageKind::Private if agent.is_ownerless(word) => drop(agent.release_page_from(page, word)),
            PageKind::Granules => {
                agent.finish_closing(page);
                let granules = agent.granules(page);
                // Behind the word: one that is only being made is its maker's.
                if agent.page_word(page).kind() == PageKind::Granules {
                    // Empty, it was made and never used: its maker found room elsewhere, or died.
                    agent.after_clearing(page, granules);
                }
            }
            _ => {}
        }
    }
}

fn slab(agent: Agent, page: u32, word: PageWord) {
    let at = page::address(page);
    let class = word.class();
    let taken = if word.0 & PageWord::OWN == agent.own() {
        agent.rebuild(at, class)
    } else {
        match agent.adopt_page(page, word) {
            Some((_, taken)) => taken,
            None => return,
        }
    };
    if taken == 0 {
        agent.unlink(at, class);
        agent.release_page(page);
    }
}

/// Gives back what only this agent uses: empty slabs, its arena.
pub(crate) fn own_pages(agent: Agent) {
    // First: the slot's next agent, which has the same body, must not find a state in pages that are others'.
    agent.memory().set_own32(agent.body_field(body::ARENA), 0);
    for page in 0..agent.limit() {
        let word = agent.page_word(page);
        match word.kind() {
            PageKind::Slab if word.0 & PageWord::OWN == agent.own() => slab(agent, page, word),
            PageKind::Arena if agent.is_arena_of_slot(word) => agent.release_page(page),
            _ => {}
        }
    }
}
