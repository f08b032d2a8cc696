//! Changes: a new block, and one exchange of the commit word.

use super::*;

/// A block that is larger is not left in a hold.
pub(super) const LARGE: u32 = 4096;

/// Checks values and measures the lines; those that replace others have that name.
pub(super) fn measure(replaced: Option<Name>, lines: impl Iterator<Item = Result<(Name, Text)>>) -> Result<Amount> {
    let mut amount = Amount::default();
    for line in lines {
        let (name, value) = line?;
        check_value(value)?;
        amount = amount.plus(Amount::of(replaced.unwrap_or(name).text.length, value.length));
        check_amount(amount)?;
    }
    Ok(amount)
}

pub(super) fn check_amount(amount: Amount) -> Result<()> {
    if amount.size > LARGEST { Err(too_large(u64::from(amount.size))) } else { Ok(()) }
}

/// Gives `name` these values in place of those it has, where the first of them stood; no values: as [`delete`].
///
/// # Errors
/// [`Error::InvalidField`], [`Error::FieldsTooLarge`], [`Error::Immutable`]: nothing was changed;
/// [`Error::StaleHandle`], [`Error::WrongType`], [`Error::OutOfMemory`].
pub fn set(
    operation: &Operation,
    handle: Handle,
    name: Name,
    values: impl Iterator<Item = Text> + Clone,
) -> Result<()> {
    change(operation, handle, Some(name), values.map(|value| Ok((name, value))))
}

/// Adds lines behind those that there are.
///
/// # Errors
/// As [`set`].
pub fn append(
    operation: &Operation,
    handle: Handle,
    lines: impl Iterator<Item = Result<(Name, Text)>> + Clone,
) -> Result<()> {
    change(operation, handle, None, lines)
}

/// Removes every line of this name.
///
/// # Errors
/// As [`set`].
pub fn delete(operation: &Operation, handle: Handle, name: Name) -> Result<()> {
    set(operation, handle, name, core::iter::empty())
}

/// From here on every change is refused. Done again it is still done.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`].
pub fn freeze(operation: &Operation, handle: Handle) -> Result<()> {
    let entry = hold::hold(operation, handle, Type::Fields)?;
    let memory = operation.memory();
    let cell = entry.wrapping_add(VALUE);
    let mut word = memory.load64(cell);
    // Lock-free: another round means that another agent changed the fields.
    while !Commit(word).is_frozen() {
        match memory.compare_exchange64(cell, word, Commit(word).frozen().0) {
            Ok(_) => break,
            Err(found) => word = found,
        }
    }
    hold::let_go(operation, handle)
}

/// Both [`set`] and [`append`]: the lines of `replaced`, if there is such a name, give way to new ones, which then all
/// have that name whatever they say.
///
/// # Errors
/// As [`set`].
pub fn change(
    operation: &Operation,
    handle: Handle,
    replaced: Option<Name>,
    lines: impl Iterator<Item = Result<(Name, Text)>> + Clone,
) -> Result<()> {
    let added = measure(replaced, lines.clone())?;
    let entry = hold::hold(operation, handle, Type::Fields)?;
    let mut large = false;
    // Lock-free: another round means that another agent changed the fields.
    let result = loop {
        match attempt(operation, entry, handle, replaced, added, lines.clone(), &mut large) {
            Ok(true) => break Ok(()),
            Ok(false) => {}
            Err(error) => break Err(error),
        }
    };
    if large {
        hold::let_go(operation, handle)?;
    }
    result
}

/// One round of a change: `false` when the fields were changed meanwhile.
#[inline]
pub(super) fn attempt(
    operation: &Operation,
    entry: Address,
    handle: Handle,
    replaced: Option<Name>,
    added: Amount,
    lines: impl Iterator<Item = Result<(Name, Text)>>,
    large: &mut bool,
) -> Result<bool> {
    let memory = operation.memory();
    let cell = entry.wrapping_add(VALUE);
    let commit = Commit(memory.load64(cell));
    if commit.is_frozen() {
        return Err(Error::immutable(handle.index));
    }
    let unchanged = || memory.load64_ordered(cell) == commit.0;
    // An error is one only if it was not another agent's change that was seen.
    let refuse = |error: Error| if unchanged() { Err(error) } else { Ok(false) };
    let corrupt = || Error::corrupt(rule::FIELDS_BLOCK, commit.address());
    let Some(old) = Image::of(memory, commit) else { return refuse(corrupt()) };
    let mut removed = Amount::default();
    let mut first = None;
    if let Some(name) = replaced {
        let found = old.find(name, |index, line| {
            removed = removed.plus(Amount::of(line.name.length, line.value.length));
            first = first.or(Some((index, line.name)));
            Some(())
        });
        if found.is_none() {
            return refuse(corrupt());
        }
    }
    if (removed.count, added.count) == (0, 0) {
        return Ok(unchanged());
    }
    let amount = old.amount().minus(removed).plus(added);
    if let Err(error) = check_amount(amount) {
        return refuse(error);
    }
    let retired = old.block();
    *large = old.bytes.max(amount.bytes) > LARGE;
    if amount.count == 0 {
        let next = commit.next(0);
        return Ok(unchanged() && operation.replace(cell, commit.0, next.0, None, retired)?.is_ok());
    }
    if amount.count > MOST || amount.bytes > LARGEST * 2 {
        return refuse(corrupt());
    }
    let block = allocate(operation, amount.room())?;
    let mut writer = Writer::new(memory, block, amount);
    #[cfg(feature = "controls")]
    if crate::controls::is_on(crate::controls::LOST_UPDATE) {
        // Longer between the look and the exchange, so that threads that share one processor meet there, too.
        for _ in 0..20_000 {
            core::hint::spin_loop();
        }
    }
    let whole = write(&mut writer, old, replaced, first, removed.count, lines).is_some() && writer.is_full();
    // What is retired goes into the record, where recovery believes it: its generation was read while the commit word
    // named it.
    let next = commit.next(block.address);
    if whole && unchanged() && operation.replace(cell, commit.0, next.0, Some(block), retired)?.is_ok() {
        return Ok(true);
    }
    block::free(operation, block)?;
    #[cfg(feature = "controls")]
    if crate::controls::is_on(crate::controls::LOST_UPDATE) {
        // Seeded bug: what met the change of another agent is said to have happened.
        return Ok(whole);
    }
    if whole { Ok(false) } else { refuse(corrupt()) }
}

/// Writes the lines of the new block: those that stay, and the new ones in the place of the first that goes, or behind
/// all.
#[inline]
pub(super) fn write(
    writer: &mut Writer,
    old: Image,
    replaced: Option<Name>,
    first: Option<(u32, Text)>,
    removed: u32,
    mut lines: impl Iterator<Item = Result<(Name, Text)>>,
) -> Option<()> {
    let mut done = 0;
    if let (Some(name), Some((index, text))) = (replaced, first) {
        writer.run(old, 0, index)?;
        let name = Name { text, ..name };
        lines.try_for_each(|line| line.ok().and_then(|(_, value)| writer.line(name, value)))?;
        done = index + 1;
        if removed > 1 {
            old.find(name, |index, _| {
                if index >= done {
                    writer.run(old, done, index)?;
                    done = index + 1;
                }
                Some(())
            })?;
        }
    }
    writer.run(old, done, old.count)?;
    // None is left, or there was no such name.
    lines.try_for_each(|line| {
        let (name, value) = line.ok()?;
        match replaced {
            Some(name) => writer.line(name, value),
            None => writer.append(name, value),
        }
    })
}
