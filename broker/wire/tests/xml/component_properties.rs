//! The laws of components' streams for what might connect: seeds of the fuzz target, cut, mixed and with bytes changed.

use std::fs;
use std::path::PathBuf;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::component::check;

/// The seeds of the fuzz target, each in elements.
fn seeds() -> Vec<Vec<Vec<u8>>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/fuzz/component");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let seeds = files.iter().map(|file| fs::read(file).unwrap());
    seeds.map(|seed| seed.split_inclusive(|byte| *byte == b'>').map(<[u8]>::to_vec).collect()).collect()
}

proptest! {
    #[test]
    fn the_stream_of_a_component_keeps_its_laws(
        seed in any::<Index>(),
        length in 0_usize..24,
        others in vec(any::<Index>(), 0..8),
        changes in vec((any::<Index>(), any::<u8>()), 0..3),
    ) {
        let seeds = seeds();
        let elements: Vec<&Vec<u8>> = seeds.iter().flatten().collect();
        let mut input = Vec::new();
        seed.get(&seeds).iter().take(length).for_each(|element| input.extend_from_slice(element));
        others.iter().for_each(|other| input.extend_from_slice(elements[other.index(elements.len())]));
        for (place, byte) in changes {
            if !input.is_empty() {
                let place = place.index(input.len());
                input[place] = byte;
            }
        }
        check(&input);
    }
}
