use alloc::string::ToString;
use alloc::vec::Vec;
use std::vec;

use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Result<Tiles, TilesError> {
    text.parse()
}

#[test]
fn a_text_says_size_and_overlap() {
    let tiles = |width, height, overlap| Ok(Tiles { width, height, overlap });
    assert_eq!(parse("512,64"), tiles(512, 512, 64));
    assert_eq!(parse("640x480,32"), tiles(640, 480, 32));
    assert_eq!(parse("512,0"), tiles(512, 512, 0));
    // A quarter, up to a multiple of 16; of the smaller side; at most half.
    for (text, overlap) in [("512", 128), ("240x176", 48), ("1000", 256), ("32", 16), ("16", 8), ("18", 8)] {
        assert_eq!(parse(text).unwrap().overlap(), overlap, "{text}");
    }
    let written = parse("640x480,32").unwrap().to_string();
    assert_eq!((written.as_str(), parse(&written)), ("640x480,32", tiles(640, 480, 32)));
}

#[test]
fn other_texts_are_refused_with_a_reason() {
    for text in ["", "a", "512,", "512,a", "512,1,1", "x512", "512x", "-512", "512.5", "4294967296"] {
        assert_eq!(parse(text), Err(TilesError::Text), "{text}");
    }
    for (text, found) in [("511", 511), ("512x511", 511), ("0", 0), ("14", 14), ("16386", 16386)] {
        assert_eq!(parse(text), Err(TilesError::Side { found }), "{text}");
    }
    for (text, found) in [("512,512", 512), ("512x64,64", 64), ("512,63", 63)] {
        assert!(matches!(parse(text), Err(TilesError::Overlap { found: f, .. }) if f == found), "{text}");
    }
    assert!(parse("512x64,66").unwrap_err().to_string().contains("below their side of 64, found 66"));
}

#[test]
fn a_choice_comes_before_what_a_model_was_trained_with() {
    let (one, other) = (parse("512").unwrap(), parse("64").unwrap());
    assert_eq!("512".parse(), Ok(TilesChoice::Cut(one)));
    assert_eq!("none".parse(), Ok(TilesChoice::Whole));
    assert_eq!(TilesChoice::or_trained(None, Some(other)), Some(other));
    assert_eq!(TilesChoice::or_trained(Some(TilesChoice::Whole), Some(other)), None);
    assert_eq!(TilesChoice::or_trained(Some(TilesChoice::Cut(one)), Some(other)), Some(one));
}

fn cuts(side: usize, tile: usize, overlap: usize) -> Vec<(Range<usize>, Range<usize>)> {
    let axis = Axis::new(side, tile, overlap);
    (0..axis.count).map(|index| axis.cut(index)).map(|cut| (cut.tile, cut.kept)).collect()
}

#[test]
fn tiles_are_cut_in_the_middle_of_their_overlap() {
    assert_eq!(cuts(100, 40, 10), vec![(0..40, 0..35), (30..70, 35..65), (60..100, 65..100)]);
    // The last tile is moved back, so the last overlap is larger: 50..70, cut at 60.
    assert_eq!(cuts(90, 40, 10), vec![(0..40, 0..35), (30..70, 35..60), (50..90, 60..90)]);
    assert_eq!(cuts(41, 40, 10), vec![(0..40, 0..20), (1..41, 20..41)]);
    for side in [1, 39, 40] {
        assert_eq!(cuts(side, 40, 10), vec![(0..side, 0..side)]);
    }
}

#[test]
fn a_grid_goes_row_by_row() {
    let grid = Grid::new(Some(parse("32,8").unwrap()), 50, 60);
    let found: Vec<_> = grid.tiles().map(|tile| (tile.columns.tile.start, tile.rows.tile.start)).collect();
    assert_eq!(found, [(0, 0), (18, 0), (0, 24), (18, 24), (0, 28), (18, 28)]);
    assert_eq!((grid.count(), grid.tile(6)), (6, None));
    let whole = Grid::new(None, 50, 60).tile(0).unwrap();
    assert!(whole.is_whole() && (whole.width(), whole.height()) == (50, 60));
}

proptest! {
    #[test]
    fn each_pixel_belongs_to_one_full_tile(side in 1usize..400, half in 8u32..60, share in 0u32..100) {
        let tile = 2 * half;
        let overlap = (tile * share / 100) & !1;
        let tiles = Tiles::new(tile, tile, Some(overlap)).unwrap();
        let (tile, overlap) = (tile as usize, overlap as usize);
        let grid = Grid::new(Some(tiles), side, 1);
        let mut next = 0;
        for cut in grid.tiles().map(|tile| tile.columns) {
            prop_assert_eq!(cut.kept.start, next);
            prop_assert!(cut.kept.end > cut.kept.start);
            prop_assert!(cut.tile.start <= cut.kept.start && cut.kept.end <= cut.tile.end);
            prop_assert_eq!(cut.tile.len(), tile.min(side));
            // Half of the overlap lies between a kept pixel and an inner edge of its tile.
            prop_assert!(cut.tile.start == 0 || cut.kept.start - cut.tile.start >= overlap / 2);
            prop_assert!(cut.tile.end == side || cut.tile.end - cut.kept.end >= overlap / 2);
            next = cut.kept.end;
        }
        prop_assert_eq!(next, side);
    }
}
