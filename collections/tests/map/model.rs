//! Random changes of a map, and of a model beside it.

use coheap::value;
use hashbrown::HashMap;

use super::common::{Random, Watchdog, audit, heap, leave};
use super::{Item, Shared, number, text};

/// What a map is to be: JavaScript's, written in the plainest way.
#[derive(Default)]
struct Model {
    places: Vec<Option<(Item, Item)>>,
    index: HashMap<Item, usize>,
}

impl Model {
    fn get(&self, key: &Item) -> Option<Item> {
        let place = *self.index.get(&key.key())?;
        self.places[place].as_ref().map(|(_, value)| value.clone())
    }

    fn set(&mut self, key: &Item, value: &Item) {
        match self.index.get(&key.key()) {
            Some(&place) => self.places[place] = Some((key.key(), value.clone())),
            None => {
                self.index.insert(key.key(), self.places.len());
                self.places.push(Some((key.key(), value.clone())));
            }
        }
    }

    fn delete(&mut self, key: &Item) -> bool {
        match self.index.remove(&key.key()) {
            Some(place) => {
                self.places[place] = None;
                true
            }
            None => false,
        }
    }

    fn clear(&mut self) {
        *self = Self::default();
    }

    fn entries(&self) -> Vec<(Item, Item)> {
        self.places.iter().flatten().cloned().collect()
    }
}

fn random_item(random: &mut Random, is_key: bool) -> Item {
    let small = random.below(40);
    match random.below(if is_key { 8 } else { 10 }) {
        0 => number(f64::NAN),
        1 => number(if small & 1 == 0 { 0.0 } else { -0.0 }),
        2 | 3 => number(small as f64),
        4 => text(&small.to_string()),
        5 => text(&format!("a longer key number {small}")),
        6 => Item::Text((0..small).map(|unit| 0xD7F0 + (unit * small) as u16 % 0x40).collect()),
        7 => Item::Text(vec![0x41 + (small % 26) as u16; (small * 30) as usize]),
        8 => Item::Special(value::UNDEFINED + small % 4),
        _ => Item::Bytes(vec![small as u8; (small * 20) as usize]),
    }
}

#[test]
fn random_changes_are_those_of_the_model() {
    let _watchdog = Watchdog::new("random_changes_are_those_of_the_model");
    let mut random = Random::new("random_changes_are_those_of_the_model");
    let steps: u64 = std::env::var("COHEAP_STEPS").ok().and_then(|steps| steps.parse().ok()).unwrap_or(1_000_000);
    let (map, mut model) = (Shared::new(heap(1024)), Model::default());
    for step in 0..steps {
        let (key, value) = (random_item(&mut random, true), random_item(&mut random, false));
        match random.below(if step % 5000 == 0 { 12 } else { 11 }) {
            0..=3 => {
                map.set(&key, &value);
                model.set(&key, &value);
            }
            4 | 5 => assert_eq!(map.get(&key), model.get(&key), "step {step}: {key:?}"),
            6 | 7 => assert_eq!(map.delete(&key), model.delete(&key), "step {step}: {key:?}"),
            8 => {
                let there = model.get(&key);
                if there.is_none() {
                    model.set(&key, &value);
                }
                assert_eq!(map.insert_if_absent(&key, &value), there, "step {step}: {key:?}");
            }
            9 => {
                let expected = if random.below(2) == 0 { model.get(&key) } else { Some(value.clone()) };
                let new = if random.below(3) == 0 { None } else { Some(random_item(&mut random, false)) };
                let was_so = model.get(&key) == expected;
                if was_so {
                    match &new {
                        Some(new) => model.set(&key, new),
                        None => drop(model.delete(&key)),
                    }
                }
                assert_eq!(map.compare_and_set(&key, expected.as_ref(), new.as_ref()), was_so, "step {step}: {key:?}");
            }
            10 => {
                let number = match model.get(&key) {
                    None => Some(0.0),
                    Some(Item::Number(word)) => Some(f64::from_bits(word)),
                    _ => None,
                };
                let sum = map.add(&key, 3.0);
                assert_eq!(sum.is_ok(), number.is_some(), "step {step}: {key:?}");
                if let Some(number) = number {
                    model.set(&key, &self::number(number + 3.0));
                }
            }
            _ => {
                map.clear();
                model.clear();
            }
        }
        assert_eq!(map.size(), model.index.len() as u64);
        if step % 1000 == 0 {
            assert_eq!(map.entries(), model.entries(), "step {step}");
        }
        if step % 50_000 == 0 {
            audit(map.agent);
        }
    }
    assert_eq!(map.entries(), model.entries());
    let figures = audit(map.agent);
    println!("{} blocks, {} bytes for {} entries", figures.live_blocks, figures.live_bytes, map.size());
    map.release();
    assert_eq!(audit(map.agent).live_blocks, 0);
    leave(map.agent);
    println!("cases random_changes_are_those_of_the_model {steps}");
}
