//! Looks at the uplinks again and again while a test goes on: each frame is judged once.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
};

use anyhow::{Context as _, Result};
use memchr::memmem;

use crate::{
    Marker, Report, World, capture,
    probe::Probe,
    world::{READY, capture_file, until},
};

/// How far the captures have been judged.
#[derive(Debug, Default)]
pub struct Watch(BTreeMap<(usize, &'static str), usize>);

const ENDS: [&str; 2] = ["host", "router"];

impl World {
    /// Judges what came on both ends of every uplink since the last look. Everything sent before the last [`World::control`] or
    /// [`World::control_by`] is among it.
    ///
    /// # Errors
    /// Frames were lost.
    pub fn report_since(&self, watch: &mut Watch, markers: &[Marker]) -> Result<Report> {
        let oracle = self.oracle(markers);
        let mut report = Report::default();
        for index in 0..self.spec.uplinks.len() {
            for end in ENDS {
                let place = watch.0.entry((index, end)).or_default();
                let frames = capture::read_since(&self.path(&capture_file(end, index)), place)?;
                oracle.judge(
                    &format!("uplink {index} at the {end}"),
                    &frames,
                    &mut report,
                );
            }
        }
        Ok(report)
    }

    /// A probe beside all tunnels sends a datagram with a fresh marker as those inside do; waits until both ends of the first uplink have captured
    /// it.
    ///
    /// # Errors
    /// It is not seen in time: nothing that the captures say proves anything.
    pub fn control_by(&mut self, probe: &mut Probe) -> Result<()> {
        let marker = Marker::new()?;
        self.controls.push(marker.bytes().to_vec());
        let mut files = Vec::new();
        for end in ENDS {
            let file = File::open(self.path(&capture_file(end, 0)))?;
            let length = file.metadata()?.len();
            files.push((file, length));
        }
        // To a socket that does not answer.
        probe
            .ask(&format!("udp {}:9 {}", self.spec.web(), marker.hex()))
            .context("send a control")?;
        for (mut file, length) in files {
            file.seek(SeekFrom::Start(length))?;
            let mut bytes = Vec::new();
            until(READY, "the control in a capture", || {
                file.read_to_end(&mut bytes)?;
                Ok(memmem::find(&bytes, marker.bytes()).is_some())
            })?;
        }
        Ok(())
    }
}
