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

/// Gives back what only this agent uses: empty slabs, its arena. Whether that is all, or `pages` ended it.
pub(crate) fn own_pages(agent: Agent, pages: Pages) -> bool {
    // First: the slot's next agent, which has the same body, must not find a state in pages that are others'.
    agent.memory().set_own32(agent.body_field(body::ARENA), 0);
    pages.each(agent, |page, word| match word.kind() {
        PageKind::Slab if word.0 & PageWord::OWN == agent.own() => {
            slab(agent, page, word);
            Took::Long
        }
        PageKind::Arena if agent.is_arena_of_slot(word) => {
            agent.release_page(page);
            Took::Short
        }
        _ => Took::Short,
    })
}

/// How far a walk over all pages goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pages {
    /// To the last one.
    All,
    /// A part, of some hundred microseconds at most; the next walk of that agent goes on behind it. Only who reaps an agent does so: nobody
    /// allocates in its name meanwhile.
    Some,
}

/// What a visit of a page was.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Took {
    /// A look at its word, or little more.
    Short,
    /// All headers of a slab.
    Long,
}

/// How much a part is: this many short visits.
const PART: u32 = 2048;
/// As many short visits as take the time of a long one.
const LONG: u32 = 64;

/// Stands for a page behind the last one.
const BEHIND: u32 = u32::MAX;

impl Pages {
    /// Visits pages; whether the last one was among them.
    pub(crate) fn each(self, agent: Agent, mut visit: impl FnMut(u32, PageWord) -> Took) -> bool {
        let memory = agent.memory();
        let reaped_at = agent.body_field(body::REAPED);
        let from = self.from(agent);
        let mut left = PART;
        for page in from..agent.limit() {
            if self == Self::Some && left == 0 {
                memory.set_own32(reaped_at, page);
                return false;
            }
            let took = visit(page, agent.page_word(page));
            left = left.saturating_sub(if took == Took::Long { LONG } else { 1 });
        }
        if from != 0 {
            memory.set_own32(reaped_at, 0);
        }
        true
    }

    /// The first page of the walk.
    pub(crate) fn from(self, agent: Agent) -> u32 {
        if self == Self::All { 0 } else { agent.memory().own32(agent.body_field(body::REAPED)) }
    }

    /// Whether the walk is over, and only what comes after it is not.
    pub(crate) fn are_behind(self, agent: Agent) -> bool {
        self.from(agent) == BEHIND
    }

    /// The walk is over, until [`Pages::begin_anew`].
    pub(crate) fn leave_behind(self, agent: Agent) {
        if self == Self::Some {
            agent.memory().set_own32(agent.body_field(body::REAPED), BEHIND);
        }
    }

    /// The next walk begins at the first page.
    pub(crate) fn begin_anew(self, agent: Agent) {
        if self.are_behind(agent) {
            agent.memory().set_own32(agent.body_field(body::REAPED), 0);
        }
    }
}
