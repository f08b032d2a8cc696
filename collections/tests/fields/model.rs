//! Random steps on fields, and on a plain list beside them.

use coheap::fields;
use coheap::{Handle, Type, release};

use super::common::{Random, agent, audit, heap, run};
use super::{Pairs, append, create, delete, entries, get, has, set};

/// What the fields must do, on a plain list.
#[derive(Clone, Default)]
struct Model(Pairs);

impl Model {
    fn same(a: &[u8], b: &[u8]) -> bool {
        a.eq_ignore_ascii_case(b)
    }

    fn append(&mut self, name: &[u8], value: &[u8]) {
        let known = self.0.iter().find(|(known, _)| Self::same(known, name)).map(|(known, _)| known.clone());
        self.0.push((known.unwrap_or_else(|| name.to_vec()), value.to_vec()));
    }

    fn set(&mut self, name: &[u8], values: &[&[u8]]) {
        let first = self.0.iter().position(|(known, _)| Self::same(known, name));
        let at = first.unwrap_or(self.0.len());
        let name = first.map_or(name, |at| &self.0[at].0).to_vec();
        self.0.retain(|(known, _)| !Self::same(known, &name));
        for (offset, value) in values.iter().enumerate() {
            self.0.insert(at + offset, (name.clone(), value.to_vec()));
        }
    }

    fn get(&self, name: &[u8]) -> Option<Vec<u8>> {
        let values: Vec<_> = self.0.iter().filter(|(known, _)| Self::same(known, name)).map(|(_, v)| &v[..]).collect();
        (!values.is_empty()).then(|| values.join(&b", "[..]))
    }
}

fn random_case(random: &mut Random, name: &str) -> Vec<u8> {
    name.bytes().map(|byte| if random.below(4) == 0 { byte.to_ascii_uppercase() } else { byte }).collect()
}

#[test]
fn fields_under_a_million_random_steps_match_a_plain_list() {
    const STEPS: u32 = 1_000_000;
    let mut random = Random::new("fields_under_a_million_random_steps_match_a_plain_list");
    let agent = agent(heap(512));
    let before = audit(agent);
    // Names of all lengths around whole words, two that differ in a sign that the casing bit also tells apart, and so on.
    let names =
        ["a", "b", "accept", "x-trace-", "x-trace-i", "content-type", "a^", "a~", "a_", "a-long-name-of-24-bytes", "x"];
    let mut all: Vec<(Handle, Model)> = vec![(create(agent, &[]), Model::default())];
    for step in 0..STEPS {
        let picked = random.below(all.len() as u64) as usize;
        let count = all.len();
        let (handle, model) = &mut all[picked];
        let handle = *handle;
        let name = names[random.below(names.len() as u64) as usize];
        let name = random_case(&mut random, name);
        let length = if random.below(200) == 0 { random.below(2000) } else { random.below(24) };
        let value: Vec<u8> = (0..length).map(|_| b"ab \t\x80\xFF~!"[random.below(8) as usize]).collect();
        match random.below(16) {
            0..4 => {
                set(agent, handle, &name, &[&value]).expect("set");
                model.set(&name, &[&value]);
            }
            4 => {
                let values = [&value[..], b"", &value[..value.len() / 2]];
                let values = &values[..random.below(4) as usize];
                set(agent, handle, &name, values).expect("set");
                model.set(&name, values);
            }
            5 | 6 if model.0.len() < 40 => {
                append(agent, handle, &name, &value).expect("append");
                model.append(&name, &value);
            }
            5..8 => {
                delete(agent, handle, &name).expect("delete");
                model.set(&name, &[]);
            }
            8 if count < 8 => {
                let copy = run(agent, |o| fields::duplicate(o, handle));
                let model = model.clone();
                all.push((copy, model));
            }
            9 if count > 1 => {
                let _ = run(agent, |o| release(o, handle, Type::Fields));
                all.swap_remove(picked);
            }
            10 => {
                let pairs: Vec<_> = model.0.iter().map(|(name, value)| (&name[..], &value[..])).collect();
                let made = create(agent, &pairs);
                assert_eq!(entries(agent, made), model.0);
                let _ = run(agent, |o| release(o, made, Type::Fields));
            }
            11 => assert_eq!(entries(agent, handle), model.0, "step {step}"),
            12 => assert_eq!(has(agent, handle, &name), model.get(&name).is_some()),
            _ => assert_eq!(get(agent, handle, &name), model.get(&name), "step {step}, {name:?}"),
        }
        if step % 100_000 == 0 {
            audit(agent);
        }
    }
    for (handle, model) in all {
        assert_eq!(entries(agent, handle), model.0);
        let _ = run(agent, |o| release(o, handle, Type::Fields));
    }
    let after = audit(agent);
    assert_eq!((before.live_bytes, before.live_blocks), (after.live_bytes, after.live_blocks));
    println!("cases fields_under_a_million_random_steps_match_a_plain_list {STEPS}");
}
