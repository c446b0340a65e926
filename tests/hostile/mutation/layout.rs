//! An image taken apart: where its layers lie, each as bytes that can be put together again with
//! the checksums above made right.

use super::super::images::small;
use super::super::memory::Medium;
use super::super::repair;
use aes_gcm::aead::{AeadInOut as _, KeyInit as _};
use aes_gcm::{Aes256Gcm, Nonce, Tag};
use base64::Engine as _;
use sha2::Sha256;
use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;

/// Where the parts of a bank are, by its boot sector and the truth about the image.
pub(super) struct Bank {
    pub(super) partition: u32,
    pub(super) at: usize,
    pub(super) sector: usize,
    pub(super) bits: usize,
    pub(super) clusters: usize,
    pub(super) fats: [usize; 2],
    pub(super) fat_len: usize,
    pub(super) root: Range<usize>,
    pub(super) data: usize,
    pub(super) cluster: usize,
    pub(super) boot_cfg: Vec<usize>,
    pub(super) states: Vec<StateFile>,
    pub(super) other_folders: Vec<usize>,
}

/// A state file: its entry and chain, and what is in it, layer by layer.
pub(super) struct StateFile {
    pub(super) name: String,
    pub(super) entry: usize,
    pub(super) chain: Vec<usize>,
    pub(super) outer: Vec<u8>,
    pub(super) inner: Option<Inner>,
}

/// The inner archive, and where in the outer one it is.
pub(super) struct Inner {
    pub(super) member: String,
    pub(super) archive: Vec<u8>,
    pub(super) sealed: Option<Sealed>,
}

pub(super) struct Sealed {
    pub(super) header: Vec<u8>,
    pub(super) iv_at: usize,
    pub(super) key: [u8; 32],
    pub(super) last: Vec<u8>,
}

pub(super) struct Image {
    pub(super) profile: String,
    pub(super) bytes: Vec<u8>,
    pub(super) sector: usize,
    pub(super) table: Vec<Range<usize>>,
    pub(super) banks: Vec<Bank>,
}

pub(super) fn number(value: &serde_json::Value) -> usize {
    usize::try_from(value.as_u64().expect("a number")).unwrap()
}

impl Image {
    pub(super) fn load(profile: &str) -> Self {
        let (image, truth) = small(profile);
        let bytes = fs::read(image).unwrap();
        let truth: serde_json::Value = serde_json::from_slice(&fs::read(truth).unwrap()).unwrap();
        let sector = number(&truth["sector_size"]);
        let mut table = Vec::from_iter(std::iter::once(440..512));
        if truth["table"] == "gpt" {
            table.extend([sector..sector + 92, sector * 2..sector * 2 + 10 * 128]);
        } else {
            // The extended boot records are 32 sectors before their partitions.
            let parts = truth["partitions"].as_array().unwrap().iter();
            let logical = parts.filter(|part| number(&part["number"]) >= 5);
            table.extend(logical.map(|part| {
                let at = (number(&part["first_lba"]) - 32) * 512;
                at + 446..at + 512
            }));
        }
        let banks = truth["banks"].as_array().unwrap().iter();
        let banks = banks.map(|told| Bank::read(&bytes, sector, told)).collect();
        Image {
            profile: profile.to_owned(),
            bytes,
            sector,
            table,
            banks,
        }
    }
}

impl Bank {
    pub(super) fn read(image: &[u8], sector: usize, told: &serde_json::Value) -> Self {
        let at = number(&told["offset"]);
        let fat = &told["fat"];
        let word = |offset: usize| {
            usize::from(u16::from_le_bytes([
                image[at + offset],
                image[at + offset + 1],
            ]))
        };
        let fat_at = at + word(14) * sector;
        let fat_len = number(&fat["fat_sectors"]) * sector;
        let mut bank = Bank {
            partition: u32::try_from(number(&told["partition"])).unwrap(),
            at,
            sector,
            bits: if fat["type"] == "FAT12" { 12 } else { 16 },
            clusters: number(&fat["clusters"]),
            fats: [fat_at, fat_at + fat_len],
            fat_len,
            root: at + number(&fat["root_offset"])..at + number(&fat["data_offset"]),
            data: at + number(&fat["data_offset"]),
            cluster: number(&fat["sectors_per_cluster"]) * sector,
            boot_cfg: Vec::new(),
            states: Vec::new(),
            other_folders: Vec::new(),
        };
        for (name, file) in told["files"].as_object().unwrap() {
            let mut chain = Vec::new();
            for run in file["runs"].as_array().unwrap() {
                chain.extend(number(&run[0])..number(&run[0]) + number(&run[1]));
            }
            if name == "boot.cfg" {
                bank.boot_cfg = chain;
            } else if name == "state.tgz" || name == "local.tgz" {
                let entry = at + number(&file["entry_offset"]);
                let content = bank.content(image, &chain, number(&file["size"]));
                bank.states
                    .push(StateFile::open(name, entry, chain, &content));
            }
        }
        let slots = (bank.root.start..bank.root.end).step_by(32);
        bank.other_folders = slots
            .filter(|slot| image[slot + 11] == 0x10 && image[*slot] != 0xe5 && image[*slot] != 0)
            .map(|slot| usize::from(u16::from_le_bytes([image[slot + 26], image[slot + 27]])))
            .collect();
        bank
    }

    pub(super) fn place(&self, cluster: usize) -> usize {
        self.data + (cluster - 2) * self.cluster
    }

    pub(super) fn content(&self, image: &[u8], chain: &[usize], size: usize) -> Vec<u8> {
        let pieces = chain
            .iter()
            .map(|cluster| &image[self.place(*cluster)..][..self.cluster]);
        let mut content = pieces.collect::<Vec<_>>().concat();
        content.truncate(size);
        content
    }

    pub(super) fn fat_entry(&self, medium: &Medium<'_>, cluster: usize) -> usize {
        let at = self.fats[0] + cluster * self.bits / 8;
        let pair = medium.get(at, 2);
        let value = usize::from(u16::from_le_bytes([pair[0], pair[1]]));
        match (self.bits, cluster % 2) {
            (16, _) => value,
            (_, 0) => value & 0xfff,
            _ => value >> 4,
        }
    }

    pub(super) fn set_fat_entry(
        &self,
        medium: &Medium<'_>,
        copy: usize,
        cluster: usize,
        value: usize,
    ) {
        let at = self.fats[copy] + cluster * self.bits / 8;
        let pair = medium.get(at, 2);
        let old = usize::from(u16::from_le_bytes([pair[0], pair[1]]));
        let new = match (self.bits, cluster % 2) {
            (16, _) => value,
            (_, 0) => old & 0xf000 | value & 0xfff,
            _ => old & 0xf | (value & 0xfff) << 4,
        };
        medium.put(at, &(new as u16).to_le_bytes());
    }

    /// Gives a file new content, its chain made longer where needed. Whether there was room.
    pub(super) fn replace(&self, medium: &Medium<'_>, file: &StateFile, content: &[u8]) -> bool {
        let needed = content.len().div_ceil(self.cluster);
        let mut chain = file.chain.clone();
        let mut free =
            (2..self.clusters + 2).filter(|cluster| self.fat_entry(medium, *cluster) == 0);
        while chain.len() < needed {
            let Some(next) = free.next() else {
                return false;
            };
            chain.push(next);
        }
        for unused in chain.split_off(needed) {
            (0..2).for_each(|copy| self.set_fat_entry(medium, copy, unused, 0));
        }
        for (index, &cluster) in chain.iter().enumerate() {
            let next = chain.get(index + 1).copied().unwrap_or(0xffff);
            (0..2).for_each(|copy| self.set_fat_entry(medium, copy, cluster, next));
            let mut piece = content[index * self.cluster..].to_vec();
            piece.resize(self.cluster, 0);
            medium.put(self.place(cluster), &piece);
        }
        let first = chain.first().copied().unwrap_or(0) as u16;
        medium.put(file.entry + 26, &first.to_le_bytes());
        medium.put(file.entry + 28, &(content.len() as u32).to_le_bytes());
        true
    }
}

impl StateFile {
    pub(super) fn open(name: &str, entry: usize, chain: Vec<usize>, content: &[u8]) -> Self {
        let mut outer = repair::gunzip(content);
        let mut inner = None;
        let members = repair::tar(&mut outer);
        let find = |wanted: &str| {
            let found = members.iter().find(|(name, _)| name == wanted)?;
            Some(outer[found.1.clone()].to_vec())
        };
        if let Some(local) = find("local.tgz") {
            let archive = repair::gunzip(&local);
            inner = Some(Inner {
                member: "local.tgz".to_owned(),
                archive,
                sealed: None,
            });
        } else if let Some(envelope) = find("local.tgz.ve") {
            let info = find("encryption.info").or_else(|| find(".#encryption.info"));
            inner = info.and_then(|info| Inner::decrypt(&envelope, &info));
        }
        StateFile {
            name: name.to_owned(),
            entry,
            chain,
            outer,
            inner,
        }
    }

    /// The file with another inner archive in it.
    pub(super) fn with_inner(&self, inner: &Inner, archive: &[u8]) -> Vec<u8> {
        let packed = repair::gzip(archive);
        let content = match &inner.sealed {
            None => packed,
            Some(sealed) => sealed.seal(&packed, &sealed.header),
        };
        self.with_member(&inner.member, content)
    }

    pub(super) fn with_member(&self, name: &str, content: Vec<u8>) -> Vec<u8> {
        let mut outer = self.outer.clone();
        let members = repair::tar(&mut outer);
        let members: Vec<(String, Vec<u8>)> = members
            .into_iter()
            .map(|(member, place)| {
                let old = outer[place].to_vec();
                let new = if member == name { content.clone() } else { old };
                (member, new)
            })
            .collect();
        repair::gzip(&repair::make_tar(&members))
    }
}

impl Inner {
    /// Opens an envelope without the help of the code under test; `None` where it is sealed.
    pub(super) fn decrypt(envelope: &[u8], info: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(info).ok()?;
        let data = text.split("ConfigEncData = \"").nth(1)?.split('"').next()?;
        let fields: BTreeMap<&str, &str> = data
            .split(':')
            .filter_map(|field| field.split_once('='))
            .collect();
        let part = |name: &str| {
            let text = fields.get(name)?.replace("%3d", "=");
            base64::engine::general_purpose::STANDARD.decode(text).ok()
        };
        let phrase = b"This is obfuscation, not encryption. If you want encryption, use TPM.";
        let password = [part("data1")?.as_slice(), phrase].concat();
        let mut key = [0; 32];
        pbkdf2::pbkdf2_hmac::<Sha256>(&password, &part("data2")?, 100_000, &mut key);
        let header = envelope[..4096].to_vec();
        let iv_at = header.windows(10).position(|at| at == b"vmware.iv\0")? + 18;
        let iv: [u8; 12] = header[iv_at..iv_at + 12].try_into().ok()?;
        let mut body = envelope[4096..envelope.len() - 4096].to_vec();
        let tag: [u8; 16] = envelope[envelope.len() - 4064..][..16].try_into().ok()?;
        let aad = [header.as_slice(), b"ESXConfiguration"].concat();
        Aes256Gcm::new((&key).into())
            .decrypt_inout_detached(
                &Nonce::from(iv),
                &aad,
                body.as_mut_slice().into(),
                &Tag::from(tag),
            )
            .ok()?;
        let last = body.split_off(body.len() - 4096);
        let archive = repair::gunzip(&body);
        let sealed = Some(Sealed {
            header,
            iv_at,
            key,
            last,
        });
        Some(Inner {
            member: "local.tgz.ve".to_owned(),
            archive,
            sealed,
        })
    }
}

impl Sealed {
    pub(super) fn seal(&self, packed: &[u8], header: &[u8]) -> Vec<u8> {
        let mut plaintext = packed.to_vec();
        plaintext.resize(packed.len().next_multiple_of(4096), 0);
        let padding = plaintext.len() - packed.len();
        plaintext.extend_from_slice(&self.last);
        let at = plaintext.len() - 8;
        plaintext[at..at + 4].copy_from_slice(&(padding as u32).to_le_bytes());
        repair::envelope(header, self.iv_at..self.iv_at + 12, &self.key, &plaintext)
    }
}
