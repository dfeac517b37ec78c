//! Connected components, found row by row: the runs of a row are joined with those of the previous row. Only the regions that
//! reach the current row are open, at most one per run, so memory depends on the width only.

use std::cmp::Ordering;

use unet_shared::mask::IGNORE_INDEX;
use unet_shared::preprocess::Placement;

/// Which pixels are neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Connectivity {
    /// Pixels that share an edge.
    Four,
    /// Pixels that share an edge or a corner.
    #[default]
    Eight,
}

/// Which regions are reported.
#[derive(Debug, Clone)]
pub struct RegionsSpec {
    /// Which pixels are neighbours.
    pub connectivity: Connectivity,
    /// How many regions are listed; the largest ones.
    pub regions_max: usize,
    /// Minimum area in pixels; smaller regions are neither listed nor counted.
    pub area_min: u32,
    /// Classes whose regions are neither listed nor counted, such as a background.
    pub without: Vec<u8>,
}

impl Default for RegionsSpec {
    fn default() -> Self {
        RegionsSpec { connectivity: Connectivity::default(), regions_max: 16, area_min: 1, without: Vec::new() }
    }
}

/// A connected component of one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// The class.
    pub class: u8,
    /// Pixels.
    pub area: u32,
    /// First column of the box around it.
    pub x: u32,
    /// First row.
    pub y: u32,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    // Sums over its pixels, as integers, so that the order of joining does not matter.
    sum_x: u64,
    sum_y: u64,
    // Column of the first pixel in the first row; unique together with the row.
    first_x: u32,
}

/// The mean of a region's pixel centres; the centre of the first pixel is 0.5, 0.5.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Centroid {
    /// Columns.
    pub x: f64,
    /// Rows.
    pub y: f64,
}

/// A box in the frame's pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameBox {
    /// First column.
    pub x: u32,
    /// First row.
    pub y: u32,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl Region {
    fn of_run(class: u8, row: u32, start: u32, length: u32) -> Self {
        let (first, count) = (u64::from(start), u64::from(length));
        Region {
            class,
            area: length,
            x: start,
            y: row,
            width: length,
            height: 1,
            sum_x: count * first + count * (count - 1) / 2,
            sum_y: count * u64::from(row),
            first_x: start,
        }
    }

    fn join(&mut self, other: &Region) {
        self.first_x = match self.y.cmp(&other.y) {
            Ordering::Less => self.first_x,
            Ordering::Equal => self.first_x.min(other.first_x),
            Ordering::Greater => other.first_x,
        };
        let right = (self.x + self.width).max(other.x + other.width);
        let bottom = (self.y + self.height).max(other.y + other.height);
        (self.x, self.y) = (self.x.min(other.x), self.y.min(other.y));
        (self.width, self.height) = (right - self.x, bottom - self.y);
        self.area += other.area;
        self.sum_x += other.sum_x;
        self.sum_y += other.sum_y;
    }

    /// The mean of its pixel centres.
    pub fn centroid(&self) -> Centroid {
        let mean = |sum: u64| sum as f64 / f64::from(self.area) + 0.5;
        Centroid { x: mean(self.sum_x), y: mean(self.sum_y) }
    }

    /// The bounding box in a frame of `frame_width` x `frame_height` pixels that fills `placement` in the model's input: the
    /// smallest box of whole pixels that covers the region, clipped to the placement.
    pub fn frame_box(&self, placement: Placement, frame_width: u32, frame_height: u32) -> FrameBox {
        let (x, width) = frame_span((self.x, self.width), (placement.x, placement.width), frame_width);
        let (y, height) = frame_span((self.y, self.height), (placement.y, placement.height), frame_height);
        FrameBox { x, y, width, height }
    }

    /// [`Region::centroid`] in the frame's pixels.
    pub fn frame_centroid(&self, placement: Placement, frame_width: u32, frame_height: u32) -> Centroid {
        let Centroid { x, y } = self.centroid();
        let scaled = |at: f64, start: u32, len: u32, side: u32| {
            (at - f64::from(start)) * f64::from(side) / f64::from(len.max(1))
        };
        Centroid {
            x: scaled(x, placement.x, placement.width, frame_width),
            y: scaled(y, placement.y, placement.height, frame_height),
        }
    }

    /// Largest first, then by the first pixel in reading order, which no two regions share.
    fn order(&self, other: &Region) -> Ordering {
        other.area.cmp(&self.area).then(self.y.cmp(&other.y)).then(self.first_x.cmp(&other.first_x))
    }
}

fn frame_span((start, len): (u32, u32), (placed_start, placed_len): (u32, u32), side: u32) -> (u32, u32) {
    let (side, placed) = (u64::from(side), u64::from(placed_len.max(1)));
    let inside = |at: u32| u64::from(at.saturating_sub(placed_start)).min(placed);
    let first = inside(start) * side / placed;
    let end = (inside(start.saturating_add(len)) * side).div_ceil(placed);
    // At most `side`, which is a u32.
    (first as u32, end.saturating_sub(first) as u32)
}

/// All regions of one class, including unlisted ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClassRegions {
    /// How many.
    pub count: u32,
    /// Pixels of the largest component; 0 without components.
    pub largest_area: u32,
}

/// The regions of a mask.
#[derive(Debug, PartialEq, Eq)]
pub struct Regions {
    listed: Vec<Region>,
    classes: [ClassRegions; 256],
    count: u32,
}

impl Default for Regions {
    fn default() -> Self {
        Regions { listed: Vec::new(), classes: [ClassRegions::default(); 256], count: 0 }
    }
}

impl Clone for Regions {
    fn clone(&self) -> Self {
        Regions { listed: self.listed.clone(), classes: self.classes, count: self.count }
    }

    /// Reuses the allocated memory.
    fn clone_from(&mut self, other: &Self) {
        self.listed.clone_from(&other.listed);
        (self.classes, self.count) = (other.classes, other.count);
    }
}

impl Regions {
    /// The largest regions, largest first; ties by the first pixel in reading order.
    pub fn listed(&self) -> &[Region] {
        &self.listed
    }

    /// Allocates memory for as many listed regions as `other` has room for.
    pub(crate) fn reserve_as(&mut self, other: &Self) {
        self.listed.reserve_exact(other.listed.capacity().saturating_sub(self.listed.len()));
    }

    /// The regions of a class.
    pub fn of_class(&self, class: u8) -> ClassRegions {
        self.classes[usize::from(class)]
    }

    /// Number of regions of all classes, including unlisted ones.
    pub fn count(&self) -> u32 {
        self.count
    }
}

/// Adjacent pixels of one class in a row.
#[derive(Debug, Clone, Copy)]
struct Run {
    class: u8,
    start: u32,
    // The column after the last.
    end: u32,
    // Its index in the open regions.
    open: usize,
}

/// Finds regions, see the module's documentation.
#[derive(Debug, Clone)]
pub(super) struct Labeller {
    // How many columns beyond its ends a run touches in the previous row.
    reach: u32,
    regions_max: usize,
    area_min: u32,
    counts: [bool; 256],
    previous: Vec<Run>,
    current: Vec<Run>,
    // The open regions: those of the previous row, then one for each run of this row.
    open: Vec<Region>,
    parents: Vec<usize>,
    // From a root to its index among the regions that stay open.
    places: Vec<usize>,
    regions: Regions,
}

const NO_PLACE: usize = usize::MAX;

impl Labeller {
    pub(super) fn new(width: usize, spec: &RegionsSpec) -> Self {
        let mut counts = [true; 256];
        for &class in spec.without.iter().chain([&IGNORE_INDEX]) {
            counts[usize::from(class)] = false;
        }
        let listed = Vec::with_capacity(spec.regions_max);
        Labeller {
            reach: match spec.connectivity {
                Connectivity::Four => 0,
                Connectivity::Eight => 1,
            },
            regions_max: spec.regions_max,
            area_min: spec.area_min,
            counts,
            previous: Vec::with_capacity(width),
            current: Vec::with_capacity(width),
            open: Vec::with_capacity(2 * width),
            parents: Vec::with_capacity(2 * width),
            places: Vec::with_capacity(2 * width),
            regions: Regions { listed, ..Regions::default() },
        }
    }

    /// Makes room for masks of this width.
    pub(super) fn reserve(&mut self, width: usize) {
        let missing = |len: usize, wanted: usize| wanted.saturating_sub(len);
        self.previous.reserve(missing(self.previous.len(), width));
        self.current.reserve(missing(self.current.len(), width));
        self.open.reserve(missing(self.open.len(), 2 * width));
        self.parents.reserve(missing(self.parents.len(), 2 * width));
        self.places.reserve(missing(self.places.len(), 2 * width));
    }

    pub(super) fn regions(&self) -> &Regions {
        &self.regions
    }

    /// Finds the regions of a mask. `origin` is the column and row of the first pixel.
    pub(super) fn label<'a>(&mut self, rows: impl Iterator<Item = &'a [u8]>, origin: (u32, u32)) -> &Regions {
        self.regions.listed.clear();
        self.regions.classes.fill(ClassRegions::default());
        self.regions.count = 0;
        self.previous.clear();
        self.open.clear();
        for (y, row) in (origin.1..).zip(rows) {
            self.find_runs(row, origin.0, y);
            self.join_rows();
            self.close();
        }
        for region in self.open.drain(..) {
            keep(&mut self.regions, region, self.area_min, self.regions_max);
        }
        &self.regions
    }

    fn find_runs(&mut self, row: &[u8], left: u32, y: u32) {
        self.current.clear();
        let mut start = left;
        for same in row.chunk_by(|one, other| one == other) {
            let (class, length) = (same[0], same.len() as u32);
            if self.counts[usize::from(class)] {
                self.current.push(Run { class, start, end: start + length, open: self.open.len() });
                self.open.push(Region::of_run(class, y, start, length));
            }
            start += length;
        }
        self.parents.clear();
        self.parents.extend(0..self.open.len());
    }

    /// Joins runs with the runs of the previous row that they touch. Both lists go from left to right.
    fn join_rows(&mut self) {
        let mut first = 0;
        for run in &self.current {
            // A run that ends before this one begins does not touch later runs either.
            while self.previous.get(first).is_some_and(|above| above.end + self.reach <= run.start) {
                first += 1;
            }
            for above in self.previous[first..].iter().take_while(|above| above.start < run.end + self.reach) {
                if above.class == run.class {
                    let (one, other) = (root(&mut self.parents, above.open), root(&mut self.parents, run.open));
                    if one != other {
                        self.parents[other] = one;
                        let joined = self.open[other];
                        self.open[one].join(&joined);
                    }
                }
            }
        }
    }

    /// Closes the regions that did not reach this row, and moves the others to the front, in the order of this row's runs.
    fn close(&mut self) {
        self.places.clear();
        self.places.resize(self.open.len(), NO_PLACE);
        let mut kept = 0;
        let before = self.open.len() - self.current.len();
        for run in &mut self.current {
            let root = root(&mut self.parents, run.open);
            if self.places[root] == NO_PLACE {
                self.places[root] = kept;
                kept += 1;
            }
            run.open = self.places[root];
        }
        for index in 0..before {
            // Regions that were joined with another have another parent.
            if self.parents[index] == index && self.places[index] == NO_PLACE {
                keep(&mut self.regions, self.open[index], self.area_min, self.regions_max);
            }
        }
        // Moves the roots to their new indices. Each index has one root, so following a displaced root ends.
        for index in 0..self.open.len() {
            while self.places[index] != NO_PLACE && self.places[index] != index {
                let place = self.places[index];
                self.open.swap(index, place);
                self.places.swap(index, place);
            }
        }
        self.open.truncate(kept);
        std::mem::swap(&mut self.previous, &mut self.current);
    }
}

fn root(parents: &mut [usize], mut index: usize) -> usize {
    while parents[index] != index {
        // Path halving.
        parents[index] = parents[parents[index]];
        index = parents[index];
    }
    index
}

fn keep(regions: &mut Regions, region: Region, area_min: u32, regions_max: usize) {
    if region.area < area_min {
        return;
    }
    regions.count += 1;
    let class = &mut regions.classes[usize::from(region.class)];
    class.count += 1;
    class.largest_area = class.largest_area.max(region.area);
    let at = regions.listed.partition_point(|other| other.order(&region) == Ordering::Less);
    if at < regions_max {
        if regions.listed.len() == regions_max {
            regions.listed.pop();
        }
        regions.listed.insert(at, region);
    }
}
