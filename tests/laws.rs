//! What must hold for any bytes holds for the seeds of the fuzz targets (`tests/fuzz`), for cases
//! that fuzzing has found, and for bytes made up from their like.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use z2api_laws::{LAWS, Law};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// What fuzzing starts from: the streams, and a folder of its own for each law.
fn seeds(law: Law) -> Vec<Vec<u8>> {
    let folders = [here("streams"), here("fuzz/seeds").join(law.0)];
    let files = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
    let paths = files.map(|file| file.expect("a file").path());
    paths
        .map(|path| fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
        .collect()
}

#[test]
fn every_law_holds_for_its_seeds() {
    for law in LAWS {
        seeds(law).iter().for_each(|seed| law.1(seed));
    }
}

#[test]
fn every_law_has_a_fuzz_target_of_its_name() {
    let manifest = fs::read_to_string(here("fuzz/Cargo.toml")).expect("a manifest");
    for (name, _) in LAWS {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
        let target = fs::read_to_string(here(&format!("fuzz/fuzz_targets/{name}.rs")));
        assert!(target.expect(name).contains(&format!("z2api_laws::{name}(")), "{name}");
    }
    assert_eq!(manifest.matches("[[bin]]").count(), LAWS.len());
}

/// A seed in which bytes are replaced, and pieces doubled or left out.
fn altered(seed: &[u8], changes: &[(usize, usize, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for (at, length, by) in changes {
        let from = at % (bytes.len() + 1);
        let to = bytes.len().min(from + length);
        bytes.splice(from..to, by.iter().copied());
    }
    bytes
}

/// Bytes to put in: any, or such as mean something.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let telling = [
        "",
        "\"",
        "\\",
        "\n",
        "\r",
        "\n\n",
        "data: ",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "<",
        ">",
        "null",
        "0",
        "-1",
        "1e9",
        "true",
        "\\u00e9",
        "\\ud83d",
        "<details",
        "</details>\n",
        "【turn0search0】",
    ];
    let telling = prop::sample::select(telling.to_vec()).prop_map(|text| text.as_bytes().to_vec());
    prop_oneof![3 => telling, 1 => prop::collection::vec(any::<u8>(), 0..4)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_law_holds_for_seeds_with_changes(
        seed in any::<prop::sample::Index>(),
        changes in prop::collection::vec((0usize..3000, 0usize..12, piece()), 1..6),
    ) {
        for law in LAWS {
            let seeds = seeds(law);
            law.1(&altered(seed.get::<Vec<u8>>(&seeds), &changes));
        }
    }

    #[test]
    fn every_law_holds_for_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        LAWS.iter().for_each(|law| law.1(&bytes));
    }
}
