//! A choice among a few things, each of them with its number.

use super::text::shown;
use super::ui::Ui;
use inquire::ui::RenderConfig;
use inquire::{InquireError, Select};
use std::cmp::Reverse;
use std::fmt::Write as _;

/// Most lines of choices that are on the screen at once.
const LINES: usize = 12;

/// What came of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// This one was taken, counted from 0.
    Taken(usize),
    /// None: the question was left.
    Left,
    /// A signal came instead.
    Interrupted,
}

impl Ui {
    /// Asks a person on the terminal to take one of `options`, with the arrow keys or by its number.
    /// Signals have to be held back meanwhile, so that the terminal is left as it was.
    pub fn choose(
        &self,
        question: &str,
        options: &[String],
        interrupted: &dyn Fn() -> bool,
    ) -> Choice {
        let numbered = options.iter().zip(1..).map(|(option, number): (_, usize)| {
            let option = shown(&self.gate().last(option));
            format!("{number}  {option}")
        });
        let numbered: Vec<String> = numbered.collect();
        let question = &shown(&self.gate().last(question));
        if moves_the_cursor() {
            self.pick(question, numbered, interrupted)
        } else {
            self.read_number(question, &numbered, interrupted)
        }
    }

    fn pick(&self, question: &str, options: Vec<String>, interrupted: &dyn Fn() -> bool) -> Choice {
        let by_number = |typed: &str, _: &String, _: &str, at: usize| {
            let number = at.saturating_add(1).to_string();
            let typed = typed.trim();
            number
                .starts_with(typed)
                .then(|| i64::from(number == typed))
        };
        let style = match self.color {
            anstream::ColorChoice::Never => RenderConfig::empty(),
            _ => RenderConfig::default(),
        };
        let lines = options.len().min(LINES);
        let asked = self.beside_the_bar(|| {
            Select::new(question, options)
                .with_render_config(style)
                .with_page_size(lines)
                .with_scorer(&by_number)
                .with_sorter(&|found| found.sort_by_key(|(_, score)| Reverse(*score)))
                .with_help_message(
                    "a number or the arrow keys, then Enter; Esc goes back, Ctrl-C ends",
                )
                .raw_prompt()
        });
        match asked {
            Ok(taken) => Choice::Taken(taken.index),
            Err(InquireError::OperationCanceled) if !interrupted() => Choice::Left,
            // With a lost terminal there is nobody to go on with.
            Err(_) => {
                self.talk_as_is("");
                Choice::Interrupted
            }
        }
    }

    fn read_number(
        &self,
        question: &str,
        options: &[String],
        interrupted: &dyn Fn() -> bool,
    ) -> Choice {
        let mut text = format!("{question}\n");
        for option in options {
            let _ = writeln!(text, "  {option}");
        }
        text.push_str("Number, or only Enter to go back: ");
        loop {
            let Some(answer) = self.answer(&text, interrupted) else {
                return Choice::Interrupted;
            };
            let answer = answer.trim();
            if answer.is_empty() {
                return Choice::Left;
            }
            match answer.parse::<usize>() {
                Ok(number) if (1..=options.len()).contains(&number) => {
                    return Choice::Taken(number - 1);
                }
                _ => text = format!("A number from 1 to {}: ", options.len()),
            }
        }
    }
}

/// Whether a list can be drawn again in its place.
fn moves_the_cursor() -> bool {
    let kind = std::env::var_os("TERM").unwrap_or_default();
    !kind.is_empty() && kind != "dumb"
}
