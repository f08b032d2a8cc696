//! What the audit asks of a pipe.

use coheap_alloc::Address;

use super::*;

/// Shows every block of a pipe to `seen`, and checks a live one: its places between the marks have the writes in order,
/// its loans have their blocks.
pub(crate) fn visit(
    table: Table,
    entry: Address,
    live: bool,
    seen: &mut impl FnMut(Block, Kind) -> Result<()>,
) -> Result<()> {
    let view = View::new(table, entry)?;
    match Block::from_word(table.memory.load64(entry.wrapping_add(crate::object::VALUE))) {
        Some(head) => seen(head, Kind::Pipe)?,
        None => return view.corrupt(),
    }
    for at in (0..view.places).map(|place| view.place(u64::from(place))) {
        if let Place::Bytes(block) = Place::of(view.load(at)) {
            seen(block, Kind::Pipe)?;
        }
    }
    for number in 0..LOAN_COUNT {
        let (word, at) = (view.loan_word(number), view.loan(number));
        let block = Block::from_word(view.load(at.wrapping_add(BLOCK)));
        let sound = match word.state() {
            Some(State::Free) => block.is_none(),
            Some(State::Prepared | State::Done) => true,
            Some(_) => block.is_some() && u64::from(word.used()) < view.load(at.wrapping_add(LENGTH)),
            None => false,
        };
        if live && !sound {
            return view.corrupt();
        }
        if let Some(block) = block {
            seen(block, Kind::Pipe)?;
        }
    }
    let reason = view.load(view.field(REASON));
    match string::find(table, reason) {
        Some(stored) => seen(stored.block(), Kind::String)?,
        None if reason == value::EMPTY || cell::is_known(table, reason) => {}
        None => return view.corrupt(),
    }
    if live { check_stream(&view) } else { Ok(()) }
}

/// From the head on the writes follow each other, in sequence and in position, up to the tail, or one write beyond.
fn check_stream(view: &View) -> Result<()> {
    let (head, tail) = (view.head(), view.tail());
    let walk = read::Walk::new(view, head, u32::MAX).all()?;
    let reached = walk.holds() && (tail == walk.next || tail.writes_to(walk.next) == 1);
    if reached { Ok(()) } else { view.corrupt() }
}
