"""Smack's integration tests against Torg, with Prosody's figures from the same run beside: part of `make interop`.

    smack.py TORG [torg|prosody]...     TORG is the binary

Both servers get the same certificates, accounts and time to answer, on loopback addresses of their own: the suite always dials
port 5222. It ends with 1 if a test of Torg's fails, or cannot run, that smack.txt does not list with the clause that justifies it.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent
TOP = HERE.parent.parent
LIBRARIES = TOP / "target/peers/smack/lib"
DOMAIN = "sint.example"
ADDRESSES = {"torg": "127.0.0.91", "prosody": "127.0.0.92"}
ACCOUNTS = ["admin"]  # it makes all others (XEP-0133)
ANSWER = 5000  # ms the suite waits for an answer
START, RUN = 30, 1800  # seconds
MAIN = "org.igniterealtime.smack.inttest.SmackIntegrationTestFramework"


def password(account):
    return f"pass-of-{account}"


def certificates(folder):
    """An authority and a leaf for the domain and everything below it, and a trust store for Java."""
    run = lambda *command: subprocess.run(command, check=True, cwd=folder, capture_output=True)
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3"]
    run("openssl", "req", "-x509", *curve, "-subj", "/CN=Smack run", "-keyout", "ca.key", "-out", "ca.pem")
    run("openssl", "req", *curve, "-subj", f"/CN={DOMAIN}", "-keyout", "leaf.key", "-out", "leaf.csr")
    (folder / "leaf.ext").write_text(f"subjectAltName=DNS:{DOMAIN},DNS:*.{DOMAIN}\nextendedKeyUsage=serverAuth\n")
    run("openssl", "x509", "-req", "-in", "leaf.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
        "-days", "3", "-extfile", "leaf.ext", "-out", "leaf.pem")
    run("keytool", "-importcert", "-noprompt", "-alias", "ca", "-file", "ca.pem", "-keystore", "trust.p12",
        "-storetype", "PKCS12", "-storepass", "changeit")


def torg(folder, binary):
    (folder / "torg.toml").write_text(f"""
[broker]
domain = "{DOMAIN}"
admins = ["admin@{DOMAIN}"]
[broker.listen]
c2s = ["{ADDRESSES['torg']}:5222"]
c2s_tls = ["{ADDRESSES['torg']}:5223"]
[broker.tls]
certificate = "leaf.pem"
key = "leaf.key"
[broker.auth]                 # Smack knows nothing newer
scram_sha_1 = true
[broker.limits]               # a suite is no ordinary client
sessions_per_account = 100
unauthenticated_per_address = 200
[broker.limits.person]
bytes_per_second = 10000000
burst_bytes = 10000000
requests_per_second = 10000
subscriptions_per_minute = 10000
[broker.limits.admin]
bytes_per_second = 10000000
burst_bytes = 10000000
requests_per_second = 10000
[store]
path = "torg.db"
""")
    for account in ACCOUNTS:
        add = [binary, "account", "add", f"{account}@{DOMAIN}", "--password-stdin", "--config", "torg.toml"]
        subprocess.run(add, input=password(account) + "\n", text=True, check=True, cwd=folder, stdout=subprocess.DEVNULL)
    return [binary, "run", "--config", "torg.toml"]


def prosody(folder, _):
    (folder / "prosody.cfg.lua").write_text(f"""
run_as_root = true
pidfile = "{folder}/pid"
data_path = "{folder}/data"
log = {{ error = "*console" }}
interfaces = {{ "{ADDRESSES['prosody']}" }}
s2s_ports = {{ }}
modules_disabled = {{ "s2s" }}
modules_enabled = {{ "roster", "saslauth", "tls", "disco", "ping", "version", "time", "offline", "smacks", "carbons",
  "blocklist", "pep", "private", "vcard_legacy", "lastactivity", "admin_adhoc" }}
admins = {{ "admin@{DOMAIN}" }}
authentication = "internal_plain"
c2s_require_encryption = true
ssl = {{ key = "{folder}/leaf.key", certificate = "{folder}/leaf.pem" }}
VirtualHost "{DOMAIN}"
Component "pubsub.{DOMAIN}" "pubsub"
""")
    stored = folder / "data" / DOMAIN.replace(".", "%2e") / "accounts"
    stored.mkdir(parents=True)
    for account in ACCOUNTS:
        (stored / f"{account}.dat").write_text(f'return {{ ["password"] = "{password(account)}" }};\n')
    return ["prosody", "--root", "-F", "--config", str(folder / "prosody.cfg.lua")]


def listening(address):
    line = subprocess.run(["bash", "-c", f"exec 3<>/dev/tcp/{address}/5222"], capture_output=True)
    return line.returncode == 0


def run(name, binary, kept):
    """Runs the suite against one server; returns (passed, {failed: why}, {impossible: why}, skipped)."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f"smack-{name}-"))
    try:
        certificates(folder)
        command = {"torg": torg, "prosody": prosody}[name](folder, binary)
        with open(kept / f"{name}.server.log", "w") as log:
            server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            end = time.monotonic() + START
            while not listening(ADDRESSES[name]):
                if server.poll() is not None or time.monotonic() > end:
                    sys.exit(f"smack: {name} does not start, see {kept}")
                time.sleep(0.1)
            return suite(name, folder, kept / f"{name}.log")
        finally:
            server.terminate()
            server.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def suite(name, folder, log):
    settings = {
        "service": DOMAIN, "host": ADDRESSES[name], "securityMode": "required", "replyTimeout": ANSWER,
        "adminAccountUsername": "admin", "adminAccountPassword": password("admin"),
    }
    # Of its kinds of connection the one that is not experimental: "modular" stops at times in its own TLS, and ends the whole suite.
    settings["enabledConnections"] = "tcp"
    if os.environ.get("SMACK_TESTS"):  # only these, for whoever looks for the cause of a failure
        settings["enabledTests"] = os.environ["SMACK_TESTS"]
        settings["debugger"] = "console"
    java = ["java", "-cp", f"{LIBRARIES}/*", f"-Djavax.net.ssl.trustStore={folder}/trust.p12",
            "-Djavax.net.ssl.trustStorePassword=changeit", f"-Duser.home={folder}"]
    java += [f"-Dsinttest.{key}={value}" for key, value in settings.items()] + [MAIN]
    with open(log, "w") as out:
        subprocess.run(java, cwd=folder, stdout=out, stderr=out, stdin=subprocess.DEVNULL, timeout=RUN)
    text = log.read_text(errors="replace")
    finished = re.search(r"finished: (\d+)/(\d+)", text)
    if not finished:
        sys.exit(f"smack: the suite did not finish against {name}, see {log}")
    failed = dict(re.findall(r"SEVERE: (\w+\.\w+) \([^)]*\) failed: (.*)", text))
    impossible = re.findall(r"Could not run (?:[\w.]+\.)?(\w+(?:\.\w+)?)(?: \([^)]*\))? because: (.*)", text)
    skipped = re.search(r"Disabled (\d+) classes and (\d+) tests", text)
    return int(finished[1]), failed, dict(impossible), int(skipped[2]) if skipped else 0


def listed():
    """{test or class: clause}, from smack.txt."""
    rows = [line.split("|", 1) for line in (HERE / "smack.txt").read_text().splitlines()
            if line.strip() and not line.startswith("#")]
    return {name.strip(): clause.strip() for name, clause in rows}


def main():
    binary = str(pathlib.Path(sys.argv[1]).resolve())
    kept = TOP / "target/peers/smack"
    names = sys.argv[2:] or ["torg", "prosody"]
    results = {name: run(name, binary, kept) for name in names}
    # Skipped are the repetitions of low-level tests over other kinds of connection.
    print(f"{'Smack integration tests':<24}{'passed':>8}{'failed':>8}{'skipped':>8}{'impossible classes':>20}")
    for name, (passed, failed, impossible, skipped) in results.items():
        print(f"{name:<24}{passed:>8}{len(failed):>8}{skipped:>8}{len(impossible):>20}")
    if "torg" not in results:
        return
    known, unlisted = listed(), []
    _, failed, impossible, _ = results["torg"]
    theirs = results.get("prosody", (0, {}, {}, 0))
    for kind, mine, other in (("failed", failed, theirs[1]), ("impossible", impossible, theirs[2])):
        for test, why in sorted(mine.items()):
            clause = known.pop(test, None) or known.get(test.split(".")[0])
            beside = " (Prosody too)" if test in other else ""
            print(f"  {kind}{beside}: {test}: {clause or 'NOT LISTED: ' + why}")
            if clause is None:
                unlisted.append(test)
    for test in sorted(set(known) - {test.split(".")[0] for test in failed}):
        print(f"  listed, but passes: {test}")
    sys.exit(1 if unlisted else 0)


if __name__ == "__main__":
    main()
