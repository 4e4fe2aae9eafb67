//! `trial museum page`: what is `MUSEUM.md`?

use std::path::PathBuf;

use clap::Args;

use crate::{
    cli::{Exit, Output},
    museum::{page::page, results},
};

#[derive(Args)]
pub struct Page {
    /// What `trial museum bench --save` has written; without such a file the page has no figures.
    #[arg(long, value_name = "FILE", default_value = "museum/results.json")]
    results: PathBuf,
}

pub fn main(it: &Page, output: &mut Output) -> Exit {
    match results::read(&it.results) {
        Ok(results) => {
            output.say(&page(&results));
            Exit::Ok
        }
        Err(why) => output.fail(Exit::Usage, &why),
    }
}
