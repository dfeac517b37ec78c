use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use super::*;
use crate::clock::tests::ManualClock;

const MS: fn(u64) -> Duration = Duration::from_millis;
const STALL: Duration = Duration::from_secs(1);

/// What a source does, step by step; afterwards it gives nothing.
#[derive(Debug, Clone, Copy)]
enum Step {
    Frame(u64),
    Nothing,
    End,
    Error(Kind),
}

struct Script(VecDeque<Step>);

fn error(kind: Kind, problem: &str) -> SourceError {
    SourceError::new("camera", kind, problem, None)
}

impl FrameSource for Script {
    fn describe(&self) -> String {
        "a camera".to_owned()
    }

    fn next_frame(&mut self, slot: &mut FrameSlot, _patience: Duration) -> Result<Arrival, SourceError> {
        match self.0.pop_front().unwrap_or(Step::Nothing) {
            Step::Frame(sequence) => {
                slot.sequence = sequence;
                Ok(Arrival::Frame)
            }
            Step::Nothing => Ok(Arrival::Nothing),
            Step::End => Ok(Arrival::End),
            Step::Error(kind) => Err(error(kind, "broken")),
        }
    }
}

/// Opens what stands in the list, one after the other; `Err` is the kind of a failure.
fn reopening(openings: Vec<Result<Vec<Step>, Kind>>) -> (Reopening<ManualClock>, Arc<Mutex<Vec<String>>>) {
    let said = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&said);
    let mut openings = openings.into_iter();
    let source = Reopening::with(
        "camera",
        move || match openings.next() {
            Some(Ok(steps)) => Ok(Box::new(Script(steps.into())) as Box<dyn FrameSource>),
            Some(Err(kind)) => Err(error(kind, "is away")),
            None => Err(error(Kind::Fatal, "the test is over")),
        },
        Some(STALL),
        move |change| {
            heard.lock().unwrap().push(match change {
                Change::Lost(error) => error.to_string(),
                Change::Back { description, away, attempts } => format!("{description} {away:?} {attempts}"),
            });
        },
        ManualClock::default(),
    );
    (source, said)
}

#[test]
fn pauses_grow_to_two_seconds_and_each_change_is_told_once() {
    let mut openings = vec![Ok(vec![Step::Frame(0), Step::Error(Kind::Retry)])];
    openings.extend([const { Err(Kind::Retry) }; 7]);
    openings.push(Ok(vec![Step::Frame(0)]));
    let (mut source, said) = reopening(openings);
    let mut slot = FrameSlot::default();
    assert_eq!(source.next_frame(&mut slot, MS(50)).unwrap(), Arrival::Frame);
    assert_eq!(source.next_frame(&mut slot, MS(50)).unwrap(), Arrival::Nothing);
    assert!(source.is_lost());
    let mut frame_at = None;
    for _ in 0..200 {
        if source.next_frame(&mut slot, MS(50)).unwrap() == Arrival::Frame {
            frame_at = Some(source.clock.now());
            break;
        }
    }
    // 100 + 200 + 400 + 800 + 1600 + 2000 + 2000 + 2000.
    assert_eq!(frame_at, Some(MS(9100)));
    assert_eq!(*said.lock().unwrap(), ["camera: broken", "a camera 9.1s 8"]);
    assert!(!source.is_lost());
}

#[test]
fn one_that_is_away_at_the_start_is_waited_for() {
    let (mut source, said) = reopening(vec![Err(Kind::Retry), Ok(vec![Step::Frame(3)])]);
    let mut slot = FrameSlot::default();
    assert_eq!(source.next_frame(&mut slot, MS(500)).unwrap(), Arrival::Nothing);
    assert_eq!(source.next_frame(&mut slot, MS(500)).unwrap(), Arrival::Frame);
    assert_eq!(slot.sequence, 3);
    assert_eq!(*said.lock().unwrap(), ["camera: is away", "a camera 100ms 1"]);
}

#[test]
fn one_that_opens_but_gives_no_frame_is_not_back() {
    let dead = || Ok(vec![Step::Error(Kind::Retry)]);
    let (mut source, said) = reopening(vec![dead(), dead(), dead(), Ok(vec![Step::Nothing, Step::Frame(0)])]);
    let mut slot = FrameSlot::default();
    let mut calls = 0;
    while source.next_frame(&mut slot, MS(1000)).unwrap() != Arrival::Frame {
        calls += 1;
    }
    // Three losses, the pauses within the calls after them, and the one call without a frame.
    assert_eq!((calls, source.clock.now()), (4, MS(700)));
    assert_eq!(*said.lock().unwrap(), ["camera: broken", "a camera 700ms 3"]);
}

#[test]
fn sequence_numbers_grow_over_all_openings() {
    let broken = Step::Error(Kind::Retry);
    let first = vec![Step::Frame(0), Step::Frame(2), broken];
    let (mut source, _) =
        reopening(vec![Ok(first), Ok(vec![Step::Frame(0), Step::Frame(1), broken]), Ok(vec![Step::Frame(9)])]);
    let mut slot = FrameSlot::default();
    let mut numbers = Vec::new();
    while numbers.len() < 5 {
        if source.next_frame(&mut slot, MS(1000)).unwrap() == Arrival::Frame {
            numbers.push(slot.sequence);
        }
    }
    // The last source counts ahead of where the ones before ended.
    assert_eq!(numbers, [0, 2, 3, 4, 9]);
}

#[test]
fn silence_and_broken_frames_are_a_stall() {
    for step in [Step::Nothing, Step::Error(Kind::SkipFrame)] {
        let (mut source, said) =
            reopening(vec![Ok([vec![Step::Frame(0)], vec![step; 100]].concat()), Ok(vec![Step::Frame(0)])]);
        let mut slot = FrameSlot::default();
        assert_eq!(source.next_frame(&mut slot, MS(100)).unwrap(), Arrival::Frame);
        let mut waited = 0;
        while !source.is_lost() {
            source.clock.advance(MS(100));
            let _ = source.next_frame(&mut slot, MS(100));
            waited += 1;
        }
        assert_eq!(waited, 10);
        assert_eq!(source.next_frame(&mut slot, MS(100)).unwrap(), Arrival::Frame);
        assert_eq!(*said.lock().unwrap(), ["camera: expected a frame within 1 s, found none", "a camera 100ms 1"]);
    }
}

#[test]
fn the_end_and_what_is_fatal_reach_the_caller() {
    let (mut source, said) =
        reopening(vec![Ok(vec![Step::End, Step::Error(Kind::Fatal), Step::Error(Kind::SkipFrame)])]);
    let mut slot = FrameSlot::default();
    assert_eq!(source.next_frame(&mut slot, MS(1)).unwrap(), Arrival::End);
    assert_eq!(source.next_frame(&mut slot, MS(1)).unwrap_err().kind(), Kind::Fatal);
    assert_eq!(source.next_frame(&mut slot, MS(1)).unwrap_err().kind(), Kind::SkipFrame);
    assert!(said.lock().unwrap().is_empty());
    let (mut source, _) = reopening(vec![Err(Kind::Fatal)]);
    assert_eq!(source.next_frame(&mut slot, MS(1)).unwrap_err().kind(), Kind::Fatal);
}

#[test]
fn one_that_was_open_already_is_gone_on_with() {
    let (source, _) = reopening(vec![]);
    let mut source = source.with_open(Box::new(Script([Step::Frame(5)].into())));
    let mut slot = FrameSlot::default();
    assert_eq!(source.next_frame(&mut slot, MS(1)).unwrap(), Arrival::Frame);
    assert_eq!((slot.sequence, source.describe().as_str()), (5, "a camera"));
}
