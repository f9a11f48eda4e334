use torg_thing::config::SourceText;

use super::*;
use crate::check::check;

const SENSOR: &str = r#"
[profile]
id = "acme.fan"
version = "1.2.3"
protocol = "modbus"
license = "CC0-1.0"
device = { vendor = "Acme", models = ["F1", "F2"] }
sources = { manual = "Acme F manual, page 7", bench = "own bench" }
i18n = { en = "Fan" }
[points]
"Pressure" = { table = "input", address = 16, type = "s16", unit = "Pa", sources = ["manual"], unconfirmed = true }
"Mode" = { table = "holding", address = 100, type = "u16", bits = "0:4", enum = { 0 = "Off", 1 = "Auto|Eco" }, category = "status", write = {} }
"#;

#[test]
fn the_page_names_every_field_where_it_lies_and_how_sure_it_is() {
    let page = document(&check(&SourceText::new("fan.toml", SENSOR)).unwrap());
    assert!(page.starts_with("# Fan (`acme.fan` 1.2.3)\n"), "{page}");
    assert!(
        page.contains(
            "| Pressure | Pa, 0 decimals | input 16 (0x0010) | s16 | m | normal | **unconfirmed** (only manual) |"
        ),
        "{page}"
    );
    assert!(page.contains("- **Confirmed by one source only: 1 of 2 fields**, marked below"), "{page}");
    assert!(page.contains("| Mode | enumeration | holding 100 (0x0064) bits 0:4 | u16 | s | normal |  |"), "{page}");
    assert!(page.contains("| Mode | one of Off, Auto\\|Eco | 6 | read back after each write |"), "{page}");
    assert!(page.contains("- `manual`: Acme F manual, page 7"), "{page}");
    assert!(page.contains("No vector shows: Pressure, Mode."), "{page}");
}
