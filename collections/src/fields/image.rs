//! A block of lines, as it is read and as it is written.

use super::*;

/// Beyond so many bytes a bulk copy and its fence cost less than a loop.
pub(super) const SHORT: u32 = 512;

/// A commit word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Commit(pub(super) u64);

impl Commit {
    pub(super) const FROZEN: u64 = 1 << 28;

    pub(super) fn address(self) -> Address {
        (self.0 as u32 & 0x0FFF_FFFF) << 4
    }

    pub(super) fn is_frozen(self) -> bool {
        self.0 & Self::FROZEN != 0
    }

    pub(super) fn sequence(self) -> u32 {
        (self.0 >> 32) as u32
    }

    pub(super) fn first(address: Address) -> Self {
        Self(u64::from(address >> 4))
    }

    pub(super) fn next(self, address: Address) -> Self {
        Self(u64::from(address >> 4) | u64::from(self.sequence().wrapping_add(1)) << 32)
    }

    pub(super) fn frozen(self) -> Self {
        Self(self.next(self.address()).0 | Self::FROZEN)
    }
}

/// One line.
#[derive(Clone, Copy)]
pub(super) struct Line {
    pub(super) name: Text,
    pub(super) value: Text,
}

/// How many lines, bytes of their texts in a block, and bytes as [`LARGEST`] counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) count: u32,
    pub(super) bytes: u32,
    pub(super) size: u32,
}

impl Amount {
    pub(super) fn of(name: u32, value: u32) -> Self {
        Self { count: 1, bytes: padded(name) + padded(value), size: name + value + OVERHEAD }
    }

    // What is read while others change it makes no sense, and is refused later.
    pub(super) fn plus(self, other: Self) -> Self {
        let (count, bytes) = (self.count.wrapping_add(other.count), self.bytes.wrapping_add(other.bytes));
        Self { count, bytes, size: self.size.saturating_add(other.size) }
    }

    pub(super) fn minus(self, other: Self) -> Self {
        let (count, bytes) = (self.count.wrapping_sub(other.count), self.bytes.wrapping_sub(other.bytes));
        Self { count, bytes, size: self.size.saturating_sub(other.size) }
    }

    /// Bytes of a block of so much.
    pub(super) fn room(self) -> u32 {
        HEAD + self.count * WORD + self.bytes
    }
}

pub(super) fn tag_of(word: u64) -> u8 {
    (word >> 36) as u8
}

/// Where the texts of a line begin.
pub(super) fn begin_of(word: u64) -> u32 {
    ((word >> 44) as u32) * WORD
}

/// A block as far as it can be trusted: it lies in memory. What is read of it holds once the commit word is seen
/// unchanged.
#[derive(Clone, Copy)]
pub(super) struct Image {
    pub(super) memory: Memory,
    /// Where the block is; 0: no lines.
    pub(super) at: Address,
    pub(super) count: u32,
    pub(super) bytes: u32,
}

impl Image {
    /// `None` when no block can be there.
    #[inline]
    pub(super) fn of(memory: Memory, commit: Commit) -> Option<Self> {
        let at = commit.address();
        if at == 0 {
            return Some(Self { memory, at, count: 0, bytes: 0 });
        }
        if !memory.has(at, HEAD) {
            return None;
        }
        let head = memory.load64(at);
        let (count, bytes) = (head as u32, (head >> 32) as u32);
        let fits = count != 0 && count <= MOST && bytes % WORD == 0 && bytes <= LARGEST * 2;
        let image = Self { memory, at, count, bytes };
        (fits && memory.has(at, image.room())).then_some(image)
    }

    pub(super) fn texts(self) -> Address {
        self.at.wrapping_add(HEAD).wrapping_add(self.count * WORD)
    }

    pub(super) fn room(self) -> u32 {
        HEAD + self.count * WORD + self.bytes
    }

    /// Generation 32 · size 32, both of the block.
    pub(super) fn about(self) -> u64 {
        if self.at == 0 { 0 } else { self.memory.load64(self.at.wrapping_add(WORD)) }
    }

    pub(super) fn amount(self) -> Amount {
        Amount { count: self.count, bytes: self.bytes, size: (self.about() >> 32) as u32 }
    }

    #[inline]
    pub(super) fn word(self, index: u32) -> u64 {
        self.memory.load64(self.at.wrapping_add(HEAD).wrapping_add(index * WORD))
    }

    /// The line of a word; `None` when it does not lie in the block.
    #[inline]
    pub(super) fn line(self, word: u64) -> Option<Line> {
        let (value, name) = ((word & LENGTH) as u32, (word >> 18 & LENGTH) as u32);
        let begin = begin_of(word);
        let middle = begin + padded(name);
        if middle + padded(value) > self.bytes {
            return None;
        }
        let memory = self.memory;
        Some(Line {
            name: Text { memory, at: self.texts().wrapping_add(begin), length: name },
            value: Text { memory, at: self.texts().wrapping_add(middle), length: value },
        })
    }

    /// Calls `f` with the number of each line of this name, and the line. `None` when the block is not well-formed, or
    /// was changed meanwhile.
    #[inline]
    pub(super) fn find(self, Name { text: name, tag }: Name, mut f: impl FnMut(u32, Line) -> Option<()>) -> Option<()> {
        for index in 0..self.count {
            let word = self.word(index);
            if tag_of(word) == tag {
                let line = self.line(word)?;
                if line.name.is_same_name(name) {
                    f(index, line)?;
                }
            }
        }
        Some(())
    }

    /// The block, as what it says of itself.
    pub(super) fn block(self) -> Option<Block> {
        (self.at != 0).then(|| Block { address: self.at, generation: self.about() as u32 })
    }
}

/// Fills a new block.
pub(super) struct Writer {
    /// The block when it is full.
    pub(super) image: Image,
    pub(super) count: u32,
    pub(super) bytes: u32,
}

impl Writer {
    pub(super) fn new(memory: Memory, block: Block, amount: Amount) -> Self {
        let Amount { count, bytes, size } = amount;
        memory.set_own64(block.address, u64::from(count) | u64::from(bytes) << 32);
        memory.set_own64(block.address.wrapping_add(WORD), u64::from(block.generation) | u64::from(size) << 32);
        Self { image: Image { memory, at: block.address, count, bytes }, count: 0, bytes: 0 }
    }

    /// Where the next word and the next texts go; `None` when there is no room for them: what was read to measure it
    /// was another agent's change.
    #[inline]
    pub(super) fn place(&mut self, count: u32, bytes: u32) -> Option<(Address, Address)> {
        let Self { image, count: done, bytes: filled } = *self;
        if count > image.count - done || bytes > image.bytes - filled {
            return None;
        }
        self.count += count;
        self.bytes += bytes;
        let word = image.at.wrapping_add(HEAD).wrapping_add(done * WORD);
        Some((word, image.texts().wrapping_add(filled)))
    }

    /// Copies the lines from number `from` up to `to`.
    #[inline]
    pub(super) fn run(&mut self, old: Image, from: u32, to: u32) -> Option<()> {
        if from == to {
            return Some(());
        }
        let begin = begin_of(old.word(from));
        let end = if to == old.count { old.bytes } else { begin_of(old.word(to)) };
        if begin > end || end > old.bytes {
            return None;
        }
        let shift = u64::from(self.bytes / WORD).wrapping_sub(u64::from(begin / WORD)) << 44;
        let (word, texts) = self.place(to - from, end - begin)?;
        let memory = old.memory;
        for index in from..to {
            let at = word.wrapping_add((index - from) * WORD);
            memory.set_own64(at, old.word(index).wrapping_add(shift));
        }
        copy_private(memory, old.texts().wrapping_add(begin), texts, end - begin);
        Some(())
    }

    /// Writes a line.
    #[inline(never)]
    pub(super) fn line(&mut self, Name { text: name, tag }: Name, value: Text) -> Option<()> {
        let (name_length, value_length) = (name.length, value.length);
        let begin = self.bytes / WORD;
        let (word, texts) = self.place(1, padded(name_length) + padded(value_length))?;
        let about =
            u64::from(value_length) | u64::from(name_length) << 18 | u64::from(tag) << 36 | u64::from(begin) << 44;
        let memory = self.image.memory;
        memory.set_own64(word, about);
        name.write(memory, texts);
        value.write(memory, texts.wrapping_add(padded(name_length)));
        Some(())
    }

    /// Writes a line at the end, in the casing that the name has already.
    pub(super) fn append(&mut self, name: Name, value: Text) -> Option<()> {
        for index in 0..self.count {
            let word = self.image.word(index);
            if tag_of(word) == name.tag
                && let Some(found) = self.image.line(word)
                && found.name.is_same_name(name.text)
            {
                return self.line(Name { text: found.name, ..name }, value);
            }
        }
        self.line(name, value)
    }

    pub(super) fn is_full(&self) -> bool {
        (self.count, self.bytes) == (self.image.count, self.image.bytes)
    }
}

/// Copies whole words that others may be writing, so that what is loaded afterwards is loaded after them.
pub(super) fn copy_words(memory: Memory, from: Address, to: Address, length: u32) {
    if length > SHORT {
        memory.copy_within(from, to, length);
        memory.fence();
        return;
    }
    let mut offset = 0;
    while offset < length {
        memory.set_own64(to.wrapping_add(offset), memory.load64(from.wrapping_add(offset)));
        offset += WORD;
    }
}

/// As [`copy_words`], for a change: its compare-exchange is a read-modify-write, before which all this is loaded.
pub(super) fn copy_private(memory: Memory, from: Address, to: Address, length: u32) {
    if length > SHORT {
        memory.copy_within(from, to, length);
        return;
    }
    let mut offset = 0;
    let word = |offset: u32| {
        memory.set_own64(to.wrapping_add(offset), memory.own64(from.wrapping_add(offset)));
    };
    // Four at once: engines look for interrupts in every round of a loop.
    while length - offset >= WORD * 4 {
        word(offset);
        word(offset + WORD);
        word(offset + WORD * 2);
        word(offset + WORD * 3);
        offset += WORD * 4;
    }
    while offset < length {
        word(offset);
        offset += WORD;
    }
}
