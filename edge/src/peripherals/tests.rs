use std::io::ErrorKind;
use std::time::Duration;

use embedded_hal_mock::eh1::MockError;
use embedded_hal_mock::eh1::delay::NoopDelay;
use embedded_hal_mock::eh1::digital::{Mock, State, Transaction};

use super::*;
use crate::rules::Change;

const HIGH: State = State::High;
const LOW: State = State::Low;

fn sets(states: &[State]) -> Mock {
    let transactions: Vec<_> = states.iter().map(|&state| Transaction::set(state)).collect();
    Mock::new(&transactions)
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[test]
fn a_pin_is_written_on_changes_and_left_safe() {
    let mut mock = sets(&[HIGH, LOW, HIGH, LOW]);
    let mut pin = SafePin::new(mock.clone(), SafeState::Inactive);
    for active in [true, true, false, true] {
        pin.set(active).unwrap();
    }
    drop(pin);
    mock.done();
}

#[test]
fn a_safe_pin_is_not_written_again() {
    let mut mock = sets(&[HIGH, LOW]);
    let mut pin = SafePin::new(mock.clone(), SafeState::Inactive);
    pin.set(true).unwrap();
    pin.make_safe().unwrap();
    drop(pin);
    mock.done();
}

#[test]
fn safe_states_also_apply_after_a_panic() {
    for (safe, states) in
        [(SafeState::Inactive, vec![HIGH, LOW]), (SafeState::Active, vec![HIGH]), (SafeState::Keep, vec![HIGH])]
    {
        let mut mock = sets(&states);
        let mut pin = SafePin::new(mock.clone(), safe);
        let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            pin.set(true).unwrap();
            std::panic::resume_unwind(Box::new("a bug"));
        }));
        assert_eq!(unwound.unwrap_err().downcast_ref(), Some(&"a bug"));
        mock.done();
    }
    // A pin that was never written is made safe, too.
    let mut mock = sets(&[HIGH]);
    drop(SafePin::new(mock.clone(), SafeState::Active));
    mock.done();
}

#[test]
fn a_failed_write_is_retried() {
    let failure = MockError::Io(ErrorKind::BrokenPipe);
    let mut mock = Mock::new(&[
        Transaction::set(HIGH).with_error(failure.clone()),
        Transaction::set(HIGH),
        Transaction::set(LOW).with_error(failure.clone()),
        Transaction::set(LOW),
    ]);
    let mut pin = SafePin::new(mock.clone(), SafeState::Inactive);
    assert_eq!(pin.set(true), Err(failure.clone()));
    pin.set(true).unwrap();
    assert_eq!(pin.make_safe(), Err(failure));
    drop(pin);
    mock.done();
}

#[test]
fn the_led_shows_patterns() {
    let mut mock = sets(&[HIGH, LOW, HIGH, LOW, HIGH, LOW, HIGH, LOW]);
    let mut led = StatusLed::new(mock.clone(), SafeState::Inactive);
    for at in [0, 400, 500, 900] {
        led.update(Pattern::Starting, ms(at)).unwrap();
    }
    // On until 1.8 s of 2 s.
    for at in [1000, 1700, 1850, 2000] {
        led.update(Pattern::Running, ms(at)).unwrap();
    }
    // Flashes at 2.0 and 2.3 s.
    for at in [2100, 2200, 2350, 2500, 3900] {
        led.update(Pattern::NoCamera, ms(at)).unwrap();
    }
    led.make_safe().unwrap();
    drop(led);
    mock.done();
    let lit = |pattern: Pattern| (0..2000).filter(|&at| pattern.is_lit(ms(at))).count();
    let patterns = [Pattern::Starting, Pattern::Running, Pattern::NoCamera, Pattern::Fault];
    assert_eq!(patterns.map(lit), [1000, 1800, 300, 1000]);
}

#[test]
fn outputs_follow_their_rules() {
    let [mut first, mut third] = [sets(&[LOW, HIGH, LOW]), sets(&[LOW, HIGH])];
    let pins = [Some((first.clone(), SafeState::Inactive)), None, Some((third.clone(), SafeState::Active))];
    let mut outputs = RuleOutputs::new(pins);
    outputs.begin().unwrap();
    let change = |rule, active| Change { rule, active, value: 1.0 };
    // The second rule has no pin, and there is no fourth.
    outputs.apply(&[change(0, true), change(1, true), change(3, true)]).unwrap();
    outputs.make_safe().unwrap();
    drop(outputs);
    first.done();
    third.done();
}

#[test]
fn a_failing_pin_does_not_affect_the_others() {
    let failure = MockError::Io(ErrorKind::BrokenPipe);
    let mut first = Mock::new(&[Transaction::set(LOW).with_error(failure.clone()), Transaction::set(LOW)]);
    let mut second = sets(&[LOW]);
    let pins = [&first, &second].map(|pin| Some((pin.clone(), SafeState::Inactive)));
    let mut outputs = RuleOutputs::new(pins);
    assert_eq!(outputs.begin(), Err(failure));
    drop(outputs);
    first.done();
    second.done();
}

#[test]
fn a_trigger_fires_at_rising_edges_only() {
    let states = [HIGH, LOW, HIGH, HIGH, LOW, HIGH];
    let mut mock = Mock::new(&states.map(Transaction::get));
    let mut trigger = PolledTrigger::new(mock.clone(), NoopDelay, ms(1), 1);
    // High from the start is not an edge; the third and sixth samples are.
    assert_eq!(trigger.wait(ms(10)), Ok(true));
    assert_eq!(trigger.wait(ms(1)), Ok(false));
    assert_eq!(trigger.wait(ms(0)), Ok(true));
    mock.done();
}

#[test]
fn bouncing_is_filtered() {
    let mut filter = EdgeFilter::new(2);
    let samples = [false, true, false, true, true, true, false, true, false, false, true, true];
    let edges: Vec<_> = (0..samples.len()).filter(|&at| filter.sample(samples[at])).collect();
    assert_eq!(edges, [4, 11]);
}

#[test]
fn an_unreadable_input_is_an_error() {
    let failure = MockError::Io(ErrorKind::NotConnected);
    let mut mock = Mock::new(&[Transaction::get(LOW).with_error(failure.clone())]);
    let mut trigger = PolledTrigger::new(mock.clone(), NoopDelay, ms(1), 1);
    assert_eq!(trigger.wait(ms(5)), Err(failure));
    mock.done();
}
