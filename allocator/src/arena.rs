//! `AgentArena`: the Rust global allocator of `heap.wasm`, over pages that one agent alone uses.
//!
//! talc's lock-free core serves it. Nothing that crosses agents is ever in it: a death gives its pages back as they
//! are, and so does an abort, because talc may have been cut short in the middle of a list. Whatever private tables
//! lay in it are derived and are made anew.

use core::alloc::{GlobalAlloc, Layout};
use core::marker::PhantomData;
use core::ptr::NonNull;

use talc::DefaultBinning;
use talc::base::{Talc, binning::Binning};
use talc::source::Source;

use crate::agent::Agent;
use crate::layout::{PAGE, body};
use crate::page;
use crate::words::{PageKind, PageWord};

/// Who runs on this thread or instance.
///
/// # Safety
/// What [`CurrentAgent::current`] answers was attached by the calling thread or instance; it is the same agent for a
/// block's allocation and its freeing, and neither detached nor recovered while a block is in use. Blocks are written by
/// their holders alone, not through a [`Memory`](crate::Memory), which is not unmapped meanwhile.
pub unsafe trait CurrentAgent {
    /// The agent, or `None` before it is attached.
    fn current() -> Option<Agent>;
}

/// A private allocator for whichever agent `P` answers. Never blocks; a death inside costs the agent's arena alone.
pub struct AgentArena<P>(PhantomData<fn() -> P>);

impl<P> core::fmt::Debug for AgentArena<P> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("AgentArena")
    }
}

impl<P> Default for AgentArena<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P> AgentArena<P> {
    /// The allocator; it holds nothing itself.
    #[must_use]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

/// Where talc gets its memory: pages that the page table calls arena pages of {slot, incarnation}.
#[derive(Debug)]
struct Pages(Agent);

type State = Talc<Pages, DefaultBinning>;

// SAFETY: I-10 `acquire` hands talc pages that nobody else uses, and touches talc only through the reference it gets.
unsafe impl Source for Pages {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        // talc's own tags, and its table of lists in the first claim, fit a page more.
        let bytes = layout.size().checked_add(layout.align()).ok_or(())?.checked_add(4096).ok_or(())?;
        let pages = u32::try_from(bytes.div_ceil(PAGE as usize)).map_err(|_| ())?;
        let agent = talc.source.0;
        let at = take_pages(agent, pages).ok_or(())?;
        let length = (pages as usize).saturating_mul(PAGE as usize);
        // SAFETY: I-10 the pages are this agent's alone and stay so until the arena is discarded.
        let claimed = unsafe { talc.claim(agent.memory().pointer(at, length), length) };
        claimed.map(|_| ()).ok_or(())
    }
}

fn take_pages(agent: Agent, length: u32) -> Option<u32> {
    agent
        .operation(|_| {
            let first = agent.claim_pages(length)?;
            for page in first..first.wrapping_add(length) {
                let generation = agent.page_word(page).generation();
                let incarnation = agent.offline().incarnation();
                let word = PageWord::owned(PageKind::Arena, generation, 0, agent.index(), incarnation);
                agent.publish_page(page, word);
            }
            Ok(page::address(first))
        })
        .ok()
}

/// The agent's allocator state, made in the first page of its arena when there is none.
fn state(agent: Agent) -> Option<NonNull<State>> {
    let memory = agent.memory();
    let found = memory.own32(agent.body_field(body::ARENA));
    let size = size_of::<State>();
    // One that a dead agent left in this body is nobody's.
    if found.is_multiple_of(PAGE) && agent.is_own_arena(agent.page_word(found / PAGE)) {
        return NonNull::new(memory.pointer(found, size).cast());
    }
    let at = take_pages(agent, 1)?;
    let pointer = memory.pointer(at, PAGE as usize);
    // SAFETY: I-10 a fresh page of this agent's, aligned to 64 KiB and larger than the state.
    unsafe {
        let state = pointer.cast::<State>();
        state.write(Talc::new(Pages(agent)));
        let behind = size.next_multiple_of(64);
        (*state).claim(pointer.add(behind), (PAGE as usize).saturating_sub(behind))?;
    }
    memory.set_own32(agent.body_field(body::ARENA), at);
    NonNull::new(pointer.cast())
}

/// Gives every arena page of the agent back. What lay there is gone.
pub(crate) fn discard(agent: Agent) {
    if agent.body() == 0 {
        return;
    }
    agent.memory().set_own32(agent.body_field(body::ARENA), 0);
    for page in 0..agent.limit() {
        // Of whichever agent of the slot: there is never more than one.
        if agent.is_arena_of_slot(agent.page_word(page)) {
            agent.release_page(page);
        }
    }
}

/// Whether the pointer lies in an arena page of this very agent.
fn is_own(agent: Agent, pointer: *const u8) -> bool {
    let page = agent.memory().address(pointer).map(|at| at / PAGE);
    page.is_some_and(|page| agent.is_own_arena(agent.page_word(page)))
}

// SAFETY: I-10 talc answers disjoint parts of pages that only this agent uses; a null pointer is "none".
unsafe impl<P: CurrentAgent> GlobalAlloc for AgentArena<P> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(mut state) = P::current().and_then(state) else { return core::ptr::null_mut() };
        // SAFETY: I-10 one thread, and talc does not call back into this; the caller gives a layout that is not empty.
        unsafe { state.as_mut().allocate(layout).map_or(core::ptr::null_mut(), NonNull::as_ptr) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let Some(agent) = P::current() else { return };
        #[cfg(feature = "controls")]
        let checked = !crate::controls::active(crate::controls::Control::ForeignArenaFree);
        #[cfg(not(feature = "controls"))]
        let checked = true;
        debug_assert!(!checked || is_own(agent, pointer), "{pointer:p} was made by another agent");
        if let Some(mut state) = state(agent) {
            // SAFETY: I-10 as alloc; the caller vouches for pointer and layout.
            unsafe { state.as_mut().deallocate(pointer, layout) }
        }
    }
}
