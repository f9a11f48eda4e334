//! `torg profile`: checks profiles, runs their vectors, shows them to people.

use std::path::Path;

use serde::Serialize;
use torg_profile::{Library, LibraryError, Profile, VectorResult, check_in, run_vectors, uncovered};
use torg_thing::config::{ConfigError, SourceText};

use super::check::{count, tell};
use super::{Failure, Table, Terminal, args};

pub(super) fn run(command: &args::Profile, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    match command {
        args::Profile::Check(arguments) => check(arguments, terminal),
        args::Profile::Doc(arguments) if arguments.files.is_empty() => list(terminal),
        args::Profile::Doc(arguments) => arguments.files.iter().try_for_each(|file| document(file, terminal)),
        // There is one format so far, so whatever the file says, its schema is this one.
        args::Profile::Schema(_) => Ok(write!(terminal.out, "{}", torg_profile::schema())?),
        args::Profile::Test(arguments) => test(arguments, terminal),
    }
}

/// Loads a profile from a file, or the shipped one of that id.
fn load(name: &Path) -> Result<Profile, Vec<ConfigError>> {
    let shipped = Library::shipped();
    let text = name.display().to_string();
    if !name.exists() && shipped.source(&text).is_some() {
        return shipped.load(&text).map_err(|error| errors_of(&text, error));
    }
    let source = SourceText::read(name).map_err(|error| vec![error])?;
    // A profile may extend a neighbour. A neighbour with mistakes of its own is not what was asked about.
    let folder = name.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let library = Library::with_folders(&[folder.to_owned()]).unwrap_or(shipped);
    check_in(&source, &library)
}

fn errors_of(name: &str, error: LibraryError) -> Vec<ConfigError> {
    match error {
        LibraryError::Invalid(errors) => errors,
        other => vec![ConfigError::unreadable(name, other.to_string())],
    }
}

/// What `--json` prints for one profile.
#[derive(Serialize)]
struct Report {
    file: String,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    errors: Vec<ConfigError>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vectors: Option<Vectors>,
}

/// What became of a profile's vectors.
#[derive(Serialize)]
struct Vectors {
    passed: usize,
    failed: Vec<Failed>,
    /// Points that no vector shows.
    uncovered: Vec<String>,
}

#[derive(Serialize)]
struct Failed {
    vector: String,
    point: String,
    expected: String,
    found: String,
}

#[derive(Serialize)]
struct Reports {
    ok: bool,
    profiles: Vec<Report>,
}

fn check(arguments: &args::ProfileFiles, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    report(arguments, false, terminal)
}

fn test(arguments: &args::ProfileFiles, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    report(arguments, true, terminal)
}

fn report(arguments: &args::ProfileFiles, vectors: bool, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let profiles: Vec<Report> = arguments.files.iter().map(|file| report_on(file, vectors)).collect();
    let reports = Reports { ok: profiles.iter().all(|report| report.ok), profiles };
    if arguments.json {
        terminal.json(&reports)?;
        return if reports.ok { Ok(()) } else { Err(Failure::Reported) };
    }
    let mut last = None;
    for report in &reports.profiles {
        if !report.errors.is_empty() {
            last = Some(tell(&report.errors, "profile", terminal)?);
        }
        if let Some(vectors) = &report.vectors {
            show_vectors(&report.file, vectors, terminal)?;
            if !vectors.failed.is_empty() {
                last = Some(Failure::failed(format!(
                    "{} of a profile failed.",
                    count(vectors.failed.len(), "expectation")
                )));
            }
        } else if report.ok {
            terminal.line(&format!("{} is right.", report.file))?;
        }
    }
    last.map_or(Ok(()), Err)
}

fn report_on(file: &Path, vectors: bool) -> Report {
    let name = file.display().to_string();
    match load(file) {
        Err(errors) => Report { file: name, ok: false, id: None, errors, vectors: None },
        Ok(profile) => {
            let vectors = vectors.then(|| Vectors::of(&profile));
            let ok = vectors.as_ref().is_none_or(|vectors| vectors.failed.is_empty());
            Report { file: name, ok, id: Some(profile.id().to_owned()), errors: Vec::new(), vectors }
        }
    }
}

impl Vectors {
    fn of(profile: &Profile) -> Self {
        let results = run_vectors(profile);
        let failed: Vec<Failed> = results.iter().filter(|result| !result.passed()).map(Failed::of).collect();
        let uncovered = uncovered(profile).map(ToString::to_string).collect();
        Self { passed: results.len() - failed.len(), failed, uncovered }
    }
}

impl Failed {
    fn of(result: &VectorResult) -> Self {
        Self {
            vector: result.vector.to_string(),
            point: result.point.to_string(),
            expected: result.expected.clone(),
            found: result.found.clone(),
        }
    }
}

fn show_vectors(file: &str, vectors: &Vectors, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    terminal.line(&format!("{file}: {} passed, {} failed.", vectors.passed, vectors.failed.len()))?;
    if !vectors.failed.is_empty() {
        let mut table = Table::new(&["vector", "point", "expected", "found"]);
        for failed in &vectors.failed {
            table.row([&failed.vector, &failed.point, &failed.expected, &failed.found]);
        }
        write!(terminal.out, "{}", table.render())?;
    }
    if !vectors.uncovered.is_empty() {
        terminal.note(&format!("{file}: no vector shows: {}.", vectors.uncovered.join(", ")))?;
    }
    Ok(())
}

fn list(terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let library = Library::shipped();
    let mut table = Table::new(&["profile", "maker", "models", "what it is"]);
    for id in library.ids() {
        if let Ok(profile) = library.load(id) {
            let models = profile.models().collect::<Vec<_>>().join(", ");
            table.row([id, profile.vendor(), &models, profile.title("en")]);
        }
    }
    Ok(write!(terminal.out, "{}", table.render())?)
}

/// A profile as a page of Markdown.
fn document(file: &Path, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let profile = match load(file) {
        Ok(profile) => profile,
        Err(errors) => return Err(tell(&errors, "profile", terminal)?),
    };
    Ok(write!(terminal.out, "{}", torg_profile::document(&profile))?)
}
