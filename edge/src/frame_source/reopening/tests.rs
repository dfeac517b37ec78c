use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use super::*;
use crate::clock::tests::ManualClock;

const MS: fn(u64) -> Duration = Duration::from_millis;
const STALL: Duration = Duration::from_secs(1);

/// What a source does, step by step; afterwards it delivers nothing.
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

/// Opens the sources in a list, one after the other; `Err` is the kind of a failure.
fn reopening(openings: Vec<Result<Vec<Step>, Kind>>) -> (Reopening<ManualClock>, Arc<Mutex<Vec<String>>>) {
    with_policy(Reopen::AfterError, openings)
}

fn with_policy(
    reopen: Reopen,
    openings: Vec<Result<Vec<Step>, Kind>>,
) -> (Reopening<ManualClock>, Arc<Mutex<Vec<String>>>) {
    let reports = Arc::new(Mutex::new(Vec::new()));
    let collected = Arc::clone(&reports);
    let mut openings = openings.into_iter();
    let source = Reopening::with(
        "camera",
        reopen,
        move || match openings.next() {
            Some(Ok(steps)) => Ok(Box::new(Script(steps.into())) as Box<dyn FrameSource>),
            Some(Err(kind)) => Err(error(kind, "is unplugged")),
            None => Err(error(Kind::Fatal, "end of the test")),
        },
        Some(STALL),
        move |change| {
            collected.lock().unwrap().push(match change {
                Change::Lost(error) => error.to_string(),
                Change::Back { description, away, attempts } => format!("{description} {away:?} {attempts}"),
            });
        },
        ManualClock::default(),
    );
    (source, reports)
}

#[test]
fn pauses_grow_to_two_seconds_and_each_change_is_reported_once() {
    let mut openings = vec![Ok(vec![Step::Frame(0), Step::Error(Kind::Retry)])];
    openings.extend([const { Err(Kind::Retry) }; 7]);
    openings.push(Ok(vec![Step::Frame(0)]));
    let (mut source, reports) = reopening(openings);
    let mut slot = FrameSlot::default();
    assert_eq!(source.next_frame(&mut slot, MS(50)).unwrap(), Arrival::Frame);
    assert_eq!(source.next_frame(&mut slot, MS(50)).unwrap(), Arrival::Nothing);
    assert!(source.lost.is_some());
    let mut frame_at = None;
    for _ in 0..200 {
        if source.next_frame(&mut slot, MS(50)).unwrap() == Arrival::Frame {
            frame_at = Some(source.clock.now());
            break;
        }
    }
    // 100 + 200 + 400 + 800 + 1600 + 2000 + 2000 + 2000.
    assert_eq!(frame_at, Some(MS(9100)));
    assert_eq!(*reports.lock().unwrap(), ["camera: broken", "a camera 9.1s 8"]);
    assert!(source.lost.is_none());
}

#[test]
fn a_source_may_be_absent_at_the_start() {
    let (mut source, reports) = reopening(vec![Err(Kind::Retry), Ok(vec![Step::Frame(3)])]);
    let mut slot = FrameSlot::default();
    assert_eq!(source.next_frame(&mut slot, MS(500)).unwrap(), Arrival::Nothing);
    assert_eq!(source.next_frame(&mut slot, MS(500)).unwrap(), Arrival::Frame);
    assert_eq!(slot.sequence, 3);
    assert_eq!(*reports.lock().unwrap(), ["camera: is unplugged", "a camera 100ms 1"]);
}

#[test]
fn a_source_that_was_waited_for_from_the_start_was_not_lost() {
    let (source, reports) = reopening(vec![Err(Kind::Retry), Ok(vec![Step::Frame(3)])]);
    let (mut source, mut slot) = (source.waiting(), FrameSlot::default());
    while source.next_frame(&mut slot, MS(500)).unwrap() != Arrival::Frame {}
    assert_eq!(*reports.lock().unwrap(), ["a camera 300ms 2"]);
}

#[test]
fn a_source_without_frames_is_not_back() {
    let dead = || Ok(vec![Step::Error(Kind::Retry)]);
    let (mut source, reports) = reopening(vec![dead(), dead(), dead(), Ok(vec![Step::Nothing, Step::Frame(0)])]);
    let mut slot = FrameSlot::default();
    let mut calls = 0;
    while source.next_frame(&mut slot, MS(1000)).unwrap() != Arrival::Frame {
        calls += 1;
    }
    // Three losses, the pauses within the calls after them, and the one call without a frame.
    assert_eq!((calls, source.clock.now()), (4, MS(700)));
    assert_eq!(*reports.lock().unwrap(), ["camera: broken", "a camera 700ms 3"]);
}

#[test]
fn frame_numbers_increase_over_all_openings() {
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
    // The last source starts with a higher number than the ones before ended with.
    assert_eq!(numbers, [0, 2, 3, 4, 9]);
}

#[test]
fn silence_and_broken_frames_are_stalls() {
    for step in [Step::Nothing, Step::Error(Kind::SkipFrame)] {
        let (mut source, reports) =
            reopening(vec![Ok([vec![Step::Frame(0)], vec![step; 100]].concat()), Ok(vec![Step::Frame(0)])]);
        let mut slot = FrameSlot::default();
        assert_eq!(source.next_frame(&mut slot, MS(100)).unwrap(), Arrival::Frame);
        let mut waited = 0;
        while source.lost.is_none() {
            source.clock.advance(MS(100));
            let _ = source.next_frame(&mut slot, MS(100));
            waited += 1;
        }
        assert_eq!(waited, 10);
        assert_eq!(source.next_frame(&mut slot, MS(100)).unwrap(), Arrival::Frame);
        assert_eq!(*reports.lock().unwrap(), ["camera: expected a frame within 1 s, found none", "a camera 100ms 1"]);
    }
}

#[test]
fn the_end_and_fatal_errors_reach_the_caller() {
    let (mut source, reports) =
        reopening(vec![Ok(vec![Step::End, Step::Error(Kind::Fatal), Step::Error(Kind::SkipFrame)])]);
    let mut slot = FrameSlot::default();
    assert_eq!(source.next_frame(&mut slot, MS(1)).unwrap(), Arrival::End);
    assert_eq!(source.next_frame(&mut slot, MS(1)).unwrap_err().kind(), Kind::Fatal);
    assert_eq!(source.next_frame(&mut slot, MS(1)).unwrap_err().kind(), Kind::SkipFrame);
    assert!(reports.lock().unwrap().is_empty());
    let (mut source, _) = reopening(vec![Err(Kind::Fatal)]);
    assert_eq!(source.next_frame(&mut slot, MS(1)).unwrap_err().kind(), Kind::Fatal);
}

#[test]
fn a_source_without_a_regular_end_is_reopened_at_it() {
    let openings = vec![Ok(vec![Step::Frame(0), Step::End]), Ok(vec![Step::Frame(0)])];
    let (mut source, reports) = with_policy(Reopen::AfterErrorOrEnd, openings);
    let mut slot = FrameSlot::default();
    let arrivals = [1000, 1000, 1000].map(|patience| source.next_frame(&mut slot, MS(patience)).unwrap());
    assert_eq!(arrivals, [Arrival::Frame, Arrival::Nothing, Arrival::Frame]);
    assert_eq!(*reports.lock().unwrap(), ["camera: expected another frame, found the end", "a camera 100ms 1"]);
}

#[test]
fn an_open_source_is_used() {
    let (source, _) = reopening(vec![]);
    let mut source = source.with_open(Box::new(Script([Step::Frame(5)].into())));
    let mut slot = FrameSlot::default();
    assert_eq!(source.next_frame(&mut slot, MS(1)).unwrap(), Arrival::Frame);
    assert_eq!((slot.sequence, source.describe().as_str()), (5, "a camera"));
}
