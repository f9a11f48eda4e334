//! Channel bindings: data both ends of one TLS connection share and nobody between them does (RFC 5929, RFC 9266).
//!
//! The TLS layer hands the data in; nothing here knows TLS. `tls-unique` is left out on purpose: it is undefined for
//! TLS 1.3 and unsound without extended master secret.

/// Kind of channel binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BindingKind {
    /// `tls-exporter`: keying material exported from the connection (RFC 9266). Preferred.
    TlsExporter,
    /// `tls-server-end-point`: hash of the server's certificate (RFC 5929 §4). Survives a TLS offloader with that certificate.
    TlsServerEndPoint,
}

impl BindingKind {
    /// All kinds, best first.
    pub const ALL: [BindingKind; 2] = [BindingKind::TlsExporter, BindingKind::TlsServerEndPoint];

    /// Name in the IANA registry of channel binding types.
    pub fn name(self) -> &'static str {
        match self {
            BindingKind::TlsExporter => "tls-exporter",
            BindingKind::TlsServerEndPoint => "tls-server-end-point",
        }
    }

    /// Reads [`BindingKind::name`] back; `None` for kinds we do not speak.
    pub fn parse(name: &str) -> Option<BindingKind> {
        BindingKind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// The channel binding data of one connection; empty outside TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChannelBindings {
    /// 32 bytes exported under the label `EXPORTER-Channel-Binding` with an empty context (RFC 9266 §2).
    pub tls_exporter: Option<[u8; 32]>,
    /// Hash of the certificate the server showed on this connection (RFC 5929 §4.1).
    pub tls_server_end_point: Option<Vec<u8>>,
}

impl ChannelBindings {
    /// The data of one kind, if this connection has it.
    pub fn data(&self, kind: BindingKind) -> Option<&[u8]> {
        match kind {
            BindingKind::TlsExporter => self.tls_exporter.as_ref().map(<[u8; 32]>::as_slice),
            BindingKind::TlsServerEndPoint => self.tls_server_end_point.as_deref(),
        }
    }

    /// The kinds this connection has, best first.
    pub fn kinds(&self) -> impl Iterator<Item = BindingKind> + '_ {
        BindingKind::ALL.into_iter().filter(|kind| self.data(*kind).is_some())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.kinds().next().is_none()
    }
}
