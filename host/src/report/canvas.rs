//! Owns the drawing primitives of all figures: filled rectangles, smooth lines and dots, and text in the embedded font.
//!
//! Everything is clipped to the picture, so no coordinate is an error. Knows nothing of axes, classes or masks.

use std::sync::OnceLock;

use ab_glyph::{Font, FontRef, GlyphId, PxScale, ScaleFont, point};
use image::{Rgb, RgbImage};

/// Colours that the figures share.
pub(crate) mod ink {
    /// The paper.
    pub(crate) const WHITE: [u8; 3] = [255, 255, 255];
    /// Titles and what matters most.
    pub(crate) const BLACK: [u8; 3] = [28, 30, 34];
    /// Labels of axes.
    pub(crate) const GRAY: [u8; 3] = [92, 98, 108];
    /// Grid lines.
    pub(crate) const GRID: [u8; 3] = [226, 229, 233];
}

/// Which point of a text stands at the given position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    Left,
    Center,
    Right,
}

/// A picture that is being drawn. Positions are in pixels from the top left corner; pixel (0, 0) covers 0..1.
#[derive(Debug)]
pub(crate) struct Canvas {
    image: RgbImage,
}

impl Canvas {
    pub(crate) fn new(width: u32, height: u32, color: [u8; 3]) -> Self {
        Self { image: RgbImage::from_pixel(width, height, Rgb(color)) }
    }

    pub(crate) fn into_image(self) -> RgbImage {
        self.image
    }

    /// Fills whole pixels: `width` x `height` from (x, y) on.
    pub(crate) fn rect(&mut self, x: i64, y: i64, width: i64, height: i64, color: [u8; 3]) {
        let (limit_x, limit_y) = (i64::from(self.image.width()), i64::from(self.image.height()));
        for py in y.max(0)..(y + height).min(limit_y) {
            for px in x.max(0)..(x + width).min(limit_x) {
                self.image.put_pixel(px as u32, py as u32, Rgb(color));
            }
        }
    }

    /// Copies a picture so that its top left corner lies at (x, y).
    pub(crate) fn paste(&mut self, picture: &RgbImage, x: i64, y: i64) {
        image::imageops::replace(&mut self.image, picture, x, y);
    }

    /// A line of round ends through the points. Each pixel is blended once, by its distance to the nearest segment, so
    /// joints are not darker than the rest.
    pub(crate) fn polyline(&mut self, points: &[(f32, f32)], width: f32, color: [u8; 3]) {
        let reach = width / 2.0 + 1.0;
        let mut coverage = std::collections::BTreeMap::<(i64, i64), f32>::new();
        let ends = points.iter().zip(points.iter().skip(1).chain(points.last()));
        for (&a, &b) in ends {
            let (left, right) = (a.0.min(b.0) - reach, a.0.max(b.0) + reach);
            for px in left.floor() as i64..=right.ceil() as i64 {
                // Only the part of the segment near this column; a steep line would otherwise scan its whole box.
                let x = px as f32 + 0.5;
                let (low, high) = span(a, b, x - reach, x + reach);
                for py in (low - reach).floor() as i64..=(high + reach).ceil() as i64 {
                    let distance = distance_to_segment((x, py as f32 + 0.5), a, b);
                    let share = (width / 2.0 + 0.5 - distance).clamp(0.0, 1.0);
                    if share > 0.0 {
                        let best = coverage.entry((py, px)).or_default();
                        *best = best.max(share);
                    }
                }
            }
        }
        for ((py, px), share) in coverage {
            self.blend(px, py, color, share);
        }
    }

    /// A filled circle.
    pub(crate) fn dot(&mut self, center: (f32, f32), radius: f32, color: [u8; 3]) {
        self.polyline(&[center], 2.0 * radius, color);
    }

    /// Text of which the given anchor stands at x and the middle of the lower-case letters at y. `size` is the em in
    /// pixels.
    pub(crate) fn text(&mut self, x: f32, y: f32, anchor: Anchor, size: f32, color: [u8; 3], text: &str) {
        let start = x - offset(anchor, text_width(size, text));
        for (dx, dy, share) in glyph_pixels(start.fract(), size, text) {
            self.blend(start.floor() as i64 + dx, y.round() as i64 + dy, color, share);
        }
    }

    /// Text that reads from bottom to top; anchored along y, and its middle at x.
    pub(crate) fn text_upwards(&mut self, x: f32, y: f32, anchor: Anchor, size: f32, color: [u8; 3], text: &str) {
        let start = y + offset(anchor, text_width(size, text));
        for (dx, dy, share) in glyph_pixels(0.0, size, text) {
            self.blend(x.round() as i64 + dy, start.round() as i64 - 1 - dx, color, share);
        }
    }

    fn blend(&mut self, x: i64, y: i64, color: [u8; 3], share: f32) {
        let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else { return };
        let Some(pixel) = self.image.get_pixel_mut_checked(x, y) else { return };
        for (below, above) in pixel.0.iter_mut().zip(color) {
            let (low, high) = (f32::from(*below), f32::from(above));
            *below = (low + (high - low) * share.clamp(0.0, 1.0)).round() as u8;
        }
    }
}

/// The y range of the segment from a to b between two columns.
fn span(a: (f32, f32), b: (f32, f32), left: f32, right: f32) -> (f32, f32) {
    let (first, last) = if a.0 <= b.0 { (a, b) } else { (b, a) };
    let run = last.0 - first.0;
    let at = |x: f32| {
        let t = if run > 0.0 { ((x - first.0) / run).clamp(0.0, 1.0) } else { 0.0 };
        first.1 + (last.1 - first.1) * t
    };
    let (y0, y1) = if run > 0.0 { (at(left), at(right)) } else { (first.1, last.1) };
    (y0.min(y1), y0.max(y1))
}

fn distance_to_segment(p: (f32, f32), a: (f32, f32), b: (f32, f32)) -> f32 {
    let (abx, aby) = (b.0 - a.0, b.1 - a.1);
    let (apx, apy) = (p.0 - a.0, p.1 - a.1);
    let length = abx * abx + aby * aby;
    let t = if length > 0.0 { ((apx * abx + apy * aby) / length).clamp(0.0, 1.0) } else { 0.0 };
    let (dx, dy) = (apx - t * abx, apy - t * aby);
    (dx * dx + dy * dy).sqrt()
}

fn offset(anchor: Anchor, width: f32) -> f32 {
    match anchor {
        Anchor::Left => 0.0,
        Anchor::Center => width / 2.0,
        Anchor::Right => width,
    }
}

/// The embedded font; `None` is impossible for the bytes that are compiled in (a test parses them), and would only
/// leave figures without words.
fn font() -> Option<&'static FontRef<'static>> {
    static FONT: OnceLock<Option<FontRef<'static>>> = OnceLock::new();
    FONT.get_or_init(|| FontRef::try_from_slice(epaint_default_fonts::HACK_REGULAR).ok()).as_ref()
}

/// ab_glyph scales by the font's height; figures speak of the em.
fn scale(font: &FontRef<'_>, size: f32) -> PxScale {
    PxScale::from(size * font.height_unscaled() / font.units_per_em().unwrap_or(1000.0))
}

/// Width of a text in pixels.
pub(crate) fn text_width(size: f32, text: &str) -> f32 {
    let Some(font) = font() else { return 0.0 };
    layout(font, size, text).1
}

/// The text itself, or as much of its beginning as fits `width` pixels with an ellipsis after it.
pub(crate) fn fit(size: f32, text: &str, width: f32) -> String {
    if text_width(size, text) <= width {
        return text.to_owned();
    }
    let mut kept: Vec<char> = text.chars().collect();
    while kept.pop().is_some() {
        let short = format!("{}\u{2026}", kept.iter().collect::<String>().trim_end());
        if text_width(size, &short) <= width {
            return short;
        }
    }
    String::new()
}

/// Glyphs with their x positions, and the whole advance.
fn layout(font: &FontRef<'_>, size: f32, text: &str) -> (Vec<(GlyphId, f32)>, f32) {
    let scaled = font.as_scaled(scale(font, size));
    let (mut glyphs, mut x, mut previous) = (Vec::new(), 0.0, None);
    for character in text.chars() {
        // A tab or line break in a file name has no glyph to speak of.
        let id = scaled.glyph_id(if character.is_control() { ' ' } else { character });
        if let Some(previous) = previous {
            x += scaled.kern(previous, id);
        }
        glyphs.push((id, x));
        x += scaled.h_advance(id);
        previous = Some(id);
    }
    (glyphs, x)
}

/// Coverage of the text's pixels relative to its start and to the middle of its lower-case letters.
fn glyph_pixels(shift: f32, size: f32, text: &str) -> Vec<(i64, i64, f32)> {
    let Some(font) = font() else { return Vec::new() };
    let scale = scale(font, size);
    // Half the height of an x lies about a quarter em above the baseline.
    let baseline = (0.27 * size).round();
    let mut pixels = Vec::new();
    for (id, x) in layout(font, size, text).0 {
        let glyph = id.with_scale_and_position(scale, point(x + shift, baseline));
        if let Some(outline) = font.outline_glyph(glyph) {
            let bounds = outline.px_bounds();
            outline.draw(|dx, dy, share| {
                pixels.push((bounds.min.x as i64 + i64::from(dx), bounds.min.y as i64 + i64::from(dy), share));
            });
        }
    }
    pixels
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inked(canvas: &Canvas) -> Vec<(u32, u32)> {
        canvas.image.enumerate_pixels().filter(|(_, _, p)| p.0 != ink::WHITE).map(|(x, y, _)| (x, y)).collect()
    }

    #[test]
    fn a_rectangle_covers_its_pixels_and_is_clipped() {
        let mut canvas = Canvas::new(4, 3, ink::WHITE);
        canvas.rect(2, 1, 9, 1, [0, 0, 0]);
        canvas.rect(-5, -5, 5, 5, [0, 0, 0]);
        assert_eq!(inked(&canvas), [(2, 1), (3, 1)]);
    }

    #[test]
    fn a_straight_line_of_width_one_fills_one_row() {
        let mut canvas = Canvas::new(8, 5, ink::WHITE);
        canvas.polyline(&[(1.5, 2.5), (6.5, 2.5)], 1.0, [0, 0, 0]);
        assert_eq!(inked(&canvas), (1..=6).map(|x| (x, 2)).collect::<Vec<_>>());
        assert_eq!(canvas.image.get_pixel(3, 2).0, [0, 0, 0]);
    }

    /// The narrowed scan must find the very pixels that looking at every pixel finds.
    #[test]
    fn lines_equal_the_naive_rasterisation() {
        let cases = [
            ((3.0, 2.0), (17.0, 31.0)),
            ((18.2, 30.1), (2.7, 4.4)),
            ((9.0, 1.0), (9.0, 33.0)),
            ((1.0, 9.0), (30.0, 8.0)),
        ];
        for (a, b) in cases {
            for width in [1.0f32, 2.5, 6.0] {
                let mut canvas = Canvas::new(36, 36, ink::WHITE);
                canvas.polyline(&[a, b], width, [0, 0, 0]);
                let mut naive = Canvas::new(36, 36, ink::WHITE);
                for (y, x) in (0..36).flat_map(|y| (0..36).map(move |x| (y, x))) {
                    let distance = distance_to_segment((x as f32 + 0.5, y as f32 + 0.5), a, b);
                    naive.blend(x, y, [0, 0, 0], (width / 2.0 + 0.5 - distance).clamp(0.0, 1.0));
                }
                assert_eq!(canvas.image, naive.image, "{a:?} to {b:?} of width {width}");
            }
        }
    }

    #[test]
    fn anything_outside_is_clipped() {
        let mut canvas = Canvas::new(6, 6, ink::WHITE);
        canvas.polyline(&[(-40.0, -3.0), (50.0, -3.0)], 2.0, [0, 0, 0]);
        canvas.polyline(&[], 2.0, [0, 0, 0]);
        canvas.text(60.0, 60.0, Anchor::Left, 12.0, [0, 0, 0], "out");
        canvas.text_upwards(-60.0, 3.0, Anchor::Center, 12.0, [0, 0, 0], "out");
        assert!(inked(&canvas).is_empty());
    }

    #[test]
    fn text_leaves_ink_where_its_anchor_says() {
        for (anchor, from, to) in [(Anchor::Left, 50, 90), (Anchor::Center, 30, 70), (Anchor::Right, 10, 51)] {
            let mut canvas = Canvas::new(100, 40, ink::WHITE);
            canvas.text(50.0, 20.0, anchor, 14.0, [0, 0, 0], "Hill");
            let xs: Vec<u32> = inked(&canvas).iter().map(|p| p.0).collect();
            assert!(!xs.is_empty(), "the embedded font draws nothing");
            assert!(xs.iter().all(|x| (from..=to).contains(x)), "{anchor:?}: {xs:?}");
            let mut canvas = Canvas::new(40, 100, ink::WHITE);
            canvas.text_upwards(20.0, 50.0, anchor, 14.0, [0, 0, 0], "Hill");
            let ys: Vec<u32> = inked(&canvas).iter().map(|p| p.1).collect();
            assert!(ys.iter().all(|y| (from..=to).contains(&(100 - y))), "{anchor:?}: {ys:?}");
        }
    }

    #[test]
    fn long_text_ends_in_an_ellipsis() {
        assert_eq!(fit(12.0, "road", 100.0), "road");
        let short = fit(12.0, "a class with a very long name", 100.0);
        assert!(short.starts_with("a class") && short.ends_with('\u{2026}'), "{short}");
        assert!(text_width(12.0, &short) <= 100.0);
        assert_eq!(fit(12.0, "road", 1.0), "");
        assert_eq!(fit(12.0, "", 1.0), "");
        // Characters without a glyph and control characters are widths, not faults.
        assert!(text_width(12.0, "\u{4e2d}\n\t") > 0.0);
    }
}
