//! Writes plots as SVG: shapes and text in the order in which they are drawn.
//!
//! The output is self-contained: no script, no external font, colours from [`STYLE`], which has a light and a dark set. Text is
//! positioned by baseline, not by `dominant-baseline`, and colours are no CSS variables, so that converters other than
//! browsers draw the same. Knows nothing of axes or classes.

use std::fmt::Write;

use super::markup::escape;

/// Style of the theme colours. Part of every file; a page that embeds plots has it once.
pub(crate) const STYLE: &str = include_str!("svg.css");

/// Which point of a text is at the given x.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

impl Anchor {
    fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Middle => "middle",
            Self::End => "end",
        }
    }
}

/// A colour of a shape or a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    /// Text and lines that matter most: dark on light paper, light on dark.
    Ink,
    /// Labels of axes.
    Soft,
    /// Grid lines.
    Grid,
    /// The background.
    Paper,
    /// A fixed colour, the same in both themes.
    Rgb([u8; 3]),
}

/// Blue after Okabe and Ito's palette for colour-blind readers, with a contrast above 3 on light and dark paper.
pub(crate) const BLUE: [u8; 3] = [43, 140, 203];
/// Vermilion, likewise.
pub(crate) const VERMILION: [u8; 3] = [213, 94, 0];

/// How a line is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Stroke {
    pub(crate) paint: Paint,
    pub(crate) width: f64,
    /// Lengths of dashes and gaps as in `stroke-dasharray`; empty for a solid line.
    pub(crate) dashes: &'static str,
}

/// An SVG image. Coordinates are in CSS pixels from the top left corner.
#[derive(Debug, Clone)]
pub(crate) struct Svg {
    width: u32,
    height: u32,
    title: String,
    body: String,
}

impl Svg {
    /// An empty image on paper. `title` describes it to readers that do not see it.
    pub(crate) fn new(width: u32, height: u32, title: &str) -> Self {
        let mut svg = Self { width, height, title: title.to_owned(), body: String::new() };
        svg.rect((0.0, 0.0), (f64::from(width), f64::from(height)), Paint::Paper, "");
        svg
    }

    /// A filled rectangle. `tooltip` is shown when the pointer is over it; none if empty.
    pub(crate) fn rect(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), fill: Paint, tooltip: &str) {
        let (x, y, width, height) = (number(x), number(y), number(width), number(height));
        let fill = attribute("fill", fill);
        self.shape(
            format_args!("rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"{fill}"),
            "rect",
            tooltip,
        );
    }

    /// A filled circle.
    pub(crate) fn circle(&mut self, (x, y): (f64, f64), radius: f64, fill: Paint, tooltip: &str) {
        let (x, y, radius, fill) = (number(x), number(y), number(radius), attribute("fill", fill));
        self.shape(format_args!("circle cx=\"{x}\" cy=\"{y}\" r=\"{radius}\"{fill}"), "circle", tooltip);
    }

    /// A line through the points.
    pub(crate) fn polyline(&mut self, points: impl IntoIterator<Item = (f64, f64)>, stroke: Stroke) {
        let points: Vec<String> = points.into_iter().map(|(x, y)| format!("{},{}", number(x), number(y))).collect();
        let (paint, width) = (attribute("stroke", stroke.paint), number(stroke.width));
        let dashes = match stroke.dashes {
            "" => String::new(),
            dashes => format!(" stroke-dasharray=\"{dashes}\""),
        };
        let points = points.join(" ");
        self.shape(
            format_args!(
                "polyline points=\"{points}\" fill=\"none\"{paint} stroke-width=\"{width}\" stroke-linejoin=\"round\"{dashes}"
            ),
            "polyline",
            "",
        );
    }

    /// Text whose `anchor` is at x and whose lower-case letters are centred at y. `size` is the em in pixels.
    pub(crate) fn text(&mut self, x: f64, y: f64, anchor: Anchor, size: f64, fill: Paint, text: &str) {
        self.write_text(&format!("x=\"{}\" y=\"{}\"", number(x), number(y + drop(size))), anchor, size, fill, text);
    }

    /// Text that reads from bottom to top: its `anchor` is at y and its lower-case letters are centred at x.
    pub(crate) fn text_upwards(&mut self, x: f64, y: f64, anchor: Anchor, size: f64, fill: Paint, text: &str) {
        let place = format!("transform=\"translate({} {}) rotate(-90)\"", number(x + drop(size)), number(y));
        self.write_text(&place, anchor, size, fill, text);
    }

    fn write_text(&mut self, place: &str, anchor: Anchor, size: f64, fill: Paint, text: &str) {
        let (anchor, size, fill, text) = (anchor.name(), number(size), attribute("fill", fill), escape(text));
        self.push(format_args!("<text {place} text-anchor=\"{anchor}\" font-size=\"{size}\"{fill}>{text}</text>\n"));
    }

    fn shape(&mut self, start: std::fmt::Arguments<'_>, name: &str, tooltip: &str) {
        if tooltip.is_empty() {
            self.push(format_args!("<{start}/>\n"));
        } else {
            let tooltip = escape(tooltip);
            self.push(format_args!("<{start}><title>{tooltip}</title></{name}>\n"));
        }
    }

    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = self.body.write_fmt(text);
    }

    /// The image as a file of its own.
    pub(crate) fn document(&self) -> String {
        self.element(&format!("<style>\n{STYLE}</style>\n"))
    }

    /// The image as an element of a page whose style holds [`STYLE`].
    pub(crate) fn inline(&self) -> String {
        self.element("")
    }

    fn element(&self, style: &str) -> String {
        let Self { width, height, body, .. } = self;
        let title = escape(&self.title);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot\" role=\"img\" aria-label=\"{title}\" width=\"{width}\" \
             height=\"{height}\" viewBox=\"0 0 {width} {height}\">\n{style}{body}</svg>\n"
        )
    }
}

/// The attribute that gives a shape its colour: a class for a colour of the theme, the colour itself for others.
fn attribute(property: &str, paint: Paint) -> String {
    match paint {
        Paint::Ink => format!(" class=\"{property}-ink\""),
        Paint::Soft => format!(" class=\"{property}-soft\""),
        Paint::Grid => format!(" class=\"{property}-grid\""),
        Paint::Paper => format!(" class=\"{property}-paper\""),
        Paint::Rgb([r, g, b]) => format!(" {property}=\"#{r:02x}{g:02x}{b:02x}\""),
    }
}

/// A coordinate to a hundredth of a pixel. What is not finite would make the whole image invalid, and becomes 0.
fn number(value: f64) -> String {
    if !value.is_finite() {
        return "0".to_owned();
    }
    let text = format!("{value:.2}");
    match text.trim_end_matches('0').trim_end_matches('.') {
        "-0" => "0".to_owned(),
        short => short.to_owned(),
    }
}

/// From the centre of lower-case letters down to the baseline: half of an x-height of 0.54 em.
fn drop(size: f64) -> f64 {
    0.27 * size
}

/// About the width of a text in pixels, rather too wide than too narrow: the reader's browser chooses the font.
pub(crate) fn text_width(size: f64, text: &str) -> f64 {
    text.chars().map(em_width).sum::<f64>() * size
}

fn em_width(character: char) -> f64 {
    match character {
        'i' | 'j' | 'l' | 't' | 'f' | 'r' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | ' ' => 0.36,
        'm' | 'w' | 'M' | 'W' | '@' | '%' => 0.98,
        c if c.is_ascii_uppercase() => 0.72,
        // Wide scripts and symbols.
        c if c >= '\u{1100}' => 1.0,
        _ => 0.62,
    }
}

/// The text, or as much of its beginning as fits `width` pixels followed by an ellipsis.
pub(crate) fn fit(size: f64, text: &str, width: f64) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_by_hand() {
        let mut svg = Svg::new(8, 4, "a <b>");
        svg.rect((1.0, 2.5), (3.0, 0.125), Paint::Rgb([255, 0, 16]), "1 < 2");
        svg.polyline([(0.0, 1.0), (2.0, f64::NAN)], Stroke { paint: Paint::Ink, width: 1.5, dashes: "4 2" });
        svg.circle((1.0, 1.0), 2.0, Paint::Soft, "");
        svg.text(3.0, 1.0, Anchor::End, 10.0, Paint::Ink, "x & y");
        assert_eq!(
            svg.inline(),
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot\" role=\"img\" aria-label=\"a &lt;b&gt;\" width=\"8\" \
             height=\"4\" viewBox=\"0 0 8 4\">\n\
             <rect x=\"0\" y=\"0\" width=\"8\" height=\"4\" class=\"fill-paper\"/>\n\
             <rect x=\"1\" y=\"2.5\" width=\"3\" height=\"0.12\" fill=\"#ff0010\"><title>1 &lt; 2</title></rect>\n\
             <polyline points=\"0,1 2,0\" fill=\"none\" class=\"stroke-ink\" stroke-width=\"1.5\" stroke-linejoin=\"round\" \
             stroke-dasharray=\"4 2\"/>\n\
             <circle cx=\"1\" cy=\"1\" r=\"2\" class=\"fill-soft\"/>\n\
             <text x=\"3\" y=\"3.7\" text-anchor=\"end\" font-size=\"10\" class=\"fill-ink\">x &amp; y</text>\n</svg>\n"
        );
    }

    #[test]
    fn a_file_has_its_style_and_a_page_has_it_once() {
        let svg = Svg::new(1, 1, "");
        assert_eq!(svg.document().matches("prefers-color-scheme: dark").count(), 1);
        assert!(!svg.inline().contains("<style"));
        for paint in [Paint::Ink, Paint::Soft, Paint::Grid, Paint::Paper] {
            let class = attribute("fill", paint).replace(" class=\"", ".plot .").replace('"', " ");
            assert_eq!(STYLE.matches(&class).count(), 2, "{class}: one colour for light and one for dark");
        }
    }

    #[test]
    fn text_is_cut_to_its_room() {
        assert_eq!(fit(10.0, "road", 100.0), "road");
        let short = fit(10.0, "a class with a very long name", 100.0);
        assert!(short.starts_with("a class") && short.ends_with('\u{2026}'), "{short}");
        assert!(text_width(10.0, &short) <= 100.0);
        assert_eq!(fit(10.0, "road", 1.0), "");
        assert_eq!(text_width(10.0, "ab"), 12.4);
        assert_eq!(text_width(10.0, "\u{4e2d}"), 10.0);
    }
}
