//! What a change has to do with the machine at hand, where the medium is its own: devices that it
//! has although the state does not name them, and the controller the medium hangs on.

use super::situation::Situation;
use super::whose::Certainty;
use crate::edit::{Devices, Edit, Harm, OwnerEdit, Selector, SettingChange};
use crate::host::PciFunction;
use crate::ownership::{DeviceKind, Owner};
use crate::pci::PciAddress;
use crate::stick::Plan;

impl Situation<'_> {
    /// The same edits, where a device to be passed through that this machine has needs no entry in
    /// the state: it is no slip of the pen. Elsewhere nothing tells, and the edits stay as they are.
    pub(super) fn knowing_devices(&self, edits: &[Edit]) -> Vec<Edit> {
        let known = edits.iter().flat_map(|edit| match edit {
            Edit::Owner(OwnerEdit {
                devices: Devices::Named(selectors),
                owner: Owner::Passthru,
            }) => self.split(selectors),
            other => vec![other.clone()],
        });
        known.collect()
    }

    /// The PCI function of this machine at an address, where the medium is known to be its own.
    fn own_function(&self, address: PciAddress) -> Option<&PciFunction> {
        match self.machine()? {
            (machine, Certainty::Known) => machine.function(address),
            (_, Certainty::Probable) => None,
        }
    }

    fn split(&self, selectors: &[Selector]) -> Vec<Edit> {
        let is_here = |selector: &Selector| {
            let address = selector.address();
            address.is_some_and(|address| self.own_function(address).is_some())
        };
        let (here, named): (Vec<Selector>, Vec<Selector>) =
            selectors.iter().cloned().partition(is_here);
        let edit = |devices| {
            let owner = Owner::Passthru;
            Edit::Owner(OwnerEdit { devices, owner })
        };
        let named = (!named.is_empty()).then(|| edit(Devices::Named(named)));
        let here = (!here.is_empty()).then(|| edit(Devices::NamedOrNew(here)));
        named.into_iter().chain(here).collect()
    }

    /// Notes in a plan what passing devices of this machine through costs the host: the controller
    /// that the medium hangs on, or a bridge above it, and devices whose kind only this machine
    /// tells.
    pub(super) fn note_harm(&self, plan: &mut Plan) {
        for change in plan.risks_mut() {
            if let Some(harm) = self.harm_of(change) {
                change.harm = Some(harm);
            }
        }
    }

    /// What a change costs the host by this machine, where the medium is known to be its own; `None` where
    /// that tells no more than the state.
    pub(super) fn harm_of(&self, change: &SettingChange) -> Option<Harm> {
        if !change.passes_through() || change.virtual_function().is_some() {
            return None;
        }
        let address = change.address?;
        let function = self.own_function(address)?;
        let attachment = self.attachment.as_ref();
        if attachment.is_some_and(|it| it.controller == address || it.bridges.contains(&address)) {
            return Some(Harm::OwnController);
        }
        match (change.harm, function.class.and_then(DeviceKind::of_class)) {
            (None, Some(kind @ (DeviceKind::Storage | DeviceKind::Usb | DeviceKind::Display))) => {
                Some(Harm::of_passing_through(kind))
            }
            _ => None,
        }
    }
}
