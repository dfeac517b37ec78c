//! Choosing the settings of a camera from what is configured and what it offers.

use unet_data::any_of;
use unet_shared::image::{ImageError, ImageView, SIDE_MAX};

use super::super::colour::Colour;
use super::super::spec::{Rate, Side};
use super::super::{Encoding, FRAME_BYTES_MAX, FrameFormat};
use super::abi::{self, PixelLayout};
use super::colorspace;
use super::device::{Device, DeviceError, Sizes, letters};
use super::{CameraFormat, CameraSpec};

/// The settings in effect.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Negotiated {
    pub(super) format: FrameFormat,
    /// Who says what of range and matrix.
    pub(super) colour: Colour,
    /// Minimum number of bytes of a complete frame.
    pub(super) bytes_min: usize,
    pub(super) rate: Option<f64>,
    /// What was requested but not granted.
    pub(super) requested: Option<String>,
}

/// Why there are no settings.
#[derive(Debug)]
pub(super) enum Refusal {
    /// A call failed.
    Device(DeviceError),
    /// The device does not offer what is configured.
    Never(String),
}

impl From<DeviceError> for Refusal {
    fn from(error: DeviceError) -> Self {
        Refusal::Device(error)
    }
}

pub(super) fn negotiate(device: &Device, spec: &CameraSpec) -> Result<Negotiated, Refusal> {
    let offered = device.formats();
    let mut format = device.format()?;
    if let Some(width) = spec.width {
        format.pixels.width = width.get();
    }
    if let Some(height) = spec.height {
        format.pixels.height = height.get();
    }
    let rate = spec.rate.map(Rate::per_second);
    let (width, height) = (format.pixels.width, format.pixels.height);
    let chosen =
        choose(&offered, spec.format, rate, |format| fastest(device, format, width, height)).map_err(Refusal::Never)?;
    format.pixels.pixel_format = chosen.code();
    // The previous values belong to another format.
    (format.pixels.bytes_per_line, format.pixels.size_image, format.pixels.field) = (0, 0, abi::FIELD_NONE);
    let got = device.set_format(format)?.pixels;
    // The available rates depend on format and size.
    let rate = device.set_rate(rate);
    let colour = Colour { configured: spec.colour, stated: colorspace::stated(&got) };
    let (format, bytes_min) = read_layout(chosen, &got, colour).map_err(Refusal::Never)?;
    Ok(Negotiated { format, colour, bytes_min, rate, requested: requested(spec, &format, rate) })
}

/// The fastest rate of a format at a size, if the driver lists it.
fn fastest(device: &Device, format: CameraFormat, width: u32, height: u32) -> Option<f64> {
    let sizes = device.sizes(format.code());
    let lists_sizes = sizes.iter().any(|size| matches!(size, Sizes::Fixed { .. }));
    let listed = |size: &Sizes| matches!(size, Sizes::Fixed { width: w, height: h, .. } if (*w, *h) == (width, height));
    match sizes.iter().find(|size| listed(size)) {
        Some(Sizes::Fixed { rates, .. }) => rates.first().copied(),
        // The format does not have this size.
        _ if lists_sizes => Some(0.0),
        _ => device.rates(format.code(), width, height).first().copied(),
    }
}

/// The configured format, else the first of [`CameraFormat::ALL`] that reaches the rate, else the fastest. USB cameras deliver
/// large frames at full rate only as JPEG.
fn choose(
    offered: &[(u32, String)],
    configured: Option<CameraFormat>,
    rate: Option<f64>,
    fastest: impl Fn(CameraFormat) -> Option<f64>,
) -> Result<CameraFormat, String> {
    let has = |format: &CameraFormat| offered.iter().any(|(code, _)| *code == format.code());
    let list = || {
        let names: Vec<String> = offered.iter().map(|(code, _)| letters(*code)).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    };
    if let Some(configured) = configured {
        return if has(&configured) {
            Ok(configured)
        } else {
            Err(format!("expected the format {}, found {}", letters(configured.code()), list()))
        };
    }
    let candidates: Vec<CameraFormat> = CameraFormat::ALL.into_iter().filter(has).collect();
    let Some(&first) = candidates.first() else {
        let known = any_of(CameraFormat::ALL.map(|format| letters(format.code())));
        return Err(format!("expected the format {known}, found {}", list()));
    };
    let Some(rate) = rate else { return Ok(first) };
    let mut best = (first, 0.0);
    for format in candidates {
        match fastest(format) {
            // 30000/1001 counts as 30.
            Some(fastest) if fastest < rate * 0.99 => {
                if fastest > best.1 {
                    best = (format, fastest);
                }
            }
            _ => return Ok(format),
        }
    }
    Ok(best.0)
}

/// Format and minimum number of bytes of frames with this layout.
fn read_layout(chosen: CameraFormat, got: &PixelLayout, colour: Colour) -> Result<(FrameFormat, usize), String> {
    let PixelLayout { width, height, .. } = *got;
    if got.pixel_format != chosen.code() {
        return Err(format!("expected the format {}, found {}", letters(chosen.code()), letters(got.pixel_format)));
    }
    if got.field == abi::FIELD_ALTERNATE {
        return Err("expected progressive frames, found one field per buffer".to_owned());
    }
    for side in [width, height] {
        Side::new(side).ok_or_else(|| format!("expected sides of 1 to {SIDE_MAX} pixels, found {side}"))?;
    }
    let size = got.size_image as usize;
    if size > FRAME_BYTES_MAX {
        return Err(format!("expected at most {FRAME_BYTES_MAX} bytes per frame, found {size}"));
    }
    let encoding = chosen.encoding();
    let colour = colour.of(encoding);
    let Encoding::Pixels(pixels) = encoding else {
        // Its first and last marker.
        return Ok((FrameFormat { encoding, width, height, stride: 0, colour }, 4));
    };
    // Some drivers report no stride for packed rows.
    let packed = pixels.row_len(width as usize) as u32;
    let stride = if got.bytes_per_line == 0 { packed } else { got.bytes_per_line };
    // The check that each frame has to pass knows how many bytes it needs.
    let bytes_min = match ImageView::new(&[], width as usize, height as usize, stride as usize, pixels) {
        Err(ImageError::Data { expected, .. }) => expected,
        Err(error) => return Err(error.to_string()),
        Ok(_) => 0,
    };
    if bytes_min > size {
        return Err(format!("expected at least {bytes_min} bytes for {pixels} {width}x{height}, found {size}"));
    }
    Ok((FrameFormat { encoding, width, height, stride, colour }, bytes_min))
}

/// What was requested but not granted, for the log.
fn requested(spec: &CameraSpec, got: &FrameFormat, rate: Option<f64>) -> Option<String> {
    let mut parts = Vec::new();
    let (width, height) = (spec.width.map_or(got.width, Side::get), spec.height.map_or(got.height, Side::get));
    if (width, height) != (got.width, got.height) {
        parts.push(format!("{width}x{height}"));
    }
    if let (Some(requested), Some(rate)) = (spec.rate.map(Rate::per_second), rate)
        && (requested - rate).abs() > requested * 0.01
    {
        parts.push(format!("{requested} frames per second"));
    }
    if parts.is_empty() { None } else { Some(parts.join(", ")) }
}

/// As the configuration spells it.
pub(super) fn name(encoding: Encoding) -> &'static str {
    CameraFormat::ALL.into_iter().find(|format| format.encoding() == encoding).map_or("", CameraFormat::name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offers(formats: &[CameraFormat]) -> Vec<(u32, String)> {
        formats.iter().map(|format| (format.code(), String::new())).collect()
    }

    fn layout(format: CameraFormat, width: u32, height: u32, bytes_per_line: u32, size_image: u32) -> PixelLayout {
        let pixel_format = format.code();
        PixelLayout { width, height, pixel_format, field: 1, bytes_per_line, size_image, ..PixelLayout::default() }
    }

    #[test]
    fn pixels_come_before_jpeg_unless_they_are_too_slow() {
        use CameraFormat::{Grey, Mjpeg, Nv12, Yuyv};
        let offered = offers(&[Mjpeg, Grey, Yuyv]);
        let rates = |format| match format {
            Yuyv => Some(10.0),
            Mjpeg => Some(29.97),
            _ => Some(5.0),
        };
        let pick = |rate| choose(&offered, None, rate, rates).unwrap();
        assert_eq!([pick(None), pick(Some(10.0)), pick(Some(30.0)), pick(Some(60.0))], [Yuyv, Yuyv, Mjpeg, Mjpeg]);
        // A driver that lists no rates is assumed to be fast enough.
        assert_eq!(choose(&offered, None, Some(60.0), |_| None).unwrap(), Yuyv);
        assert_eq!(choose(&offered, Some(Grey), Some(60.0), rates).unwrap(), Grey);
        let error = choose(&offered, Some(Nv12), None, rates).unwrap_err();
        assert_eq!(error, "expected the format NV12, found MJPG, GREY, YUYV");
        let error = choose(&[(u32::from_le_bytes(*b"H264"), String::new())], None, None, rates).unwrap_err();
        assert_eq!(error, "expected the format YUYV, UYVY, NV12, MJPG or GREY, found H264");
        assert!(choose(&[], None, None, rates).unwrap_err().ends_with("found none"));
    }

    fn read_layout(chosen: CameraFormat, got: &PixelLayout) -> Result<(FrameFormat, usize), String> {
        super::read_layout(chosen, got, Colour::default())
    }

    #[test]
    fn layouts_define_format_and_size() {
        let (format, bytes) =
            read_layout(CameraFormat::Yuyv, &layout(CameraFormat::Yuyv, 640, 480, 1280, 614_400)).unwrap();
        assert_eq!((format.stride, bytes), (1280, 614_400));
        // Padded rows; the padding of the last one may be missing.
        let (format, bytes) = read_layout(CameraFormat::Grey, &layout(CameraFormat::Grey, 5, 2, 8, 16)).unwrap();
        assert_eq!((format.stride, bytes), (8, 13));
        let (format, bytes) = read_layout(CameraFormat::Nv12, &layout(CameraFormat::Nv12, 4, 2, 0, 12)).unwrap();
        assert_eq!((format.stride, bytes), (4, 12));
        let (format, bytes) = read_layout(CameraFormat::Mjpeg, &layout(CameraFormat::Mjpeg, 4, 2, 0, 999)).unwrap();
        assert_eq!((format.encoding, format.stride, bytes), (Encoding::Jpeg, 0, 4));
    }

    #[test]
    fn invalid_layouts_are_refused() {
        let yuyv = |width, height, stride, size| {
            read_layout(CameraFormat::Yuyv, &layout(CameraFormat::Yuyv, width, height, stride, size)).unwrap_err()
        };
        assert!(yuyv(0, 0, 0, 0).contains("expected sides of 1 to 16384 pixels, found 0"));
        assert!(yuyv(65535, 65535, 0, 0).contains("found 65535"));
        assert!(yuyv(3, 2, 8, 16).contains("even width"));
        assert!(yuyv(4, 2, 4, 16).contains("stride: expected at least 8 bytes"));
        assert!(yuyv(4, 2, 8, 15).contains("expected at least 16 bytes for yuyv 4x2, found 15"));
        assert!(yuyv(4, 2, 8, u32::MAX).contains("expected at most 67108864 bytes per frame"));
        let other = layout(CameraFormat::Grey, 4, 2, 4, 8);
        assert_eq!(read_layout(CameraFormat::Yuyv, &other).unwrap_err(), "expected the format YUYV, found GREY");
        let fields = PixelLayout { field: abi::FIELD_ALTERNATE, ..layout(CameraFormat::Grey, 4, 2, 4, 8) };
        assert!(read_layout(CameraFormat::Grey, &fields).unwrap_err().contains("progressive frames"));
    }

    #[test]
    fn requests_that_were_not_granted_are_listed() {
        let spec =
            CameraSpec { width: Side::new(640), height: Side::new(480), rate: Rate::new(30.0), ..CameraSpec::of("x") };
        let colour = Colour::default().of(Encoding::Jpeg);
        let format = |width| FrameFormat { encoding: Encoding::Jpeg, width, height: 480, stride: 0, colour };
        assert_eq!(requested(&spec, &format(640), Some(29.97)), None);
        assert_eq!(requested(&spec, &format(640), None), None);
        assert_eq!(requested(&spec, &format(320), Some(15.0)).unwrap(), "640x480, 30 frames per second");
    }
}
