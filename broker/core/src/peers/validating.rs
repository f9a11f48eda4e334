//! One question to a validating DNS server on this very machine, whose word that an answer is authentic is believed
//! (AD bit, RFC 4035 §3.2.3, RFC 6840 §5.8).
//!
//! Only the loopback is asked like this: nobody on the network can write the bit. The resolver library does not set the
//! bit in its questions, without which a server need not answer it.

use std::net::SocketAddr;
use std::str::FromStr as _;
use std::time::Duration;

use hickory_resolver::proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, Record, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// Time for a question: the server may have to ask the world.
const ANSWER_TIME: Duration = Duration::from_secs(6);
/// Largest answer in a datagram; larger ones come over TCP (RFC 9715 §3.2 recommends this size).
const DATAGRAM: u16 = 1_400;
/// Datagrams that are no answer to our question, before we give up.
const STRAYS_MAX: usize = 8;

/// The records and whether they are authentic. Empty if there are none.
pub(super) async fn ask(server: SocketAddr, name: &str, kind: RecordType) -> Result<(Vec<Record>, bool), String> {
    if !server.ip().is_loopback() {
        return Err(format!("{server} is not on this machine"));
    }
    match timeout(ANSWER_TIME, exchange(server, name, kind)).await {
        Ok(Ok(answer)) => match answer.metadata.response_code {
            ResponseCode::NoError | ResponseCode::NXDomain => Ok((answer.answers, answer.metadata.authentic_data)),
            code => Err(format!("{server} says {code}")),
        },
        Ok(Err(text)) => Err(format!("{server}: {text}")),
        Err(_) => Err(format!("{server} does not answer within {} s", ANSWER_TIME.as_secs())),
    }
}

async fn exchange(server: SocketAddr, name: &str, kind: RecordType) -> Result<Message, String> {
    let name = Name::from_str(name).map_err(|error| error.to_string())?;
    let query = Query::query(name, kind);
    let id = getrandom::u32().map_err(|error| error.to_string())? as u16;
    let mut question = Message::new(id, MessageType::Query, OpCode::Query);
    question.metadata.recursion_desired = true;
    question.metadata.authentic_data = true;
    question.add_query(query.clone());
    let mut edns = Edns::new();
    edns.set_max_payload(DATAGRAM);
    question.set_edns(edns);
    let bytes = question.to_vec().map_err(|error| error.to_string())?;
    let is_answer = |answer: &Message| {
        answer.metadata.id == id
            && answer.metadata.message_type == MessageType::Response
            && answer.queries == [query.clone()]
    };
    let answer = by_datagram(server, &bytes, is_answer).await?;
    if answer.metadata.truncation { by_stream(server, &bytes, is_answer).await } else { Ok(answer) }
}

async fn by_datagram(
    server: SocketAddr,
    question: &[u8],
    is_answer: impl Fn(&Message) -> bool,
) -> Result<Message, String> {
    let any = SocketAddr::new(server.ip(), 0);
    let socket = UdpSocket::bind(any).await.map_err(|error| error.to_string())?;
    socket.connect(server).await.map_err(|error| error.to_string())?;
    socket.send(question).await.map_err(|error| error.to_string())?;
    let mut buffer = vec![0; usize::from(DATAGRAM)];
    for _ in 0..STRAYS_MAX {
        let length = socket.recv(&mut buffer).await.map_err(|error| error.to_string())?;
        if let Ok(answer) = Message::from_vec(buffer.get(..length).unwrap_or_default())
            && is_answer(&answer)
        {
            return Ok(answer);
        }
    }
    Err("only strange answers came".into())
}

async fn by_stream(
    server: SocketAddr,
    question: &[u8],
    is_answer: impl Fn(&Message) -> bool,
) -> Result<Message, String> {
    let failed = |error: std::io::Error| error.to_string();
    let length = u16::try_from(question.len()).map_err(|error| error.to_string())?;
    let mut stream = TcpStream::connect(server).await.map_err(failed)?;
    stream.write_all(&[length.to_be_bytes().as_slice(), question].concat()).await.map_err(failed)?;
    let mut buffer = vec![0; usize::from(stream.read_u16().await.map_err(failed)?)];
    stream.read_exact(&mut buffer).await.map_err(failed)?;
    let answer = Message::from_vec(&buffer).map_err(|error| error.to_string())?;
    if is_answer(&answer) { Ok(answer) } else { Err("a strange answer came".into()) }
}
