use super::*;

fn conv(size: i64, stride: i64) -> Window {
    Window::Gather { size, stride, dilation: 1, before: size / 2 }
}

const POOL: Window = Window::Gather { size: 2, stride: 2, dilation: 1, before: 0 };
const DOUBLE: Window = Window::Enlarge { factor: 2 };

/// A chain of layers, the same down and across.
fn chain(windows: &[Window]) -> Vec<WindowLayer> {
    windows
        .iter()
        .enumerate()
        .map(|(index, &window)| WindowLayer { inputs: vec![index], windows: [window; 2] })
        .collect()
}

fn of(windows: &[Window]) -> Option<(u32, u32)> {
    FieldOfView::of(&chain(windows)).map(|view| (view.radius, view.multiple))
}

#[test]
fn fields_counted_by_hand() {
    assert_eq!(of(&[Window::Point]), Some((0, 1)));
    assert_eq!(of(&[conv(3, 1), conv(3, 1), conv(5, 1)]), Some((4, 1)));
    assert_eq!(of(&[Window::Gather { size: 3, stride: 1, dilation: 4, before: 4 }]), Some((4, 1)));
    // The left pixel of a pair looks one to the right, the right one one to the left.
    assert_eq!(of(&[POOL, DOUBLE]), Some((1, 2)));
    // A pair, one pair more on each side: 0 looks at -2..=3, 1 at -2..=3.
    assert_eq!(of(&[POOL, conv(3, 1), DOUBLE]), Some((3, 2)));
    // Window 2 i - 1 to 2 i + 1.
    assert_eq!(of(&[conv(3, 2), DOUBLE]), Some((2, 2)));
    // Pixel 0 is between the halves -1 and 0, 1 between 0 and 1.
    assert_eq!(of(&[POOL, Window::Interpolate { factor: 2 }]), Some((3, 2)));
    // Two pixels for each: the one at half the place alone.
    let up = Window::Scatter { size: 2, stride: 2, dilation: 1, before: 0 };
    assert_eq!(of(&[POOL, up]), Some((1, 2)));
    // Size 4 with padding 1: 0 from -1 and 0, 1 from 0 and 1.
    let up = Window::Scatter { size: 4, stride: 2, dilation: 1, before: 1 };
    assert_eq!(of(&[POOL, up]), Some((2, 2)));
}

#[test]
fn the_longest_way_counts_and_both_axes() {
    let mut layers = chain(&[conv(3, 1), POOL, conv(3, 1), DOUBLE]);
    layers.push(WindowLayer { inputs: vec![1, 4], windows: [Window::Point; 2] });
    assert_eq!(FieldOfView::of(&layers), Some(FieldOfView { radius: 4, multiple: 2 }));
    layers.push(WindowLayer { inputs: vec![5], windows: [Window::Point, conv(9, 1)] });
    assert_eq!(FieldOfView::of(&layers), Some(FieldOfView { radius: 8, multiple: 2 }));
}

#[test]
fn what_is_no_network_of_the_images_size_has_none() {
    assert_eq!(of(&[]), None);
    assert_eq!(of(&[POOL]), None);
    assert_eq!(of(&[Window::Gather { size: i64::MAX, stride: 1, dilation: i64::MAX, before: 0 }]), None);
    assert_eq!(of(&[Window::Enlarge { factor: 0 }]), None);
    let halves = [vec![POOL; 40], vec![DOUBLE; 40]].concat();
    assert_eq!(of(&halves), None);
    let mut layers = chain(&[POOL]);
    layers.push(WindowLayer { inputs: vec![0, 1], windows: [Window::Point; 2] });
    assert_eq!(FieldOfView::of(&layers), None);
}

#[test]
fn a_note_says_whether_borders_show() {
    let note = |tiles: &str, view| {
        let preprocess = Preprocess { width: 64, height: 64, ..Preprocess::CLASSIC };
        let tiles = tiles.parse().unwrap();
        TilesNote { tiles, preprocess, field_of_view: view }.to_string()
    };
    let view = FieldOfView { radius: 11, multiple: 4 };
    assert_eq!(view.overlap(), 24);
    let view = Some(view);
    let expected = "tiles: images larger than 64x64 pixels are cut, overlap 24; the receptive field is 11 pixels each way, so no seam shows";
    assert_eq!(note("64,24", view), expected);
    assert!(note("64,22", view).ends_with("so seams may show (none with an overlap of 24)"));
    // Tiles would begin between the places of the pooling windows.
    assert!(note("64,26", view).ends_with("so seams may show (none with an overlap of 24)"));
    let wide = Some(FieldOfView { radius: 32, multiple: 4 });
    assert!(note("64,62", wide).ends_with("more than tiles of this size can overlap, so seams may show"));
    assert!(note("64", None).contains("unknown"));
    assert!(note("128", view).contains("fitted to the model's input of 64x64"));
}
