//! One scan of a JPEG file: reads its symbols and follows what they say, without computing pixels.

use std::rc::Rc;

use super::bits::{Bits, SegmentEnd};
use super::huffman::Huffman;
use super::{Damage, Frame};

/// Where coefficients in order of their frequency lie in a block of 8x8 (ITU T.81, figure A.6); here only to find a
/// coefficient's divisor, which is stored in the same order.
const COEFFICIENTS: usize = 64;

/// The largest absolute value of a coefficient of samples from -128 to 127 (ITU T.81, section A.3.3), once it is multiplied
/// by its divisor; rounding adds at most half a divisor, and some encoders choose a neighbouring multiple.
const VALUE_MAX: i64 = 1024;

/// The header of a scan.
#[derive(Debug)]
pub(super) struct Scan {
    /// For each component: its index in the frame, its DC and its AC table.
    pub components: Vec<(usize, usize, usize)>,
    /// First and last coefficient.
    pub band: (usize, usize),
    /// Lowest bit of the previous scan of the same coefficients, or 0 for the first.
    pub high: u32,
    /// Lowest bit of this one.
    pub low: u32,
}

/// The tables in force when a scan begins: `[DC, AC]`, and how many MCUs lie between restart markers, or 0.
#[derive(Debug)]
pub(super) struct Tables<'a> {
    pub huffman: &'a [[Option<Rc<Huffman>>; 4]; 2],
    pub divisors: &'a [[u16; COEFFICIENTS]; 4],
    pub restart: usize,
}

/// What a component's blocks hold so far.
#[derive(Debug, Default, Clone)]
pub(super) struct Coefficients {
    /// Bit `k` of a block is set if its coefficient `k` is not 0; only kept for progressive files, whose later scans depend
    /// on it.
    pub nonzero: Vec<u64>,
    /// For each coefficient the lowest bit that was sent; none if nothing was.
    pub sent: Vec<Option<u32>>,
}

/// Reads the scan whose data begins at byte `at`. Returns where the marker after it is, and at how many markers data was left
/// over.
pub(super) fn read(
    bytes: &[u8],
    at: usize,
    frame: &Frame,
    scan: &Scan,
    tables: &Tables<'_>,
    state: &mut [Coefficients],
) -> Result<(usize, usize), Damage> {
    let sizes = frame.components.iter().map(|component| {
        let divisors = &tables.divisors[component.divisors];
        divisors.map(|divisor| if frame.eight_bits { size_max(divisor, scan.low) } else { 15 })
    });
    let sizes: Vec<[u8; COEFFICIENTS]> = sizes.collect();
    let mut reader = Reader {
        bits: Bits::new(bytes, at),
        frame,
        tables,
        least_sizes: sizes.iter().map(|sizes| sizes[1..].iter().copied().min().unwrap_or(0)).collect(),
        sizes,
        end_of_band: 0,
        predictions: [0; 4],
        leftovers: 0,
    };
    let single = scan.components.len() == 1;
    let (columns, rows) =
        if single { frame.components[scan.components[0].0].blocks } else { (frame.mcus.0, frame.mcus.1) };
    let count = columns * rows;
    let cut = |mcu: usize| Damage::Short { read: mcu, expected: count };
    let mut restarts = 0u8;
    for mcu in 0..count {
        if tables.restart > 0 && mcu > 0 && mcu % tables.restart == 0 {
            let end = reader.bits.end();
            if reader.bits.overread() {
                return Err(cut(mcu));
            }
            reader.leave(&end);
            let expected = 0xd0 + restarts % 8;
            match bytes.get(end.at + 1) {
                Some(&marker) if marker == expected => {}
                Some(&marker) if (0xd0..=0xd7).contains(&marker) => return Err(Damage::Restart { mcu }),
                _ => return Err(cut(mcu)),
            }
            restarts = restarts.wrapping_add(1);
            reader.bits = Bits::new(bytes, end.at + 2);
            reader.predictions = [0; 4];
        }
        if single {
            let (index, dc, ac) = scan.components[0];
            let block = mcu / columns * frame.components[index].stride + mcu % columns;
            reader.block(scan, index, (dc, ac), block, &mut state[index]).map_err(|()| Damage::Code { mcu })?;
        } else {
            for &(index, dc, ac) in &scan.components {
                let component = &frame.components[index];
                let (across, down) = component.sampling;
                let first = mcu / columns * down * component.stride + mcu % columns * across;
                for y in 0..down {
                    for x in 0..across {
                        let block = first + y * component.stride + x;
                        reader
                            .block(scan, index, (dc, ac), block, &mut state[index])
                            .map_err(|()| Damage::Code { mcu })?;
                    }
                }
            }
        }
        if reader.bits.overread() {
            return Err(cut(mcu));
        }
    }
    let end = reader.bits.end();
    reader.leave(&end);
    for &(index, ..) in &scan.components {
        state[index].sent[scan.band.0..=scan.band.1].fill(Some(scan.low));
    }
    Ok((end.at, reader.leftovers))
}

struct Reader<'a> {
    bits: Bits<'a>,
    frame: &'a Frame,
    tables: &'a Tables<'a>,
    /// For each component the largest size of each coefficient's value, in bits.
    sizes: Vec<[u8; COEFFICIENTS]>,
    /// The smallest AC entry of `sizes` for each component.
    least_sizes: Vec<u8>,
    /// Blocks that follow without further coefficients in this band.
    end_of_band: u32,
    /// The DC coefficient of each component's previous block.
    predictions: [i64; 4],
    leftovers: usize,
}

/// The largest size of a value, in bits, of a coefficient with this divisor.
fn size_max(divisor: u16, low: u32) -> u8 {
    let divisor = i64::from(divisor.max(1)) << low;
    // The least value of a size is 2^(size - 1).
    let largest = (VALUE_MAX + 2 * divisor) / divisor;
    (largest.ilog2() + 1).min(15) as u8
}

impl Reader<'_> {
    /// Counts a marker before which data was left over.
    fn leave(&mut self, end: &SegmentEnd) {
        self.leftovers += usize::from(end.unread > 0 || !end.padded || self.end_of_band > 0);
        self.end_of_band = 0;
    }

    /// Reads a block of component `index`; an error if a code or a value is impossible.
    #[inline]
    fn block(
        &mut self,
        scan: &Scan,
        index: usize,
        tables: (usize, usize),
        block: usize,
        state: &mut Coefficients,
    ) -> Result<(), ()> {
        let huffman = self.tables.huffman;
        if !self.frame.progressive {
            let (Some(dc), Some(ac)) = (&huffman[0][tables.0], &huffman[1][tables.1]) else { return Err(()) };
            self.dc(dc, index, 0)?;
            return baseline(&mut self.bits, ac, &self.sizes[index], self.least_sizes[index]);
        }
        let nonzero = state.nonzero.get_mut(block).ok_or(())?;
        match (scan.band.0, scan.high) {
            (0, 0) => self.dc(huffman[0][tables.0].as_ref().ok_or(())?, index, scan.low),
            (0, _) => {
                self.bits.refill();
                self.bits.skip(1);
                Ok(())
            }
            (_, 0) => self.first(huffman[1][tables.1].as_ref().ok_or(())?, scan, index, nonzero),
            _ => self.refine(huffman[1][tables.1].as_ref().ok_or(())?, scan, nonzero),
        }
    }

    /// A DC coefficient, as the difference from the previous block's.
    #[inline]
    fn dc(&mut self, table: &Huffman, index: usize, low: u32) -> Result<(), ()> {
        self.bits.refill();
        let size = table.read(&mut self.bits).ok_or(())?;
        if size > 15 {
            return Err(());
        }
        let value = self.value(size);
        let prediction = &mut self.predictions[index];
        *prediction += value;
        if self.frame.eight_bits {
            let divisor = i64::from(self.tables.divisors[self.frame.components[index].divisors][0]);
            if (*prediction << low).abs() * divisor > VALUE_MAX + 2 * (divisor << low) {
                return Err(());
            }
        }
        Ok(())
    }

    /// A value of `size` bits (ITU T.81, table F.1 and section F.2.2.1).
    #[inline]
    fn value(&mut self, size: u8) -> i64 {
        if size == 0 {
            return 0;
        }
        let value = i64::from(self.bits.read(u32::from(size)));
        if value < 1 << (size - 1) { value - (1 << size) + 1 } else { value }
    }

    /// The first bits of a band of a progressive block.
    fn first(&mut self, table: &Huffman, scan: &Scan, index: usize, nonzero: &mut u64) -> Result<(), ()> {
        if self.end_of_band > 0 {
            self.end_of_band -= 1;
            return Ok(());
        }
        let mut k = scan.band.0;
        while k <= scan.band.1 {
            self.bits.refill();
            let symbol = table.read(&mut self.bits).ok_or(())?;
            let (run, size) = (u32::from(symbol >> 4), symbol & 15);
            if size == 0 {
                if run < 15 {
                    self.end_of_band = (1 << run) - 1 + self.bits.read(run);
                    return Ok(());
                }
                k += 16;
                if k > scan.band.1 + 1 {
                    return Err(());
                }
                continue;
            }
            k += run as usize;
            if k > scan.band.1 || size > self.sizes[index][k] {
                return Err(());
            }
            self.bits.skip(u32::from(size));
            *nonzero |= 1 << k;
            k += 1;
        }
        Ok(())
    }

    /// A further bit of a band of a progressive block (ITU T.81, section G.1.2.3).
    fn refine(&mut self, table: &Huffman, scan: &Scan, nonzero: &mut u64) -> Result<(), ()> {
        let mut k = scan.band.0;
        if self.end_of_band == 0 {
            while k <= scan.band.1 {
                self.bits.refill();
                let symbol = table.read(&mut self.bits).ok_or(())?;
                let (mut zeros, size) = (u32::from(symbol >> 4), symbol & 15);
                match size {
                    0 if zeros < 15 => {
                        self.end_of_band = (1 << zeros) + self.bits.read(zeros);
                        break;
                    }
                    0 => {}
                    // The sign of a coefficient that is not 0 from here on.
                    1 => self.bits.skip(1),
                    _ => return Err(()),
                }
                loop {
                    if k > scan.band.1 {
                        // Neither 16 zeros nor a new coefficient fit.
                        return Err(());
                    }
                    if *nonzero >> k & 1 == 1 {
                        self.bits.refill();
                        self.bits.skip(1);
                    } else if zeros == 0 {
                        break;
                    } else {
                        zeros -= 1;
                    }
                    k += 1;
                }
                if size == 1 {
                    *nonzero |= 1 << k;
                }
                k += 1;
            }
        }
        if self.end_of_band > 0 {
            for k in k..=scan.band.1 {
                if *nonzero >> k & 1 == 1 {
                    self.bits.refill();
                    self.bits.skip(1);
                }
            }
            self.end_of_band -= 1;
        }
        Ok(())
    }
}

/// The AC coefficients of a sequential block, whose values have at most `sizes`, whose smallest entry is `least`.
#[inline]
fn baseline(reader: &mut Bits<'_>, table: &Huffman, sizes: &[u8; COEFFICIENTS], least: u8) -> Result<(), ()> {
    // A copy stays in registers.
    let mut bits = *reader;
    let runs = table.runs();
    let mut k = 1;
    while k < COEFFICIENTS {
        bits.refill();
        let run = runs.ahead(&bits);
        if run.bits > 0 && run.size <= least && k + usize::from(run.room) <= COEFFICIENTS {
            bits.skip(run.bits.into());
            k += usize::from(run.coefficients);
            if run.ends() {
                break;
            }
            continue;
        }
        let symbol = table.read(&mut bits).ok_or(())?;
        let (run, size) = (usize::from(symbol >> 4), symbol & 15);
        if size == 0 {
            match run {
                0 => break,
                15 if k + 16 <= COEFFICIENTS => k += 16,
                _ => return Err(()),
            }
            continue;
        }
        k += run;
        if k >= COEFFICIENTS || size > sizes[k] {
            return Err(());
        }
        bits.skip(u32::from(size));
        k += 1;
    }
    *reader = bits;
    Ok(())
}
