//! Who makes the runs? Processes of this program, each told one run at a time and watched from outside.
//!
//! A run that eats memory, overflows its stack or never comes back takes its process with it and nothing
//! else: the campaign starts another process and goes on.

use std::{
    io::{BufRead, BufReader, Read, Write},
    path::PathBuf,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use super::wire::{Answer, Ask};

/// How often it is looked whether anybody still waits.
const LOOK: Duration = Duration::from_millis(50);
/// How much of what a process says on standard error is kept: its last words.
const LAST_WORDS: usize = 4_096;

/// How processes are started.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The program.
    pub program: PathBuf,
    /// What it is told.
    pub args: Vec<String>,
}

/// What came of a question.
#[derive(Debug)]
pub enum Reply {
    /// The answer.
    Answer(Answer),
    /// There was none in time; the process was ended.
    TooLong,
    /// Nobody waits any more; the process was ended.
    Interrupted,
    /// The process died of it.
    Died(Death),
    /// No process could be started, or it does not speak as it should.
    Broken(String),
}

/// Of what a process died.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Death {
    /// There was no more memory for it.
    Memory(String),
    /// Of something else.
    Other(String),
}

/// One process at a time; another one after one has died.
pub struct Hand {
    setup: Setup,
    worker: Option<Worker>,
}

struct Worker {
    child: Child,
    questions: ChildStdin,
    answers: mpsc::Receiver<String>,
    last_words: Arc<Mutex<Vec<u8>>>,
}

impl Hand {
    /// Nobody yet: the first question starts a process.
    pub fn new(setup: Setup) -> Hand {
        Hand { setup, worker: None }
    }

    /// Asks, and waits for the answer up to `limit`, for as long as `waits` says so.
    pub fn ask(&mut self, ask: &Ask, limit: Duration, waits: &dyn Fn() -> bool) -> Reply {
        let mut worker = match self.worker.take().map_or_else(|| Worker::start(&self.setup), Ok) {
            Ok(worker) => worker,
            Err(why) => return Reply::Broken(why),
        };
        let reply = worker.ask(ask, limit, waits);
        if matches!(reply, Reply::Answer(_)) {
            self.worker = Some(worker);
        }
        reply
    }
}

impl Worker {
    fn start(setup: &Setup) -> Result<Worker, String> {
        let mut command = Command::new(&setup.program);
        command.args(&setup.args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env_remove("RUST_LOG");
        // Ctrl-C is for the campaign, which ends its processes by itself.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let failed = |why: String| format!("{} cannot be started: {why}", setup.program.display());
        let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
        let (questions, told, words) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(questions), Some(told), Some(words)) = (questions, told, words) else {
            return Err(failed("it has no pipes".into()));
        };
        let (tell, answers) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(told).lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        let last_words = Arc::new(Mutex::new(Vec::new()));
        let kept = last_words.clone();
        thread::spawn(move || keep_last_words(words, &kept));
        Ok(Worker { child, questions, answers, last_words })
    }

    fn ask(&mut self, ask: &Ask, limit: Duration, waits: &dyn Fn() -> bool) -> Reply {
        let question = match serde_json::to_string(ask) {
            Ok(question) => question + "\n",
            Err(error) => return Reply::Broken(error.to_string()),
        };
        let began = Instant::now();
        if self.questions.write_all(question.as_bytes()).and_then(|()| self.questions.flush()).is_err() {
            return self.died();
        }
        loop {
            let left = limit.saturating_sub(began.elapsed());
            match self.answers.recv_timeout(LOOK.min(left)) {
                Ok(line) => {
                    return serde_json::from_str(&line).map_or_else(
                        |error| Reply::Broken(format!("a process answers what nobody understands: {error}")),
                        Reply::Answer,
                    );
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => return self.died(),
                Err(mpsc::RecvTimeoutError::Timeout) if !waits() => return Reply::Interrupted,
                Err(mpsc::RecvTimeoutError::Timeout) if left.is_zero() => return Reply::TooLong,
                Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn died(&mut self) -> Reply {
        let status = match self.child.wait() {
            Ok(status) => status,
            Err(error) => return Reply::Broken(error.to_string()),
        };
        // What it said last may still be on its way.
        let mut words = String::new();
        for _ in 0..10 {
            let kept = self.last_words.lock().unwrap_or_else(PoisonError::into_inner).clone();
            words = String::from_utf8_lossy(&kept).into_owned();
            if !words.is_empty() {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        Reply::Died(death(status, &words))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // One that is gone already needs no ending.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn keep_last_words(mut words: impl Read, kept: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 1_024];
    while let Ok(read) = words.read(&mut buffer)
        && read > 0
    {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(&buffer[..read]);
        let over = kept.len().saturating_sub(LAST_WORDS);
        kept.drain(..over);
    }
}

/// What a process died of, by how it ended and what it said last.
fn death(status: ExitStatus, words: &str) -> Death {
    let told = words.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let told = if told.is_empty() { String::new() } else { format!(": {told}") };
    // What Rust's runtime says when an allocation fails, and when there is no room for a thread's stack.
    let memory = ["memory allocation of", "Cannot allocate memory", "failed to spawn thread"];
    if memory.iter().any(|sign| words.contains(sign)) {
        return Death::Memory(format!("the run needed more memory than it may have{told}"));
    }
    #[cfg(unix)]
    if std::os::unix::process::ExitStatusExt::signal(&status) == Some(9) {
        return Death::Memory(
            "the process of the run was killed, as the system does when memory is short".into(),
        );
    }
    Death::Other(format!("the process of the run ended with {status}{told}"))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::{
        fuzz::{Taste, draw},
        scenario::values::Seed,
    };

    fn hand(script: &str) -> Hand {
        Hand::new(Setup { program: "/bin/sh".into(), args: vec!["-c".into(), script.into()] })
    }

    fn question() -> Ask {
        Ask::Try(Box::new(draw(1, Taste::default())), Seed(1), false)
    }

    fn ask(script: &str) -> Reply {
        hand(script).ask(&question(), Duration::from_millis(1_500), &|| true)
    }

    #[test]
    fn an_answer_is_handed_on_and_the_process_asked_again() {
        let mut hand = hand(r#"while read line; do echo "{\"refused\":\"$$\"}"; done"#);
        let mut asked = || match hand.ask(&question(), Duration::from_secs(20), &|| true) {
            Reply::Answer(Answer::Refused(process)) => process,
            reply => panic!("{reply:?}"),
        };
        assert_eq!(asked(), asked());
    }

    #[test]
    fn a_process_that_does_not_come_back_is_ended() {
        let began = Instant::now();
        let reply = ask("exec sleep 30");
        assert!(matches!(reply, Reply::TooLong), "{reply:?}");
        assert!(began.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn nobody_waits_once_it_is_interrupted() {
        let reply = hand("exec sleep 30").ask(&question(), Duration::from_secs(60), &|| false);
        assert!(matches!(reply, Reply::Interrupted), "{reply:?}");
    }

    #[test]
    fn a_death_has_its_reason() {
        let died = |script: &str| match ask(script) {
            Reply::Died(death) => death,
            reply => panic!("{script}: {reply:?}"),
        };
        let memory = died("read line; echo 'memory allocation of 8 bytes failed' >&2; kill -ABRT $$");
        assert!(matches!(&memory, Death::Memory(why) if why.contains("allocation of 8 bytes")), "{memory:?}");
        let killed = died("read line; kill -KILL $$");
        assert!(matches!(killed, Death::Memory(_)), "{killed:?}");
        let other = died("read line; echo 'thread has overflowed its stack' >&2; exit 7");
        assert!(matches!(&other, Death::Other(why) if why.contains("overflowed")), "{other:?}");
    }

    #[test]
    fn nonsense_is_told() {
        assert!(matches!(ask("read line; echo hello; sleep 5"), Reply::Broken(_)));
        let nobody = Setup { program: "/no/such/program".into(), args: Vec::new() };
        let reply = Hand::new(nobody).ask(&question(), Duration::from_secs(1), &|| true);
        assert!(matches!(&reply, Reply::Broken(why) if why.contains("/no/such/program")), "{reply:?}");
    }
}
