//! How a point is set.

use std::time::Duration;

use torg_thing::ControlParameter;

/// Function code of a write (Modbus Application Protocol V1.1b3 §6.5, §6.6, §6.11, §6.12, §6.16).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WriteFunction {
    /// 5.
    SingleCoil,
    /// 6.
    SingleRegister,
    /// 15.
    MultipleCoils,
    /// 16.
    MultipleRegisters,
    /// 22.
    MaskRegister,
}

impl WriteFunction {
    /// The function code.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::SingleCoil => 5,
            Self::SingleRegister => 6,
            Self::MultipleCoils => 15,
            Self::MultipleRegisters => 16,
            Self::MaskRegister => 22,
        }
    }
}

/// A register that must be written before a set point is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unlock {
    /// Address of the holding register.
    pub address: u16,
    /// What to write: one word, or several with function 16.
    pub words: Vec<u16>,
}

/// Who may set a parameter, beyond being allowed to control the node at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Privilege {
    /// Everyday operation.
    #[default]
    Control,
    /// Changes how the device measures or communicates.
    Configure,
}

/// How a point is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    pub(crate) parameter: ControlParameter,
    pub(crate) function: WriteFunction,
    pub(crate) address: u16,
    pub(crate) verify: bool,
    pub(crate) settle: Duration,
    pub(crate) unlock: Vec<Unlock>,
    pub(crate) privilege: Privilege,
}

impl Write {
    /// The parameter as clients see it.
    #[must_use]
    pub fn parameter(&self) -> &ControlParameter {
        &self.parameter
    }

    /// Function code to use.
    #[must_use]
    pub fn function(&self) -> WriteFunction {
        self.function
    }

    /// Where to write; usually where the point is read.
    #[must_use]
    pub fn address(&self) -> u16 {
        self.address
    }

    /// Whether success means "read back as written".
    #[must_use]
    pub fn verifies(&self) -> bool {
        self.verify
    }

    /// How long the device needs before it shows the new value.
    #[must_use]
    pub fn settle(&self) -> Duration {
        self.settle
    }

    /// Registers to write first, in order.
    #[must_use]
    pub fn unlock(&self) -> &[Unlock] {
        &self.unlock
    }

    /// Who may set it.
    #[must_use]
    pub fn privilege(&self) -> Privilege {
        self.privilege
    }
}
