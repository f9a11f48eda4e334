use std::collections::BTreeSet;

use super::*;
use crate::schema::schema;
use crate::vectors::{run_vectors, uncovered};

fn profiles_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../profiles")
}

fn shipped() -> Vec<Profile> {
    let library = Library::shipped();
    let load = |id: &str| library.load(id).unwrap_or_else(|error| panic!("{id}: {error}: {error:#?}"));
    library.ids().map(load).collect()
}

#[test]
fn every_profile_in_the_folder_is_embedded_under_its_own_id() {
    let mut files = Vec::new();
    find_files(&profiles_folder(), DEPTH_MAX, &mut files).unwrap();
    let in_folder: BTreeSet<String> =
        files.iter().map(|file| id_of(&SourceText::read(file).unwrap()).unwrap()).collect();
    let embedded: BTreeSet<String> = Library::shipped().ids().map(str::to_owned).collect();
    assert_eq!(embedded, in_folder);
    for (id, file, text) in SHIPPED {
        assert_eq!(id_of(&SourceText::new(*file, *text)).unwrap(), *id);
        assert_eq!(
            file.replace('-', ".").matches('.').count() - 1,
            id.replace('-', ".").matches('.').count(),
            "{file}"
        );
    }
}

#[test]
fn every_vector_of_every_shipped_profile_passes() {
    for profile in shipped() {
        let results = run_vectors(&profile);
        assert!(!results.is_empty(), "{} has no vectors", profile.id());
        for result in results {
            assert!(result.passed(), "{}: {result:?}", profile.id());
        }
    }
}

#[test]
fn every_point_of_every_shipped_profile_has_a_vector() {
    for profile in shipped() {
        let without: Vec<&torg_thing::FieldName> = uncovered(&profile).collect();
        assert!(without.is_empty(), "{}: {without:?}", profile.id());
    }
}

#[test]
fn every_parameter_of_every_shipped_profile_is_verified_after_a_write() {
    for profile in shipped() {
        for write in profile.points().iter().filter_map(|point| point.write()) {
            assert!(write.verifies(), "{}: {}", profile.id(), write.parameter().name);
        }
    }
}

#[test]
fn every_point_of_every_shipped_profile_is_confirmed_or_says_that_it_is_not() {
    for profile in shipped() {
        for point in profile.points().iter().filter(|point| !point.is_unconfirmed()) {
            assert!(point.sources().count() >= 2, "{}: {}", profile.id(), point.name());
        }
    }
}

#[test]
fn the_committed_schema_is_the_one_of_the_code() {
    let file = profiles_folder().join("torg-profile-1.schema.json");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, schema()).unwrap();
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    if let Some((line, (old, new))) =
        committed.lines().zip(schema().lines()).enumerate().find(|(_, (old, new))| old != new)
    {
        panic!("stale from line {} on; BLESS=1 cargo test -p torg-profile rewrites it\n- {old}\n+ {new}", line + 1);
    }
    assert_eq!(committed.len(), schema().len(), "stale: BLESS=1 cargo test -p torg-profile rewrites it");
}

#[test]
fn an_unknown_id_gets_a_suggestion() {
    let error = Library::shipped().load("eastron.sdm360").unwrap_err();
    assert_eq!(error.to_string(), "no profile \"eastron.sdm360\"; did you mean `eastron.sdm630`?");
}
