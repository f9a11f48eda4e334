use std::collections::BTreeSet;

use super::*;
use crate::schema::schema;
use crate::vectors::{VectorResult, run_vectors, uncovered};

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

#[test]
fn a_folder_of_the_site_shadows_what_is_shipped_and_says_so() {
    let site = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    let relay = Library::shipped().source("waveshare.relay-8ch").unwrap().text().replace("Eight relays", "Our relays");
    std::fs::create_dir(site.path().join("modbus")).unwrap();
    std::fs::write(site.path().join("modbus/ours.toml"), &relay).unwrap();
    std::fs::write(other.path().join("theirs.toml"), relay.replace("Our relays", "Their relays")).unwrap();
    std::fs::write(site.path().join("README.md"), "no profile").unwrap();

    let library = Library::with_folders(&[site.path().to_owned(), other.path().to_owned()]).unwrap();

    assert_eq!(library.load("waveshare.relay-8ch").unwrap().title("en"), "Our relays");
    let used: Vec<&str> = library.shadows().iter().map(|shadow| shadow.used.as_str()).collect();
    assert!(used.iter().any(|used| used.ends_with("ours.toml")), "{used:?}");
    assert_eq!(library.shadows().len(), 2);
}

#[test]
fn two_files_with_one_id_in_one_folder_are_refused() {
    let site = tempfile::tempdir().unwrap();
    let text = "[profile]\nid = \"a.b\"\n";
    std::fs::write(site.path().join("one.toml"), text).unwrap();
    std::fs::write(site.path().join("two.toml"), text).unwrap();
    let errors = Library::with_folders(&[site.path().to_owned()]).unwrap_err();
    assert_eq!(errors.len(), 1);
    assert!(errors[0].to_string().contains("two.toml: has the id \"a.b\", as "), "{}", errors[0]);
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let errors = Library::with_folders(&[PathBuf::from("/nonexistent/profiles")]).unwrap_err();
    assert!(errors[0].to_string().starts_with("/nonexistent/profiles: cannot be read: "), "{}", errors[0]);
}

#[test]
fn a_child_of_the_site_may_extend_a_shipped_profile() {
    let site = tempfile::tempdir().unwrap();
    let child = r#"
[profile]
id = "acme.meter"
version = "1.0.0"
extends = "eastron.single-phase@1"
remove = ["Current Demand"]
protocol = "modbus"
license = "CC0-1.0"
device = { vendor = "Acme", models = ["M"] }
sources = { label = "the label on our sample", bench = "our bench" }
"#;
    std::fs::write(site.path().join("acme.toml"), child).unwrap();
    let profile = Library::with_folders(&[site.path().to_owned()]).unwrap().load("acme.meter").unwrap();
    assert_eq!(profile.ancestors().collect::<Vec<_>>(), ["eastron.single-phase"]);
    assert!(profile.points().iter().all(|point| point.name().as_str() != "Current Demand"));
    assert!(run_vectors(&profile).iter().all(|result| result.passed()));
    assert_eq!(profile.interfaces().len(), 1);
}

#[test]
fn the_readme_lists_every_profile_and_its_example_is_right() {
    let readme = std::fs::read_to_string(profiles_folder().join("README.md")).unwrap();
    for (_, file, _) in SHIPPED {
        assert!(readme.contains(&format!("| `{file}` |")), "{file}");
    }
    let example = readme.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let profile = crate::check(&SourceText::new("README.md", example)).unwrap_or_else(|errors| panic!("{}", errors[0]));
    let results = run_vectors(&profile);
    assert!(results.len() == 2 && results.iter().all(VectorResult::passed), "{results:?}");
    assert_eq!(uncovered(&profile).count(), 0);
}
