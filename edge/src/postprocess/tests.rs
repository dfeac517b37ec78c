use proptest::prelude::*;
use unet_shared::mask::IGNORE_INDEX;

use super::*;

fn whole(width: u32, height: u32) -> Placement {
    Placement { x: 0, y: 0, width, height }
}

/// A mask from one digit per pixel; `.` is ignored.
fn mask(rows: &[&str]) -> (Vec<u8>, u32, u32) {
    let pixels = rows.iter().flat_map(|row| row.bytes());
    let ids = pixels.map(|pixel| if pixel == b'.' { IGNORE_INDEX } else { pixel - b'0' }).collect();
    (ids, rows[0].len() as u32, rows.len() as u32)
}

fn spec(connectivity: Connectivity) -> RegionsSpec {
    RegionsSpec { connectivity, without: vec![0], ..RegionsSpec::default() }
}

/// Class, area and box of the listed regions.
fn listed(rows: &[&str], spec: &RegionsSpec) -> Vec<(u8, u32, [u32; 4])> {
    let (ids, width, height) = mask(rows);
    let mut postprocess = Postprocess::new(width, height, spec);
    let (_, regions) = postprocess.run(&ids, whole(width, height)).unwrap();
    regions.listed().iter().map(|r| (r.class, r.area, [r.x, r.y, r.width, r.height])).collect()
}

#[test]
fn shares_exclude_ignored_pixels() {
    let (ids, width, height) = mask(&["0012", "0.12"]);
    let mut postprocess = Postprocess::new(width, height, &RegionsSpec::default());
    let (shares, _) = postprocess.run(&ids, whole(width, height)).unwrap();
    assert_eq!([0, 1, 2, 3, IGNORE_INDEX].map(|class| shares.count_of(class)), [3, 2, 2, 0, 0]);
    assert_eq!((shares.pixels(), shares.percent(0), shares.percent(3)), (7, 300.0 / 7.0, 0.0));
    let (shares, regions) = postprocess.run(&[IGNORE_INDEX; 8], whole(width, height)).unwrap();
    assert_eq!((shares.pixels(), shares.percent(0), regions.count()), (0, 0.0, 0));
}

#[test]
fn corners_join_with_eight_neighbours_only() {
    let rows = ["1001", "0110", "0001"];
    assert_eq!(listed(&rows, &spec(Connectivity::Eight)), [(1, 5, [0, 0, 4, 3])]);
    let four = [(1, 2, [1, 1, 2, 1]), (1, 1, [0, 0, 1, 1]), (1, 1, [3, 0, 1, 1]), (1, 1, [3, 2, 1, 1])];
    assert_eq!(listed(&rows, &spec(Connectivity::Four)), four);
}

#[test]
fn arms_that_meet_late_are_one_region() {
    let rows = ["10101", "10101", "11111", "00000", "20002"];
    let expected = [(1, 11, [0, 0, 5, 3]), (2, 1, [0, 4, 1, 1]), (2, 1, [4, 4, 1, 1])];
    assert_eq!(listed(&rows, &spec(Connectivity::Four)), expected);
}

#[test]
fn the_largest_are_listed_and_all_are_counted() {
    let (ids, width, height) = mask(&["1011022", "0000000", "1110110"]);
    let mut postprocess = Postprocess::new(width, height, &RegionsSpec { regions_max: 2, ..spec(Connectivity::Four) });
    let (_, regions) = postprocess.run(&ids, whole(width, height)).unwrap();
    let areas: Vec<_> = regions.listed().iter().map(|region| (region.area, region.x)).collect();
    // Of three with two pixels the first in reading order.
    assert_eq!(areas, [(3, 0), (2, 2)]);
    assert_eq!(regions.of_class(1), ClassRegions { count: 4, largest_area: 3 });
    assert_eq!(regions.of_class(2), ClassRegions { count: 1, largest_area: 2 });
    assert_eq!((regions.of_class(0), regions.count()), (ClassRegions::default(), 5));
    let spec = RegionsSpec { area_min: 3, ..spec(Connectivity::Four) };
    assert_eq!(listed(&["1011022", "0000000", "1110110"], &spec), [(1, 3, [0, 2, 3, 1])]);
}

#[test]
fn centroids_are_means_of_pixel_centres() {
    let (ids, width, height) = mask(&["0110", "0100"]);
    let mut postprocess = Postprocess::new(width, height, &spec(Connectivity::Four));
    let region = postprocess.run(&ids, whole(width, height)).unwrap().1.listed()[0];
    // Columns 1.5, 2.5, 1.5; rows 0.5, 0.5, 1.5.
    let Centroid { x, y } = region.centroid();
    assert!((x - 5.5 / 3.0).abs() < 1e-12 && (y - 2.5 / 3.0).abs() < 1e-12, "{x} {y}");
}

#[test]
fn padding_around_the_frame_does_not_count() {
    let (ids, width, height) = mask(&["1111", "0110", "0010", "1111"]);
    let mut postprocess = Postprocess::new(width, height, &spec(Connectivity::Four));
    // 40 x 20 pixels in a letterbox.
    let placement = Placement { x: 0, y: 1, width: 4, height: 2 };
    let (shares, regions) = postprocess.run(&ids, placement).unwrap();
    assert_eq!((shares.pixels(), shares.count_of(1)), (8, 3));
    let region = regions.listed()[0];
    assert_eq!((region.area, [region.x, region.y, region.width, region.height]), (3, [1, 1, 2, 2]));
    assert_eq!(region.frame_box(placement, 40, 20), FrameBox { x: 10, y: 0, width: 20, height: 20 });
    // Columns 1.5, 2.5, 2.5 of 4 over 40 pixels; rows 0.5, 0.5, 1.5 of 2 over 20.
    let Centroid { x, y } = region.frame_centroid(placement, 40, 20);
    assert!((x - 65.0 / 3.0).abs() < 1e-9 && (y - 25.0 / 3.0).abs() < 1e-9, "{x} {y}");
}

#[test]
fn boxes_cover_whole_pixels_of_the_frame() {
    let (ids, width, height) = mask(&["0100"]);
    let mut postprocess = Postprocess::new(width, height, &spec(Connectivity::Four));
    let region = postprocess.run(&ids, whole(4, 1)).unwrap().1.listed()[0];
    // A quarter of 10 pixels is 2.5: from 2.5 to 5.
    assert_eq!(region.frame_box(whole(4, 1), 10, 1), FrameBox { x: 2, y: 0, width: 3, height: 1 });
    // A frame smaller than the input: the pixel that the column lies in.
    assert_eq!(region.frame_box(whole(4, 1), 2, 1), FrameBox { x: 0, y: 0, width: 1, height: 1 });
}

#[test]
fn wrong_sizes_are_errors() {
    let mut postprocess = Postprocess::new(4, 2, &RegionsSpec::default());
    let error = postprocess.run(&[0; 7], whole(4, 2)).unwrap_err();
    assert_eq!(error.to_string(), "mask: expected 8 pixels, found 7");
    let found = Placement { x: 1, y: 0, width: 4, height: 2 };
    let error = postprocess.run(&[0; 8], found).unwrap_err();
    assert_eq!(error, PostprocessError::Placement { width: 4, height: 2, found });
}

/// Reference: class, area, box, and sums of columns and rows of each region, by flood fill.
fn flood(ids: &[u8], width: usize, place: Placement, connectivity: Connectivity) -> Vec<(u8, u32, [u32; 4], [u64; 2])> {
    let (left, top) = (place.x as usize, place.y as usize);
    let (right, bottom) = (left + place.width as usize, top + place.height as usize);
    let mut seen = vec![false; ids.len()];
    let mut found = Vec::new();
    for start in (top..bottom).flat_map(|y| (left..right).map(move |x| (x, y))) {
        let class = ids[start.1 * width + start.0];
        if class == 0 || class == IGNORE_INDEX || seen[start.1 * width + start.0] {
            continue;
        }
        seen[start.1 * width + start.0] = true;
        let (mut open, mut pixels) = (vec![start], Vec::new());
        while let Some((x, y)) = open.pop() {
            pixels.push((x, y));
            for (dx, dy) in (-1..=1).flat_map(|dy| (-1..=1).map(move |dx| (dx, dy))) {
                let (Some(x), Some(y)) = (x.checked_add_signed(dx), y.checked_add_signed(dy)) else { continue };
                let inside = (left..right).contains(&x) && (top..bottom).contains(&y);
                let near = connectivity == Connectivity::Eight || dx == 0 || dy == 0;
                if inside && near && ids[y * width + x] == class && !seen[y * width + x] {
                    seen[y * width + x] = true;
                    open.push((x, y));
                }
            }
        }
        let (columns, rows) = (pixels.iter().map(|p| p.0), pixels.iter().map(|p| p.1));
        let (x, y) = (columns.clone().min().unwrap(), rows.clone().min().unwrap());
        let size = [columns.clone().max().unwrap() - x + 1, rows.clone().max().unwrap() - y + 1];
        let sums = [columns.sum::<usize>() as u64, rows.sum::<usize>() as u64];
        found.push((class, pixels.len() as u32, [x, y, size[0], size[1]].map(|side| side as u32), sums));
    }
    // A stable sort: ties stay in reading order.
    found.sort_by_key(|region| std::cmp::Reverse(region.1));
    found
}

proptest! {
    #[test]
    fn regions_equal_those_of_a_flood_fill(
        (width, height) in (1usize..20, 1usize..16),
        classes in 2u8..5,
        pixels in proptest::collection::vec((any::<u8>(), any::<bool>()), 20 * 16),
        window in any::<[u8; 4]>(),
        eight in any::<bool>(),
    ) {
        // Half of the pixels repeat their left neighbour, so that there are runs.
        let mut ids = vec![0; width * height];
        for index in 0..ids.len() {
            let (value, repeat) = pixels[index];
            let id = if value == 0 { IGNORE_INDEX } else { value % classes };
            ids[index] = if repeat && index > 0 { ids[index - 1] } else { id };
        }
        let x = usize::from(window[0]) % width;
        let y = usize::from(window[1]) % height;
        let columns = usize::from(window[2]) % (width - x) + 1;
        let rows = usize::from(window[3]) % (height - y) + 1;
        let [x, y, columns, rows] = [x, y, columns, rows].map(|side| side as u32);
        let placement = Placement { x, y, width: columns, height: rows };
        let connectivity = if eight { Connectivity::Eight } else { Connectivity::Four };
        let spec = RegionsSpec { regions_max: 1000, ..spec(connectivity) };
        let mut postprocess = Postprocess::new(width as u32, height as u32, &spec);
        // The previous mask has no influence.
        postprocess.run(&vec![1; width * height], whole(width as u32, height as u32)).unwrap();
        let (shares, regions) = postprocess.run(&ids, placement).unwrap();
        let expected = flood(&ids, width, placement, connectivity);
        let found: Vec<_> = regions.listed().iter().map(|r| {
            let Centroid { x, y } = r.centroid();
            let sum = |mean: f64| ((mean - 0.5) * f64::from(r.area)).round() as u64;
            (r.class, r.area, [r.x, r.y, r.width, r.height], [sum(x), sum(y)])
        }).collect();
        prop_assert_eq!(&found, &expected);
        for class in 1..classes {
            let of_class = expected.iter().filter(|region| region.0 == class);
            let of = regions.of_class(class);
            prop_assert_eq!(of.count as usize, of_class.clone().count());
            prop_assert_eq!(of.largest_area, of_class.clone().map(|region| region.1).max().unwrap_or(0));
            prop_assert_eq!(shares.count_of(class), of_class.map(|region| region.1).sum::<u32>());
        }
        // The limit only shortens the list.
        let few = RegionsSpec { regions_max: 3, ..spec };
        let mut postprocess = Postprocess::new(width as u32, height as u32, &few);
        let bounded = postprocess.run(&ids, placement).unwrap().1;
        prop_assert_eq!(bounded.listed(), &regions.listed()[..regions.listed().len().min(3)]);
        prop_assert_eq!(bounded.count(), regions.count());
    }
}
