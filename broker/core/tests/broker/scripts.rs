//! Every script in `tests/scripts` is played, each in a world of its own.

use std::path::{Path, PathBuf};

use crate::script::play;

fn scripts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scripts");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut scripts: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|it| it == "xmpp")).collect();
    scripts.sort();
    scripts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_script_plays_to_its_end() {
    let scripts = scripts();
    assert!(!scripts.is_empty());
    let mut failed = Vec::new();
    for script in scripts {
        let name = script.file_stem().unwrap().to_string_lossy().into_owned();
        // A task of its own, so that one failing story does not hide the others.
        if tokio::spawn(async move { play(&script).await }).await.is_err() {
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "failed: {failed:?}");
}
