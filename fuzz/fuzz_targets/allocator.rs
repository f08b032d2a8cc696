//! Blocks in the roots of the heap and blocks of Rust programs, against a list of what there must be: no two overlap, each is aligned, what
//! was written stays, and what an agent was doing when it died is done or undone.
#![no_main]

use coheap_alloc::audit::References;
use coheap_alloc::layout::control;
use coheap_alloc::{Address, Agent, Block, Error, Kind, Memory, Operation, Result};
use coheap_fuzz::{Ended, Step, World, controls, unless_full};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

const USED_ROOTS: u8 = 24;
const MOST_STEPS: usize = 64;

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Size {
    Small(u16),
    Middle(u16),
    Large(u16),
}

impl Size {
    fn bytes(self) -> u32 {
        match self {
            Self::Small(bytes) => u32::from(bytes) % 8193,
            Self::Middle(bytes) => 8193 + u32::from(bytes) % 53_248,
            Self::Large(bytes) => 61_441 + u32::from(bytes) * 4,
        }
    }
}

#[derive(Arbitrary, Clone, Debug)]
enum Action {
    /// Puts a block into a root, in place of what is there.
    Set {
        root: u8,
        size: Size,
        align: u8,
    },
    Remove {
        root: u8,
    },
    /// Takes blocks, frees one of them, and leaves the others to the end of the operation.
    Scratch {
        sizes: [Size; 3],
        freed: u8,
    },
    /// Takes a block for a Rust program, which nobody takes back.
    Publish {
        size: Size,
        align: u8,
    },
    /// Frees one of those, and once more.
    Free {
        which: u8,
    },
    /// Sets and removes in one turn, in which the agent goes online once.
    Turn {
        root: u8,
        size: Size,
    },
    /// The agent leaves, and another comes.
    Replace,
}

#[derive(Arbitrary, Debug)]
struct Input {
    pages: u8,
    steps: Vec<Step<Action>>,
}

/// A block that is live, and what was written into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Filled {
    block: Block,
    pattern: u64,
}

impl Filled {
    /// Takes a block and fills its first and last word.
    fn take(op: &Operation, size: u32, align: u8, kind: Kind, pattern: u64) -> Result<Self> {
        let align = 1 << (align % 17);
        let block = op.allocate(size, align, kind)?;
        assert!(op.size_of(block) >= size && block.address % align == 0, "{size} at {align}: {block:?}");
        let filled = Self { block, pattern };
        for at in filled.ends(op) {
            op.memory().set_own64(at, pattern);
        }
        Ok(filled)
    }

    fn ends(&self, op: &Operation) -> [Address; 2] {
        [self.block.address, self.block.address + op.size_of(self.block) - 8]
    }

    fn check(&self, op: &Operation) -> Result<()> {
        for at in self.ends(op) {
            assert_eq!(op.memory().own64(at), self.pattern, "what was written stays: {self:x?}");
        }
        Ok(())
    }
}

/// Each root word names one block of bytes.
struct Roots;

impl References for Roots {
    fn visit<F: FnMut(Block, Kind) -> Result<()>>(&self, memory: Memory, control: Address, seen: &mut F) -> Result<()> {
        for root in 0..USED_ROOTS {
            if let Some(block) = Block::from_word(memory.load64(cell(control, root))) {
                seen(block, Kind::Bytes)?;
            }
        }
        Ok(())
    }
}

fn cell(control: Address, root: u8) -> Address {
    control + control::ROOTS + u32::from(root) * 8
}

/// What there must be.
#[derive(Default)]
struct Model {
    roots: [Option<Filled>; USED_ROOTS as usize],
    held: Vec<Filled>,
}

impl Model {
    fn all(&self) -> impl Iterator<Item = &Filled> {
        self.roots.iter().flatten().chain(&self.held)
    }

    fn check(&self, world: &World) {
        let agent = world.agent(0);
        let bytes = agent.operation(|op| {
            self.all().try_for_each(|filled| filled.check(op))?;
            Ok(self.all().map(|filled| u64::from(op.size_of(filled.block))).sum::<u64>())
        });
        let figures = world.audit(&mut Roots);
        assert_eq!((Ok(figures.live_bytes), figures.live_blocks), (bytes, self.all().count() as u64));
    }
}

/// Puts what `new` takes into a root and retires what was there.
fn set_root(agent: Agent, root: u8, new: impl FnOnce(&Operation) -> Result<Option<Filled>>) -> Result<Option<Filled>> {
    agent.operation(|op| {
        let at = cell(op.control(), root);
        let before = op.memory().load64(at);
        let filled = new(op)?;
        let block = filled.map(|filled| filled.block);
        let word = block.map_or(0, Block::to_word);
        let done = op.replace(at, before, word, block, Block::from_word(before))?;
        assert!(done.is_ok(), "nobody else is at work");
        if let Some(old) = Block::from_word(before) {
            assert!(matches!(op.free(old), Err(Error::NotAllocated { .. })), "it is free already");
        }
        Ok(filled)
    })
}

/// Does a step, and answers what is in the roots that it changes in the end, if there was memory.
fn act(world: &mut World, model: &mut Model, step: &Step<Action>, pattern: u64) -> bool {
    let mut made = None;
    match step.operation {
        Action::Set { root, size, align } => {
            let root = root % USED_ROOTS;
            let done = world.act(step, &mut Roots, |agent| {
                set_root(agent, root, |op| {
                    made = Some(Filled::take(op, size.bytes(), align, Kind::Bytes, pattern)?);
                    Ok(made)
                })
            });
            rooted(world, model, root, made, done)
        }
        Action::Remove { root } => {
            let root = root % USED_ROOTS;
            let done = world.act(step, &mut Roots, |agent| set_root(agent, root, |_| Ok(None)));
            rooted(world, model, root, None, done)
        }
        Action::Turn { root, size } => {
            let root = root % USED_ROOTS;
            let done = world.act(step, &mut Roots, |agent| {
                agent.turn_begin()?;
                let set = set_root(agent, root, |op| {
                    made = Some(Filled::take(op, size.bytes(), 0, Kind::Bytes, pattern)?);
                    Ok(made)
                });
                let done = set.and_then(|_| set_root(agent, root, |_| Ok(None)));
                agent.turn_end();
                done
            });
            rooted(world, model, root, made, done)
        }
        Action::Scratch { sizes, freed } => {
            let done = world.act(step, &mut Roots, |agent| {
                agent.operation(|op| {
                    let take = |size: Size| Filled::take(op, size.bytes(), 3, Kind::Bytes, pattern);
                    let taken = sizes.iter().map(|&size| take(size)).collect::<Result<Vec<_>>>()?;
                    taken.iter().try_for_each(|filled| filled.check(op))?;
                    op.free(taken[usize::from(freed) % taken.len()].block)
                })
            });
            match done {
                Ended::Done(answer) => drop(unless_full(answer)),
                Ended::Died { .. } => return true,
            }
            false
        }
        Action::Publish { size, align } => {
            let done = world.act(step, &mut Roots, |agent| {
                agent.operation(|op| {
                    let filled = Filled::take(op, size.bytes(), align, Kind::Rust, pattern)?;
                    made = Some(filled);
                    op.publish(filled.block)
                })
            });
            let died = matches!(done, Ended::Died { .. });
            let is_held = match done {
                Ended::Done(answer) => unless_full(answer).is_some(),
                Ended::Died { .. } => made.is_some_and(|filled| is_live(world, filled)),
            };
            model.held.extend(made.filter(|_| is_held));
            died
        }
        Action::Free { which } => {
            if model.held.is_empty() {
                return false;
            }
            let filled = model.held.swap_remove(usize::from(which) % model.held.len());
            let done = world.act(step, &mut Roots, |agent| {
                agent.operation(|op| {
                    op.free(filled.block)?;
                    assert!(matches!(op.free(filled.block), Err(Error::NotAllocated { .. })), "it is free already");
                    Ok(())
                })
            });
            match done {
                Ended::Done(answer) => {
                    answer.expect("it is freed");
                    false
                }
                Ended::Died { .. } => {
                    model.held.extend(is_live(world, filled).then_some(filled));
                    true
                }
            }
        }
        Action::Replace => {
            world.replace(step.seat());
            false
        }
    }
}

fn is_live(world: &World, filled: Filled) -> bool {
    let found = world.agent(0).operation(|op| Ok(op.is_live(filled.block) == Some(Kind::Rust)));
    found.expect("it is looked at")
}

/// What is in a root now: what a whole operation put there, or after a death what was there before, or what was `made`, or nothing
/// if that was a possible end; whether it was a death.
fn rooted(
    world: &World,
    model: &mut Model,
    root: u8,
    made: Option<Filled>,
    done: Ended<Result<Option<Filled>>>,
) -> bool {
    let before = model.roots[usize::from(root)];
    let found = world.table().memory.load64(cell(world.table().control, root));
    let is_found = |filled: Option<Filled>| filled.map_or(0, |filled| filled.block.to_word()) == found;
    let (now, died) = match done {
        Ended::Done(answer) => (unless_full(answer).unwrap_or(if is_found(before) { before } else { made }), false),
        Ended::Died { .. } => {
            ([before, made, None].into_iter().find(|&may| is_found(may)).expect("before or after"), true)
        }
    };
    assert!(is_found(now), "the root names {found:x}");
    model.roots[usize::from(root)] = now;
    died
}

fuzz_target!(|input: Input| {
    controls();
    let mut world = World::new(20 + u32::from(input.pages % 64));
    let before = world.audit(&mut Roots);
    let mut model = Model::default();
    for (step, pattern) in input.steps.iter().take(MOST_STEPS).zip(1..) {
        if act(&mut world, &mut model, step, pattern << 32 | 0xB10C) {
            model.check(&world);
        }
    }
    model.check(&world);
    let agent = world.agent(1);
    for root in 0..USED_ROOTS {
        set_root(agent, root, |_| Ok(None)).expect("it is removed");
    }
    for filled in model.held {
        agent.operation(|op| op.free(filled.block)).expect("it is freed");
    }
    world.end(before, &mut Roots);
});
