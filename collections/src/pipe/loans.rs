//! The loans of a pipe: what stands in their words, and how each step is done by whoever comes by.

use coheap_alloc::{Address, Operation};

use super::read::Until;
use super::*;
use crate::holdings::Holder;

/// A loan as it was seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loan {
    pub(super) number: u32,
    pub(super) word: LoanWord,
    pub(super) block: Block,
    pub(super) position: u64,
    pub(super) length: u32,
}

impl Loan {
    /// What is left of it.
    pub(super) fn rest(&self) -> u32 {
        self.length.saturating_sub(self.word.used())
    }

    /// Where the rest begins.
    pub(super) fn at(&self) -> Address {
        self.block.address.wrapping_add(self.word.used())
    }
}

impl View {
    /// A loan whose block has its bytes; `None`: it has none, or is another one by now. What is read of the block holds
    /// if the loan's word is the same afterwards.
    pub(super) fn loaned(&self, number: u32, word: LoanWord) -> Result<Option<Loan>> {
        let at = self.loan(number);
        let block = Block::from_word(self.load(at.wrapping_add(BLOCK)));
        let position = self.load(at.wrapping_add(POSITION));
        let length = self.load(at.wrapping_add(LENGTH)) as u32;
        if self.loan_word(number) != word {
            return Ok(None);
        }
        match block.filter(|block| word.used() <= length && self.is_inside(block.address, length)) {
            Some(block) => Ok(Some(Loan { number, word, block, position, length })),
            None => self.corrupt(),
        }
    }

    pub(super) fn change_loan(&self, number: u32, from: LoanWord, to: LoanWord) -> bool {
        self.memory.compare_exchange64(self.loan(number), from.0, to.0).is_ok()
    }

    /// What came back, as [`first_returned`] saw it: as long as this word is the same, nothing more did.
    pub(super) fn returned(&self) -> u64 {
        self.load(self.field(RETURNED))
    }

    /// Counts first, so that who takes the hint back for what it saw before does not take this one.
    fn show_returned(&self, number: u32) {
        self.memory.fetch_add64(self.field(RETURNED), 1 << 32);
        self.memory.fetch_or64(self.field(RETURNED), 1 << number);
    }
}

/// What an agent that does not go on gives back of what it has on loan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Back {
    /// Nothing: it goes on.
    Nothing,
    /// What it has not heard of.
    Unheard,
    /// All.
    All,
}

/// The loan that made the last change of the head has its bytes: says so in its word, before another change of the head
/// hides it.
pub(super) fn help(view: &View, head: Mark) {
    #[cfg(feature = "controls")]
    if crate::controls::is_on(crate::controls::NO_HELP) {
        // Seeded bug: what a loan has is the pipe's no more, and nobody knows.
        return;
    }
    let Some(number) = head.loan() else { return };
    let word = view.loan_word(number);
    // The word was this loan's if the head is still the one that it made.
    if word.state() == Some(State::Prepared) && view.head() == head {
        let _ = view.change_loan(number, word, word.with(State::Taken));
    }
}

/// Whether other agents have bytes on loan, which may come back.
pub(super) fn has_others(operation: &Operation, view: &View) -> bool {
    let own = operation.agent().index();
    help(view, view.head());
    (0..LOAN_COUNT).any(|number| {
        let word = view.loan_word(number);
        match word.state() {
            Some(State::Taken | State::Held) => word.slot() != own,
            Some(State::Returned) => true,
            _ => false,
        }
    })
}

/// The loan that came back and is first in the stream, and the word of what came back of the same moment; `None`: none did,
/// which is one load.
pub(super) fn first_returned(view: &View) -> Result<(Option<Loan>, u64)> {
    // Lock-free: another round means that another agent gave a loan back, or took one.
    loop {
        let shown = view.returned();
        let mut left = shown as u32;
        let mut first: Option<Loan> = None;
        let (mut over, mut lost) = (0u64, false);
        while left != 0 {
            let number = left.trailing_zeros();
            left &= left.wrapping_sub(1);
            if number >= LOAN_COUNT {
                return view.corrupt();
            }
            let word = view.loan_word(number);
            if word.state() != Some(State::Returned) {
                over |= 1 << number;
                continue;
            }
            match view.loaned(number, word)? {
                Some(loan) if first.is_none_or(|first| distance(loan.position, first.position).is_some()) => {
                    first = Some(loan);
                }
                Some(_) => {}
                None => lost = true,
            }
        }
        let holds =
            if over == 0 { shown as u32 == 0 || view.returned() == shown } else { take_back(view, shown, over) };
        if holds && !lost {
            return Ok((first, shown & !over));
        }
    }
}

/// Takes hints back that are over, unless something came back since, which was counted.
fn take_back(view: &View, shown: u64, over: u64) -> bool {
    #[cfg(feature = "controls")]
    if crate::controls::is_on(crate::controls::HINT_WITHOUT_COUNT) {
        // Seeded bug: one of them may be true again.
        view.memory.fetch_and64(view.field(RETURNED), !over);
        return true;
    }
    view.memory.compare_exchange64(view.field(RETURNED), shown, shown & !over).is_ok()
}

/// As [`read`](super::read::read), of a loan that came back; `None`: another agent took of it.
pub(super) fn read_returned(
    operation: &Operation,
    view: &View,
    loan: Loan,
    (to, room): (Address, u32),
    until: Option<Until>,
) -> Result<Option<Read>> {
    let Some(length) = copy(view, loan, (to, room), until) else {
        let is_same = view.loan_word(loan.number) == loan.word;
        return Ok(is_same.then_some(Read::Long(loan.rest())));
    };
    let used = loan.word.used() + length;
    let rest = if used < loan.length { State::Returned } else { State::Done };
    if !view.change_loan(loan.number, loan.word, loan.word.with(rest).with_used(used)) {
        return Ok(None);
    }
    if rest == State::Done {
        finish(operation, view, loan.number)?;
    }
    Ok(Some(Read::Bytes(length)))
}

/// Copies at most `room` bytes of a loan, whole tokens of it or all; `None`: the first is longer. It was this loan's if
/// its word is the same afterwards.
pub(super) fn copy(view: &View, loan: Loan, (to, room): (Address, u32), until: Option<Until>) -> Option<u32> {
    let length = loan.rest().min(room);
    view.memory.copy_within(loan.at(), to, length);
    view.memory.fence();
    match until.and_then(|until| until.last_end(view.memory, to, length)) {
        Some(end) => Some(end),
        // What came back is a piece as it was taken.
        None => (until.is_none() || length == loan.rest()).then_some(length),
    }
}

/// Gives the block of a loan that is done back, and then the loan. Any number of agents may try at once.
pub(super) fn finish(operation: &Operation, view: &View, number: u32) -> Result<()> {
    let word = view.loan_word(number);
    if word.state() != Some(State::Done) {
        return Ok(());
    }
    let at = view.loan(number).wrapping_add(BLOCK);
    if let Some(block) = Block::from_word(view.load(at))
        && view.loan_word(number) == word
    {
        let _ = operation.replace(at, block.to_word(), 0, None, Some(block))?;
    }
    if view.load(at) == 0 {
        let _ = view.change_loan(number, word, word.with(State::Free));
    }
    Ok(())
}

/// Takes a loan that is free, for the agent of the operation; `None`: all are taken.
pub(super) fn claim_free(operation: &Operation, view: &View) -> Result<Option<(u32, LoanWord)>> {
    let own = operation.agent().index();
    for number in 0..LOAN_COUNT {
        finish(operation, view, number)?;
        let word = view.loan_word(number);
        if word.state() != Some(State::Free) {
            continue;
        }
        forget(view, number, word);
        let mine = word.next(own, State::Prepared, 0);
        if view.change_loan(number, word, mine) {
            return Ok(Some((number, mine)));
        }
    }
    Ok(None)
}

/// Whoever takes a loan that is free must not be taken for the former one of its number, which the head may name.
pub(super) fn forget(view: &View, number: u32, word: LoanWord) {
    let head = view.head();
    // The word again: another agent may have taken this very loan, and the head with it.
    if head.loan() == Some(number) && view.loan_word(number) == word {
        let forgotten = Mark::new(head.position(), head.sequence());
        // Not exchanged: it is gone.
        let _ = view.memory.compare_exchange64(view.field(HEAD), head.0, forgotten.0);
    }
}

/// Gives a loan back to the pipe: `returned` is what its word becomes. Its bytes are the next that are read.
#[inline(never)]
pub(super) fn give_back(view: &View, number: u32, word: LoanWord, returned: LoanWord) {
    // Not exchanged: its holder's recovery did.
    if view.change_loan(number, word, returned.with(State::Returned)) {
        view.show_returned(number);
    }
}

/// This agent knows of what it has on loan: an operation that is cut short from here on does not give it back.
pub(super) fn hear(operation: &Operation, view: &View) {
    let own = operation.agent().index();
    for number in 0..LOAN_COUNT {
        let word = view.loan_word(number);
        if word.state() == Some(State::Taken) && word.slot() == own {
            // Only its holder changes a loan that was taken.
            let _ = view.change_loan(number, word, word.with(State::Held));
        }
    }
}

/// Decides the loans of an agent that does not run, or whose operation was cut short: what it was taking and did not get is
/// the pipe's, and `back` says what of the rest goes back.
pub(super) fn settle(operation: &Operation, view: &View, slot: u32, back: Back) -> Result<()> {
    help(view, view.head());
    for number in 0..LOAN_COUNT {
        let word = view.loan_word(number);
        match word.state() {
            // It may have died before it showed it.
            Some(State::Returned) => view.show_returned(number),
            Some(State::Prepared) if word.slot() == slot => {
                let _ = view.change_loan(number, word, word.with(State::Done));
            }
            Some(State::Taken) if word.slot() == slot && back != Back::Nothing => give_back(view, number, word, word),
            Some(State::Held) if word.slot() == slot && back == Back::All => give_back(view, number, word, word),
            _ => {}
        }
        finish(operation, view, number)?;
    }
    Ok(())
}

/// Gives back what an agent has on loan, because it gives its reference back. A pipe that is gone has none.
pub(crate) fn return_all(operation: &Operation, holder: Holder, handle: Handle) -> Result<Wake> {
    let view = match open(operation, handle) {
        Ok(view) => view,
        Err(Error::StaleHandle { .. } | Error::WrongType { .. }) => return Ok(Wake::NONE),
        Err(error) => return Err(error),
    };
    settle(operation, &view, holder.index, Back::All)?;
    Ok(wake(&view))
}
