//! A child process whose output is kept, waited for, and shown when a test fails.

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child as Process, ChildStdin, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::{Duration, Instant},
};

/// Longest wait for a line or an exit: generous, for a loaded machine; nothing ever waits for it to pass in vain.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running child; dropping it ends it, by its own process id.
pub(crate) struct Child {
    name: String,
    process: Process,
    stdin: Option<ChildStdin>,
    output: Arc<Output>,
    readers: Vec<thread::JoinHandle<()>>,
}

#[derive(Default)]
struct Output {
    lines: Mutex<Lines>,
    changed: Condvar,
}

#[derive(Default)]
struct Lines {
    /// `(is_stdout, line)`, in the order they came.
    all: Vec<(bool, String)>,
    /// Streams that have ended.
    ended: usize,
}

impl Child {
    /// Starts `command` and calls it `name` in messages.
    pub(crate) fn start(name: &str, command: &mut Command) -> Self {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error} ({command:?})"));
        let output = Arc::new(Output::default());
        let readers = vec![
            collect(process.stdout.take().unwrap(), true, output.clone()),
            collect(process.stderr.take().unwrap(), false, output.clone()),
        ];
        let stdin = process.stdin.take();
        Self { name: name.to_owned(), process, stdin, output, readers }
    }

    /// Process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Writes to its stdin, which stays open.
    pub(crate) fn write(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().expect("stdin is open");
        stdin.write_all(text.as_bytes()).and_then(|()| stdin.flush()).expect("the child reads its stdin");
    }

    /// Closes its stdin.
    pub(crate) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Waits for a line of its stdout that `wanted` accepts, looking also at those that came already.
    pub(crate) fn line(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        self.nth(true, 0, what, wanted)
    }

    /// Waits for one more line of its stdout that `wanted` accepts, after the first `seen` of them.
    pub(crate) fn line_after(&self, seen: usize, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        self.nth(true, seen, what, wanted)
    }

    /// Waits for a line of its log (stderr) that `wanted` accepts, looking also at those that came already.
    pub(crate) fn log(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        self.nth(false, 0, what, wanted)
    }

    /// Waits for one more line of its log that `wanted` accepts, after the first `seen` of them.
    pub(crate) fn log_after(&self, seen: usize, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        self.nth(false, seen, what, wanted)
    }

    /// How many lines of its log so far contain `text`.
    pub(crate) fn count_log(&self, text: &str) -> usize {
        let lines = self.output.lines.lock().unwrap();
        lines.all.iter().filter(|(is_stdout, line)| !*is_stdout && line.contains(text)).count()
    }

    /// How many lines of its stdout so far contain `text`.
    pub(crate) fn count(&self, text: &str) -> usize {
        let lines = self.output.lines.lock().unwrap();
        lines.all.iter().filter(|(is_stdout, line)| *is_stdout && line.contains(text)).count()
    }

    fn nth(&self, of_stdout: bool, index: usize, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + PATIENCE;
        let mut lines = self.output.lines.lock().unwrap();
        loop {
            let mut found = lines.all.iter().filter(|(is_stdout, line)| *is_stdout == of_stdout && wanted(line));
            if let Some((_, line)) = found.nth(index) {
                return line.clone();
            }
            let left = end.saturating_duration_since(Instant::now());
            if lines.ended == 2 || left.is_zero() {
                drop(lines); // or its output could not be shown
                panic!("{}: no {what}", self.name);
            }
            lines = self.output.changed.wait_timeout(lines, left).unwrap().0;
        }
    }

    /// Sends it a signal, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let done = Command::new("kill").arg(format!("-{name}")).arg(self.id().to_string()).status();
        assert!(done.is_ok_and(|status| status.success()), "{}: no signal {name}", self.name);
    }

    /// Waits until it has ended, and returns its stdout.
    pub(crate) fn finish(mut self) -> (ExitStatus, String) {
        self.stdin = None;
        let end = Instant::now() + PATIENCE;
        loop {
            let lines = self.output.lines.lock().unwrap();
            let left = end.saturating_duration_since(Instant::now());
            if lines.ended == 2 {
                break;
            }
            if left.is_zero() {
                drop(lines);
                panic!("{} does not end", self.name);
            }
            drop(self.output.changed.wait_timeout(lines, left).unwrap());
        }
        let status = self.process.wait().unwrap();
        let lines = self.output.lines.lock().unwrap();
        let text = lines.all.iter().filter(|(is_stdout, _)| *is_stdout).map(|(_, line)| format!("{line}\n")).collect();
        (status, text)
    }

    /// Waits until it has ended well, and returns its stdout.
    pub(crate) fn succeed(self) -> String {
        let (name, output) = (self.name.clone(), self.output.clone());
        let (status, text) = self.finish();
        if !status.success() {
            show(&name, &output);
            panic!("{name} failed: {status}");
        }
        text
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Ended already is as good as ended now.
        let _ = self.process.kill();
        let _ = self.process.wait();
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        if thread::panicking() {
            show(&self.name, &self.output);
        }
    }
}

fn show(name: &str, output: &Output) {
    for (is_stdout, line) in &output.lines.lock().unwrap().all {
        println!("{name}{} {line}", if *is_stdout { ">" } else { "!" });
    }
}

fn collect(stream: impl Read + Send + 'static, is_stdout: bool, output: Arc<Output>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned();
            output.lines.lock().unwrap().all.push((is_stdout, line));
            output.changed.notify_all();
        }
        output.lines.lock().unwrap().ended += 1;
        output.changed.notify_all();
    })
}
