//! How a point is set: function, type of the parameter, limits, and that what is allowed also fits the registers.

use std::time::Duration;

use torg_thing::{ControlParameter, ControlValue, Decimal, EnumValue, ParameterKind, Range};

use super::Builder;
use crate::check::decimal;
use crate::checked::{Encoding, Point, Privilege, Shape, Table, Unlock, Write, WriteFunction};
use crate::raw::{RawParameterKind, RawPrivilege, RawTable, RawWrite};

impl Builder<'_, '_> {
    pub(super) fn write(&mut self, point: &Point, raw: &RawWrite) -> Option<Write> {
        let before = self.errors.len();
        if !point.table.is_writable() {
            self.refuse("write", format!("is not possible in the table {}; only `coil` and `holding`", point.table));
            return None;
        }
        let writable = match point.encoding {
            Encoding::Bit | Encoding::Bcd16 | Encoding::Bcd32 | Encoding::F32 | Encoding::F64 => true,
            Encoding::S16 | Encoding::S32 | Encoding::S64 | Encoding::U16 => true,
            Encoding::U32 | Encoding::U64 => point.slice.is_none(),
            _ => false,
        };
        if !writable || matches!(point.shape, Shape::Text) {
            self.refuse("write", "is not possible for this type");
            return None;
        }
        let function = self.function(point, raw.function);
        let kind = self.parameter_kind(point, raw.kind);
        let range = self.write_range(kind.as_ref(), raw);
        let address = match raw.address.map(|address| self.context.layer.address(self.raw.table, address)) {
            None => point.address,
            Some(Ok(address)) => address,
            Some(Err(message)) => {
                self.refuse("write.address", message);
                return None;
            }
        };
        let repeat = self.raw.repeat.map_or((1, 0), |repeat| (repeat.count, repeat.stride));
        let last = u32::from(address) + u32::from(repeat.0 - 1) * u32::from(repeat.1);
        if last + u32::from(point.count()) > 0x1_0000 {
            self.refuse("write.address", "leads past address 65535");
        }
        let most = self.context.link.limits.write;
        if point.table == Table::Holding && point.count() > most {
            let count = point.count();
            self.refuse("write", format!("takes {count} registers, but one write of this device at most {most}"));
        }
        let mut unlock = Vec::new();
        for (index, step) in raw.unlock.iter().enumerate() {
            match self.context.layer.address(RawTable::Holding, step.address) {
                Ok(address) => unlock.push(Unlock { address, words: vec![step.value] }),
                Err(message) => self.refuse(&format!("write.unlock[{index}].address"), message),
            }
        }
        let (Some(function), Some(kind)) = (function, kind) else { return None };
        let parameter = ControlParameter {
            name: point.name.clone(),
            kind,
            range,
            label: point.label("en").into(),
            description: point.description.clone(),
        };
        (self.errors.len() == before).then(|| Write {
            parameter,
            function,
            address,
            verify: raw.verify.unwrap_or(true),
            settle: Duration::from_millis(raw.settle_ms.unwrap_or(0).into()),
            unlock,
            privilege: match raw.privilege {
                Some(RawPrivilege::Configure) => Privilege::Configure,
                Some(RawPrivilege::Control) | None => Privilege::Control,
            },
        })
    }

    fn function(&mut self, point: &Point, written: Option<u8>) -> Option<WriteFunction> {
        let coil = point.table == Table::Coil;
        let single = point.count() == 1;
        match written {
            None if coil => Some(WriteFunction::SingleCoil),
            None if single => Some(WriteFunction::SingleRegister),
            None => Some(WriteFunction::MultipleRegisters),
            Some(5) if coil => Some(WriteFunction::SingleCoil),
            Some(15) if coil => Some(WriteFunction::MultipleCoils),
            Some(6) if !coil && single => Some(WriteFunction::SingleRegister),
            Some(16) if !coil => Some(WriteFunction::MultipleRegisters),
            Some(22) if !coil && single => Some(WriteFunction::MaskRegister),
            Some(_) => {
                let allowed = match (coil, single) {
                    (true, _) => "5 or 15 for a coil",
                    (false, true) => "6, 16 or 22 for one register",
                    (false, false) => "16 for several registers",
                };
                self.refuse("write.function", format!("must be {allowed}"));
                None
            }
        }
    }

    fn parameter_kind(&mut self, point: &Point, written: Option<RawParameterKind>) -> Option<ParameterKind> {
        let natural = match &point.shape {
            Shape::Boolean => RawParameterKind::Boolean,
            Shape::Enumeration(_) => RawParameterKind::Enum,
            Shape::Int32 => RawParameterKind::Int,
            Shape::Int64 => RawParameterKind::Long,
            Shape::Quantity(_) | Shape::Text => RawParameterKind::Double,
        };
        let kind = written.unwrap_or(natural);
        match (kind, &point.shape) {
            (RawParameterKind::Boolean, Shape::Boolean) => Some(ParameterKind::Boolean),
            (RawParameterKind::Enum, Shape::Enumeration(names)) => {
                let values = names.names.values().cloned().collect();
                Some(ParameterKind::Enumeration { kind: names.kind.clone(), values })
            }
            (RawParameterKind::Double, Shape::Quantity(scaling)) => {
                Some(ParameterKind::Double { unit: scaling.unit.clone() })
            }
            (RawParameterKind::Int, Shape::Int32) => Some(ParameterKind::Int32),
            (RawParameterKind::Int, Shape::Quantity(scaling)) if scaling.decimals == 0 => Some(ParameterKind::Int32),
            (RawParameterKind::Long, Shape::Int32 | Shape::Int64) => Some(ParameterKind::Int64),
            (RawParameterKind::Long, Shape::Quantity(scaling)) if scaling.decimals == 0 => Some(ParameterKind::Int64),
            _ => {
                self.refuse("write.as", "does not fit what the point shows");
                None
            }
        }
    }

    fn write_range(&mut self, kind: Option<&ParameterKind>, raw: &RawWrite) -> Option<Range> {
        let numeric = matches!(kind, Some(ParameterKind::Double { .. } | ParameterKind::Int32 | ParameterKind::Int64));
        if !numeric {
            for (key, given) in [("write.range", raw.range.is_some()), ("write.values", raw.values.is_some())] {
                if given && kind.is_some() {
                    self.refuse(key, "makes no sense for what is not a number");
                }
            }
            return None;
        }
        if raw.range.is_none() && raw.values.is_none() {
            self.refuse("write", "needs `range` or `values`, so that wrong numbers stop before the bus");
            return None;
        }
        let mut range = match &raw.range {
            Some(written) => self.range("write.range", written)?,
            None => Range::default(),
        };
        for (index, value) in raw.values.iter().flatten().enumerate() {
            match decimal(*value) {
                Some(value) => range.values.push(value),
                None => self.refuse(&format!("write.values[{index}]"), "is not a number that can be kept exactly"),
            }
        }
        Some(range)
    }

    /// What the range or the names allow must also fit the registers.
    pub(super) fn ends(&mut self, point: &Point) {
        let Some(write) = &point.write else { return };
        let mut trials: Vec<(String, ControlValue)> = Vec::new();
        let number = |value: Decimal| match write.parameter.kind {
            ParameterKind::Int32 => value.to_integer().and_then(|n| i32::try_from(n).ok()).map(ControlValue::Int32),
            ParameterKind::Int64 => value.to_integer().and_then(|n| i64::try_from(n).ok()).map(ControlValue::Int64),
            _ => Some(ControlValue::Double(value)),
        };
        if let Some(range) = &write.parameter.range {
            let ends = [range.min, range.max].into_iter().flatten().enumerate();
            let ends = ends.map(|(index, end)| (format!("write.range[{index}]"), end));
            let values = range.values.iter().enumerate();
            let values = values.map(|(index, value)| (format!("write.values[{index}]"), *value));
            // A list inside a range must fit both; an end that the list leaves out is never written.
            let listed = !range.values.is_empty();
            for (key, value) in ends.filter(|_| !listed).chain(values) {
                match number(value) {
                    Some(value) => trials.push((key, value)),
                    None => self.refuse(&key, "does not fit the type of the parameter"),
                }
            }
        }
        if let ParameterKind::Enumeration { kind, values } = &write.parameter.kind {
            for value in values {
                let value = EnumValue { value: value.clone(), kind: kind.clone() };
                trials.push(("enum".to_owned(), ControlValue::Enumeration(value)));
            }
        }
        for (key, value) in trials {
            if let Err(error) = point.encode(&value) {
                self.refuse(&key, error.to_string());
            }
        }
    }
}
