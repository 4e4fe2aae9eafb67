//! Does what was once found still pass? It is run before anything is drawn.

use std::{path::PathBuf, sync::Mutex};

use super::{desk::Desk, known::FOLDERS, wire::Side};
use crate::{
    cli::{Exit, Output, input},
    report::{Verdict, campaign::Regression},
    scenario::{Scenario, values::Seed},
};

/// A scenario that once failed.
pub struct Once {
    file: PathBuf,
    scenario: Scenario,
}

/// Those of the folders that stand here, every `of`th from the `nth`. Refuses a file that is no scenario.
pub fn all(nth: u64, of: u64, output: &mut Output) -> Result<Vec<Once>, Exit> {
    let folders: Vec<PathBuf> = FOLDERS.iter().map(PathBuf::from).filter(|folder| folder.is_dir()).collect();
    let mut files = Vec::new();
    for folder in folders {
        // A folder with a list of known kinds and nothing else is no mistake.
        files.extend(input::scenarios(&[folder]).unwrap_or_default());
    }
    let mine = files.into_iter().enumerate().filter(|(index, _)| *index as u64 % of == nth - 1);
    mine.map(|(_, file)| Ok(Once { scenario: input::load(&file, &[], output)?.scenario, file })).collect()
}

/// Runs them, several at a time.
pub fn run(desk: &Desk<'_>, all: Vec<Once>) -> Vec<Regression> {
    let waiting = Mutex::new(all.into_iter());
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..desk.campaign.jobs.max(1) {
            scope.spawn(|| {
                let mut hand = desk.hand();
                while (desk.waits)() {
                    let next = waiting.lock().map(|mut all| all.next());
                    let Ok(Some(once)) = next else { return };
                    let seed = once.scenario.seed.unwrap_or(Seed(1));
                    let judged = desk.judge(&mut hand, &once.scenario, seed, Side::Direct);
                    if !(desk.waits)() {
                        return;
                    }
                    let (verdict, because) = match judged {
                        Ok((summary, _)) => {
                            let headline = summary.violations.first().map(|broken| broken.headline.clone());
                            (summary.verdict, summary.because.or(headline))
                        }
                        Err(why) => (Verdict::Fail, Some(why)),
                    };
                    let because = because.filter(|_| verdict != Verdict::Pass);
                    let file = once.file.display().to_string();
                    let it = Regression { name: once.scenario.name, file, verdict, because };
                    if let Ok(mut done) = done.lock() {
                        done.push(it);
                    }
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_default();
    done.sort_by(|one: &Regression, other| one.file.cmp(&other.file));
    done
}
