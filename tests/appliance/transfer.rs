//! `torg account export` and `import` between two appliances, and what they refuse.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::world::Place;

fn torg(place: &Place, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_torg")).args(arguments).arg("--config").arg(place.file()).output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test]
async fn accounts_move_to_another_appliance_with_their_passwords() {
    let (here, there) = (Place::new("", &[]), Place::new("", &[]));
    here.account("anna").await;
    here.account("bob").await;
    let file = here.file().with_file_name("accounts.xml");
    let file = file.to_str().unwrap();
    let exported = torg(&here, &["account", "export", file]);
    assert!(exported.status.success(), "{}", text(&exported));
    assert!(text(&exported).starts_with("2 accounts written"), "{}", text(&exported));
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(torg(&here, &["account", "export", file]).status.code(), Some(1), "it exists");

    let imported = torg(&there, &["account", "import", file, "--json"]);
    assert!(imported.status.success(), "{}", text(&imported));
    let report: Value = serde_json::from_slice(&imported.stdout).unwrap();
    assert_eq!(report["imported"][0]["jid"], "anna@localhost");
    assert_eq!(report["imported"][1]["left_out"], json!([]));
    let again = torg(&there, &["account", "import", file]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again).contains("anna@localhost exists already and stays as it is"), "{}", text(&again));

    let appliance = there.start().await.unwrap();
    there.log_in(&appliance, "anna", "anna", false).await.unwrap().leave().await;
    assert!(appliance.stop().await);
}

#[test]
fn what_cannot_be_imported_is_told() {
    let place = Place::new("", &[]);
    let file = place.file().with_file_name("accounts.xml");
    let import = |content: &str| {
        fs::write(&file, content).unwrap();
        torg(&place, &["account", "import", file.to_str().unwrap()])
    };
    let begin = "<server-data xmlns='urn:xmpp:pie:0'>";
    let cut = import(&format!("{begin}<host jid='localhost'><user name='anna' password='x'/><user name='bo"));
    assert_eq!(cut.status.code(), Some(1));
    assert!(text(&cut).contains("anna@localhost: ") && text(&cut).contains("ends too early"), "{}", text(&cut));
    let other = import("<rss/>");
    assert!(text(&other).contains("is not a file of accounts"), "{}", text(&other));
    let elsewhere =
        import(&format!("{begin}<host jid='other.example'><user name='anna' password='x'/></host></server-data>"));
    assert!(elsewhere.status.success() && text(&elsewhere).contains("\"other.example\" are not of this server"));
    let gateway =
        import(&format!("{begin}<host jid='localhost'><user name='gateway' password='x'/></host></server-data>"));
    assert_eq!(gateway.status.code(), Some(1));
    assert!(text(&gateway).contains("concentrator"), "{}", text(&gateway));
}
